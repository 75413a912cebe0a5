"""What a stranger types: own files in folders with spaces, boxes, thresholds, calibrations."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import xarray as xr
from affine import Affine
from click.testing import CliRunner, Result
from odc.geo.geobox import GeoBox

import xfusion as xf
from xfusion.assessment.calibration import Calibration
from xfusion.cli import main
from xfusion.view.results import open_result
from xfusion.warp.box import part_in_box

SIDE = 40
UTM = ("EPSG:32633", Affine(20, 0, 6e5, 0, -20, 5.34e6))
DEGREES = ("EPSG:4326", Affine(0.0002, 0, 16.35, 0, -0.0002, 48.21))
# what is spelled for Python alone
PYTHON = re.compile(r"\b[a-z_]+=(?!\S*\.json)|\.[a-z_]+\(|\bxf\.|\bds\.")


def call(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments])


def said(result: Result) -> str:
    return " ".join(result.output.split())


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """Options of two sensors as a stranger has them: int16, scaled, no nodata declared."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "my own files"
    folder.mkdir()
    options: list[str] = []
    for name, (crs, transform) in {"radar": UTM, "optical": DEGREES}.items():
        options += ["--sensor", name]
        for layer, low, high in (("mu", 1000, 9000), ("sigma", 300, 900)):
            pixels = rng.integers(low, high, (SIDE, SIDE)).astype(np.int16)
            pixels[:4] = -9999
            profile: dict[str, Any] = {"driver": "GTiff", "count": 1, "dtype": "int16"}
            profile |= {"width": SIDE, "height": SIDE, "crs": crs, "transform": transform}
            with rasterio.open(folder / f"{name} {layer}.tif", "w", **profile) as out:
                out.write(pixels, 1)
            options.append(str(folder / f"{name} {layer}.tif"))
    return [*options, "--nodata", "-9999", "--scale", "0.0001"]


def test_own_files_are_fused_and_what_came_out_is_said_in_words(
    files: list[str], tmp_path: Path
) -> None:
    out = tmp_path / "my result"
    result = call("fuse", *files, "--out", out, "--threshold", "0.5")
    assert result.exit_code == 0, result.output
    told = said(result)
    assert "Fused 1600 pixels of radar and optical." in told
    assert "The area is" in told
    assert "xfusion info" in told
    with rasterio.open(out / "exceedance.tif") as file:
        probability = file.read(1)
    with rasterio.open(out / "mu.tif") as file:
        mu = file.read(1)
    known = np.isfinite(mu)
    assert known.any()
    assert ((probability > 0.5) == (mu > 0.5))[known].all()
    assert np.isnan(probability[~known]).all()
    np.testing.assert_array_equal(open_result(out).exceedance, probability)
    document = json.loads(call("info", out, "--json").output)
    assert document["sensors"] == ["radar", "optical"]
    assert document["area"]["of"] == "probability of exceeding 0.5"
    assert f"The area is {document['area']['maps'][0]['expected']:.4g} km2" in told
    assert document["mu"]["maximum"] < 1
    assert all(len(line) <= 80 for line in call("info", out).output.splitlines()[1:])


def test_a_box_is_fused_as_that_part_of_the_whole(files: list[str], tmp_path: Path) -> None:
    for name, more in (("all", []), ("part", ["--bbox", "16.3512,48.2041,16.3537,48.2073"])):
        grid = ["--grid", "optical", "--out", str(tmp_path / f"{name}.zarr")]
        result = call("fuse", *files, *grid, *more, "--quiet")
        assert result.exit_code == 0, result.output
    whole, part = (xr.open_zarr(tmp_path / f"{name}.zarr") for name in ("all", "part"))
    dims = part.mu.dims
    assert part.sizes == {dims[0]: 17, dims[1]: 13}
    same = whole.isel({dims[0]: slice(13, 30), dims[1]: slice(6, 19)})
    for name in ("mask", "source"):
        np.testing.assert_array_equal(part[name], same[name], err_msg=name)
    for name in ("mu", "sigma"):
        # positions are interpolated from control points of the grid, to a thousandth of a pixel
        np.testing.assert_allclose(part[name], same[name], atol=1e-3, err_msg=name)


