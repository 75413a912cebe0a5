"""The commands ``xfusion fuse`` and ``xfusion info``: the Python API's results, flag by flag."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from affine import Affine
from click.testing import CliRunner, Result
from odc.geo.geobox import GeoBox
from odc.geo.xr import xr_coords

import xfusion as xf
from tests.local_clusters import local_cluster
from tests.store_runs import break_off, contents
from xfusion.cli import main
from xfusion.demo import serve, write_scene
from xfusion.demo.scene import Scene
from xfusion.workflow import SensorFiles, fuse_files

# an argument of a function, or a call, as messages for Python name them
PYTHON = r"\b(catalog|items|datetime|time|resume|overwrite|item|grid|correlation)=|\.rio\."


@dataclass
class Served:
    scene: Scene
    url: str

    @property
    def arguments(self) -> list[str]:
        s = self.scene
        return [
            *["--s1", str(s.s1_mu), str(s.s1_sigma), "--s2", str(s.s2_mu), str(s.s2_sigma)],
            *["--catalog-s1", self.url, "--catalog-s2", self.url, "--date", str(s.date)],
        ]

    def products(self) -> tuple[xf.Sentinel1Product, xf.Sentinel2Product]:
        s = self.scene
        s1 = xf.Sentinel1Product.open(s.s1_mu, s.s1_sigma, time=s.date)
        s2 = xf.Sentinel2Product.open(s.s2_mu, s.s2_sigma, time=s.date)
        return s1, s2


@pytest.fixture
def probabilities(tmp_path: Path) -> list[str]:
    """Options of two sensors, calibrated as their tags say, that contradict each other once."""
    grid = GeoBox((3, 4), Affine(10, 0, 5e5, 0, -10, 5e6), "EPSG:32633")
    options: list[str] = []
    for name, first in (("a", 0.0), ("b", 1.0)):
        mu = np.full(grid.shape, 0.7, np.float32)
        mu[0, 0] = first
        array = xr.DataArray(mu, xr_coords(grid), ("y", "x"))
        said = {"calibration_method": "isotonic", "calibration_base_rate": 0.2}
        ds = xf.retrieval(array, 0.05, sensor=name).assign_attrs(said)
        files = ds.fusion.to_cog(tmp_path / name, item=False, progress=False)
        options += ["--sensor", name, str(files["mu"]), str(files["sigma"])]
    return options


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    scene = write_scene(tmp_path_factory.mktemp("scene"), size=0.2)
    with serve(scene.items) as url:
        yield Served(scene, url)


def call(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments])


def fuse(served: Served, out: Path, *more: str) -> xr.Dataset:
    result = call("fuse", *served.arguments, "--out", out, *more)
    assert result.exit_code == 0, result.output
    opened: xr.Dataset = xr.open_zarr(out)
    return opened


def equal(found: xr.Dataset, product: xf.SensorProduct) -> None:
    expected = product.compute().dataset
    assert {*found.data_vars} == {*expected.data_vars}
    for name, array in expected.data_vars.items():
        np.testing.assert_array_equal(found[name], array, err_msg=str(name))
    np.testing.assert_array_equal(found[expected.mu.dims[0]], expected[expected.mu.dims[0]])


def test_the_demo_scene_is_fused_as_by_the_python_api(served: Served, tmp_path: Path) -> None:
    s1, s2 = served.products()
    s1 = s1.coregister(s2).attach_mask(catalog=served.url)
    s2 = s2.attach_mask(catalog=served.url, ndvi_max=0.6)
    found = fuse(served, tmp_path / "w.zarr")
    equal(found, s1.gaussian(s2))
    assert 0 < float(found.fusion.usable.mean()) < 1


def test_ndvi_max_is_the_limit_of_the_mask(served: Served, tmp_path: Path) -> None:
    s1, s2 = served.products()
    s1 = s1.coregister(s2).attach_mask(catalog=served.url)
    s2 = s2.attach_mask(catalog=served.url, ndvi_max=0.2)
    equal(fuse(served, tmp_path / "w.zarr", "--ndvi-max", "0.2"), s1.gaussian(s2))


@pytest.mark.parametrize("rule", ["gaussian", "mixture", "minimum_sigma"])
def test_rule_is_the_rule(served: Served, tmp_path: Path, rule: str) -> None:
    found = fuse(served, tmp_path / "w.zarr", "--rule", rule)
    assert found.attrs["fusion_rule"] == rule


def test_correlation_is_that_of_the_errors(served: Served, tmp_path: Path) -> None:
    s1, s2 = served.products()
    s1 = s1.coregister(s2).attach_mask(catalog=served.url)
    s2 = s2.attach_mask(catalog=served.url)
    found = fuse(served, tmp_path / "w.zarr", "--correlation", "0.4")
    equal(found, s1.gaussian(s2, correlation=0.4))


@pytest.mark.parametrize("prior", ["0.2", "calibration"])
def test_odds_have_the_prior_that_is_given_or_that_of_the_files(
    probabilities: list[str], tmp_path: Path, prior: str
) -> None:
    out = tmp_path / "w.zarr"
    result = call("fuse", *probabilities, "--rule", "log_odds", "--prior", prior, "--out", out)
    assert result.exit_code == 0, result.output
    found = xr.open_zarr(out)
    np.testing.assert_allclose(found.mu[1, 1], 49 / 9 * 4 / (1 + 49 / 9 * 4), rtol=1e-6)
    np.testing.assert_allclose(found.attrs["fusion_prior"], 0.2)


def test_a_rule_without_what_it_needs_or_with_what_it_does_not_take_is_told(
    probabilities: list[str], tmp_path: Path
) -> None:
    out = ["--out", tmp_path / "w.zarr"]
    for more, message in (
        (["--rule", "log_odds"], "--prior and --rule log_odds go together"),
        (["--prior", "0.2"], "--prior and --rule log_odds go together"),
        (["--rule", "log_odds", "--prior", "1"], "'1' is no number between 0 and 1"),
        (["--rule", "log_odds", "--prior", "half"], "'half' is no number between 0 and 1"),
        (["--rule", "mixture", "--inflate", "birge"], "--inflate is for the rule gaussian"),
    ):
        result = call("fuse", *probabilities, *out, *more)
        assert result.exit_code == 2
        assert message in " ".join(result.output.split())


def test_inflate_makes_what_is_false_unsure(probabilities: list[str], tmp_path: Path) -> None:
    for options, sigma in (([], 0.05 / 2**0.5), (["--inflate", "birge"], 0.5)):
        out = tmp_path / f"{len(options)}.zarr"
        assert call("fuse", *probabilities, *options, "--out", out).exit_code == 0
        found = xr.open_zarr(out)
        np.testing.assert_allclose(found.sigma[0, 0], sigma, rtol=1e-6)
        np.testing.assert_allclose(found.sigma[1, 1], 0.05 / 2**0.5, rtol=1e-6)
        assert "conflict: 1 pixel, 8.3 %" in call("info", out).output


def test_correlation_belongs_to_the_gaussian_rule(served: Served, tmp_path: Path) -> None:
    more = ["--out", tmp_path / "w.zarr", "--rule", "mixture", "--correlation", "0.4"]
    result = call("fuse", *served.arguments, *more)
    assert result.exit_code == 2
    assert "--correlation is for the rule gaussian" in result.output


@pytest.mark.parametrize("name", ["s1", "file"])
def test_grid_may_be_that_of_a_sensor_or_of_a_file(
    served: Served, tmp_path: Path, name: str
) -> None:
    s1, _ = served.products()
    grid = "s1" if name == "s1" else str(served.scene.s1_mu)
    found = fuse(served, tmp_path / "w.zarr", "--grid", grid)
    assert found.fusion.product.geobox == s1.geobox


def test_grid_may_be_a_crs_and_a_resolution_over_all_sensors(
    served: Served, tmp_path: Path
) -> None:
    found = fuse(served, tmp_path / "w.zarr", "--grid", "EPSG:4326,0.001")
    geobox = found.fusion.product.geobox
    assert geobox.crs.epsg == 4326
    assert geobox.resolution.x == pytest.approx(0.001)
    for product in served.products():
        assert geobox.extent.contains(product.geobox.extent.to_crs("EPSG:4326").buffer(-1e-6))


def test_an_unknown_grid_is_one_line(served: Served, tmp_path: Path) -> None:
    result = call("fuse", *served.arguments, "--out", tmp_path / "w.zarr", "--grid", "s9")
    assert result.exit_code == 1
    assert result.output.startswith("Error: --grid 's9' is no sensor of ['s1', 's2'], no file")
    assert len(result.output.splitlines()) == 1


@pytest.mark.parametrize("with_mask", [False, True])
def test_sensor_adds_any_other_with_or_without_a_mask(
    served: Served, tmp_path: Path, with_mask: bool
) -> None:
    s1, s2 = served.products()
    third = s2.exclude(s2.mu > 0.5).compute()
    xf.to_cog(third.dataset, tmp_path, prefix="third_", item=False, progress=False)
    files = [str(tmp_path / f"third_{name}.tif") for name in ("mu", "sigma", "mask")]
    given = files if with_mask else files[:2]
    found = fuse(served, tmp_path / "w.zarr", "--sensor", "third", *given)
    other = xf.SensorProduct(dataset=xf.raster.open_retrieval(*given, sensor="third"))
    s1 = s1.coregister(s2).attach_mask(catalog=served.url)
    s2 = s2.attach_mask(catalog=served.url)
    equal(found, s1.gaussian(s2, other))
    assert found.source.attrs["flag_meanings"] == "sentinel-1 sentinel-2 third"


def test_sensors_alone_need_no_catalogue(served: Served, tmp_path: Path) -> None:
    s = served.scene
    out = tmp_path / "w.zarr"
    more = ["--sensor", "a", s.s1_mu, s.s1_sigma, "--sensor", "b", s.s2_mu, s.s2_sigma]
    assert call("fuse", *more, "--grid", "b", "--out", out).exit_code == 0
    a, b = (
        SensorFiles(name=n, mu=m, sigma=g)
        for n, m, g in (("a", s.s1_mu, s.s1_sigma), ("b", s.s2_mu, s.s2_sigma))
    )
    equal(xr.open_zarr(out), fuse_files([a, b], grid="b"))


@pytest.mark.parametrize("values", [[], ["a"], ["a", "mu.tif"], ["a", "b", "c", "d", "e"]])
def test_a_sensor_of_too_few_or_many_values_is_told(values: list[str], tmp_path: Path) -> None:
    result = call("fuse", "--sensor", *values, "--out", tmp_path / "w.zarr")
    assert result.exit_code == 2
    assert "--sensor takes NAME MU SIGMA [MASK]" in result.output


def test_one_sensor_is_too_few(served: Served, tmp_path: Path) -> None:
    s = served.scene
    result = call("fuse", "--s1", s.s1_mu, s.s1_sigma, "--out", tmp_path / "w.zarr")
    assert result.exit_code == 2
    assert "at least two of --s1, --s2 and --sensor" in result.output


def test_two_sensors_of_one_name_are_told(served: Served, tmp_path: Path) -> None:
    s = served.scene
    twice = ["--sensor", "a", s.s1_mu, s.s1_sigma] * 2
    result = call("fuse", *twice, "--out", tmp_path / "w.zarr")
    assert (result.exit_code, "two sensors of one name" in result.output) == (1, True)


def test_a_mask_without_a_date_is_told(served: Served, tmp_path: Path) -> None:
    arguments = served.arguments[:-2]
    result = call("fuse", *arguments, "--out", tmp_path / "w.zarr")
    assert result.exit_code == 1
    assert result.output.startswith("Error: s1: the retrieval has no `time`")
    assert "give its day, --date 2023-06-20" in result.output
    assert not (tmp_path / "w.zarr").exists()


@pytest.mark.parametrize(
    ("instead", "said"),
    [
        (["--date", "tomorrow"], "s1: --date 'tomorrow' is not a date"),
        (["--date", "2023-07-20"], "check --date, or give another --catalog-s1"),
        (["--date", "2023-06-20T03:00:00"], "--date 2023-06-20 uses all passes of that day"),
        (["--catalog-s1", "http://127.0.0.1:1"], "try again, or give another --catalog-s1"),
        (["--catalog-s2", "http://127.0.0.1:1"], "try again, or give another --catalog-s2"),
        (["--grid", "EPSG:99999,10"], "--grid 'EPSG:99999,10': PROJ knows no CRS 'EPSG:99999'"),
        (["--correlation", "-0.9"], "--correlation -0.9: must be -0.5 to 1 for 3 sensors"),
        (["--sensor", "b", "S1_MU", "S2_SIGMA"], "b: sigma and mu are not .* rio warp --like"),
    ],
)
def test_errors_speak_of_options_of_the_command_not_of_arguments_of_functions(
    served: Served, tmp_path: Path, instead: list[str], said: str
) -> None:
    s = served.scene
    files = {"S1_MU": s.s1_mu, "S2_SIGMA": s.s2_sigma}
    third = ["--sensor", "c", s.s1_mu, s.s1_sigma] if "--correlation" in instead else []
    options = [str(files.get(word, word)) for word in instead]
    result = call("fuse", *served.arguments, *third, *options, "--out", tmp_path / "w.zarr")
    assert result.exit_code == 1
    assert re.search(said, result.output), result.output
    assert not re.search(PYTHON, result.output), result.output
    assert not (tmp_path / "w.zarr").exists()


def test_a_catalogue_that_is_nowhere_is_told_with_those_that_have_names(
    served: Served, tmp_path: Path
) -> None:
    out = tmp_path / "w.zarr"
    result = call("fuse", *served.arguments, "--catalog-s2", "missing.json", "--out", out)
    assert result.exit_code == 2
    assert "'--catalog-s2': 'missing.json' is no URL, no file" in result.output
    assert "earth-search" in result.output
    assert not out.exists()


@pytest.mark.parametrize("name", ["water.tif", "water.nc"])
def test_out_that_looks_like_a_file_is_told_before_anything_is_opened(
    tmp_path: Path, name: str
) -> None:
    sensors = ["--sensor", "a", "no.tif", "no.tif", "--sensor", "b", "no.tif", "no.tif"]
    result = call("fuse", *sensors, "--out", tmp_path / name)
    assert result.exit_code == 2
    assert "looks like a file, but a result is several: give a folder" in result.output
    assert f"--out {tmp_path / 'water'}.zarr" in result.output


def test_cogs_without_a_date_are_written_without_an_item_which_is_told(
    served: Served, tmp_path: Path
) -> None:
    s = served.scene
    more = ["--sensor", "a", s.s1_mu, s.s1_sigma, "--sensor", "b", s.s1_mu, s.s1_sigma]
    result = call("fuse", *more, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "Warning: no STAC item is written: the retrieval has no `time`" in result.output
    assert "give it, --date 2023-06-20" in result.output
    assert not list((tmp_path / "out").glob("*.json"))
    assert call("info", tmp_path / "out").exit_code == 0


def test_an_error_is_one_line_and_a_traceback_under_debug(served: Served, tmp_path: Path) -> None:
    arguments = [*served.arguments, "--out", str(tmp_path / "w.zarr")]
    arguments[1] = "missing.tif"
    ran = [
        subprocess.run(
            [sys.executable, "-m", "xfusion", "fuse", *arguments, *debug],
            check=False,
            capture_output=True,
            text=True,
        )
        for debug in ([], ["--debug"])
    ]
    assert [each.returncode for each in ran] == [1, 1]
    assert ran[0].stderr.count("\n") == 1
    assert "missing.tif" in ran[0].stderr
    assert "Traceback" in ran[1].stderr


def test_resume_goes_on_and_restart_begins_anew(served: Served, tmp_path: Path) -> None:
    out = tmp_path / "w.zarr"
    s1, s2 = served.products()
    other = s1.coregister(s2, chunks=64).gaussian(s2.coregister(s2, chunks=64))
    break_off(other.dataset, out)
    refused = call("fuse", *served.arguments, "--out", out, "--resume")
    assert refused.exit_code == 1
    assert "holds an unfinished run of another job" in refused.output
    assert "choose another --out, or begin anew with --restart" in refused.output
    fuse(served, out, "--restart")
    fuse(served, tmp_path / "v.zarr")
    assert contents(out) == contents(tmp_path / "v.zarr")


def test_quiet_prints_nothing(served: Served, tmp_path: Path) -> None:
    arguments = [*served.arguments, "--out", tmp_path / "w.zarr"]
    assert call("fuse", *arguments, "--quiet").output == ""
    shutil.rmtree(tmp_path / "w.zarr")
    said = call("fuse", *arguments).output
    assert "1 of 1 block (100 %)" in said
    assert "xfusion info" in said


def test_scheduler_computes_on_a_cluster(served: Served, tmp_path: Path) -> None:
    with local_cluster() as cluster:
        fuse(served, tmp_path / "w.zarr", "--scheduler", cluster.scheduler_address)
    fuse(served, tmp_path / "v.zarr")
    assert contents(tmp_path / "w.zarr") == contents(tmp_path / "v.zarr")


def test_a_folder_gets_cogs_and_an_item(served: Served, tmp_path: Path) -> None:
    result = call("fuse", *served.arguments, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    zarr = fuse(served, tmp_path / "w.zarr")
    for name in ("mu", "sigma", "mask", "source"):
        array = xf.raster.open_raster(tmp_path / "out" / f"{name}.tif", masked=False)
        np.testing.assert_array_equal(array, zarr[name])
    [item] = (tmp_path / "out").glob("*.json")
    assert json.loads(item.read_text())["type"] == "Feature"


@pytest.mark.some(one_in=2)
@pytest.mark.parametrize("kind", ["store", "folder", "mu", "sigma", "item"])
def test_info_tells_sensors_shares_masks_and_parameters(
    served: Served, tmp_path: Path, kind: str
) -> None:
    out = tmp_path / ("w.zarr" if kind == "store" else "out")
    assert call("fuse", *served.arguments, "--out", out, "--correlation", "0.25").exit_code == 0
    files = {"mu": "mu.tif", "sigma": "sigma.tif", "item": "item.json"}
    result = call("info", out / files.get(kind, ""))
    assert result.exit_code == 0, result.output
    zarr = out if kind == "store" else tmp_path / "v.zarr"
    dataset = xr.open_zarr(out) if kind == "store" else fuse(served, zarr, "--correlation", "0.25")
    words = [line.split(maxsplit=1) for line in result.output.splitlines()]
    lines = {each[0]: each[-1] for each in words}
    assert "sensors: sentinel-1, sentinel-2" in result.output
    assert "time: 2023-06-20" in result.output
    assert lines["usable:"] == f"{100 * float((dataset.mask == 0).mean()):.1f} %"
    both = float((dataset.source == 3).mean())
    assert lines["sentinel-1+sentinel-2"] == f"{100 * both:.1f} %"
    cloud = float((dataset.mask & xf.Exclusion.CLOUD > 0).mean())
    assert lines.get("cloud", "0.0 %") == f"{100 * cloud:.1f} %"
    assert lines["fusion_correlation"] == "0.25"


def test_usable_of_info_counts_pixels_with_an_estimate(tmp_path: Path) -> None:
    mu = np.ones((4, 4), np.float32)
    mu[0] = np.nan
    xf.to_zarr(xf.retrieval(mu, mu, mu * 0 > 1), tmp_path / "w.zarr", progress=False)
    assert "usable: 75.0 %" in call("info", tmp_path / "w.zarr").output


def test_info_of_an_unfinished_run_says_so(served: Served, tmp_path: Path) -> None:
    s1, s2 = served.products()
    break_off(
        s1.coregister(s2, chunks=32).gaussian(s2.coregister(s2, chunks=32)).dataset,
        tmp_path / "w.zarr",
    )
    result = call("info", tmp_path / "w.zarr")
    assert (result.exit_code, "is an unfinished run" in result.output) == (1, True)


def test_an_address_of_a_store_stays_one(served: Served, tmp_path: Path) -> None:
    out = (tmp_path / "a b.zarr").as_uri()
    assert call("fuse", *served.arguments, "--out", out).exit_code == 0
    assert call("info", out).exit_code == 0
    assert (tmp_path / "a b.zarr" / "zarr.json").exists()
    unknown = call("fuse", *served.arguments, "--out", "foo://user:hunter2@x/y.zarr?sig=hunter3")
    assert unknown.exit_code == 1
    assert "hunter" not in unknown.output
    assert unknown.output.splitlines()[-1].startswith("Error: foo://x/y.zarr")


def test_sensor_takes_its_values_after_an_equals_sign_too(served: Served, tmp_path: Path) -> None:
    s = served.scene
    more = ["--sensor=a", s.s1_mu, s.s1_sigma, "--sensor=b", s.s2_mu, s.s2_sigma]
    assert call("fuse", *more, "--out", tmp_path / "w.zarr").exit_code == 0


@pytest.mark.parametrize(
    ("option", "value"), [("--catalog-s2", "http://127.0.0.1:1"), ("--ndvi-max", "0.5")]
)
def test_an_option_of_a_sensor_that_is_not_given_is_told(
    served: Served, tmp_path: Path, option: str, value: str
) -> None:
    s = served.scene
    more = ["--sensor", "a", s.s1_mu, s.s1_sigma, "--sensor", "b", s.s2_mu, s.s2_sigma]
    result = call("fuse", *more, option, value, "--out", tmp_path / "w.zarr")
    assert result.exit_code == 2
    assert f"{option} is for --s2, which is not given" in result.output


@pytest.mark.parametrize("option", ["--ndvi-max", "--correlation"])
def test_what_is_no_number_is_told(served: Served, tmp_path: Path, option: str) -> None:
    result = call("fuse", *served.arguments, option, "nan", "--out", tmp_path / "w.zarr")
    assert (result.exit_code, f"{option} is no number" in result.output) == (2, True)


def test_info_of_a_folder_that_is_called_like_a_file(served: Served, tmp_path: Path) -> None:
    s1, _ = served.products()
    s1.to_cog(tmp_path / "water.tif", progress=False)
    assert call("info", tmp_path / "water.tif").exit_code == 0
    assert "is not there: give a Zarr" in call("info", tmp_path / "vapour.tif").output


def test_info_of_what_is_no_result_is_one_line(tmp_path: Path) -> None:
    result = call("info", tmp_path)
    assert (result.exit_code, result.output.count("\n")) == (1, 1)
    assert "is no result: give a Zarr store" in result.output


def test_info_of_a_file_names_it_and_what_is_not_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a_mu.tif", "b_item.json", "c.tif"):
        Path(name).touch()
    expected = {
        "a_mu.tif": "a_mu.tif is no result, there is no a_sigma.tif beside it: give",
        "b_item.json": "b_item.json is no result, there is no b_mu.tif and no b_sigma.tif beside",
        "c.tif": "c.tif is no result: give a Zarr store",
    }
    for name, said in expected.items():
        result = call("info", name)
        assert result.exit_code == 1
        assert said in result.output
    Path("f").mkdir()
    Path("f/mu.tif").touch()
    assert "f is no result, there is no sigma.tif in it" in call("info", "f").output


@pytest.mark.parametrize("number", ["-1", "0", "inf", "nan", "-1e-4"])
def test_a_resolution_of_the_grid_that_is_none_is_told(
    number: str, served: Served, tmp_path: Path
) -> None:
    arguments = (*served.arguments, "--grid", f"EPSG:4326,{number}", "--out", tmp_path / "o")
    result = call("fuse", *arguments)
    assert result.exit_code == 1
    assert (
        f"--grid 'EPSG:4326,{number}': a resolution of {float(number)}: give the side"
        in result.output
    )
    assert "no sensor" not in result.output


@pytest.mark.parametrize("command", [[], ["fuse"], ["info"], ["demo"]])
def test_help_reads_well(command: list[str]) -> None:
    said = call(*command, "--help").output
    assert "\b" not in said
    assert all(len(line) <= 80 for line in said.splitlines())
    assert ":param" not in said


def test_restart_replaces_the_files_of_a_folder(served: Served, tmp_path: Path) -> None:
    arguments = [*served.arguments, "--out", tmp_path / "out"]
    assert call("fuse", *arguments).exit_code == 0
    again = call("fuse", *arguments, "--rule", "mixture")
    assert again.exit_code == 1
    assert ".tif exists: give --restart to replace it, or another --out" in again.output
    assert call("fuse", *arguments, "--rule", "mixture", "--restart").exit_code == 0
    assert "mixture" in call("info", tmp_path / "out").output


def test_an_address_with_a_password_is_refused_without_it(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("y.tif", "y.zarr", "y"):
        result = call("fuse", *served.arguments, "--out", f"foo://user:hunter2@x/{name}")
        assert result.exit_code != 0
        assert "hunter2" not in result.output
        assert f"foo://x/{name}" in result.output
    assert [*tmp_path.iterdir()] == []


def test_a_store_is_verified_and_what_is_broken_is_named(served: Served, tmp_path: Path) -> None:
    store = tmp_path / "w.zarr"
    assert call("fuse", *served.arguments, "--out", store).exit_code == 0
    sound = call("verify", store)
    assert (sound.exit_code, f"{store} is sound" in sound.output) == (0, True)
    shard = store / "mu" / "c" / "0" / "0"
    shard.write_bytes(shard.read_bytes()[:-3])
    broken = call("verify", store, "--quiet")
    assert broken.exit_code == 1
    assert "mu/c/0/0: its index is not what was written" in broken.output
    again = call("fuse", *served.arguments, "--out", store)
    assert (again.exit_code, "mu/c/0/0 did not read" in again.output) == (0, True)
    assert call("verify", store).exit_code == 0
    assert call("verify", tmp_path / "none.zarr").exit_code == 1
