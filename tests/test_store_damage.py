"""Stores that are damaged, attacked or read from inputs that change: right pixels or an error."""

import contextlib
import json
import os
import shutil
import warnings
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
import xarray as xr

import xfusion as xf
from tests.asset_server import serve_folder
from tests.store_runs import break_off, contents, fused, write_inputs
from xfusion.raster.state import ON_THE_WEB, differ, state_of
from xfusion.store import tasks


def small(side: int = 8, block: int = 4) -> xr.Dataset:
    y, x = (np.arange(side) * step for step in (-10.0, 10.0))
    mu = xr.DataArray(
        np.arange(1.0, side * side + 1, dtype=np.float32).reshape(side, side),
        {"y": y, "x": x},
        ("y", "x"),
    )
    return xf.retrieval(mu, mu / 10, mask=(mu == 9).astype(np.uint8) * 128).chunk(block)


def read(store: Path) -> xr.Dataset:
    found: xr.Dataset = xr.open_zarr(store).load().drop_attrs()
    return found


NAMES = ["../victim", "/abs/victim", "..", ".", "", "a/b", ".xfusion", "zarr.json", "a\0b", "a\\b"]


@pytest.mark.parametrize("name", NAMES)
def test_a_variable_whose_name_is_a_path_is_refused_before_anything_is_written(
    tmp_path: Path, name: str
) -> None:
    water = small().assign({name: small().mu})
    with pytest.raises(ValueError, match=r"cannot be a folder of a Zarr store: .rename"):
        xf.to_zarr(water, tmp_path / "w.zarr", progress=False)
    assert not (tmp_path / "w.zarr").exists()


@pytest.mark.parametrize("resume", [True, False])
@pytest.mark.parametrize(
    "job",
    [
        {"variable ../victim": "x"},
        {"variable /tmp/victim": "x", "draft": "../../victim"},
        {"variable .": "x", "draft": ".."},
        {"draft": "../victim"},
        {"draft": 7, "variable ": 3},
    ],
)
def test_a_store_from_elsewhere_deletes_nothing_beside_it(
    tmp_path: Path, job: dict[str, Any], resume: bool
) -> None:
    (tmp_path / "victim" / "arrays" / "mu").mkdir(parents=True)
    (tmp_path / "victim" / "thesis.txt").write_text("all of it")
    (tmp_path / "victim" / "zarr.json").write_text("{}")
    state = tmp_path / "w.zarr" / ".xfusion"
    state.mkdir(parents=True)
    (state / "job.json").write_text(json.dumps(job))
    (state / "ready").touch()
    before = contents(tmp_path / "victim")
    with contextlib.suppress(ValueError):
        xf.to_zarr(small(), tmp_path / "w.zarr", resume=resume, progress=False)
    assert contents(tmp_path / "victim") == before
    assert {path.name for path in tmp_path.iterdir()} == {"victim", "w.zarr"}


@pytest.mark.parametrize("text", ["null", "{", "[]", "7", '"x"', "[" * 100_000, "\udcff"])
def test_a_job_that_is_not_whole_is_told_with_its_store(tmp_path: Path, text: str) -> None:
    break_off(small(16, 2), tmp_path / "w.zarr")
    (tmp_path / "w.zarr" / ".xfusion" / "job.json").write_text(text, errors="surrogateescape")
    with pytest.raises(ValueError, match=r"w.zarr: .xfusion/job.json is not whole.*resume=False"):
        xf.to_zarr(small(16, 2), tmp_path / "w.zarr", progress=False)
    xf.to_zarr(small(16, 2), tmp_path / "w.zarr", resume=False, progress=False)
    xr.testing.assert_equal(read(tmp_path / "w.zarr"), small(16, 2).compute().drop_attrs())


@pytest.mark.parametrize(
    "text", ["", "[", "null", '{"a": 1}', "[1e99]", '["x"]', "[-3, 99999]", "[0"]
)
def test_notes_that_are_torn_note_nothing(tmp_path: Path, text: str) -> None:
    break_off(small(16, 2), tmp_path / "w.zarr")
    notes = [*(tmp_path / "w.zarr" / ".xfusion").glob("*/done/*.json")]
    assert notes
    for note in notes:
        note.write_text(text)
    for root in (tmp_path / "w.zarr" / ".xfusion").glob("*/root.json"):
        root.write_text("{")
    xf.to_zarr(small(16, 2), tmp_path / "w.zarr", progress=False)
    xr.testing.assert_equal(read(tmp_path / "w.zarr"), small(16, 2).compute().drop_attrs())


