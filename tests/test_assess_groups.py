"""Scores of groups of pixels: each as if its pixels were alone."""

from typing import Any

import numpy as np
import pytest
import xarray as xr

import xfusion as xf
from tests.fuzzing import on
from tests.test_assess import GRIDS, water

GRID = GRIDS["UTM"]
RNG = np.random.default_rng(11)
ZONES = RNG.integers(3, 7, GRID.shape.yx)


def alone(retrieval: xr.Dataset, reference: xr.DataArray, here: Any, **options: Any) -> xr.Dataset:
    """The scores of some pixels, with the reference of all others taken away."""
    return xf.assess(retrieval, reference.where(here), kind="binary", **options)


def assert_groups(
    scores: xr.Dataset, retrieval: xr.Dataset, reference: xr.DataArray, of: Any
) -> None:
    for label, here in of.items():
        expected = alone(retrieval, reference, here)
        xr.testing.assert_equal(scores.sel(group=label, drop=True), expected)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int64", "float32"])
def test_zones_are_scored_each_by_itself(dtype: str) -> None:
    retrieval, reference = water(GRID)
    zones = on(GRID, ZONES.astype(dtype))
    scores = xf.assess(retrieval, reference, by=zones)
    assert scores.iou.dims == ("group", "pixels")
    assert scores.group.values.tolist() == [3, 4, 5, 6]
    assert_groups(scores, retrieval, reference, {k: zones == k for k in (3, 4, 5, 6)})


def test_labels_far_apart_and_texts_are_zones_too() -> None:
    retrieval, reference = water(GRID)
    names = np.array(["", "", "", "east", "north", "south", "west"])
    far = np.array([0, 0, 0, -5, 10**12, 7, 10**15])
    by_text = xf.assess(retrieval, reference, by=on(GRID, names[ZONES]))
    by_object = xf.assess(retrieval, reference, by=on(GRID, names.astype(object)[ZONES]))
    by_number = xf.assess(retrieval, reference, by=on(GRID, far[ZONES]))
    assert by_text.group.values.tolist() == ["east", "north", "south", "west"]
    xr.testing.assert_identical(by_text, by_object)
    assert by_number.group.values.tolist() == [-5, 7, 10**12, 10**15]
    zones = on(GRID, ZONES)
    assert_groups(by_text, retrieval, reference, {"north": zones == 4, "west": zones == 6})
    assert_groups(by_number, retrieval, reference, {10**12: zones == 4, 10**15: zones == 6})


def test_what_is_no_data_is_in_no_zone() -> None:
    retrieval, reference = water(GRID)
    zones = on(GRID, ZONES.astype(np.int16)).assign_attrs(nodata=3)
    scores = xf.assess(retrieval, reference, by=zones)
    assert scores.group.values.tolist() == [4, 5, 6]
    floats = on(GRID, np.where(ZONES == 3, np.nan, ZONES))
    xr.testing.assert_equal(xf.assess(retrieval, reference, by=floats), scores)
    texts = np.array([None, None, None, None, "a", "b", "c"], object)[ZONES]
    of_texts = xf.assess(retrieval, reference, by=on(GRID, texts))
    np.testing.assert_array_equal(of_texts.brier, scores.brier)
    with pytest.raises(ValueError, match=r"value 2.5, which is no label"):
        xf.assess(retrieval, reference, by=on(GRID, np.full(GRID.shape.yx, 2.5)))


def test_a_lazy_zone_must_name_its_labels() -> None:
    retrieval, reference = water(GRID)
    zones = on(GRID, ZONES.astype(np.int32))
    with pytest.raises(ValueError, match=r"by\.compute\(\).*flag_values"):
        xf.assess(retrieval, reference, by=zones.chunk())
    named = zones.chunk(x=50).assign_attrs(flag_values=[6, 5, 4, 3, 99])
    scores = xf.assess(retrieval, reference, by=named).compute()
    assert scores.group.values.tolist() == [6, 5, 4, 3, 99]
    assert_groups(scores, retrieval, reference, {k: zones == k for k in (3, 4, 5, 6, 99)})
    of_floats = named.astype(np.float32).assign_attrs(named.attrs)
    xr.testing.assert_equal(xf.assess(retrieval, reference, by=of_floats).compute(), scores)
    meanings = named.assign_attrs(flag_meanings="six five four three none")
    assert xf.assess(retrieval, reference, by=meanings).group.values[0] == "six"
    for lacking in (zones, zones.chunk(), zones.astype(float), zones.chunk().astype(float)):
        few = lacking.assign_attrs(flag_values=[3, 4, 5])
        with pytest.raises(ValueError, match=r"by has the value 6(\.0)?, which is not among"):
            xf.assess(retrieval, reference, by=few).compute()


