"""What is measured is what the pages show; files of results; the server that counts."""

from __future__ import annotations

import importlib
import json
import re
import time
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
import rasterio
from affine import Affine
from odc.geo.geobox import GeoBox

from benchmarks.__main__ import NAMES, SIZED, chosen
from benchmarks.goals import GOALS
from benchmarks.machine import plain_model
from benchmarks.needed_tiles import needed_bytes
from benchmarks.page import BEFORE, PAGES, goals, table, text_alone, written
from benchmarks.range_server import byte_range, counted, serving
from benchmarks.results import as_text, file_name, keep, kept, merged, write_run
from benchmarks.tables import Table, number, shown, timed, with_ratios

EVERY_PAGE = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.name))
# a figure that was measured: a number with the unit of one
MEASURED = re.compile(
    r"\d[\d.]*\s*(?:×|x|times|ns|µs|ms|s|seconds|minutes|s/Mpx|MB|MiB|GB|GiB|TB|kB|%)(?!\w)"
)
# sizes, and what is set rather than measured
SET = re.compile(r"\d[\d ]* × \d[\d ]*|100 ms")


# Pages


@EVERY_PAGE
def test_tables_of_a_page_are_those_of_the_results_that_are_kept(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert "<!-- end -->" in text
    assert written(text, kept(), kept(BEFORE)) == text, "run python -m benchmarks.page"


@EVERY_PAGE
def test_a_figure_that_somebody_changes_does_not_stand(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    cell = re.search(r"\| (\d+\.\d+)", text)
    assert cell is not None
    changed = text[: cell.start(1)] + "12345" + text[cell.end(1) :]
    assert written(changed, kept(), kept(BEFORE)) == text


@EVERY_PAGE
def test_the_text_of_a_page_has_no_figure_that_was_measured(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    if page.name == "scaling.md":  # which begins with how it works
        text = text[text.index("## What it costs") :]
    assert MEASURED.findall(SET.sub("", text_alone(text))) == []
    assert MEASURED.findall("52 and 64 × were seen, 0.7 s, 33 %")  # it does find some


def results_of(*tables: Table, commit: str = "abc") -> dict[str, Any]:
    return {
        "machine": {"processor": "Some Chip 9", "cores": 2, "memory_gib": 4, "architecture": "z"},
        "runs": {commit: {"date": "2026-01-01", "commit": commit, "versions": {"numpy": "2"}}},
        "tables": {t.name: {"title": t.title, "run": commit, "rows": [*t.rows]} for t in tables},
    }


def test_each_kind_of_processor_has_a_column_and_what_one_lacks_is_empty() -> None:
    one = results_of(timed("t", "", {"a": 2.0, "b": 1.0}, against="a", pixels=10))
    two = results_of(timed("t", "", {"a": 4.0}, against="a", pixels=10))
    assert table("t", ["seconds", "speed-up"], {"one": one, "two": two})[2:] == [
        "| a | 2 · 1× | 4 · 1× |",
        "| b | 1 · 2× |  |",
    ]


def test_what_one_processor_has_not_measured_at_all_has_no_place_in_its_column() -> None:
    one = results_of(Table("t", "", (), [{"what": "a", "seconds": 2.0, "cpu": 3.0}]))
    two = results_of(Table("t", "", (), [{"what": "a", "seconds": 4.0}]))
    lines = table("t", ["seconds", "cpu"], {"one": one, "two": two})
    assert lines[0] == "|  | Some Chip 9: seconds · CPU s | Some Chip 9: seconds |"
    assert lines[2] == "| a | 2 · 3 | 4 |"


def test_a_table_that_nobody_has_measured_is_an_error_that_names_it() -> None:
    with pytest.raises(LookupError, match="no results of 'nothing' are kept"):
        table("nothing", ["seconds"], {"one": results_of()})


@pytest.mark.parametrize("goal", GOALS, ids=lambda goal: goal.what[:50])
def test_each_goal_is_found_among_what_was_measured(goal: Any) -> None:
    reached = [goal.reached(results) for results in kept().values()]
    assert any(reached)
    assert goal.reached(results_of()) == ""


def test_goals_say_what_was_before_and_is_now() -> None:
    slow, fast = (
        results_of(
            timed(
                "fusion",
                "",
                {"copying the bytes of 2 sensors": 1.0, "xfusion, 2 sensors": seconds},
                against="xfusion, 2 sensors",
                pixels=1,
            )
        )
        for seconds in (4.0, 2.0)
    )
    lines = goals({"chip": fast}, {"chip": slow})
    assert lines[0].endswith("| Some Chip 9, before | Some Chip 9, now |")
    assert next(line for line in lines if "copying" in line).endswith("| 0.25 | 0.5 |")


# Files of results


def test_a_table_replaces_that_of_its_name_and_no_other() -> None:
    first = timed("first", "", {"a": 1.0}, against="a", pixels=1)
    second = timed("second", "", {"a": 1.0, "b": 3.0}, against="a", pixels=1)
    again = timed("second", "", {"a": 5.0}, against="a", pixels=1)
    before, new = results_of(first, second, commit="old"), results_of(again, commit="new")
    both = merged(before, new)
    assert both["tables"] == {**before["tables"], **new["tables"]}
    assert set(both["runs"]) == {"old", "new"}
    # a run of which nothing is left is forgotten
    assert set(merged(results_of(second, commit="old"), new)["runs"]) == {"new"}


def test_results_are_kept_by_processor_and_each_run_has_a_file(tmp_path: Path) -> None:
    measured = timed("fusion", "Fusing", {"a": 1 / 3, "b": 1.0}, against="a", pixels=3)
    (path,) = {keep([measured], tmp_path / "kept") for _ in range(2)}
    assert len([*path.parent.iterdir()]) == 1
    found = json.loads(path.read_text())
    assert file_name(found["machine"]["processor"]) == path.stem
    assert found["tables"]["fusion"]["rows"][0] == {
        "what": "a",
        "seconds": 0.3333,
        "pixels": 3,
        "against": "a",
        "ratio": 1.0,
    }
    (run,) = found["runs"].values()
    assert {"python", "numpy", "numba", "xarray", "dask", "rasterio", "gdal"} <= {*run["versions"]}
    assert json.loads(write_run([measured], tmp_path).read_text())["tables"] == found["tables"]


def test_a_row_is_a_line_of_the_file() -> None:
    measured = timed("fusion", "Fusing", {"a": 1.0, "b": 2.0}, against="a", pixels=3)
    text = as_text(results_of(measured))
    assert json.loads(text) == results_of(measured)
    assert sum('"what"' in line for line in text.splitlines()) == 2


def test_ratios_are_those_to_the_row_that_is_named() -> None:
    rows = [{"what": "a", "seconds": 2.0}, {"what": "b", "seconds": 8.0}, {"what": "c", "bytes": 1}]
    found = with_ratios(rows, against="b")
    assert [row.get("ratio") for row in found] == [4.0, 1.0, None]
    assert with_ratios(rows, against="another") == rows
    assert shown("times", found[0]) == "0.25×"
    assert shown("seconds", found[2]) == ""


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.08123, "0.0812"),
        (5.15, "5.15"),
        (99.96, "100"),
        (2278.4, "2 278"),
        (4, "4"),
        (0.0000023, "0.000002"),
        (0.0, "0"),
    ],
)
def test_numbers_have_three_digits(value: float, text: str) -> None:
    assert number(value) == text


