"""Where files go: names that are paths, addresses, and what a run that was killed has left."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import obstore.store
import pytest
import rasterio
import xarray as xr
from odc.geo.geobox import GeoBox
from odc.geo.xr import xr_zeros

import xfusion as xf
from tests.store_runs import NO_FILES
from xfusion.cog import objects


def retrieval() -> xr.Dataset:
    grid = GeoBox.from_bbox((16, 48, 16.1, 48.1), "EPSG:4326", resolution=0.01)
    mu = xr_zeros(grid, dtype="float32") + 0.5
    return xf.retrieval(mu, mu / 5, sensor="s1", time="2023-06-20")


@pytest.mark.some(one_in=4)
@pytest.mark.parametrize("name", [*NO_FILES, "MU", "Sigma"])
def test_a_variable_whose_name_is_no_file_of_its_own_on_some_system_is_refused(
    tmp_path: Path, name: str
) -> None:
    water = retrieval().assign({name: retrieval().mu})
    with pytest.raises(ValueError, match=r"cannot be the name of a file: .rename"):
        xf.to_cog(water, tmp_path / "out", progress=False)
    with pytest.raises(ValueError, match=r"prefix=.* begins the name of a file"):
        xf.to_cog(retrieval(), tmp_path / "out", prefix="../esc_", progress=False)
    assert [*tmp_path.iterdir()] == []


def test_an_address_gets_the_same_files_as_a_folder_the_item_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = obstore.store.MemoryStore()
    sent = []

    class Bucket:
        def put(self, name: str, path: Path) -> None:
            sent.append(name)
            bucket.put(name, path)

        def head(self, name: str) -> None:
            bucket.head(name)

    monkeypatch.setattr(objects, "object_store", lambda _: Bucket())
    files = xf.to_cog(retrieval(), "s3://u:pw@bucket/water/", prefix="a_", progress=False)
    here = xf.to_cog(retrieval(), tmp_path / "water", prefix="a_", progress=False)
    assert files == {name: f"s3://bucket/water/{path.name}" for name, path in here.items()}
    assert sent[-1] == "a_item.json"
    for path in here.values():
        assert bytes(bucket.get(path.name).bytes()) == path.read_bytes()
    with pytest.raises(FileExistsError, match=r"s3://bucket/water/a_mu.tif exists: pass overwrite"):
        xf.to_cog(retrieval(), "s3://u:pw@bucket/water", prefix="a_", progress=False)
    xf.to_cog(retrieval(), "s3://b/water", prefix="a_", overwrite=True, progress=False)


def test_an_address_that_nobody_knows_makes_no_folder_and_tells_no_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OSError, match=r"foo://x/y") as caught:
        xf.to_cog(retrieval(), "foo://user:hunter2@x/y", progress=False)
    assert "hunter2" not in str(caught.value)
    with pytest.raises(OSError, match=r"foo://x/y.zarr") as caught:
        xf.to_zarr(retrieval(), "foo://user:hunter2@x/y.zarr", progress=False)
    assert "hunter2" not in str(caught.value)
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("s3:/bucket/water", "'s3://bucket/water'"),
        (Path("s3://bucket/water"), "pathlib"),
        (Path("gs://bucket/water"), "'gs://bucket/water'"),
        (Path("https://host/water"), "'https://host/water'"),
        ("file://host/water", "machine 'host'"),
    ],
)
def test_what_is_no_folder_that_anybody_meant_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: Any, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for write in (xf.to_cog, xf.to_zarr):
        with pytest.raises(ValueError, match=said):
            write(retrieval(), place, progress=False)
    assert [*tmp_path.iterdir()] == []
    assert not Path("/water").exists()


def test_a_file_address_is_a_folder_of_this_machine(tmp_path: Path) -> None:
    files = xf.to_cog(retrieval(), (tmp_path / "a b").as_uri(), progress=False)
    assert files["mu"] == tmp_path / "a b" / "mu.tif"
    with rasterio.open(files["mu"]) as file:
        assert file.shape == (10, 10)


CHILD = """
import sys, time
import numpy as np
import xfusion as xf
from tests.test_cog_places import retrieval

def slowly(block):
    time.sleep(0.3)
    return block

water = retrieval().chunk(2)
mu = water.mu.copy(data=water.mu.data.map_blocks(slowly, dtype=np.float32))
xf.to_cog(water.assign(mu=mu), sys.argv[1], progress=False)
"""


def test_what_a_killed_run_has_left_is_gone_after_the_next_and_a_live_one_is_let_be(
    tmp_path: Path,
) -> None:
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(tmp_path)])
    while not [*tmp_path.glob(".xfusion-*/owner.json")]:
        time.sleep(0.02)
        assert child.poll() is None
    (theirs,) = tmp_path.glob(".xfusion-*")
    xf.to_cog(retrieval(), tmp_path, prefix="other_", progress=False)
    with pytest.raises(RuntimeError, match=rf"another run writes .*process {child.pid}: let it"):
        xf.to_cog(retrieval(), tmp_path, progress=False)
    assert theirs.exists()
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    assert theirs.exists()
    xf.to_cog(retrieval(), tmp_path, progress=False)
    assert not theirs.exists()
    assert {path.name for path in tmp_path.iterdir()} == {
        f"{begin}{name}"
        for begin in ("", "other_")
        for name in ("mu.tif", "sigma.tif", "item.json")
    }


IN_MEMORY = """
import obstore.store
from xfusion.cog import objects
objects.object_store = lambda _: obstore.store.MemoryStore()
"""


@pytest.mark.thorough
def test_what_a_killed_run_to_an_address_has_left_is_gone_after_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = [sys.executable, "-c", IN_MEMORY + CHILD, "s3://bucket/water"]
    child = subprocess.Popen(command, env=os.environ | {"TMPDIR": str(tmp_path)})
    while not [*tmp_path.glob(".xfusion-*/.xfusion-*/*.tif")]:
        time.sleep(0.02)
        assert child.poll() is None
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    assert [*tmp_path.iterdir()]
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(objects, "object_store", lambda _: obstore.store.MemoryStore())
    xf.to_cog(retrieval(), "s3://bucket/another", progress=False)
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize("owner", ["null", "{", '{"machine": "other", "pid": "1"}', "[]"])
def test_a_folder_of_nobody_knows_whom_stays(tmp_path: Path, owner: str) -> None:
    left = tmp_path / ".xfusion-theirs"
    left.mkdir()
    (left / "owner.json").write_text(owner)
    xf.to_cog(retrieval(), tmp_path, progress=False)
    assert (left / "owner.json").read_text() == owner
    assert json.loads((tmp_path / "item.json").read_text())["id"] == tmp_path.name.strip("._- ")
    assert np.isfinite(retrieval().mu).all()
