"""Sensors that contradict each other by more than their sigmas allow are marked in every result."""

from pathlib import Path
from typing import Any

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import pytest
import xarray as xr
from affine import Affine
from click.testing import CliRunner
from hypothesis import given
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from odc.geo.xr import xr_coords

import xfusion as xf
from tests.laziness import nothing_computes
from tests.sensors import sensors_of
from tests.strategies import chunked, retrievals
from xfusion.cli import main
from xfusion.view.listing import lines_of
from xfusion.view.summary import summarise

GRID = GeoBox((4, 5), Affine(10, 0, 5e5, 0, -10, 5e6), "EPSG:32633")
RULES: list[dict[str, Any]] = [
    {},
    {"correlation": 0.3},
    {"diagnostics": True},
    {"inflate": "birge"},
    {"rule": "mixture"},
    {"rule": "random_effects"},
    {"rule": "minimum_sigma"},
    {"rule": "log_odds", "prior": 0.3},
    {"rule": lambda m, s, usable: (usable.any(0) * 0.5, usable.any(0) * 0.1)},
]


def wet_or_dry(value: float, sigma: float = 0.0, **attrs: Any) -> xr.Dataset:
    """A retrieval that is sure of one thing but for its first pixel, where it is in doubt."""
    mu = np.full(GRID.shape, value, np.float32)
    mu[0, 0] = 0.5
    sigmas = np.full(GRID.shape, sigma, np.float32)
    sigmas[0, 0] = 0.3
    layers = (xr.DataArray(a, xr_coords(GRID), ("y", "x")) for a in (mu, sigmas))
    return xf.retrieval(*layers, **attrs)


def apart(mu: NDArray[Any], sigma: NDArray[Any]) -> NDArray[Any]:
    """Whether two of the usable are further apart than 3 sigmas of each; NaN is not usable."""
    pairs = [
        abs(mu[i] - mu[j]) > 3 * (sigma[i] + sigma[j]) for i in range(len(mu)) for j in range(i)
    ]
    return np.any(pairs, axis=0) if pairs else np.zeros(mu.shape[1:], bool)


def test_certain_water_against_certain_land_is_false_certainty_and_marked() -> None:
    wet, dry = wet_or_dry(1, sensor="radar"), wet_or_dry(0, sensor="camera")
    fused = wet.fusion.gaussian(dry)
    expected = np.ones(GRID.shape, bool)
    expected[0, 0] = False
    # the original formula stays
    np.testing.assert_allclose(fused.mu, 0.5)
    np.testing.assert_allclose(fused.sigma.values[expected], 1e-6 / 2**0.5, rtol=1e-6)
    np.testing.assert_array_equal(fused.conflict, expected)
    assert fused.conflict.dtype == bool
    assert "conflict" in fused.mu.attrs["ancillary_variables"]
    agreed = wet.fusion.gaussian(wet)
    assert not agreed.conflict.any()
    # one word makes sigma what the disagreement says
    wide = wet.fusion.gaussian(dry, inflate="birge")
    np.testing.assert_allclose(wide.sigma.values[expected], 0.5, rtol=1e-6)
    np.testing.assert_array_equal(wide.conflict, fused.conflict)
    # and so does what 20 passes can tell, in part
    passes = (s.fusion.add_aleatoric(passes=20) for s in (wet, dry))
    assert (xf.gaussian(*passes).sigma > 0.03).all()


@pytest.mark.parametrize("options", RULES)
def test_every_rule_marks_the_same_pixels(options: dict[str, Any]) -> None:
    rng = np.random.default_rng(4)
    for count in (1, 2, 3, 5, 8):
        mu, sigma = rng.random((count, 6, 7)), rng.choice([0.01, 0.05, 0.2], (count, 6, 7))
        mask = (rng.random(mu.shape) < 0.2).astype(np.uint8)
        sensors = [xf.retrieval(*each) for each in zip(mu, sigma, mask, strict=True)]
        fused = xf.fuse(*sensors, **options)
        expected = apart(np.where(mask, np.nan, mu), sigma)
        np.testing.assert_array_equal(fused.conflict, expected, err_msg=str(count))
        if count > 2:
            assert 0 < expected.mean() < 1
        lazy = xf.fuse(*[s.chunk(y=4, x=3) for s in sensors], **options)
        xr.testing.assert_identical(lazy.conflict.compute(), fused.conflict)
    single = xf.fuse(*[s.astype(np.float32) for s in sensors], **options)
    assert (single.conflict != fused.conflict).mean() < 0.01


