"""Stores from elsewhere, torn or crafted, names that are paths: nothing of others is touched."""

import contextlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import xarray as xr

import xfusion as xf
from tests.store_runs import NO_FILES, break_off, contents, killed_in_publishing, read, small
from xfusion.run.process import this_process
from xfusion.store import lease, tasks


@pytest.mark.parametrize("name", [*NO_FILES, ".xfusion", "zarr.json", ".XFUSION", "Zarr.json"])
def test_a_variable_whose_name_is_a_path_is_refused_before_anything_is_written(
    tmp_path: Path, name: str
) -> None:
    water = small().assign({name: small().mu})
    with pytest.raises(ValueError, match=r"cannot be a folder of a Zarr store: .rename"):
        xf.to_zarr(water, tmp_path / "w.zarr", progress=False)
    assert not (tmp_path / "w.zarr").exists()


@pytest.mark.parametrize(
    "names",
    [
        ("Mine", "mine"),
        ("\u00e9", "e\u0301"),
        ("stra\u00dfe", "STRASSE"),
        (".zgroup", "b"),
        (".Zarray", "b"),
    ],
)
def test_names_that_are_one_folder_somewhere_are_refused(
    tmp_path: Path, names: tuple[str, str]
) -> None:
    water = small().assign(dict.fromkeys(names, small().mu))
    with pytest.raises(ValueError, match="cannot be a folder of a Zarr store"):
        xf.to_zarr(water, tmp_path / "w.zarr", progress=False)


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


@pytest.mark.some(one_in=3)
@pytest.mark.parametrize("text", ["null", "{", "[]", "7", '"x"', "[" * 100_000, "\udcff"])
def test_a_job_that_is_not_whole_is_told_with_its_store(tmp_path: Path, text: str) -> None:
    break_off(small(16, 2), tmp_path / "w.zarr")
    (tmp_path / "w.zarr" / ".xfusion" / "job.json").write_text(text, errors="surrogateescape")
    with pytest.raises(ValueError, match=r"w.zarr: .xfusion/job.json is not whole.*resume=False"):
        xf.to_zarr(small(16, 2), tmp_path / "w.zarr", progress=False)
    xf.to_zarr(small(16, 2), tmp_path / "w.zarr", resume=False, progress=False)
    xr.testing.assert_equal(read(tmp_path / "w.zarr"), small(16, 2).compute().drop_attrs())


@pytest.mark.some(one_in=3)
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


# in a store whose run broke off: {} is its draft
PLACES = [
    ".xfusion", ".xfusion/beats", ".xfusion/run", ".xfusion/job.json", ".xfusion/photos",
    f".xfusion/{'0' * 32}", "{}", "{}/done", "{}/done/0.json", "{}/root.json", "{}/arrays",
    "{}/arrays/mu", "{}/arrays/mu/c", "{}/arrays/mu/c/0/0", "{}/arrays/mu/zarr.json", "mu", "mu/c",
]  # fmt: skip


def broken_off(folder: Path, place: str) -> tuple[Path, Path]:
    """Return a store whose run broke off, and a path in it where there is nothing."""
    store = folder / "w.zarr"
    break_off(small(16, 4), store)
    (draft,) = (path for path in (store / ".xfusion").iterdir() if len(path.name) == 32)
    path = store / place.format(draft.relative_to(store))
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    return store, path


@pytest.mark.some(one_in=4)
@pytest.mark.parametrize("how", [{}, {"resume": False}, {"force": True}])
@pytest.mark.parametrize("place", PLACES)
def test_a_link_in_a_store_is_refused_and_what_it_leads_to_stays(
    tmp_path: Path, place: str, how: dict[str, Any]
) -> None:
    mine = tmp_path / "mine"
    for name in ("thesis.txt", "zarr.json", "c/0/0", "mu/c/0/0", "mu/zarr.json", "1.json"):
        (mine / name).parent.mkdir(parents=True, exist_ok=True)
        (mine / name).write_text("[0]")
    before = contents(mine)
    store, path = broken_off(tmp_path, place)
    path.symlink_to(mine / "thesis.txt" if path.suffix == ".json" else mine)
    with pytest.raises(FileExistsError, match=rf"{path.name} is a link, .*: remove it"):
        xf.to_zarr(small(16, 4), store, progress=False, **how)
    assert contents(mine) == before
    assert {path.name for path in mine.rglob("*") if path.is_dir()} == {"c", "0", "mu"}


