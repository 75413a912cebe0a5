"""Results in S3, behind a proxy that loses answers: right, or an error, and never a mixture."""

import contextlib
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
import rasterio
import xarray as xr
from obstore.exceptions import BaseError
from odc.geo.geobox import GeoBox
from odc.geo.xr import xr_zeros

import xfusion as xf
from tests.append_runs import add, days, scene
from tests.s3_server import BUCKET, s3_server
from tests.store_runs import KilledError
from xfusion.store import overviews, tasks
from xfusion.store.place import Place
from xfusion.view.looking import OVERVIEW, look

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=[0, 7], ids=["well", "with faults"])
def endpoint(request: pytest.FixtureRequest) -> Iterator[str]:
    with s3_server(every=request.param) as url:
        yield url


@pytest.fixture(autouse=True)
def credentials(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "AWS_ENDPOINT": endpoint,
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "nobody",
        "AWS_SECRET_ACCESS_KEY": "nothing",
        "AWS_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)


def retrieval(value: float = 0.0) -> xr.Dataset:
    grid = GeoBox.from_bbox((16, 48, 16.16, 48.16), "EPSG:4326", resolution=0.01)
    mu = xr_zeros(grid, dtype="float32") + np.arange(16, dtype=np.float32) + value
    return xf.retrieval(mu, mu * 0 + 1, mask=mu == 3, sensor="s1", time="2023-06-20").chunk(8)


@pytest.fixture
def url(request: pytest.FixtureRequest) -> str:
    name = "".join(c if c.isalnum() else "-" for c in request.node.name)
    return f"s3://{BUCKET}/{name}"


def loaded(dataset: xr.Dataset) -> xr.Dataset:
    """Read a store as other readers do, which do not ask again for an answer that is torn."""
    for _ in range(50):
        try:
            return dataset.compute()
        except BaseError:
            continue
    return dataset.compute()


@pytest.mark.thorough
def test_levels_in_s3_are_those_of_a_folder_and_are_looked_at(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overviews, "SIDE", 8)
    looked = {}
    for store in (f"{url}.zarr", tmp_path / "w.zarr"):
        xf.to_zarr(retrieval(), store, progress=False)
        assert xf.add_overviews(store, progress=False) == {2: "overviews/2"}
        assert xf.verify(store, progress=False) == {}
        whole = xf.open_result(store)
        for _ in range(50):
            with contextlib.suppress(BaseError):
                looked[str(store)] = look(whole, side=8)
                break
    there, here = looked.values()
    assert there.mu.attrs[OVERVIEW] == 2
    xr.testing.assert_identical(there.drop_attrs(), here.drop_attrs())


def test_a_store_in_s3_is_that_of_a_folder_and_is_sound(url: str, tmp_path: Path) -> None:
    there = xf.to_zarr(retrieval(), f"{url}.zarr", progress=False)
    here = xf.to_zarr(retrieval(), tmp_path / "w.zarr", progress=False)
    xr.testing.assert_equal(loaded(there), here.load())
    assert xf.verify(f"{url}.zarr", progress=False) == {}
    again = xf.to_zarr(retrieval(), f"{url}.zarr", progress=False)
    xr.testing.assert_equal(loaded(again), here.load())


@pytest.mark.thorough
def test_a_run_in_s3_that_was_taken_over_reaches_nothing(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = itertools.count()

    def write(target: Any, region: Any, block: Any) -> None:
        target[region] = block
        if next(count) == 0:
            with pytest.raises(RuntimeError, match="force=True"):
                xf.to_zarr(retrieval(1), f"{url}.zarr", resume=False, progress=False)
            xf.to_zarr(retrieval(1), f"{url}.zarr", resume=False, force=True, progress=False)

    # with threads the first would end, and the test look, before the other has finished
    with monkeypatch.context() as patched, dask.config.set(scheduler="sync"):
        patched.setattr(tasks, "_write", write)
        with pytest.raises(RuntimeError, match="another run has taken over"):
            xf.to_zarr(retrieval(0), f"{url}.zarr", progress=False)
    assert xf.verify(f"{url}.zarr", progress=False) == {}
    found = xf.to_zarr(retrieval(1), f"{url}.zarr", progress=False)
    xr.testing.assert_equal(loaded(found), retrieval(1).compute())


@pytest.mark.thorough
def test_dates_are_added_in_s3_also_where_the_first_run_broke_off(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(days(1, 3), f"{url}.zarr")
    before = loaded(xf.to_zarr(days(1, 3), f"{url}.zarr", progress=False))
    move = Place.move
    moved = itertools.count(1)

    def broken_off(self: Place, source: str, target: str) -> None:
        # of six blocks and eight files of metadata and labels
        if next(moved) == 4:
            raise KilledError
        move(self, source, target)

    with monkeypatch.context() as patched:
        patched.setattr(Place, "move", broken_off)
        with pytest.raises(KilledError):
            add(scene(4), f"{url}.zarr")
    again = xf.to_zarr(days(1, 3), f"{url}.zarr", progress=False)
    xr.testing.assert_identical(loaded(again), before)
    added = add(scene(4), f"{url}.zarr")
    xr.testing.assert_equal(loaded(added), days(1, 3, 4).compute())
    assert xf.verify(f"{url}.zarr", progress=False) == {}


def test_files_in_s3_are_those_of_a_folder(url: str, endpoint: str, tmp_path: Path) -> None:
    files = xf.to_cog(retrieval(), url, progress=False)
    here = xf.to_cog(retrieval(), tmp_path / "out", progress=False)
    assert {*files} == {*here}
    options = {
        "AWS_S3_ENDPOINT": endpoint.removeprefix("http://"),
        "AWS_HTTPS": "NO",
        "AWS_VIRTUAL_HOSTING": "FALSE",
        "GDAL_HTTP_MAX_RETRY": "5",
        "GDAL_HTTP_RETRY_DELAY": "0.1",
    }
    with (
        rasterio.Env(**options),
        rasterio.open(files["mu"]) as there,
        rasterio.open(here["mu"]) as file,
    ):
        np.testing.assert_array_equal(there.read(), file.read())
    with pytest.raises(FileExistsError, match="overwrite=True"):
        xf.to_cog(retrieval(), url, progress=False)
