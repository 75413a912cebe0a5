"""Inputs that were once misunderstood in silence."""

import datetime as dt
import re
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import pytest
import rioxarray
import xarray as xr
from odc.geo.geobox import GeoBox
from odc.geo.xr import xr_zeros

import xfusion as xf
from xfusion.raster.asset import open_asset

GEOBOX = GeoBox.from_bbox((500000, 0, 500100, 80), "EPSG:32633", resolution=10)


def on_grid(value: float = 0.5) -> xr.DataArray:
    zeros: xr.DataArray = xr_zeros(GEOBOX, dtype="float32")
    return zeros + np.float32(value)


def test_uneven_labels_are_refused_and_not_warped_as_if_even() -> None:
    ds = xf.retrieval(on_grid(), on_grid())
    gap = ds.isel(x=[0, 1, 2, 6, 7, 8, 9])
    with pytest.raises(ValueError, match=r"x is not evenly spaced: x\[\d\]"):
        gap.fusion.coregister(GEOBOX.zoom_out(2))


def test_declared_nodata_is_not_data() -> None:
    mu = on_grid().assign_attrs(_FillValue=-9999.0)
    mu[0, 0] = -9999.0
    fused = xf.retrieval(mu, on_grid()).fusion.gaussian(xf.retrieval(on_grid(0.1), on_grid()))
    assert fused.mu[0, 0].item() == pytest.approx(0.1)
    assert "_FillValue" not in fused.mu.attrs
    by_hand = xf.retrieval(on_grid(), on_grid()).assign(mu=mu)
    assert not by_hand.fusion.usable[0, 0]
    with pytest.raises(ValueError, match="mask_and_scale=True"):
        xf.retrieval(on_grid().rename("mu").assign_attrs(scale_factor=0.001), on_grid())


def test_times_are_read_or_refused_and_never_guessed() -> None:
    def time(text: Any) -> np.datetime64:
        return np.datetime64(xf.retrieval([[0.0]], [[1.0]], time=text).time.item(), "ns")

    assert time("20230620") == np.datetime64("2023-06-20")
    assert time("2023-06-20T02:00:00+02:00") == np.datetime64("2023-06-20T00:00")
    for unclear in ("2023-06", "20/06/2023", "NaT"):
        with pytest.raises(ValueError, match=f"{re.escape(unclear)}.*is not a date"):
            time(unclear)
    # a number would be so many nanoseconds of 1970, and several times no time of acquisition
    for no_time in (20230620, 20230620.5, True, ["2023-06-20"], np.timedelta64(1, "D")):
        with pytest.raises(TypeError, match="not one date or time: give it as text"):
            time(no_time)
    for same in (
        dt.date(2023, 6, 20),
        dt.datetime(2023, 6, 20, tzinfo=dt.UTC),
        np.datetime64("2023-06-20"),
    ):
        assert time(same) == np.datetime64("2023-06-20")


def test_units_that_only_look_different_fuse() -> None:
    a = xf.retrieval(on_grid().assign_attrs(units="m"), on_grid())
    b = xf.retrieval(on_grid().assign_attrs(units="meter"), on_grid())
    assert a.fusion.gaussian(b).mu.attrs["units"] == "m"
    with pytest.raises(ValueError, match="'s'.*'m'"):
        a.fusion.gaussian(xf.retrieval(on_grid().assign_attrs(units="s"), on_grid()))


def test_flag_masks_that_saw_nothing_do_not_exclude_at_decision_level() -> None:
    a = xf.retrieval(np.ones((1, 3)), np.ones((1, 3)), np.array([[32, 0, 0]], np.uint8))
    b = xf.retrieval(np.ones((1, 3)), np.ones((1, 3)), np.array([[0, 32, 16]], np.uint8))
    assert a["mask"].fusion.merge_mask(b["mask"]).values.tolist() == [[0, 0, 16]]