def test_the_processor_is_named_without_marks_and_clock() -> None:
    assert plain_model("Intel(R) Xeon(R) Platinum 8481C CPU @ 2.70GHz") == (
        "Intel Xeon Platinum 8481C"
    )
    assert plain_model("AMD EPYC 7R13 48-Core Processor") == "AMD EPYC 7R13"
    assert file_name("Intel Xeon (Sapphire)") == "intel-xeon-sapphire"


def test_names_and_sizes_are_read_from_the_command_line() -> None:
    assert chosen(["job", "1000", "5000", "fusion"]) == {"job": [1000, 5000], "fusion": []}
    assert list(chosen([])) == [*NAMES]
    with pytest.raises(SystemExit, match=r"no benchmark \['jop'\]"):
        chosen(["jop"])
    with pytest.raises(SystemExit, match=r"only \['network'"):
        chosen(["fusion", "1000"])


@pytest.mark.parametrize("name", NAMES)
def test_each_name_is_that_of_a_benchmark(name: str) -> None:
    main = importlib.import_module(f"benchmarks.{name}").main
    takes_sizes = bool(main.__code__.co_flags & 0x04)  # *sides
    assert takes_sizes == (name in SIZED)


# The server that counts, and what a perfect reader would ask it for


def test_the_server_waits_and_counts_by_who_asks(tmp_path: Path) -> None:
    (tmp_path / "red.tif").write_bytes(bytes(range(100)))
    with serving(tmp_path, wait=0.1) as url:
        connection = HTTPConnection(urlsplit(url).netloc, timeout=10)

        def ask(path: str, method: str = "GET", **headers: str) -> tuple[int, bytes]:
            connection.request(method, path, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read()

        start = time.monotonic()
        assert ask("/one/red.tif", Range="bytes=10-19") == (206, bytes(range(10, 20)))
        assert time.monotonic() - start > 0.1
        assert ask("/one/red.tif", "HEAD") == (200, b"")
        assert ask("/two/red.tif") == (200, bytes(range(100)))
        assert ask("/two/red.tif", Range="bytes=100-") == (416, b"")
        assert ask("/two/nir.tif") == (404, b"")
        assert ask("/two/../../etc/passwd")[0] == 404
        connection.close()
        assert counted(url) == {
            "one": {"requests": 2, "bytes": 10},
            "two": {"requests": 4, "bytes": 100},
        }


def test_ranges_are_read_as_http_has_them() -> None:
    assert byte_range("bytes=0-4", 10) == range(5)
    assert byte_range("bytes=5-", 10) == range(5, 10)
    assert byte_range("bytes=-3", 10) == range(7, 10)
    assert byte_range("bytes=5-99", 10) == range(5, 10)
    assert byte_range(None, 10) is None


def test_tiles_that_a_grid_needs_are_those_that_it_touches(tmp_path: Path) -> None:
    path = tmp_path / "tiled.tif"
    pixels = np.random.default_rng(0).integers(0, 255, (256, 256), np.uint8)
    place = GeoBox(pixels.shape, Affine(10, 0, 5e5, 0, -10, 5e6), "EPSG:32633")
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        width=256,
        height=256,
        count=1,
        dtype="uint8",
        crs="EPSG:32633",
        transform=place.affine,
        tiled=True,
        blockxsize=64,
        blockysize=64,
    ) as file:
        file.write(pixels, 1)
    tile = 64 * 64
    assert needed_bytes(path, place, margin=0) == 16 * tile
    assert needed_bytes(path, place[:64, :64], margin=0) == tile
    assert needed_bytes(path, place[:64, :64], margin=0.6) == 4 * tile
    assert needed_bytes(path, place[63:65, 10:20], margin=0) == 2 * tile
    beside = GeoBox((9, 9), Affine(10, 0, 9e5, 0, -10, 5e6), "EPSG:32633")
    assert needed_bytes(path, beside, margin=0) == 0
