"""What odc.stac.load reads for us from servers that misbehave: as our own reader does."""

import logging
import traceback
from typing import Any

import numpy as np
import pytest
import rasterio
from odc.geo.geobox import GeoBox
from rasterio.env import get_gdal_config

from tests.faults.assets import (
    FAULTY,
    GRID,
    READ_FAILED,
    Served,
    around,
    expected,
    item,
    mask_of,
    target,
)
from xfusion.raster.patience import OPTIONS


@pytest.mark.parametrize(("case", "mode"), [("reset", "raise"), ("moved", "flag")])
def test_a_fault_that_passes_leaves_the_right_pixels(served: Served, case: str, mode: str) -> None:
    root = served.root(case, "odc", mode)
    mask = mask_of("s2", item("s2", root), chunks=160, on_read_error=mode, loader="odc")
    np.testing.assert_array_equal(mask, around(expected("s2")))


@pytest.mark.parametrize("case", ["missing", "down", "sign-in", "moved to a file"])
def test_a_lasting_fault_is_an_error_that_names_the_asset_or_flags_the_file(
    served: Served, case: str
) -> None:
    root = served.root(case, "odc", "lasting")
    one = item("gfm", root)
    with pytest.raises(OSError, match=f"{root}/{FAULTY['gfm']} could not be read"):
        mask_of("gfm", one, loader="odc")
    mask = mask_of("gfm", one, chunks=160, on_read_error="flag", loader="odc")
    np.testing.assert_array_equal(mask, around(np.full(GRID.shape, READ_FAILED)))


@pytest.mark.parametrize(
    ("case", "grid"),
    [
        ("garbled", GRID),
        ("sign-in late", GRID),
        ("truncated", GRID.rotate(10)),
        ("broken late", GRID.rotate(10)),
    ],
    ids=["garbled, copied", "sign-in, copied", "truncated, warped", "broken, warped"],
)
def test_no_pixel_of_which_something_cannot_be_read_looks_usable(
    served: Served, case: str, grid: GeoBox
) -> None:
    root = served.root(case, "odc", "partial", str(grid == GRID))
    one, like = item("s2", root), target(grid)
    with pytest.raises(OSError, match=f"{root}/{FAULTY['s2']} could not be read"):
        mask_of("s2", one, loader="odc", like=like)
    mask = mask_of("s2", one, on_read_error="flag", loader="odc", like=like)
    well = item("s2", served.root("well"))
    right = mask == mask_of("s2", well, loader="odc", like=like)
    assert (right | (mask == READ_FAILED)).all()
    assert (mask == READ_FAILED).any()


@pytest.mark.parametrize("case", ["missing", "sign-in", "truncated", "broken late"])
def test_secrets_are_neither_raised_nor_logged(
    served: Served, case: str, caplog: pytest.LogCaptureFixture
) -> None:
    root = served.root(case, "odc", "secret").replace("://", "://someone:S3CRET@")
    one = item("s2", root)
    for asset in one["assets"].values():
        asset["href"] += "?sig=S3CRET"
    with (
        caplog.at_level(logging.DEBUG, logger="odc"),
        pytest.raises(OSError, match="red.tif could not be read") as raised,
    ):
        mask_of("s2", one, loader="odc")
    told = "".join(traceback.format_exception(raised.value)) + caplog.text
    assert "S3CRET" not in told
    assert "someone" not in told


def test_settings_of_gdal_are_ours_and_those_of_the_reads_alone(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = []

    def open_noted(*args: Any, **options: Any) -> Any:
        inside.append([get_gdal_config(name) for name in OPTIONS])
        return rasterio_open(*args, **options)

    rasterio_open = rasterio.open
    monkeypatch.setattr(rasterio, "open", open_noted)
    before = [get_gdal_config(name) for name in OPTIONS]
    mask_of("gfm", item("gfm", served.root("well", "odc", "settings")), loader="odc")
    assert [get_gdal_config(name) for name in OPTIONS] == before
    assert len(inside) == 2  # to check it, and to read it
    assert [str(value) for value in inside[1]] == [str(value) for value in inside[0]]
    assert inside[0] != before