def test_reflectance_of_zero_is_not_nodata_once_decoded() -> None:
    bands = xr.Dataset({"red": ("x", [0.02]), "nir": ("x", [0.0]), "scl": ("x", [6])})
    bands.nir.encoding["_FillValue"] = 0
    assert bands.fusion.s2_validity().all()


def test_names_of_sensors_stay_unique_and_in_the_letters_of_cf() -> None:
    one = xf.retrieval(np.ones((1, 1)), np.ones((1, 1)))
    named = [one.assign_attrs(sensor=n) for n in ("a", "a", "a_1", "S1 (VV)/x")]
    names = xf.gaussian(*named).source.attrs["flag_meanings"].split()
    assert len(set(names)) == 4
    assert all(re.fullmatch(r"[\w.+@-]+", name) for name in names)


def test_variables_that_are_not_fused_do_not_matter() -> None:
    ds = xf.retrieval(np.ones((1, 1)), np.ones((1, 1)))
    extra = ds.assign(profile=("z", [1.0, 2.0]))
    assert (
        set(extra.fusion.gaussian(ds).sizes) == set(ds.fusion.gaussian(extra).sizes) == {"y", "x"}
    )


def test_a_crs_under_another_name_is_found() -> None:
    ds = xf.retrieval(on_grid(), on_grid())
    renamed = ds.rename(spatial_ref="crs")
    assert renamed.fusion.gaussian(ds).rio.crs.to_epsg() == 32633
    assert renamed.fusion.product.geobox == GEOBOX


def test_fused_blocks_are_those_of_the_first_and_go_to_zarr(tmp_path: Path) -> None:
    ds = xf.retrieval(on_grid(), on_grid())
    fused = ds.chunk(y=3, x=4).fusion.gaussian(ds.chunk(y=5, x=7))
    assert fused.mu.chunks == ((3, 3, 2), (4, 4, 2))
    fused.to_zarr(tmp_path / "fused.zarr")
    uneven = ds.chunk(y=(1, 7), x=(4, 6))
    warped = ds.chunk(y=4).fusion.coregister(uneven.isel(y=slice(None, None, -1)))
    assert warped.mu.chunks == ((7, 1), (4, 6))


def test_what_is_not_a_dataarray_is_refused_with_the_mend() -> None:
    ds = xf.retrieval(np.ones((1, 1)), np.ones((1, 1)))
    with pytest.raises(TypeError, match="ndarray.*copy\\(data=excluded\\)"):
        ds.fusion.exclude(np.ones((1, 1), bool))
    with pytest.raises(TypeError, match=r"a\.json' is a path.*catalog="):
        xf.stac.as_items("a.json")  # type: ignore[arg-type]  # the point


def test_one_item_and_a_collection_of_items_are_items() -> None:
    feature: dict[str, Any] = {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": "a",
        "geometry": None,
        "properties": {"datetime": "2023-06-20T00:00:00Z"},
        "assets": {},
        "links": [],
    }
    item = pystac.Item.from_dict(feature)
    collection = {"type": "FeatureCollection", "features": [feature]}
    for given in (item, [item], feature, collection, [feature]):
        assert [i.id for i in xf.stac.as_items(given)] == ["a"]  # type: ignore[arg-type]  # wider


def test_an_asset_that_is_a_vrt_reads_no_file_of_this_machine(tmp_path: Path) -> None:
    secret = tmp_path / "secret.tif"
    on_grid().rio.to_raster(secret)
    assert rioxarray.open_rasterio(secret) is not None
    served = tmp_path / "served"
    served.mkdir()
    (served / "a.tif").write_text(
        '<VRTDataset rasterXSize="10" rasterYSize="8"><VRTRasterBand dataType="Float32" band="1">'
        f"<SimpleSource><SourceFilename>{secret}</SourceFilename><SourceBand>1</SourceBand>"
        "</SimpleSource></VRTRasterBand></VRTDataset>"
    )
    from rasterio.errors import RasterioIOError

    with pytest.raises(RasterioIOError, match="not recognized"):
        open_asset(str(served / "a.tif"))
    assert open_asset(str(secret)).count == 1