def test_scenes_lie_along_a_dim() -> None:
    maps = [water(GRID, seed=seed) for seed in range(3)]
    series = xr.concat([m for m, _ in maps], "time").assign_coords(time=[10, 20, 30])
    truth = xr.concat([t for _, t in maps], "time").assign_coords(time=[10, 20, 30])
    scene = xr.DataArray(["b", "a", "b"], dims="time", coords={"time": [10, 20, 30]})
    scores = xf.assess(series, truth, by=scene)
    assert scores.group.values.tolist() == ["a", "b"]
    of_one = scores.sel(group="a", drop=True)
    xr.testing.assert_allclose(
        of_one.drop_vars(["wet", "dry"]), xf.assess(*maps[1]).drop_vars(["wet", "dry"]), rtol=1e-12
    )
    with pytest.raises(ValueError, match="not the same: select those of mu"):
        xf.assess(series, truth, by=scene.assign_coords(time=[10, 20, 40]))
    with pytest.raises(ValueError, match="'sensor', mu has"):
        xf.assess(series, truth, by=scene.drop_vars("time").rename(time="sensor"))


def in_time() -> tuple[xr.Dataset, xr.DataArray]:
    """A cube of three days, and its truth."""
    maps = [water(GRID, seed=seed) for seed in range(3)]
    days = np.array(["2023-06-20", "2023-06-26", "2023-07-02"], "datetime64[ns]")
    series = xr.concat([m for m, _ in maps], "time").assign_coords(time=days)
    return series, xr.concat([t for _, t in maps], "time").assign_coords(time=days)


def test_the_name_of_a_dim_or_coordinate_has_its_labels_as_groups() -> None:
    series, truth = in_time()
    series = series.assign_coords(orbit=("time", ["b", "a", "b"]))
    by_time = xf.assess(series, truth, by="time")
    assert by_time.group.dtype.kind == "M"
    np.testing.assert_array_equal(by_time.group, series.time)
    xr.testing.assert_equal(by_time, xf.assess(series, truth, by=series.time))
    for label, day in zip(by_time.group, series.time, strict=True):
        one = xf.assess(series.sel(time=day, drop=True), truth.sel(time=day, drop=True))
        names = [name for name in one.data_vars if name not in ("wet", "dry")]
        found = by_time.sel(group=label, drop=True)[names]
        xr.testing.assert_allclose(found, one[names].drop_vars("orbit"), rtol=1e-12)
    by_orbit = xf.assess(series, truth, by="orbit")
    xr.testing.assert_equal(by_orbit, xf.assess(series, truth, by=series.orbit))
    assert by_orbit.group.values.tolist() == ["a", "b"]
    lazy = xf.assess(series.chunk(time=1), truth, by="time")
    xr.testing.assert_equal(lazy.compute(), by_time)
    without = xf.assess(series.drop_vars(["time", "orbit"]), truth.drop_vars("time"), by="time")
    assert without.group.values.tolist() == [0, 1, 2]


def test_source_stays_that_of_sensors_beside_a_dim_of_this_name() -> None:
    series, truth = in_time()
    with pytest.raises(ValueError, match="by='source': the retrieval has a source of datetime"):
        xf.assess(series.rename(time="source"), truth.rename(time="source"), by="source")


