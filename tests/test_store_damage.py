"""Every byte of a small store flipped or cut, one at a time: right pixels or an error."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import dask
import pytest
import xarray as xr
from zarr.storage import MemoryStore

import xfusion as xf
from tests.damaged_bytes import (
    DAMAGES,
    METADATA,
    Damage,
    Held,
    Reader,
    contents_of,
    damaged,
    in_memory,
    opened,
)
from tests.store_runs import break_off, small
from xfusion.store.blocks import in_blocks
from xfusion.store.draft import job_of_draft
from xfusion.store.filling import done_blocks
from xfusion.store.fingerprint import job_of
from xfusion.store.metadata import changed_files, changed_metadata, root_of
from xfusion.store.place import JOB_KEY, Place
from xfusion.store.soundness import broken_blocks
from xfusion.store.tasks import blocks_of
from xfusion.store.template import template_of

each_damage = pytest.mark.parametrize("damage", DAMAGES)
# a prime, so that neither digits nor names of a length are always left out
each_byte = pytest.mark.parametrize("every", [pytest.param(1, marks=pytest.mark.thorough), 17])


def water() -> xr.Dataset:
    """A retrieval of two blocks, not as high as wide: a transposed one is another."""
    square = small(4, 2)
    two = square.isel(x=slice(0, 2))
    return xf.retrieval(two.mu, two.sigma, mask=two.mask).chunk(2)


@dataclass(frozen=True)
class Whole:
    """A finished store, and what the run that wrote it knew."""

    contents: Mapping[str, bytes]
    job: Mapping[str, str]
    template: Mapping[str, bytes]
    reader: Reader

    def is_of_pixels(self, key: str) -> bool:
        return key not in self.template


def run(store: MemoryStore) -> None:
    with dask.config.set(scheduler="sync"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        xf.to_zarr(water(), store, progress=False)


@pytest.fixture(scope="module")
def whole() -> Whole:
    store = MemoryStore()
    run(store)
    lazy = in_blocks(water())
    contents, job = contents_of(store), job_of(lazy)
    assert len(contents) == 14
    return Whole(contents, job, template_of(lazy, job), Reader(contents))


@each_byte
@each_damage
def test_no_byte_of_a_finished_store_changes_a_pixel_unseen(
    whole: Whole, damage: Damage, every: int
) -> None:
    for key, place, content in damaged(whole.contents, damage, every):
        for name, found in (whole.reader.read(key, content) or {}).items():
            if name in whole.reader.expected.variables:
                assert whole.reader.is_right_or_missing(name, found), (key, place, name)


@each_damage
def test_what_is_said_of_readers_is_what_xarray_does(whole: Whole, damage: Damage) -> None:
    expected = whole.reader.expected.variables
    for key, place, content in [*damaged(whole.contents, damage)][::97]:
        said = whole.reader.read(key, content)
        consolidated = not key.endswith(f"/{METADATA}")
        try:
            found = opened({**whole.contents, key: content}, consolidated=consolidated).variables
        except Exception:  # noqa: BLE001, S112  # whatever xarray or zarr raise
            continue
        assert said is not None, (key, place)
        for name in {*expected} & {*found}:
            assert found[name].identical(said.get(str(name), expected[name])), (key, place, name)


@each_byte
@each_damage
def test_every_damaged_byte_of_metadata_is_mended_or_told(
    whole: Whole, damage: Damage, every: int
) -> None:
    told = 0
    for key, place, content in damaged(whole.contents, damage, every):
        if whole.is_of_pixels(key):
            continue
        held = Held({**whole.contents, key: content})
        try:
            if key == METADATA:
                assert changed_metadata(held, root_of(held)), place
            held.contents |= changed_files(held, whole.template)
        except ValueError:
            assert key == METADATA, (key, place)
            told += 1
            continue
        if held.contents == whole.contents:
            continue
        # an attribute of a damaged name may be one that a user has added
        assert key == METADATA, (key, place)
        found = whole.reader.read(key, held.contents[key])
        assert found is not None
        assert {*found} <= {*whole.reader.expected.variables}, (key, place)
        for name, variable in found.items():
            assert variable.equals(whole.reader.expected.variables[name]), (key, place)
    assert told


@each_byte
@each_damage
def test_every_damaged_byte_of_a_block_is_told(whole: Whole, damage: Damage, every: int) -> None:
    for key, place, content in damaged(whole.contents, damage, every):
        if whole.is_of_pixels(key):
            store = Place(in_memory({**whole.contents, key: content}))
            found = broken_blocks(store, [key.partition("/")[0]], progress=False)
            assert [*found] == [key], (key, place)


@pytest.mark.some(one_in=3)
@pytest.mark.slow
@each_damage
def test_a_finished_store_that_is_damaged_is_told_and_mended(whole: Whole, damage: Damage) -> None:
    mended = 0
    # at least one byte of each file
    for key, place, content in [
        each
        for each in damaged(whole.contents, damage)
        if each[1] % (19 if whole.is_of_pixels(each[0]) else 499) == 7
    ]:
        store = in_memory({**whole.contents, key: content})
        try:
            assert {key, f"{key.partition('/')[0]}/{METADATA}"} & {
                *xf.verify(store, progress=False)
            }
            run(store)
        except (ValueError, FileExistsError):
            # the root does not tell any more whose result it is
            assert key == METADATA, (key, place)
            assert contents_of(store) == {**whole.contents, key: content}
            continue
        mended += 1
        expected = {**whole.contents, METADATA: b""}
        assert {**contents_of(store), METADATA: b""} == expected, (key, place)
        assert opened(contents_of(store)).equals(whole.reader.expected), (key, place)
    assert mended > len(whole.contents)


@pytest.fixture(scope="module")
def unfinished() -> dict[str, bytes]:
    store = MemoryStore()
    with dask.config.set(num_workers=1):
        break_off(taller(), store)
    return contents_of(store)


def taller() -> xr.Dataset:
    """A retrieval of four blocks, of which a run that breaks off has written three."""
    tall = small(8, 2).isel(x=slice(0, 2))
    return xf.retrieval(tall.mu, tall.sigma, mask=tall.mask).chunk(2)


def go_on(store: MemoryStore, *, resume: bool = True) -> dict[str, bytes]:
    with dask.config.set(scheduler="sync"):
        xf.to_zarr(taller(), store, resume=resume, progress=False)
    return contents_of(store)


def test_a_run_that_goes_on_reads_no_metadata_of_its_draft_before_it_has_written_them(
    unfinished: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, given = set(), set()
    get, give = MemoryStore.get, MemoryStore.set

    async def reading(store: MemoryStore, key: str, *arguments: Any, **options: Any) -> Any:
        if key not in given:
            asked.add(key)
        return await get(store, key, *arguments, **options)

    async def writing(store: MemoryStore, key: str, *arguments: Any, **options: Any) -> None:
        given.add(key)
        await give(store, key, *arguments, **options)

    monkeypatch.setattr(MemoryStore, "get", reading)
    monkeypatch.setattr(MemoryStore, "set", writing)
    go_on(in_memory(unfinished))
    of_draft = {key for key in unfinished if key.endswith((METADATA, "root.json"))}
    assert len(of_draft) == 6
    assert of_draft <= given
    assert asked.isdisjoint(of_draft)
    assert JOB_KEY in asked


@each_byte
@each_damage
def test_every_damaged_byte_of_an_unfinished_store_is_told_or_its_block_computed_again(
    unfinished: dict[str, bytes], damage: Damage, every: int
) -> None:
    draft, job = job_of_draft(Held(unfinished))
    assert draft is not None
    arrays = Place(in_memory(unfinished))
    blocks, _ = blocks_of(
        in_blocks(taller()), lambda name: SimpleNamespace(array=arrays.array(draft.path(name)))
    )
    whole = {file.key: unfinished.get(draft.path(file.key)) for b in blocks for file in b.files}
    assert done_blocks(draft, blocks) == {0, 1, 2}
    for key, place, content in damaged(unfinished, damage, every):
        held = Held({**unfinished, key: content})
        if key == JOB_KEY:
            try:
                found, now = job_of_draft(held)
            except ValueError:
                continue
            # another job is refused, another draft is an empty one
            assert now != job or found != draft, place
            continue
        for number in done_blocks(replace(draft, place=held, is_resumed=True), blocks):
            for file in blocks[number].files:
                kept = held.contents.get(draft.path(file.key))
                assert kept == whole[file.key] is not None, (key, place)


@pytest.mark.some(one_in=3)
@pytest.mark.slow
@each_damage
def test_an_unfinished_store_that_is_damaged_ends_right_or_with_an_error(
    unfinished: dict[str, bytes], damage: Damage
) -> None:
    expected = go_on(MemoryStore())
    ended = refused = 0
    for key, place, content in damaged(unfinished, damage):
        few = 997 if key.endswith((METADATA, "root.json")) else 67
        if place % few != 3:
            continue
        store = in_memory({**unfinished, key: content})
        try:
            contents = go_on(store)
        except ValueError:
            refused += 1
            contents = go_on(store, resume=False)
        ended += 1
        assert contents == expected, (key, place)
    assert ended > 40
    assert refused