@pytest.mark.parametrize("damage", ["gone", "empty", "short", "zeros"])
def test_a_block_that_was_lost_with_the_power_is_computed_again(
    tmp_path: Path, damage: str
) -> None:
    store = tmp_path / "w.zarr"
    break_off(small(16, 2), store)
    shards = [p for p in store.glob(".xfusion/*/arrays/*/c/*/*") if p.is_file()]
    assert len(shards) > 3
    for shard in shards:
        size = shard.stat().st_size
        if damage == "gone":
            shard.unlink()
        else:
            shard.write_bytes(
                {"empty": b"", "short": shard.read_bytes()[:-9], "zeros": bytes(size)}[damage]
            )
    xf.to_zarr(small(16, 2), store, progress=False)
    xf.to_zarr(small(16, 2), tmp_path / "v.zarr", progress=False)
    assert contents(store) == contents(tmp_path / "v.zarr")


def test_a_block_that_is_lost_while_the_run_goes_on_is_computed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost: list[Path] = []

    def write(target: Any, region: Any, block: Any) -> None:
        target[region] = block
        for path in tmp_path.glob("w.zarr/.xfusion/*/arrays/mu/c/0/0"):
            if not lost:
                lost.append(path)
                path.unlink()

    monkeypatch.setattr(tasks, "_write", write)
    with dask.config.set(scheduler="sync"):
        xf.to_zarr(small(16, 2), tmp_path / "w.zarr", progress=False)
    assert lost
    xr.testing.assert_equal(read(tmp_path / "w.zarr"), small(16, 2).compute().drop_attrs())


def test_a_disk_that_loses_what_is_written_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "_write", lambda *_: None)
    with pytest.raises(OSError, match=r"w.zarr: 4 blocks that were written are not there"):
        xf.to_zarr(small(), tmp_path / "w.zarr", progress=False)
    assert not (tmp_path / "w.zarr" / "zarr.json").exists()


def flip(path: Path, place: int) -> None:
    damaged = bytearray(path.read_bytes())
    damaged[place] ^= 0x01
    path.write_bytes(bytes(damaged))


def cut(path: Path, place: int) -> None:
    os.truncate(path, place)