@pytest.mark.parametrize(
    ("box", "wanted"),
    [
        ("16,47,17", "give four numbers"),
        ("a,b,c,d", "give four numbers"),
        ("17,47,16,48", "west, 17, is not west of east, 16; exchange them"),
        ("179,47,-179,48", "across the antimeridian give east as 181"),
        ("16,48,17,47", "south is 48 and north 47"),
        ("nan,47,17,48", "give four numbers"),
    ],
)
def test_what_is_no_box_is_told(files: list[str], tmp_path: Path, box: str, wanted: str) -> None:
    result = call("fuse", *files, "--out", tmp_path / "w.zarr", "--bbox", box)
    assert result.exit_code == 2
    assert wanted in said(result)
    assert "bbox=" not in result.output


def test_a_box_beside_the_data_is_refused_with_both_extents(
    files: list[str], tmp_path: Path
) -> None:
    result = call("fuse", *files, "--out", tmp_path / "w.zarr", "--bbox", "10,40,11,41")
    assert result.exit_code == 1
    assert "--bbox 10.0, 40.0, 11.0, 41.0 has no pixel of the grid, which is 16.3" in said(result)
    assert not (tmp_path / "w.zarr").exists()


@pytest.mark.parametrize("turn", [0.0, 360.0])
def test_a_box_across_the_antimeridian_meets_grids_on_either_side(turn: float) -> None:
    grid = GeoBox((10, 40), Affine(0.1, 0, 178 + turn - 360 * (turn > 0), 0, -0.1, 5), "EPSG:4326")
    part = part_in_box(grid, (179.0, 4.0, 181.0, 4.5))
    assert part.shape.yx == (5, 20)


def test_a_calibration_is_applied_to_the_sensor_it_is_of_and_to_no_other(
    files: list[str], tmp_path: Path
) -> None:
    rng = np.random.default_rng(1)
    mu = rng.uniform(0, 1, (60, 60))
    array = xr.DataArray(mu, dims=("y", "x"))
    truth = xr.DataArray((rng.random((60, 60)) < mu**2).astype(float), dims=("y", "x"))
    zones = xr.DataArray(np.repeat(np.arange(6), 600).reshape(60, 60), dims=("y", "x"))
    model = xf.calibrate(xf.retrieval(array, 0.1, sensor="radar"), truth, groups=zones)
    assert isinstance(model, Calibration)
    file = tmp_path / "radar.json"
    file.write_text(model.to_json())
    means = []
    more: list[str]
    for number, more in enumerate(
        [[], ["--calibration", str(file)], ["--calibration", f"radar={file}"]]
    ):
        out = tmp_path / f"{number}.zarr"
        result = call("fuse", *files, *more, "--out", out, "--quiet")
        assert result.exit_code == 0, result.output
        means.append(float(xr.open_zarr(out).mu.mean()))
    assert means[0] != means[1] == means[2]
    wrong = call("fuse", *files, "--calibration", f"optical={file}", "--out", tmp_path / "no.zarr")
    assert wrong.exit_code == 1
    assert "the calibration is of 'radar', the retrieval of 'optical'" in said(wrong)
    assert not PYTHON.search(wrong.output), wrong.output
    missing = call("fuse", *files, "--calibration", "none.json", "--out", tmp_path / "no.zarr")
    assert missing.exit_code == 2
    assert "--calibration none.json: No such file or directory" in said(missing)


def test_a_log_has_no_carriage_returns(files: list[str], tmp_path: Path) -> None:
    out = str(tmp_path / "w.zarr")
    for command in (
        ["fuse", *files, "--out", out],
        ["info", out],
        ["verify", out],
        ["update", str(tmp_path / "days.zarr"), *files, "--date", "2023-06-20", "--q", "0.01"],
        ["demo", "--out", str(tmp_path / "demo"), "--size", "0.2"],
    ):
        ran = CliRunner().invoke(main, command)
        assert ran.exit_code == 0, ran.output
        assert b"\r" not in ran.stderr_bytes + ran.stdout_bytes
        assert command[0] == "info" or b"100 %" in ran.stderr_bytes