def test_labels_may_lie_along_the_rows_or_columns_alone() -> None:
    retrieval, reference = water(GRID)
    rows, columns = retrieval.mu.dims
    for dim in (rows, columns):
        days = np.datetime64("2023-06-20", "ns") + (np.arange(reference.sizes[dim]) % 2).astype(
            "timedelta64[D]"
        )
        labels = xr.DataArray(days, dims=dim)
        spread = labels.broadcast_like(reference).transpose(*reference.dims)
        expected = xf.assess(
            retrieval, reference, by=reference.copy(data=(spread == days[1]).to_numpy())
        )
        shifted = labels.assign_coords({dim: retrieval[dim] + 1e-8})
        for by in (labels, labels.assign_coords({dim: retrieval[dim]}), shifted):
            scores = xf.assess(retrieval, reference, by=by)
            np.testing.assert_array_equal(scores.group, days[:2])
            xr.testing.assert_equal(
                scores.drop_vars("group"), expected.drop_vars("group"), check_dim_order=True
            )
        lazy = xf.assess(retrieval.chunk({rows: 30}), reference, by=labels)
        np.testing.assert_array_equal(lazy.group, days[:2])
        with pytest.raises(ValueError, match=rf"by.sel\({dim}=retrieval.{dim}, method='nearest'\)"):
            xf.assess(retrieval, reference, by=labels.assign_coords({dim: retrieval[dim] + 100}))
        assert xf.assess(retrieval, reference, by=str(dim)).sizes["group"] == labels.size


def test_a_name_that_mu_does_not_have_is_told_with_those_that_it_has() -> None:
    retrieval, reference = water(GRID)
    for by in ("tim", 3, ["x"]):
        with pytest.raises(
            ValueError, match=r"by=.*, or the name of a dim or coordinate of mu, of"
        ):
            xf.assess(retrieval, reference, by=by)  # type: ignore[arg-type]  # no groups


def test_sources_are_the_combinations_of_sensors() -> None:
    one, reference = water(GRID)
    other, _ = water(GRID, seed=2)
    fused = xf.gaussian(
        one.assign_attrs(sensor="sentinel-1"), other.assign_attrs(sensor="sentinel-2")
    )
    scores = xf.assess(fused, reference, by="source")
    labels = ["none", "sentinel-1", "sentinel-2", "sentinel-1+sentinel-2"]
    assert scores.group.values.tolist() == labels
    assert_groups(scores, fused, reference, {k: fused.source == i for i, k in enumerate(labels)})
    lazy = xf.assess(fused.chunk(y=30), reference, by="source")
    xr.testing.assert_identical(lazy.compute(), scores)


def test_reasons_may_overlap() -> None:
    retrieval, reference = water(GRID)
    flags = retrieval["mask"].copy()
    flags[:20] = xf.Exclusion.CLOUD | xf.Exclusion.SHADOW
    retrieval = retrieval.assign(mask=flags)
    scores = xf.assess(retrieval, reference, by="mask")
    usable = retrieval.fusion.usable
    of = {
        "usable": usable,
        "cloud": (flags & 1) != 0,
        "shadow": (flags & 2) != 0,
        "gfm": flags < 0,
        "unknown": (flags == 0) & ~usable,
    }
    assert_groups(scores, retrieval, reference, of)
    assert int(scores["count"].sel(group="gfm", pixels="all")) == 0
    without = xf.assess(retrieval.drop_vars("mask"), reference, by="mask")
    assert int(without["count"].sel(group="cloud", pixels="all")) == 0


def test_many_groups_take_no_more_than_those_that_are_there() -> None:
    retrieval, reference = water(GRID)
    zones = on(GRID, ZONES.astype(np.int32)).assign_attrs(flag_values=list(range(300)))
    scores = xf.assess(retrieval, reference, by=zones, weights="equal")
    assert scores.sizes["group"] == 300
    assert int(scores["count"].sel(pixels="all").sum()) == int(
        xf.assess(retrieval, reference)["count"].sel(pixels="all")
    )


def test_quantities_have_groups_as_well() -> None:
    retrieval, reference = water(GRID)
    zones = on(GRID, ZONES)
    scores = xf.assess(retrieval, reference * 3, by=zones)
    assert scores.pit.dims == ("group", "pixels", "pit_bin")
    for zone in (3, 6):
        expected = xf.assess(retrieval, (reference * 3).where(zones == zone), kind="continuous")
        xr.testing.assert_equal(scores.sel(group=zone, drop=True), expected)