RULES_AND_CALLABLE = [*("gaussian", "mixture", "random_effects", "minimum_sigma"), None]


def _least(mus: Any, sigmas: Any, usable: Any) -> Any:
    """A rule of one's own: that of the smallest sigma."""
    k = np.argmin(np.where(usable, sigmas, np.inf), axis=0)
    return np.choose(k, mus), np.choose(k, sigmas)


@pytest.mark.parametrize("rule", RULES_AND_CALLABLE)
@pytest.mark.parametrize("correlation", [0.0, 0.3])
def test_a_negative_sigma_is_no_certainty(rule: Any, correlation: float) -> None:
    if correlation and rule != "gaussian":
        pytest.skip("of this rule alone")
    options: dict[str, Any] = {"correlation": correlation} if correlation else {}
    missing = xf.retrieval(np.full((1, 2), -9999.0), np.array([[-9999.0, 0.1]]))
    good = xf.retrieval(np.full((1, 2), 0.5), np.full((1, 2), 0.2))
    fused = xf.fuse(missing, good, rule=rule or _least, **options)
    assert fused.mu.values[0, 0] == 0.5
    assert fused.sigma.values[0, 0] == 0.2
    assert fused.source.values[0, 0] == 2
    assert missing.fusion.usable.values.tolist() == [[False, True]]
    floored = xf.fuse(missing, good, rule=rule or _least, nonfinite_sigma="floor", **options)
    # the original took any broken sigma for the smallest there can be
    assert floored.source.values[0, 0] & 1
    if rule in ("gaussian", "minimum_sigma", None):
        np.testing.assert_allclose(floored.sigma.values[0, 0], 1e-6, rtol=0.1)


@pytest.mark.parametrize("how", ["where", "reindex", "align", "combine_first", "nearest"])
def test_a_mask_that_xarray_made_floats_keeps_its_flags(how: str) -> None:
    flags = np.array([[0, 4], [1, 32]], np.uint8)
    coords = {"y": [1.5, 0.5], "x": [0.5, 1.5]}
    mu = xr.DataArray(np.full((2, 2), 0.5), dims=("y", "x"), coords=coords)
    water = xf.retrieval(mu, 0.1, mu.copy(data=flags))
    wider = [0.5, 1.5, 2.5]
    made = {
        "where": lambda: water.where(water.x < 1),
        "reindex": lambda: water.reindex(x=wider),
        "align": lambda: xr.align(water, xr.Dataset(coords={"x": wider}), join="outer")[0],
        "combine_first": lambda: water.isel(x=[0]).combine_first(water.reindex(x=wider)),
        "nearest": lambda: water.interp(x=wider, method="nearest"),
    }[how]()
    assert made["mask"].dtype.kind == "f"
    expected = made["mask"].fillna(32).astype(np.uint8)
    for some in (made, made.chunk()):
        fused = xf.gaussian(some, some)
        clear = expected == 0
        np.testing.assert_array_equal(fused["mask"].values == 0, clear & made.mu.notnull())
        np.testing.assert_array_equal(fused["mask"].where(~clear), expected.where(~clear))
    again = xf.retrieval(made.mu, made.sigma, made["mask"])
    np.testing.assert_array_equal(again["mask"], expected)
    assert again["mask"].dtype == np.uint8


def test_interpolated_flags_are_refused_with_the_mend() -> None:
    mu = xr.DataArray(np.full((2, 2), 0.5), dims=("y", "x"), coords={"x": [0.0, 1.0]})
    water = xf.retrieval(mu, 0.1, mu.copy(data=np.array([[0, 1], [0, 1]], np.uint8)))
    between = water.interp(x=[0.25, 0.75])
    with pytest.raises(ValueError, match=r"value 0.25, which is no flag.*nearest"):
        xf.gaussian(between, between)
    lazy = xf.gaussian(between.chunk(), between.chunk())  # reads nothing
    with pytest.raises(ValueError, match="no flag"):
        lazy.compute()