def pixels(store: Path) -> xr.Dataset | None:
    """Return what a reader gets of a store, None where it gets an error."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found: xr.Dataset = xr.open_zarr(store)[["mu", "sigma", "mask"]].load()
            return found
    except Exception:  # noqa: BLE001  # any is better than wrong pixels
        return None


def are_right_or_missing(found: xr.Dataset, expected: xr.Dataset) -> bool:
    """Whether each pixel is right, or says that nothing is known of it."""
    for name, array in expected.data_vars.items():
        there = found[name].to_numpy()
        missing = there == xf.Exclusion.UNKNOWN if name == "mask" else np.isnan(there)
        if not ((there == array.to_numpy()) | missing).all():
            return False
    return True


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("whole") / "w.zarr"
    xf.to_zarr(small(), store, progress=False)
    return store


def files_of(store: Path) -> list[Path]:
    return sorted(path.relative_to(store) for path in store.rglob("*") if path.is_file())


@pytest.mark.slow
@pytest.mark.parametrize("damage", [flip, cut])
def test_no_byte_of_a_finished_store_changes_a_pixel_unseen(
    whole: Path, tmp_path: Path, damage: Any
) -> None:
    store = tmp_path / "w.zarr"
    shutil.copytree(whole, store)
    expected = pixels(store)
    assert expected is not None
    tried = 0
    for name in files_of(store):
        original = (store / name).read_bytes()
        # the root is long, and has the metadata of all others
        for place in range(tried % 5, len(original), 13 if name.name == "zarr.json" else 1):
            damage(store / name, place)
            tried += 1
            found = pixels(store)
            assert found is None or are_right_or_missing(found, expected), (name, place)
            (store / name).write_bytes(original)
    assert tried > 1000


@pytest.mark.slow
@pytest.mark.parametrize("damage", [flip, cut])
def test_a_finished_store_that_is_damaged_is_told_and_mended(
    whole: Path, tmp_path: Path, damage: Any
) -> None:
    store = tmp_path / "w.zarr"
    shutil.copytree(whole, store)
    before = contents(store)
    rng = np.random.default_rng(3)
    for name in files_of(store):
        original = (store / name).read_bytes()
        for place in rng.integers(0, len(original), 4):
            damage(store / name, int(place))
            if (store / name).read_bytes() == original:
                continue
            try:
                told = xf.verify(store, progress=False)
            except ValueError as error:
                told = {str(name): str(error)}
            assert str(name) in told or str(name.parent / "zarr.json") in told
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    xf.to_zarr(small(), store, progress=False)
                except (ValueError, FileExistsError):
                    # the root does not tell any more whose result it is
                    assert name == Path("zarr.json")
                    (store / name).write_bytes(original)
            assert contents(store) == before, (name, place)


@pytest.mark.slow
@pytest.mark.parametrize("damage", [flip, cut])
def test_an_unfinished_store_that_is_damaged_ends_right_or_with_an_error(
    tmp_path: Path, damage: Any
) -> None:
    water = small(16, 4)
    begun = tmp_path / "begun.zarr"
    break_off(water, begun)
    xf.to_zarr(water, tmp_path / "whole.zarr", progress=False)
    expected = contents(tmp_path / "whole.zarr")
    rng = np.random.default_rng(4)
    ended = refused = 0
    for name in files_of(begun):
        length = (begun / name).stat().st_size
        for place in rng.integers(0, max(1, length), 4 if length else 0):
            store = tmp_path / "w.zarr"
            shutil.rmtree(store, ignore_errors=True)
            shutil.copytree(begun, store)
            damage(store / name, int(place))
            try:
                xf.to_zarr(water, store, progress=False)
            except ValueError:
                refused += 1
                xf.to_zarr(water, store, resume=False, progress=False)
            ended += 1
            assert contents(store) == expected, (name, place)
    assert ended > 50
    assert refused


def test_verify_names_the_blocks_that_do_not_read(whole: Path, tmp_path: Path) -> None:
    store = tmp_path / "w.zarr"
    shutil.copytree(whole, store)
    assert xf.verify(store, progress=False) == {}
    flip(store / "mu" / "c" / "0" / "1", 5)
    (store / "sigma" / "c" / "1" / "0").unlink()
    found = xf.verify(store, progress=False)
    assert {*found} == {"mu/c/0/1", "sigma/c/1/0"}
    assert "checksum" in found["mu/c/0/1"]
    with pytest.warns(UserWarning, match=r"mu/c/0/1, sigma/c/1/0 did not read"):
        xf.to_zarr(small(), store, progress=False)
    assert contents(store) == contents(whole)


def test_only_broken_blocks_are_computed_again(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "w.zarr"
    shutil.copytree(whole, store)
    flip(store / "mu" / "c" / "0" / "1", 5)
    regions = []

    def write(target: Any, region: Any, block: Any) -> None:
        regions.append(region)
        target[region] = block

    monkeypatch.setattr(tasks, "_write", write)
    with pytest.warns(UserWarning, match="computed again"):
        xf.to_zarr(small(), store, progress=False)
    assert regions == [(slice(0, 4), slice(4, 8))] * 3
    assert contents(store) == contents(whole)


def test_attributes_that_a_user_has_given_a_store_stay(whole: Path, tmp_path: Path) -> None:
    import zarr

    store = tmp_path / "w.zarr"
    shutil.copytree(whole, store)
    root = json.loads((store / "zarr.json").read_text())
    root["attributes"]["title"] = "my lake"
    (store / "zarr.json").write_text(json.dumps(root))
    assert {*xf.verify(store, progress=False)} == {"zarr.json"}
    xf.to_zarr(small(), store, progress=False)
    assert zarr.open_group(store, mode="r").attrs["title"] == "my lake"


@pytest.mark.parametrize("same_time", [True, False])
@pytest.mark.parametrize("how", ["replaced", "written to"])
def test_an_input_that_changes_during_a_run_ends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, same_time: bool, how: str
) -> None:
    inputs = write_inputs(tmp_path / "inputs")
    others = write_inputs(tmp_path / "others", seed=1)
    seen: list[Any] = []

    def write(target: Any, region: Any, block: Any) -> None:
        target[region] = block
        if not seen:
            seen.append(region)
            old = inputs / "a_mu.tif"
            times = old.stat().st_atime_ns, old.stat().st_mtime_ns
            if how == "replaced":
                (others / "a_mu.tif").replace(old)
            else:
                old.write_bytes((others / "a_mu.tif").read_bytes())
            if same_time:
                os.utime(old, ns=times)

    monkeypatch.setattr(tasks, "_write", write)
    store = tmp_path / "w.zarr"
    with pytest.raises(OSError, match=r"w.zarr: inputs changed while .*a_mu.tif was .*, is "):
        xf.to_zarr(fused(inputs), store, progress=False)
    with pytest.raises(FileNotFoundError):
        xr.open_zarr(store)
    xf.to_zarr(fused(inputs), store, progress=False)
    xf.to_zarr(fused(inputs), tmp_path / "v.zarr", progress=False)
    assert contents(store) == contents(tmp_path / "v.zarr")


def test_an_input_on_the_web_that_changes_during_a_run_ends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = write_inputs(tmp_path / "inputs")
    others = write_inputs(tmp_path / "others", seed=1)
    seen: list[Any] = []

    def write(target: Any, region: Any, block: Any) -> None:
        target[region] = block
        if not seen:
            seen.append(region)
            (others / "a_mu.tif").replace(inputs / "a_mu.tif")

    with serve_folder(inputs) as url:
        water = xf.SensorProduct.open(f"{url}/a_mu.tif", f"{url}/a_sigma.tif", chunks=16)
        with monkeypatch.context() as patched:
            patched.setattr(tasks, "_write", write)
            with pytest.raises(OSError, match=r"inputs changed while .*a_mu.tif was .*ETag"):
                water.to_zarr(tmp_path / "w.zarr", progress=False)
        water = xf.SensorProduct.open(f"{url}/b_mu.tif", f"{url}/b_sigma.tif", chunks=16)
        water.to_zarr(tmp_path / "w.zarr", progress=False)
        water.to_zarr(tmp_path / "w.zarr", progress=False)


def test_a_server_that_says_nothing_of_its_files_changes_no_job() -> None:
    assert differ("37 bytes, ETag a", "37 bytes, ETag b")
    assert not differ("37 bytes, ETag a", ON_THE_WEB)
    assert state_of("http://127.0.0.1:9/gone.tif") == ON_THE_WEB


def test_an_input_that_was_replaced_with_its_size_and_time_does_not_resume(
    tmp_path: Path,
) -> None:
    inputs = write_inputs(tmp_path / "inputs")
    break_off(fused(inputs), tmp_path / "w.zarr")
    others = write_inputs(tmp_path / "others", seed=1)
    old = inputs / "a_mu.tif"
    times = old.stat().st_atime_ns, old.stat().st_mtime_ns
    (others / "a_mu.tif").replace(old)
    os.utime(old, ns=times)
    with pytest.raises(ValueError, match=r"input .*a_mu.tif was \d+ bytes"):
        xf.to_zarr(fused(inputs), tmp_path / "w.zarr", progress=False)


def test_a_draft_folder_that_is_a_link_is_refused(tmp_path: Path) -> None:
    store, photos = tmp_path / "w.zarr", tmp_path / "mine"
    store.mkdir()
    (photos / "photos").mkdir(parents=True)
    (photos / "photos" / "1").write_text("x")
    (store / ".xfusion").symlink_to(photos)
    with pytest.raises(FileExistsError, match="is a link"):
        xf.to_zarr(small(), store, progress=False)
    assert (photos / "photos" / "1").read_text() == "x"


def test_folders_of_others_beside_a_draft_stay(tmp_path: Path) -> None:
    store = tmp_path / "w.zarr"
    break_off(small(16, 4), store)
    (store / ".xfusion" / "photos").mkdir()
    (store / ".xfusion" / "photos" / "1").write_text("x")
    mu = small(16, 4).mu
    break_off(xf.retrieval(mu, mu), store, resume=False)
    assert (store / ".xfusion" / "photos" / "1").read_text() == "x"


def killed_in_publishing(dataset: xr.Dataset, store: Path, patch: pytest.MonkeyPatch) -> None:
    from tests.store_runs import KilledError
    from xfusion.store.draft import Draft

    def publish(self: Draft, lease: Any) -> None:
        folder = self.path("")
        self.publish_blocks([k.removeprefix(folder) for k in self.place.listed(folder)], lease)
        raise KilledError

    with patch.context() as patched:
        patched.setattr(Draft, "publish", publish)
        with pytest.raises(KilledError):
            xf.to_zarr(dataset, store, progress=False)


def test_what_a_run_of_a_torn_job_had_published_is_not_mixed_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "w.zarr"
    killed_in_publishing(small().assign(old=small().mu), store, monkeypatch)
    (store / ".xfusion" / "job.json").write_text("{")
    other = small().assign(mu=small().mu + 5)
    xf.to_zarr(other, store, resume=False, progress=False)
    xf.to_zarr(other, tmp_path / "v.zarr", progress=False)
    assert contents(store) == contents(tmp_path / "v.zarr")


def test_a_run_killed_in_publishing_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "w.zarr"
    killed_in_publishing(small(), store, monkeypatch)
    computed: list[Any] = []
    monkeypatch.setattr(tasks, "_write", lambda *_: computed.append(1))
    xf.to_zarr(small(), store, progress=False)
    assert not computed
    monkeypatch.undo()
    xf.to_zarr(small(), tmp_path / "v.zarr", progress=False)
    assert contents(store) == contents(tmp_path / "v.zarr")


def test_a_store_that_has_become_anothers_is_not_mended(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from xfusion.store import filling

    store = tmp_path / "w.zarr"
    shutil.copytree(whole, store)
    (store / "mu" / "c" / "0" / "0").unlink()
    look: Any = filling.__dict__["broken_blocks"]
    other = small().assign(mu=small().mu + 5)

    def looked(*arguments: Any, **options: Any) -> dict[str, str]:
        found: dict[str, str] = look(*arguments, **options)
        monkeypatch.setattr(filling, "broken_blocks", look)
        shutil.rmtree(store)
        xf.to_zarr(other, store, progress=False)
        return found

    monkeypatch.setattr(filling, "broken_blocks", looked)
    with pytest.raises(FileExistsError, match="another job"):
        xf.to_zarr(small(), store, progress=False)
    xr.testing.assert_equal(read(store), other.compute().drop_attrs())


def test_a_block_that_is_lost_while_it_is_mended_is_told(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "w.zarr"
    shutil.copytree(whole, store)
    (store / "mu" / "c" / "0" / "0").unlink()
    monkeypatch.setattr(tasks, "_write", lambda *_: None)
    with (
        pytest.warns(UserWarning, match="did not read"),
        pytest.raises(OSError, match="1 blocks that were written are not there"),
    ):
        xf.to_zarr(small(), store, progress=False)


def test_what_a_user_adds_to_a_finished_store_stays(whole: Path, tmp_path: Path) -> None:
    import zarr

    store = tmp_path / "w.zarr"
    shutil.copytree(whole, store)
    group = zarr.open_group(store)
    extra = group.create_array("extra", shape=(8,), chunks=(8,), dtype="f4", dimension_names=["y"])
    extra[:] = 1
    group.attrs["title"] = "mine"
    group["mu"].attrs["mine"] = "x"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        zarr.consolidate_metadata(store)
    (store / "mu" / "c" / "0" / "0").unlink()
    with pytest.warns(UserWarning, match="did not read"):
        xf.to_zarr(small(), store, progress=False)
    found = xr.open_zarr(store).load()
    assert found.attrs["title"] == "mine"
    assert found.mu.attrs["mine"] == "x"
    assert (found.extra == 1).all()
    np.testing.assert_array_equal(found.mu, small().mu)


def test_verify_reads_groups_of_others(tmp_path: Path) -> None:
    import zarr

    for separator in ("/", "."):
        store = tmp_path / f"{ord(separator)}.zarr"
        group = zarr.open_group(store, mode="w", zarr_format=3)
        inner = group.create_group("inner")
        for place in (group, inner):
            array = place.create_array(
                "a",
                shape=(4,),
                chunks=(2,),
                dtype="f4",
                fill_value=0,
                chunk_key_encoding={"name": "default", "separator": separator},
            )
            array[2:] = 1
        # a chunk of the fill value is not written
        assert xf.verify(store, progress=False) == {}
        (store / f"inner/a/c{separator}1").write_bytes(b"xx")
        assert {*xf.verify(store, progress=False)} == {f"inner/a/c{separator}1"}
    (tmp_path / "none.zarr").mkdir()
    (tmp_path / "none.zarr" / "zarr.json").write_text('{"zarr_format": 3, "node_type": "group"}')
    with pytest.raises(ValueError, match="holds no arrays"):
        xf.verify(tmp_path / "none.zarr", progress=False)


@pytest.mark.parametrize("held", [None, 7, [], {"metadata": None}])
def test_consolidated_metadata_that_are_none_are_mended(
    whole: Path, tmp_path: Path, held: Any
) -> None:
    store = tmp_path / "w.zarr"
    shutil.copytree(whole, store)
    root = json.loads((store / "zarr.json").read_text())
    (store / "zarr.json").write_text(json.dumps({**root, "consolidated_metadata": held}))
    assert "zarr.json" in xf.verify(store, progress=False)
    with pytest.warns(UserWarning, match="zarr.json changed"):
        xf.to_zarr(small(), store, progress=False)
    assert xf.verify(store, progress=False) == {}


@pytest.mark.parametrize("names", [("Mine", "mine"), (".zgroup", "b"), (".zarray", "b")])
def test_names_that_are_one_folder_somewhere_are_refused(
    tmp_path: Path, names: tuple[str, str]
) -> None:
    water = small().assign(dict.fromkeys(names, small().mu))
    with pytest.raises(ValueError, match="cannot be a folder of a Zarr store"):
        xf.to_zarr(water, tmp_path / "w.zarr", progress=False)