@pytest.mark.parametrize(
    "options",
    [
        ["--threshold", "nan"],
        ["--grid", "nowhere"],
        ["--grid", "EPSG:4326,-1"],
        ["--correlation", "-2"],
        ["--scale", "0"],
        ["--scale", "x"],
        ["--nodata", "other=1"],
        ["--date", "tomorrow"],
        ["--sensor", "radar", "a.tif", "b.tif"],
        ["--sensor", "third", "a.tif", "b.tif"],
        ["--bbox", "0,0,1,1"],
        ["--rule", "log_odds"],
        ["--rule", "gausian"],
        ["--treshold", "1"],
    ],
)
def test_errors_have_no_spelling_of_python(
    files: list[str], tmp_path: Path, options: list[str]
) -> None:
    result = call("fuse", *files, *options, "--out", tmp_path / "w.zarr")
    assert result.exit_code in (1, 2)
    # less what was typed
    answer = result.output.replace(str(tmp_path), "").replace(options[-1], "")
    assert not PYTHON.search(answer), result.output


def test_integers_without_a_scale_are_told_in_the_words_of_the_command(
    files: list[str], tmp_path: Path
) -> None:
    result = call("fuse", *files[:-2], "--out", tmp_path / "w.zarr")
    assert result.exit_code == 1
    assert "--scale 0.0001 of shares times 10 000, --scale 0.01 of percent, or" in said(result)
    assert "what means none" not in said(result)  # the files declare it
    assert not PYTHON.search(result.output.replace(str(tmp_path), "")), result.output


def test_sigma_in_another_scale_than_mu_is_warned_of(files: list[str], tmp_path: Path) -> None:
    sigma = Path(files[3])
    with rasterio.open(sigma) as file:
        pixels, profile = file.read(1), file.profile
    with rasterio.open(sigma, "w", **(profile | {"dtype": "float32"})) as file:
        file.write(np.where(pixels < 0, -9999, pixels * 100.0).astype(np.float32), 1)
    result = call("fuse", *files, "--out", tmp_path / "w.zarr")
    assert "Warning: sigma of 'radar' is" in said(result)
    assert "bring both files into one first, e.g. rio calc" in said(result)
    with rasterio.open(sigma, "w", **(profile | {"dtype": "float32"})) as file:
        file.write(-np.abs(pixels).astype(np.float32), 1)
    result = call("fuse", *files, "--out", tmp_path / "x.zarr")
    assert "sigma of 'radar' is nowhere above 0" in said(result)


def test_a_report_that_cannot_be_written_is_refused_before_the_fusion(
    files: list[str], tmp_path: Path
) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("mine")
    for report in (notes, notes / "report.html"):
        result = call("fuse", *files, "--out", tmp_path / "w.zarr", "--report", report)
        assert result.exit_code in (1, 2)
        assert re.search(r"give another", said(result))
        assert "--overwrite" not in result.output
    assert notes.read_text() == "mine"
    assert not (tmp_path / "w.zarr").exists()


@pytest.mark.parametrize("kind", ["store.zarr", "folder"])
def test_a_result_keeps_its_threshold_until_another_is_given(
    kind: str, files: list[str], tmp_path: Path
) -> None:
    out, page = tmp_path / kind, tmp_path / "r.html"
    fused = call("fuse", *files, "--out", out, "--date", "2023-06-20", "--threshold", "0.7")
    assert fused.exit_code == 0, fused.output
    wanted = "probability of exceeding 0.7"
    assert wanted in said(fused)
    assert wanted in said(call("info", out))
    assert "probability of exceeding 0.6" in said(call("info", out, "--threshold", "0.6"))
    assert call("report", out, "--out", page).exit_code == 0
    assert f"expected: {wanted}" in page.read_text()
    # and it says which files it is of, not where they are
    assert "radar mu.tif, radar sigma.tif" in page.read_text()
    assert "my own files" not in page.read_text()


def test_a_result_is_not_read_once_more_for_its_words_where_its_report_has_read_it(
    files: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def words(name: str, *more: object) -> str:
        result = call("fuse", *files, "--out", tmp_path / name, "--threshold", "0.5", *more)
        assert result.exit_code == 0, result.output
        return said(result).partition("Fused ")[2].partition(" The report")[0]

    alone = words("a.zarr")

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError

    monkeypatch.setattr("xfusion.view.summary.summarise", refuse)
    assert alone.startswith(words("b.zarr", "--report", tmp_path / "r.html"))