@given(retrievals(count=3), st.sampled_from([{}, {"rule": "mixture"}, {"bounded": (0, 1)}]))
def test_only_pixels_with_a_result_of_two_sensors_are_in_conflict(
    sensors: list[xr.Dataset], options: Any
) -> None:
    fused = xf.fuse(*sensors, **options)
    number = np.bitwise_count(fused.source.values)
    assert not fused.conflict.values[number < 2].any()
    assert np.isfinite(fused.mu.values[fused.conflict.values]).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_eight_sensors_keep_their_masks_beside_the_conflict(dtype: Any) -> None:
    rng = np.random.default_rng(6)
    shape = (8, 1, 5000)
    mu, sigma = rng.random(shape).astype(dtype), np.full(shape, 0.05, dtype)
    mask = rng.choice([0, 1, 2, 128], shape, p=[0.2, 0.2, 0.3, 0.3]).astype(np.uint8)
    sensors = [xf.retrieval(*each) for each in zip(mu, sigma, mask, strict=True)]
    fused, other = xf.gaussian(*sensors), xf.gaussian(*sensors, diagnostics=True)
    for name in ("mask", "source", "conflict"):
        np.testing.assert_array_equal(fused[name], other[name])
    none = (mask != 0).all(0)
    assert none.any()
    np.testing.assert_array_equal(fused["mask"] != 0, none)
    np.testing.assert_array_equal(fused["mask"].values[none], np.bitwise_or.reduce(mask)[none])


@pytest.mark.thorough
@pytest.mark.parametrize("count", [2, 8, 9, 30])
def test_acquisitions_that_contradict_each_other_are_marked_along_time(count: int) -> None:
    scenes = [
        wet_or_dry(float(i == 1)).assign_coords(
            time=np.datetime64("2023-06-01", "ns") + np.timedelta64(i, "D")
        )
        for i in range(count)
    ]
    series = xr.concat(scenes, "time", combine_attrs="override")
    fused = series.fusion.gaussian(dim="time")
    assert fused.conflict.values.sum() == fused.conflict.size - 1
    xr.testing.assert_identical(
        series.chunk(x=2, time=3).fusion.gaussian(dim="time").compute(), fused
    )


def test_bounds_do_not_hide_a_conflict() -> None:
    wet, dry = wet_or_dry(1), wet_or_dry(0)
    plain, bounded = (xf.gaussian(wet, dry, **o) for o in ({}, {"bounded": (0, 1)}))  # type: ignore[arg-type]  # options of one call or another
    xr.testing.assert_equal(plain.conflict, bounded.conflict)


@given(hnp.arrays(bool, (3, 4)), st.sampled_from([3, 9]), st.data())
def test_a_conflict_of_what_was_fused_before_is_one_of_what_is_made_of_it(
    before: NDArray[np.bool_], count: int, data: st.DataObject
) -> None:
    mask = data.draw(hnp.arrays(np.uint8, before.shape, elements=st.sampled_from([0, 0, 1])))
    one = xf.retrieval(np.full(before.shape, 0.5), 0.1, mask)
    marked = one.assign(conflict=(("y", "x"), before))
    for options in ({}, {"rule": "mixture"}):
        fused = xf.fuse(one, marked, one, **options)  # type: ignore[arg-type]  # options of one call or another
        # what is excluded has no part in it
        np.testing.assert_array_equal(fused.conflict, before & (mask == 0))
    everywhere = xf.gaussian(one, marked, use_mask=False)
    np.testing.assert_array_equal(everywhere.conflict, before)
    with nothing_computes():
        lazy = xf.gaussian(one, data.draw(chunked(marked)), one)
    np.testing.assert_array_equal(lazy.conflict, before & (mask == 0))
    assert lazy.conflict.dtype == bool
    series = xr.concat([marked] * count, "time", combine_attrs="override")
    along = series.fusion.gaussian(dim="time")
    np.testing.assert_array_equal(along.conflict, before & (mask == 0))


def test_a_group_that_is_falsely_certain_does_not_hide_among_others() -> None:
    group = wet_or_dry(1).fusion.gaussian(wet_or_dry(0))
    fused = group.fusion.gaussian(wet_or_dry(0.6, 0.2), sigma_floor=0)
    assert fused.sigma.values[1, 1] < 1e-6
    np.testing.assert_array_equal(fused.conflict, group.conflict)
    without = group.fusion.exclude(group.conflict).fusion.gaussian(wet_or_dry(0.6, 0.2))
    assert not without.conflict.any()


