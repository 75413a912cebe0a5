"""What a product shows of itself: what it is, never a pixel computed or read, never an error."""

import base64
import io
import math
import warnings
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
import rasterio
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from odc.geo.xr import xr_zeros
from rasterio.errors import NotGeoreferencedWarning

import xfusion as xf
from tests.laziness import nothing_computes
from tests.store_runs import fused
from xfusion.raster.file import RasterFile
from xfusion.view import product_page, thumbnail
from xfusion.view.palette import MEAN
from xfusion.view.thumbnail import MISSING, png_of, thumbnail_of

GRID = GeoBox.from_bbox((500000, 0, 500060, 40), "EPSG:32633", resolution=10)


def retrieval(mu: NDArray[Any] | None = None, **options: Any) -> xr.Dataset:
    like = xr_zeros(GRID, dtype="float32")
    pixels = np.linspace(0, 1, like.size, dtype="f4").reshape(like.shape) if mu is None else mu
    return xf.retrieval(like.copy(data=pixels), like + 0.1, **options)


def drawn(dataset: xr.Dataset) -> NDArray[np.uint8]:
    """Read the picture with another reader of PNG."""
    found = thumbnail_of(dataset)
    assert found is not None
    return decoded(base64.b64decode(found.uri.partition("base64,")[2]))


def decoded(png: bytes) -> NDArray[np.uint8]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)  # a picture lies nowhere
        file = rasterio.open(io.BytesIO(png), driver="PNG")
    with file:
        pixels: NDArray[np.uint8] = np.moveaxis(file.read(), 0, -1)
    return pixels


