"""The command ``xfusion update``: day by day what the Python API makes of all days at once."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import xarray as xr
import zarr
from affine import Affine
from click.testing import CliRunner, Result

import xfusion as xf
from tests.store_runs import KilledError, contents
from xfusion.cli import main
from xfusion.store import tasks, workers
from xfusion.store.place import ROOT, Place

DAYS = {"2023-06-19": ["a"], "2023-06-20T10:30": ["a", "b"], "2023-06-23": ["b"]}


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["update", *map(str, arguments), "--quiet"])


def refused(*arguments: str | Path) -> str:
    result = run(*arguments)
    assert result.exit_code
    assert result.output.startswith(("Error: ", "Usage: ")), result.output
    return result.output


@pytest.fixture
def days(tmp_path: Path) -> dict[str, list[str]]:
    """Options of each day."""
    rng = np.random.default_rng(0)
    options: dict[str, list[str]] = {}
    for date, sensors in DAYS.items():
        options[date] = ["--date", date]
        for sensor in sensors:
            files = [tmp_path / f"{sensor}_{date[:10]}_{name}.tif" for name in ("mu", "sigma")]
            for file, low, high in zip(files, (0.1, 0.05), (0.9, 0.2), strict=True):
                pixels = rng.uniform(low, high, (20, 30)).astype(np.float32)
                pixels[:3, :5] = np.nan
                profile: dict[str, Any] = {"driver": "GTiff", "width": 30, "height": 20, "count": 1}
                place = {"crs": "EPSG:32633", "transform": Affine(10, 0, 5e5, 0, -10, 5.3e6)}
                with rasterio.open(
                    file, "w", dtype="float32", nodata=np.nan, **profile, **place
                ) as out:
                    out.write(pixels, 1)
            options[date] += ["--sensor", sensor, *map(str, files)]
    return options


def seen(options: dict[str, list[str]]) -> list[xr.Dataset]:
    """Return what all sensors have seen on all days."""
    found = []
    for date, words in options.items():
        for at in [i for i, word in enumerate(words) if word == "--sensor"]:
            name, mu, sigma = words[at + 1 : at + 4]
            found.append(xf.SensorProduct.open(mu, sigma, time=date).dataset)
            found[-1].attrs["sensor"] = name
    return found


@pytest.mark.parametrize(
    ("told", "parameters"),
    [
        (["--q", "0.002"], {"q": 0.002}),
        (["--q", "0.002", "--correlation", "0.3"], {"q": 0.002, "correlation": 0.3}),
        (
            ["--rates", "0.01", "0.05", "--prior", "0.3"],
            {"model": "two_state", "rates": (0.01, 0.05), "prior": 0.3},
        ),
    ],
)
def test_a_store_that_is_updated_day_by_day_holds_the_filter_of_all_days(
    told: list[str], parameters: dict[str, Any], days: dict[str, list[str]], tmp_path: Path
) -> None:
    store = tmp_path / "water.zarr"
    always = told[2:] if told[0] == "--q" else []
    for number, words in enumerate(days.values()):
        result = run(store, *words, *(always if number else told))
        assert result.exit_code == 0, result.output
    found = xr.open_zarr(store).load()
    expected = xf.filter(*seen(days), **parameters).load()
    np.testing.assert_array_equal(found.time.values, expected.time.values)
    for name in ("mu", "sigma", "mask", "age", "count", "source"):
        np.testing.assert_array_equal(found[name].values, expected[name].values, err_msg=name)
    # whom it is of is known of all dates, though the first had one of them alone
    assert found.source.attrs["flag_meanings"] == expected.source.attrs["flag_meanings"] == "a b"
    assert found.attrs["sensor"] == expected.attrs["sensor"] == "a+b"
    assert xf.verify(store, progress=False) == {}


def test_the_command_says_how_many_dates_there_are(
    days: dict[str, list[str]], tmp_path: Path
) -> None:
    words = ["update", str(tmp_path / "w.zarr"), "--q", "0", *days["2023-06-20T10:30"]]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    assert "has 1 date, 2023-06-20T10:30:00" in result.output


def test_a_new_store_needs_to_know_how_fast_things_change(
    days: dict[str, list[str]], tmp_path: Path
) -> None:
    said = refused(tmp_path / "w.zarr", *days["2023-06-19"])
    assert "no finished store at" in said
    assert "give --q, such as 0.002, or for water and dry land --rates 0.001 0.05" in said
    assert not (tmp_path / "w.zarr").exists()


def test_what_does_not_go_with_the_store_is_refused_and_leaves_it(
    days: dict[str, list[str]], tmp_path: Path
) -> None:
    store = tmp_path / "w.zarr"
    first, second, third = days.values()
    assert run(store, *second, "--q", "0.002").exit_code == 0
    before = contents(store)
    assert "'a' is of 2023-06-19T00:00" in (early := refused(store, *first))
    assert "only what is later is new" in early
    assert "has a grid: leave it out" in refused(store, *third, "--grid", "b")
    assert "give at least one of --s1, --s2 and --sensor" in refused(store)
    assert "--catalog-s1 is for --s1" in refused(store, *third, "--catalog-s1", "eodc")
    assert contents(store) == before


PYTHON = (".attrs", ".assign_coords", "xf.", ".sel(", "series_", "=")


def test_what_the_store_was_begun_with_is_told_in_the_words_of_the_command(
    days: dict[str, list[str]], tmp_path: Path
) -> None:
    first, second, third = days.values()
    walk, states = tmp_path / "walk.zarr", tmp_path / "states.zarr"
    assert run(walk, *first, "--q", "0.002", "--correlation", "0.3").exit_code == 0
    told = ["--rates", "0.01", "0.05", "--prior", "0.3"]
    assert run(states, *first, *told).exit_code == 0
    like = ["--correlation", "0.3"]
    messages: dict[str, tuple[Any, ...]] = {
        "--rates 0.1 0.2 is not for the model 'random_walk'": (walk, "--rates", "0.1", "0.2"),
        "--prior 0.3 is not for the model 'random_walk'": (walk, "--prior", "0.3"),
        "--q 0.4 is not that of": (walk, "--q", "0.4", *like),
        "was begun with 0.002: leave it out": (walk, "--q", "0.4", *like),
        "give --correlation 0.3": (walk,),
        "--q 0.1 is not for the model 'two_state'": (states, "--q", "0.1"),
        "--prior 0.4 is not that of": (states, "--prior", "0.4"),
        "--rates 0.1 0.05 is not that of": (states, "--rates", "0.1", "0.05"),
    }
    for message, (store, *options) in messages.items():
        said = refused(store, *second, *options)
        assert message in said
        assert not [word for word in PYTHON if word in said.replace(str(store), "")], said
    for store in (walk, states):
        said = refused(store, *third[2:], *(like if store == walk else []))
        assert "'b' has no time" in said
        assert "give --date 2023-06-20" in said
    # said once, it need not be said again, and may be
    assert run(states, *second).exit_code == 0
    assert run(states, *third, *told).exit_code == 0
    assert run(walk, *second, *like).exit_code == 0
    found = xr.open_zarr(states)
    np.testing.assert_array_equal(found.attrs["series_rates"], (0.01, 0.05))
    assert found.attrs["series_prior"] == 0.3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--q .1 --rates .1 .1", "--q is of a random walk, --rates of two states"),
        ("--q .1 --prior .1", "--prior goes with --rates"),
        ("--rates 0 .1", "'--rates': 0.0 is not in the range x>0"),
        ("--rates .1 0", "'--rates': 0.0 is not in the range x>0"),
        ("--rates nan .1", "--rates is no finite number"),
        ("--q inf", "--q is no finite number"),
    ],
)
def test_numbers_that_mean_nothing_are_refused_before_a_file_is_opened(
    options: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: Any, **__: Any) -> None:
        pytest.fail("it was opened")

    monkeypatch.setattr("xfusion.today.update_files", never)
    said = refused(tmp_path / "w.zarr", "--s1", "mu.tif", "sigma.tif", *options.split())
    assert message in said


def test_two_sensors_of_one_name_are_refused_and_none_of_them_is_dropped(
    days: dict[str, list[str]], tmp_path: Path
) -> None:
    first, second, third = days.values()
    for store, told in ((tmp_path / "w.zarr", ["--q", "0.1"]), (tmp_path / "w.zarr", [])):
        twice = [*second[:2], *first[2:], *first[2:]]
        assert "two sensors of one name in ['a', 'a']" in refused(store, *twice, *told)
        assert not store.exists() or xr.open_zarr(store).sizes["time"] == 1
        if told:
            assert run(store, *first, *told).exit_code == 0
    assert run(store, *third).exit_code == 0


def test_a_date_that_is_there_of_other_files_is_refused(
    days: dict[str, list[str]], tmp_path: Path
) -> None:
    store = tmp_path / "w.zarr"
    first, second, third = days.values()
    for words in (first, second):
        assert run(store, *words, "--q", "0.002").exit_code == 0
        before = contents(store)
        # of another file
        said = refused(store, *words[:2], "--sensor", "a", *third[4:])
        assert "is in" in said
        assert "of other inputs or parameters" in said
        assert not [word for word in PYTHON if word in said.replace(str(store), "")], said
        assert contents(store) == before


def test_data_of_others_are_not_touched_and_another_store_is_asked_for(
    days: dict[str, list[str]], tmp_path: Path
) -> None:
    store = tmp_path / "w.zarr"
    xr.Dataset({"a": ("x", np.arange(3))}).to_zarr(store, zarr_format=2)
    before = contents(store)
    said = refused(store, *days["2023-06-19"], "--q", "0.002")
    assert "another STORE" in said
    assert "--out" not in said
    retrievals = tmp_path / "r.zarr"
    xf.to_zarr(seen(days)[0], retrievals, append_dim="time", progress=False)
    said = refused(retrievals, *days["2023-06-23"], "--q", "0.002")
    assert "holds no states along time" in said
    assert contents(store) == before


def test_a_grid_of_the_first_date_is_given_with_it_once_more(
    days: dict[str, list[str]], tmp_path: Path
) -> None:
    store = tmp_path / "w.zarr"
    first, second, _ = days.values()
    begun = [*first, "--q", "0.002", "--grid", "EPSG:32633,20"]
    for _ in range(2):
        assert run(store, *begun).exit_code == 0
    before = contents(store)
    said = refused(store, *begun[:-2])
    assert "give the --grid that it was begun with" in said
    assert contents(store) == before
    assert run(store, *second).exit_code == 0


class Interrupted(BaseException):
    """What ends a run at once."""


def test_the_same_command_once_more_changes_nothing_and_ends_what_was_begun(
    days: dict[str, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "w.zarr"
    told = ["--q", "0.002"]
    move = Place.move
    days = dict(list(days.items())[:2])
    for number, words in enumerate(days.values()):

        def interrupted(place: Place, source: str, target: str) -> None:
            move(place, source, target)
            if target == ROOT:
                raise Interrupted

        with monkeypatch.context() as patch:
            patch.setattr(Place, "move", interrupted)
            with pytest.raises(Interrupted):
                run(store, *words, *told)
        for _ in range(2):
            again = run(store, *words, *told)
            assert again.exit_code == 0, again.output
            assert zarr.open_array(store, path="mu", mode="r").shape[0] == number + 1
            assert xf.verify(store, progress=False) == {}
            assert xr.open_zarr(store).sizes["time"] == number + 1
        before = contents(store)
        assert run(store, *words, *(told if number == 0 else [])).exit_code == 0
        assert contents(store) == before
    expected = xf.filter(*seen(days), q=0.002).load()
    np.testing.assert_array_equal(xr.open_zarr(store).mu, expected.mu)
    np.testing.assert_array_equal(xr.open_zarr(store)["count"], expected["count"])


def test_the_second_of_two_updates_at_once_does_not_lose_what_the_first_has_added(
    days: dict[str, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "w.zarr"
    first, second, third = days.values()
    assert run(store, *first, "--q", "0.002").exit_code == 0

    def overtaken(*arguments: Any, **options: Any) -> xr.Dataset:
        made = xf.update(*arguments, **options)
        monkeypatch.setattr("xfusion.today.update", xf.update)
        assert run(store, *second).exit_code == 0
        return made

    monkeypatch.setattr("xfusion.today.update", overtaken)
    said = refused(store, *third)
    assert "carried from the state of 2023-06-19T00:00" in said
    assert "the last of" in said
    assert "is 2023-06-20T10:30" in said
    assert "give the same command again" in said
    assert run(store, *third).exit_code == 0
    expected = xf.filter(*seen(days), q=0.002).load()
    np.testing.assert_array_equal(xr.open_zarr(store)["count"], expected["count"])


@pytest.mark.some(one_in=2)
@pytest.mark.parametrize("begun", ["2023-06-19", "2023-06-20T10:30"])
def test_a_day_that_was_killed_leaves_the_store_and_is_gone_on_with(
    begun: str, days: dict[str, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, whole = tmp_path / "w.zarr", tmp_path / "v.zarr"
    told = {date: [] if number else ["--q", "0.002"] for number, date in enumerate(days)}
    write = tasks._write
    left = 3

    def dying(*arguments: Any) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise KilledError
        write(*arguments)

    for date, words in days.items():
        assert run(whole, *words, *told[date]).exit_code == 0
    for date, words in days.items():
        if date == begun:
            before = contents(store) if store.exists() else {}
            with monkeypatch.context() as patch:
                patch.setattr(tasks, "_write", dying)
                patch.setattr(workers, "BLOCKS_A_WORKER", 1)
                assert run(store, *words, *told[date]).exit_code
            seen_by_readers = contents(store)
            assert {k: seen_by_readers[k] for k in before} == before
        result = run(store, *words, *told[date])
        assert result.exit_code == 0, result.output
    found, expected = (xr.open_zarr(each).load() for each in (store, whole))
    # a job says where its inputs are, and the store is one of them
    for each in (found, expected):
        del each.attrs["fusion_job"]
    assert found.identical(expected)


def test_a_sensor_that_was_not_asked_today_is_not_said_to_have_failed(
    days: dict[str, list[str]], tmp_path: Path
) -> None:
    store, told = tmp_path / "w.zarr", []
    for date, options in days.items():
        q = ["--q", "0.01"] if date == "2023-06-19" else []
        result = CliRunner().invoke(main, ["update", str(store), *options, *q])
        assert result.exit_code == 0, result.output
        told.append(" ".join(result.output.split()))
    for text, sensors in zip(told, ("a", "a and b", "b"), strict=True):
        assert f"Carried to today: 600 pixels of {sensors}. " in text
        assert "contributed to none" not in text
    assert "w.zarr has 1 date, 2023-06-19T00:00:00 What" in told[0]
    assert "w.zarr has 3 dates, the last is 2023-06-23T00:00:00" in told[-1]