def test_a_number_is_the_sigma_of_all_pixels() -> None:
    mu = xr.DataArray(np.full((2, 2), 0.5, np.float32), dims=("y", "x"), attrs={"units": "m"})
    for sigma in (0.25, xr.DataArray(0.25)):
        water = xf.retrieval(mu, sigma)
        np.testing.assert_array_equal(water.sigma, np.full((2, 2), 0.25))
        assert water.sigma.dtype == np.float32
    assert xf.retrieval(mu.chunk(), 0.25).sigma.chunks is not None


def test_the_one_band_of_a_file_is_no_dim() -> None:
    array = xr.DataArray(np.ones((1, 2, 2)), dims=("band", "y", "x"), coords={"band": [1]})
    water = xf.retrieval(array, array, array > 2)
    assert water.mu.dims == ("y", "x")
    assert "band" not in water.coords
    assert xf.exclude(water, array > 0)["mask"].values.tolist() == [[128, 128]] * 2
    assert xf.merge_mask(array > 0, water.mu > 2).values.tolist() == [[True, True]] * 2
    assert xf.merge_mask(water.mu > 2, array > 0).dims == ("y", "x")


def test_blocks_of_unknown_size_are_told() -> None:
    import dask.array as da

    whole = da.ones((4, 5), chunks=2)
    unknown = whole[da.arange(4, chunks=2) > 1]
    with pytest.raises(ValueError, match=r"mu has blocks of unknown size.*compute_chunk_sizes"):
        xf.retrieval(unknown, 0.1)
    water = xf.retrieval(np.ones((4, 5)), 0.1)
    layer = xr.DataArray(unknown, dims=("y", "x"), name="clouds")
    with pytest.raises(ValueError, match=r"clouds has blocks of unknown size.*compute_chunk_sizes"):
        xf.exclude(water, layer > 0)
    with pytest.raises(ValueError, match=r"mask 2 has blocks of unknown.*compute_chunk_sizes"):
        xf.merge_mask(water.mu, layer)


@pytest.mark.parametrize("text", ["none", "None", "no data"])
def test_nodata_that_is_no_number_is_told(text: str) -> None:
    mu = xr.DataArray(np.ones((2, 2)), dims=("y", "x"), attrs={"nodata": text})
    with pytest.raises(ValueError, match=rf"mu declares nodata='{text}', which is no number"):
        xf.retrieval(mu, 0.1)
    assert xf.retrieval(mu.assign_attrs(nodata="nan"), 0.1).mu.values.all()
    one = xf.retrieval(mu.assign_attrs(nodata="1"), 0.1)
    assert np.isnan(one.mu).all()


def test_a_packed_array_is_named() -> None:
    mu = xr.DataArray(np.ones((2, 2)), dims=("y", "x"), attrs={"scale_factor": 0.1})
    with pytest.raises(ValueError, match=r"mu is packed, .*mask_and_scale=True"):
        xf.retrieval(mu, 0.1)


def test_a_local_crs_is_brought_nowhere_else() -> None:
    local = 'LOCAL_CS["site",UNIT["metre",1],AXIS["x",EAST],AXIS["y",NORTH]]'
    coords = {"y": [15.0, 5.0], "x": [5.0, 15.0]}
    array = xr.DataArray(np.ones((2, 2)), coords, ("y", "x"))
    array = array.assign_coords(spatial_ref=xr.Variable((), 0, {"crs_wkt": local}))
    water = xf.retrieval(array, 0.1)
    assert xf.gaussian(water, water).mu.values.all()
    with pytest.raises(ValueError, match="'site' is a .*neither projected nor geographic"):
        xf.coregister(water, GEOBOX)