@pytest.fixture
def no_pixel(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        msg = "a pixel was read"
        raise AssertionError(msg)

    monkeypatch.setattr(RasterFile, "_pixels", refuse)


def test_sensor_time_grid_and_reasons_are_shown() -> None:
    flags = np.zeros(GRID.shape, np.uint8)
    flags[0, :3] = 1
    flags[1, 0] = 5
    water = retrieval(sensor="radar", time="2023-06-20T05:00", mask=flags)
    product = xf.SensorProduct(dataset=water)
    for shown in (repr(product), product._repr_html_()):
        assert "SensorProduct" in shown
        assert "radar" in shown
        assert "2023-06-20T05:00:00" in shown
        assert "y 4, x 6" in shown
        assert "EPSG:32633 at 10 m" in shown
        assert "500000 0 500060 40" in shown
        assert "mu float32" in shown
        assert f"in memory, {4 * 6 * 9} B" in shown
        assert "cloud 16.7 %, vegetation 4.2 %" in shown
    assert "data:image/png;base64," in product._repr_html_()


def test_nothing_is_computed_or_read(inputs: Path, tmp_path: Path, no_pixel: None) -> None:
    water = fused(inputs)
    with nothing_computes():
        for shown in (
            xf.SensorProduct(dataset=water)._repr_html_(),
            repr(xf.SensorProduct(dataset=water)),
        ):
            assert "lazy, 36 blocks, 101 kB in memory" in shown
            assert "data:image" not in shown


def test_a_file_that_is_open_but_not_read_is_not_read(tmp_path: Path) -> None:
    retrieval().drop_attrs(deep=False).to_netcdf(tmp_path / "w.nc")
    with xr.open_dataset(tmp_path / "w.nc") as opened:
        product = xf.SensorProduct(dataset=opened)
        before = {name: thumbnail.in_memory(v) for name, v in product.dataset.variables.items()}
        shown = product._repr_html_()
        assert before["mu"] is None
        assert thumbnail.in_memory(product.dataset.variables["mu"]) is None
        assert "lazy" in shown
        assert "data:image" not in shown
        assert "data:image" in xf.SensorProduct(dataset=opened.load())._repr_html_()


def test_a_lazy_mask_beside_pixels_in_memory_is_left_alone() -> None:
    water = retrieval(mask=np.zeros(GRID.shape, np.uint8))
    water["mask"] = water.mask.chunk(2)
    with nothing_computes():
        shown = xf.SensorProduct(dataset=water)._repr_html_()
    assert "lazy of mask" in shown
    assert "data:image" in shown


@pytest.mark.parametrize("what", ["attribute", "name", "units"])
def test_what_others_wrote_is_text(what: str) -> None:
    evil = '<script>alert("x")</script>'
    water = retrieval(sensor=evil if what == "attribute" else "radar")
    if what == "units":
        water.mu.attrs["units"] = water.sigma.attrs["units"] = evil
    if what == "name":
        water = water.assign({evil: water.mu})
    assert "<script>" not in xf.SensorProduct(dataset=water)._repr_html_()


@pytest.mark.parametrize("broken", ["thumbnail_of", "moments_of", "geobox_of"])
def test_what_cannot_be_shown_leaves_the_dataset(
    broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> None:
        raise RuntimeError

    product = xf.SensorProduct(dataset=retrieval(time="2023-06-20"))
    monkeypatch.setattr(product_page, broken, fails)
    assert "xarray.Dataset" in product._repr_html_()
    assert "SensorProduct" in repr(product)


@pytest.mark.parametrize(
    "dataset",
    [
        xf.retrieval(np.ones((2, 3)), np.ones((2, 3))),
        xf.retrieval(np.ones((0, 3)), np.ones((0, 3))),
        xf.retrieval(np.full((2, 3), np.nan), np.ones((2, 3))),
        xf.retrieval(np.ones((4, 2, 3)), np.ones((4, 2, 3))),
        retrieval().isel(x=0),
        retrieval().fusion.gaussian(retrieval(), diagnostics=True),
    ],
    ids=["no grid", "no pixels", "nothing usable", "a cube", "a column", "a fusion"],
)
def test_any_retrieval_is_shown(dataset: xr.Dataset) -> None:
    product = xf.SensorProduct(dataset=dataset)
    assert "xarray.Dataset" in product._repr_html_()
    assert "sensor" in repr(product)


def test_a_cube_shows_its_dates_and_draws_the_last() -> None:
    days = np.array(["2023-06-20", "2023-06-21"], "datetime64[ns]")
    dark, light = (retrieval(np.full(GRID.shape, v, np.float32)) for v in (0.0, 1.0))
    cube = xr.concat([dark, light], dim=xr.Variable("time", days))
    assert "2 dates" in repr(xf.SensorProduct(dataset=cube))
    assert drawn(cube)[0, 0].tolist() == list(thumbnail.ANCHORS[MEAN][-1])


def test_pixels_that_are_not_usable_are_grey_and_no_colour_is() -> None:
    flags = np.zeros(GRID.shape, np.uint8)
    flags[1, 2] = 1
    water = retrieval(mask=flags)
    water.mu[0, 0], water.sigma[3, 3] = np.nan, -1
    grey = (drawn(water) == MISSING).all(axis=-1)
    expected = ~water.fusion.usable.to_numpy()
    np.testing.assert_array_equal(grey, expected)
    for anchors in thumbnail.ANCHORS.values():
        assert (abs(anchors - MISSING).max(axis=1) > 20).all()


def test_the_caption_says_which_end_is_light_and_which_is_dark() -> None:
    low_and_high = xf.retrieval(np.array([[0.0, 1.0]]), 0.1)
    low, high = (int(colour.sum()) for colour in drawn(low_and_high)[0])
    said = xf.SensorProduct(dataset=low_and_high)._repr_html_()
    assert low > high
    assert "mu, 0 (light) to 1 (dark), grey is not usable" in said


@pytest.mark.parametrize(
    ("low", "high", "units", "said"),
    [
        (-0.1, 1.1, None, "0 (light) to 1 (dark)"),  # noise of shares
        (-3.0, 3.0, "m", "-2.88 (brown) to 2.88 (violet) m"),
        (10.0, 20.0, "m", "10.2 (light) to 19.8 (dark) m"),
    ],
)
def test_the_map_has_the_scale_of_pictures(
    low: float, high: float, units: str | None, said: str
) -> None:
    pixels = np.linspace(low, high, math.prod(GRID.shape), dtype=np.float32).reshape(GRID.shape)
    water = retrieval(pixels)
    water.mu.attrs |= {} if units is None else {"units": units}
    water.sigma.attrs |= water.mu.attrs
    assert f"mu, {said}, grey" in xf.SensorProduct(dataset=water)._repr_html_()


def test_north_is_at_the_top_and_x_goes_to_the_right() -> None:
    water = retrieval()
    upside_down = water.isel(y=slice(None, None, -1))
    np.testing.assert_array_equal(drawn(water), drawn(upside_down))
    turned = water.transpose("x", "y")
    np.testing.assert_array_equal(drawn(water), drawn(turned))


def test_a_large_retrieval_is_thinned_before_anything_is_made_of_it() -> None:
    # views of one number: a copy would need 10^11 bytes
    shape = (150_000, 200_000)
    mu = xr.DataArray(np.broadcast_to(np.float32(0.5), shape), dims=("y", "x"))
    mask = xr.DataArray(np.broadcast_to(np.uint8(2), shape), dims=("y", "x"))
    water = xr.Dataset({"mu": mu, "sigma": mu, "mask": mask})
    shown = product_page.page_of("SensorProduct", water)
    assert "shadow 100.0 %" in shown
    assert "every 174th row and column" in shown
    assert max(drawn(water).shape) <= thumbnail.SIDE
    assert len(shown) < 200_000


@given(
    arrays(
        np.uint8,
        st.tuples(st.integers(1, 40), st.integers(1, 40), st.just(3)),
    )
)
def test_a_picture_is_what_other_readers_see(pixels: NDArray[np.uint8]) -> None:
    np.testing.assert_array_equal(decoded(png_of(pixels)), pixels)


def test_dask_computes_a_product_as_its_dataset() -> None:
    product = xf.Sentinel1Product(dataset=retrieval().chunk(2))
    [computed] = dask.compute(product)
    assert type(computed) is xf.Sentinel1Product
    assert computed.mu.chunks is None