@pytest.mark.some(one_in=4)
@pytest.mark.parametrize("place", [p for p in PLACES if "photos" not in p and "0" * 32 not in p])
def test_a_folder_for_a_file_or_a_file_for_a_folder_is_named(tmp_path: Path, place: str) -> None:
    store, path = broken_off(tmp_path, place)
    if path.suffix == ".json" or path.name in ("run", "0"):
        path.mkdir()
        (path / "1").write_text("x")
    else:
        path.write_text("x")
    # a note of no file notes nothing, and a draft of no folder is begun anew
    with contextlib.suppress(OSError):
        xf.to_zarr(small(16, 4), store, progress=False)
        xr.testing.assert_equal(read(store), small(16, 4).compute().drop_attrs())
        return
    with pytest.raises(OSError, match=r"w\.zarr: .*is a file for a folder, or the reverse: remove"):
        xf.to_zarr(small(16, 4), store, progress=False)


HERE = this_process()


@pytest.mark.some(one_in=4)
@pytest.mark.parametrize(
    "note",
    [
        7, None, [], {"run": 7}, {"run": ""}, {"run": "../../../secret"}, {"run": "/dev/zero"},
        {"run": "a\0b"}, {"run": "a" * 5000}, {"run": "\udc80"}, {**HERE, "run": "x", "pid": []},
        {**HERE, "run": "x", "pid": "9" * 5000}, {**HERE, "run": "x", "pid": "-1"},
        {**HERE, "run": "x", "begun": None}, {"run": "x", "host": [], "pid": {}, "machine": [1]},
    ],
)  # fmt: skip
def test_a_crafted_note_of_who_writes_stops_nobody_and_leads_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, note: Any
) -> None:
    monkeypatch.setattr(lease, "SILENT_FOR", 0.1)
    monkeypatch.setattr(lease, "LOOK_EVERY", 0.01)
    store, path = broken_off(tmp_path, ".xfusion/run")
    path.write_text(json.dumps(note))
    xf.to_zarr(small(16, 4), store, progress=False)
    xr.testing.assert_equal(read(store), small(16, 4).compute().drop_attrs())
    assert not (store / ".xfusion").exists()


@pytest.mark.some(one_in=4)
@pytest.mark.parametrize(
    "name", ["..", ".", "../../mine", "A" * 32, f"{'0' * 32}/x", f"{'0' * 32}\n", "x", 7, None, []]
)
def test_a_draft_of_a_strange_name_is_none(tmp_path: Path, name: Any) -> None:
    store, path = broken_off(tmp_path, ".xfusion/photos")
    path.mkdir()
    note = store / ".xfusion" / "job.json"
    note.write_text(json.dumps({**json.loads(note.read_text()), "draft": name}))
    xf.to_zarr(small(16, 4), store, progress=False)
    xr.testing.assert_equal(read(store), small(16, 4).compute().drop_attrs())
    assert {path.name for path in tmp_path.iterdir()} == {"w.zarr"}


def test_folders_of_others_beside_a_draft_stay(tmp_path: Path) -> None:
    store = tmp_path / "w.zarr"
    break_off(small(16, 4), store)
    (store / ".xfusion" / "photos").mkdir()
    (store / ".xfusion" / "photos" / "1").write_text("x")
    mu = small(16, 4).mu
    break_off(xf.retrieval(mu, mu), store, resume=False)
    assert (store / ".xfusion" / "photos" / "1").read_text() == "x"


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