@pytest.mark.parametrize("kind", ["store", "folder"])
def test_a_conflict_is_written_read_and_told_by_info(kind: str, tmp_path: Path) -> None:
    fused = xf.gaussian(
        *(wet_or_dry(v, sensor=str(v), time="2023-06-20").chunk(x=2) for v in (0.0, 1.0))
    )
    out = tmp_path / ("w.zarr" if kind == "store" else "w")
    if kind == "store":
        fused.fusion.to_zarr(out, progress=False)
        read = xr.open_zarr(out).conflict
        assert read.dtype == bool
        np.testing.assert_array_equal(read, fused.conflict)
    else:
        files = fused.fusion.to_cog(out, progress=False)
        assert files["conflict"].name == "conflict.tif"
    told = CliRunner().invoke(main, ["info", str(out)])
    assert told.exit_code == 0, told.output
    assert "conflict: 19 pixels, 95.0 %" in told.output
    assert "--inflate birge" in told.output
    agreed = xf.gaussian(*[wet_or_dry(0.0, time="2023-06-20")] * 2)
    agreed.fusion.to_zarr(tmp_path / "agreed.zarr", progress=False)
    assert (
        "conflict: 0 pixels, 0.0 %"
        in CliRunner().invoke(main, ["info", str(tmp_path / "agreed.zarr")]).output
    )


def test_info_does_not_advise_what_was_done_or_what_the_rule_does_not_take() -> None:
    a, b = (wet_or_dry(v, sensor=str(v), time="2023-06-20") for v in (0.0, 1.0))
    for options, said in (
        ({"inflate": "birge"}, "sigma is larger there, by inflate='birge'"),
        ({"rule": "mixture"}, "is in the rule 'mixture'"),
    ):
        lines = lines_of(summarise(xf.fuse(a, b, **options)), name="water")  # type: ignore[arg-type]  # of one type each
        told = " ".join(" ".join(lines).partition("conflict:")[2].partition("pixels by")[0].split())
        assert said in told
        assert "--inflate" not in told


def test_a_level_of_the_callers_own_takes_the_place_of_3_sigmas() -> None:
    a, b = sensors_of([[0.5, 0.5, 0.5], [0.6, 0.9, 1.5]], [0.1, 0.1])
    fused = a.fusion.gaussian(b, diagnostics=True)
    assert fused.conflict.values.tolist() == [[False, False, True]]
    flagged = fused.fusion.flag_conflict(level=0.01)
    assert flagged.conflict.values.tolist() == [[False, True, True]]
    assert flagged.conflict.attrs["level"] == 0.01


@pytest.mark.parametrize("resampling", ["bilinear", "nearest"])
@pytest.mark.parametrize("chunks", [None, 3])
def test_conflict_goes_along_with_what_is_brought_onto_another_grid(
    resampling: Any, chunks: int | None
) -> None:
    grid = GeoBox((8, 9), Affine(10, 0, 5e5, 0, -10, 5e6), "EPSG:32633")
    wet = np.zeros(grid.shape.yx)
    wet[2:5, 3:7] = 1.0
    one, other = (
        xf.retrieval(xr.DataArray(mu, xr_coords(grid, "spatial_ref"), grid.dimensions), 0.01)
        for mu in (wet, wet * 0)
    )
    fused = one.fusion.gaussian(other)
    same = fused.fusion.coregister(grid)
    xr.testing.assert_equal(same.conflict, fused.conflict)
    fine = GeoBox((20, 24), grid.affine @ Affine.translation(-1, -1) @ Affine.scale(0.5), grid.crs)
    source = fused if chunks is None else fused.chunk(chunks)
    moved = source.fusion.coregister(fine, resampling=resampling).compute()
    assert moved.conflict.dtype == bool
    expected = np.zeros(fine.shape.yx, bool)
    expected[6:12, 8:16] = True
    np.testing.assert_array_equal(moved.conflict, expected)


def test_a_stack_keeps_the_conflict_of_what_was_fused() -> None:
    pair = [xf.retrieval([[mu]], 0.01, sensor=name) for name, mu in (("a", 0.1), ("b", 0.9))]
    fused = xf.gaussian(*pair).assign_coords(time=np.datetime64("2023-06-02", "ns"))
    plain = pair[0].assign_coords(time=np.datetime64("2023-06-01", "ns"))
    for order in ([plain, fused], [fused, plain]):
        assert xf.stack(order).conflict.to_numpy().ravel().tolist() == [False, True]
