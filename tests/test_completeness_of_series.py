"""How complete a series is, time by time: what was seen, by what, and how long ago."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import xarray as xr

import xfusion as xf
from tests.laziness import nothing_computes

UNKNOWN = xf.Exclusion.UNKNOWN
DAYS = np.array(["2023-06-01", "2023-06-04", "2023-06-09"], "datetime64[ns]")
# of four pixels: one is never seen, one at first only, two now and then
SEEN = {
    "s1": np.array([[0, 1, 1, 0], [0, 0, 1, 0], [0, 0, 0, 1]], bool),
    "s2": np.array([[0, 1, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0]], bool),
}


def cube(sensor: str, *, masked: bool = True) -> xr.Dataset:
    seen = SEEN[sensor][:, None, :]
    mu = xr.DataArray(np.full(seen.shape, 0.5), {"time": DAYS}, ("time", "y", "x"))
    mask = np.where(seen, 0, np.uint8(UNKNOWN)).astype(np.uint8)
    made = xf.retrieval(mu.where(seen), 0.1, mask if masked else None, sensor=sensor)
    items = {
        str(day)[:19]: [f"{sensor}-{n}", f"{sensor}-{n}b"][: n + 1] for n, day in enumerate(DAYS)
    }
    names = [item for each in items.values() for item in each]
    return made.assign_attrs(
        mask_catalog="https://stac.example.org",
        mask_collection="GFM",
        mask_items=" ".join(names),
        mask_items_found=len(names),
        mask_items_by_time=json.dumps(items),
    )


def test_a_cube_has_a_table_by_time() -> None:
    report = cube("s1").fusion.completeness()
    table = report.to_dataframe()
    assert [*table.index] == [*DAYS]
    np.testing.assert_allclose(table.observed, SEEN["s1"].mean(1))
    np.testing.assert_allclose(table.usable, SEEN["s1"].mean(1))
    assert table.items_by_time.tolist() == [1, 2, 2]
    assert int(report.items_found) == 5
    # of one time, its own alone
    one = cube("s1").isel(time=1).fusion.completeness()
    assert "items_by_time" not in one
    assert int(one.items_found) == 2
    # a time of which no item is known has none
    more = xf.stack([cube("s1"), xf.retrieval(np.ones((1, 4)), 0.1, time="2023-07-01")])
    assert more.fusion.completeness().items_by_time.to_numpy().tolist() == [1, 2, 2, 0]
    plain = cube("s1").drop_attrs(deep=False).fusion.completeness()
    assert "items_by_time" not in plain


@pytest.mark.parametrize("how", [xf.filter, xf.smooth])
@pytest.mark.parametrize("masked", [True, False])
def test_a_state_says_what_was_seen_at_each_time_and_how_long_ago(how: Any, masked: bool) -> None:
    times = np.union1d(DAYS, np.datetime64("2023-06-05", "ns"))
    cubes = [cube(name, masked=masked) for name in SEEN]
    state = how(*cubes, q=0.01, times=times)
    report = state.fusion.completeness()
    either = SEEN["s1"] | SEEN["s2"]
    expected = np.insert(either, 2, False, axis=0)
    np.testing.assert_allclose(report.seen, expected.mean(1))
    until = np.logical_or.accumulate(expected)
    known = until if how is xf.filter else np.broadcast_to(until[-1], until.shape)
    np.testing.assert_allclose(report.observed, known.mean(1))
    days = np.array([0.0, 3.0, 4.0, 8.0])
    last = np.maximum.accumulate(np.where(expected, days[:, None], -np.inf))
    ages = [days[i] - row[np.isfinite(row)] for i, row in enumerate(last)]
    np.testing.assert_allclose(report.age, [age.mean() for age in ages], rtol=1e-6)
    assert report.items_by_time.to_numpy().tolist() == [2, 4, 0, 4]
    assert report.seen.dims == report.age.dims == ("time",)


def test_what_was_fused_says_what_was_seen() -> None:
    fused = xf.gaussian(*(cube(name) for name in SEEN))
    report = fused.fusion.completeness()
    np.testing.assert_allclose(report.seen, (SEEN["s1"] | SEEN["s2"]).mean(1))
    assert "age" not in report
    many = xf.gaussian(
        xf.stack(
            [
                cube("s1").isel(time=0).assign_coords(time=DAYS[0] + np.timedelta64(n, "D"))
                for n in range(9)
            ]
        ),
        dim="time",
    )
    assert "source" not in many
    assert float(many.fusion.completeness().seen) == 0.5
    assert "seen" not in cube("s1").fusion.completeness()


def test_shares_of_times_are_lazy_and_those_of_what_is_in_memory() -> None:
    state = xf.smooth(*(cube(name) for name in SEEN), q=0.01)
    eager = state.fusion.completeness()
    for chunks in ({"time": 1}, {"time": -1, "x": 2}):
        with nothing_computes():
            lazy = state.chunk(chunks).fusion.completeness()
            assert all(lazy[name].chunks is not None for name in ("seen", "observed", "age"))
        xr.testing.assert_allclose(lazy.compute(), eager)
