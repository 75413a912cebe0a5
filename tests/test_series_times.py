"""Dates and times of a series: which there are, which are refused, and the steps between them."""

import datetime as dt
import warnings
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings

import xfusion as xf
from tests.test_series import cube, moments
from xfusion.datamodel.times import label_text
from xfusion.series.timeline import Timeline


@pytest.mark.parametrize(
    ("times", "error"),
    [
        (5, "times=5 is no date"),
        ([5], "times=5 is no date"),
        (np.array([5.0]), "is no date"),
        (np.timedelta64(1, "D"), "is a span: .*'1D'"),
        ([dt.timedelta(days=1)], "is a span"),
        ((day for day in ["2023-01-02"]), "is no date: .*a list"),
        (["2300-01-01"], "times has 2300-01-01: .* from 1677-09-22 to 2262-04-11"),
        (np.array(["1600-01-01"], "datetime64[s]"), "times has 1600-01-01"),
        (dt.datetime(1600, 1, 1), "times has 1600-01-01"),  # noqa: DTZ001  # as users write it
        ("-1D", "'-1D': a step goes forward"),
        ("0D", "'0D': a step goes forward"),
        ("W", "'W' is not a date .*nor a step, such as '1D'.*a week is '7D'"),
        ("1ME", "'1ME' is not a date .*date_range"),
        ("MS", "'MS' is not a date .*date_range"),
        ("", "nor a step"),
        (["1D", "2D"], "'1D' is not a date"),
        ([None], "missing"),
    ],
)
def test_times_that_are_none_are_refused_by_name(times: Any, error: str) -> None:
    given = cube([0.3, 2.2], np.ones((2, 1, 1)), np.ones((2, 1, 1)))
    with pytest.raises(ValueError, match=error):
        xf.filter(given, q=0.1, times=times)


@pytest.mark.parametrize(
    ("step", "days"),
    [
        ("D", [0, 1, 2, 3]),
        ("1d", [0, 1, 2, 3]),
        ("36h", [-0.5, 1, 2.5]),
        ("1.5D", [-0.5, 1, 2.5]),
        ("1D12h", [-0.5, 1, 2.5]),
        ("1 D", [0, 1, 2, 3]),
    ],
)
def test_a_step_is_of_days_hours_and_less(step: str, days: list[float]) -> None:
    # steps are counted from 1970, as those of pandas
    given = cube([0.3, 2.2], np.ones((2, 1, 1)), np.ones((2, 1, 1)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = xf.filter(given, q=0.1, times=step).time.values
    np.testing.assert_array_equal(found, moments(days))


def test_times_are_dates_in_all_the_ways_that_there_are() -> None:
    given = cube([0.3, 2.2], np.ones((2, 1, 1)), np.ones((2, 1, 1)))
    pd = pytest.importorskip("pandas")
    zone = dt.timezone(dt.timedelta(hours=2))
    day = moments([1])
    ways: list[Any] = [
        "2023-01-02",
        ["2023-01-02T02:00+02:00"],
        np.array(["2023-01-02"]),
        day,
        day.astype("datetime64[D]"),
        xr.DataArray(day, dims="time"),
        pd.DatetimeIndex(day),
        pd.Series(day),
        pd.DatetimeIndex(day).tz_localize("UTC"),
        pd.Timestamp("2023-01-02"),
        dt.date(2023, 1, 2),
        [dt.datetime(2023, 1, 2, 2, tzinfo=zone)],
    ]
    for times in ways:
        np.testing.assert_array_equal(xf.filter(given, q=0.1, times=times).time.values, day)


def test_dates_that_a_state_cannot_have_are_refused_by_name() -> None:
    pd = pytest.importorskip("pandas")
    given = cube([0, 2], np.ones((2, 1, 1)), np.ones((2, 1, 1)))
    far = given.assign_coords(time=np.array(["2020-01-01", "2300-01-01"], "datetime64[s]"))
    zoned = pd.date_range("2023-01-01", periods=2, tz="Europe/Vienna")
    for call in (
        lambda ds: xf.filter(ds, q=0.1),
        lambda ds: xf.onset(ds, 0.5),
        lambda ds: xf.update(ds, given, q=0.1),
    ):
        with pytest.raises(ValueError, match=r"has 2300-01-01: .* to 2262-04-11.*\.sel\(time="):
            call(far)
    with pytest.raises(ValueError, match=r"'a'\) has dates of a time zone.*tz_localize"):
        xf.filter(given.assign_coords(time=np.array([*zoned], object)), q=0.1)
    mended = pd.to_datetime(np.array([*zoned], object), utc=True).tz_localize(None)
    xf.filter(given.assign_coords(time=mended), q=0.1)
    with pytest.raises(ValueError, match=r"time of .* is int64, such as .*assign_coords"):
        xf.filter(given.assign_coords(time=[1, 2]), q=0.1)
    pytest.importorskip("cftime")
    others = xr.date_range("2023-01", periods=2, calendar="360_day", use_cftime=True)
    with pytest.raises(ValueError, match=r"calendar '360_day'.*convert_calendar"):
        xf.filter(given.assign_coords(time=others), q=0.1)


@settings(max_examples=50)
@given(
    dates=st.lists(st.integers(-30, 30), min_size=1, unique=True),
    times=st.lists(st.integers(-30, 30), min_size=1, unique=True),
    start=st.none() | st.integers(-60, -31),
)
def test_steps_of_a_timeline_are_those_found_one_by_one(
    dates: list[int], times: list[int], start: int | None
) -> None:
    dates, times = sorted(dates), sorted(times)
    begun = None if start is None else moments([start])[0]
    steps = Timeline(moments(dates), moments(times), begun).steps()
    assert len(steps) == len({*dates, *times})
    for step, moment in zip(steps, sorted({*dates, *times}), strict=True):
        until = [d for d in dates if d <= moment]
        before = [d for d in [*([] if start is None else [start]), *dates] if d < moment]
        after = [d for d in dates if d > moment]
        assert step.date == len(until) - 1
        assert step.is_date is (moment in dates)
        # less than 0 before the first of them
        assert step.days == moment - (before[-1] if before else dates[0])
        assert step.ahead == (after[0] - moment if after else 0.0)
        assert step.result == (times.index(moment) if moment in times else -1)
        assert all(type(value) in (int, float, bool) for value in vars(step).values())


def test_a_cube_of_no_time_is_refused_by_name() -> None:
    seen = cube([1, 2], np.full((2, 1, 1), 0.5), np.full((2, 1, 1), 0.1))
    with pytest.raises(ValueError, match=r"retrieval 2 has a dim 'time' of length 0"):
        xf.filter(seen, seen.isel(time=slice(0)), q=0.1)


@pytest.mark.parametrize("unit", ["D", "s", "ms", "us", "ns"])
def test_a_message_names_a_date_as_it_is(unit: str) -> None:
    dates = np.array(
        ["2023-06-01", "2200-01-01" if unit == "ns" else "2300-01-01"], "datetime64[D]"
    )
    told = [label_text(date) for date in dates.astype(f"datetime64[{unit}]")]
    assert told == [f"{date}T00:00:00" for date in dates]
