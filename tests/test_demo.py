"""The command ``xfusion demo`` from outside, and the parts of it that others may use."""

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import psutil
import pytest
import rasterio
import xarray as xr
from click.testing import CliRunner
from matplotlib.axes import Axes
from matplotlib.image import imread
from numpy.typing import NDArray

import xfusion as xf
from xfusion import demo
from xfusion.cli import main
from xfusion.demo.scene import Scene

COMMAND = [sys.executable, "-m", "xfusion", "demo", "--size", "0.25"]
MAPS = tuple(f"water_{name}.tif" for name in ("mu", "sigma", "mask", "source", "conflict"))
FILES = {*MAPS, "water_item.json", "water.png", "truth.tif", "report.html"}


def start(out: Path, *options: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, "--out", str(out), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | environment,
    )


def servers(process: psutil.Process) -> list[psutil.Process]:
    """What a process has started to serve its items: the server and its supervisor."""
    family = process.children(recursive=True)
    return family if any(map(is_rustac, family)) else []


def is_rustac(process: psutil.Process) -> bool:
    """Whether it is the server; in a folder with a blank in its name, pip has a shell start it."""
    return any("rustac" in Path(word).name for word in (process.name(), *process.cmdline()[:2]))


def contents(folder: Path) -> dict[str, bytes]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


class Run(NamedTuple):
    out: Path
    stdout: str
    stderr: str
    contents: dict[str, bytes]

    def section(self, title: str) -> dict[str, float]:
        """The numbers of a section of the summary."""
        block = self.stdout.partition(f"{title}\n")[2]
        lines = re.match(r"(?:  .+\n)*", block)
        assert lines is not None
        pairs = (line.rsplit(maxsplit=1) for line in lines[0].splitlines())
        return {name.strip(): float(number) for name, number in pairs}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    # A blank in the path, because hrefs are URLs and file names are not.
    out = tmp_path_factory.mktemp("first") / "a folder"
    process = start(out)
    stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == 0, stderr
    return Run(out, stdout, stderr, contents(out))


# A run that succeeds


def test_it_leaves_the_maps_the_picture_and_the_scene(run: Run) -> None:
    assert {path.name for path in run.out.iterdir()} == FILES | {"scene"}
    written, _, words = run.stdout.partition("written\n")[2].partition("\n\n")
    assert written.split("\n") == [
        f"  {run.out / name}"
        for name in (*MAPS, "water_item.json", "water.png", "truth.tif", "report.html")
    ]
    lines = words.splitlines()
    assert re.fullmatch(r"Fused \d+ pixels of sentinel-1 and sentinel-2\.", lines[0])
    out, truth = shlex.quote(str(run.out)), shlex.quote(str(run.out / "truth.tif"))
    assert lines[-3] == f"  xfusion info {out} --threshold 0.5"
    assert lines[-1] == f"  xfusion report {out} --threshold 0.5 --reference {truth}"


def test_the_truth_is_on_the_grid_of_the_maps_and_gives_scores(run: Run, tmp_path: Path) -> None:
    with rasterio.open(run.out / "truth.tif") as file, rasterio.open(run.out / MAPS[0]) as mu:
        assert (file.shape, file.transform, file.crs) == (mu.shape, mu.transform, mu.crs)
        truth, estimate = file.read(1), mu.read(1)
        assert (run.out / "truth.tif").stat().st_size < 200_000
    assert 0 <= truth.min() < 0.01
    assert 0.99 < truth.max() <= 1
    both = rasterio.open(run.out / "water_source.tif").read(1) == 3
    rmse = np.sqrt(np.mean((estimate - truth)[both] ** 2))
    assert rmse == pytest.approx(run.section("error against the truth (RMSE)")["fused"], abs=1e-4)
    out = tmp_path / "scored.html"
    words = ["report", run.out, "--reference", run.out / "truth.tif", "--out", out]
    done = CliRunner().invoke(main, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    assert "Reliability diagram" not in out.read_text()
    assert "rmse" in out.read_text()


def test_the_report_tells_the_area_of_water_and_how_sure_that_is(run: Run) -> None:
    page = (run.out / "report.html").read_text()
    found = re.search(r"<strong>([\d.]+) km² </strong>± ([\d.]+) km²", page)
    assert found is not None
    area, sigma = map(float, found.groups())
    truth, source = (
        rasterio.open(run.out / name).read(1) for name in ("truth.tif", "water_source.tif")
    )
    true = ((truth > 0.5) & (source > 0)).sum() * 1e-4
    assert 0 < sigma < true / 10
    assert abs(area - true) < 3 * sigma


@pytest.mark.parametrize(
    ("name", "dtype", "nodata"),
    [
        ("mu", "float32", np.nan),
        ("sigma", "float32", np.nan),
        ("mask", "uint8", None),
        ("source", "uint8", None),
        ("conflict", "uint8", None),
    ],
)
def test_maps_are_cogs_on_one_grid(run: Run, name: str, dtype: str, nodata: float | None) -> None:
    with rasterio.open(run.out / "water_mu.tif") as reference:
        shape, transform = reference.shape, reference.transform
    with rasterio.open(run.out / f"water_{name}.tif") as file:
        assert (file.shape, file.transform, file.count) == (shape, transform, 1)
        assert (file.crs.to_epsg(), file.res) == (32634, (10, 10))
        assert file.dtypes == (dtype,)
        assert file.nodata is None if nodata is None else np.isnan(file.nodata)
        tags = [file.get_tag_item(tag, "TIFF", 1) for tag in ("IFD_OFFSET", "BLOCK_OFFSET_0_0")]
        assert int(tags[0]) < int(tags[1])  # what a reader asks for first comes first


def test_maps_agree_with_each_other(run: Run) -> None:
    mu, sigma, mask, source = (
        rasterio.open(run.out / f"water_{name}.tif").read(1)
        for name in ("mu", "sigma", "mask", "source")
    )
    np.testing.assert_array_equal(np.isfinite(mu), source > 0)
    np.testing.assert_array_equal(np.isfinite(sigma), source > 0)
    np.testing.assert_array_equal(mask == 0, source > 0)
    assert set(np.unique(source)) == {0, 1, 2, 3}
    counts = run.section("pixels by source")
    assert list(counts) == ["none", "sentinel-1", "sentinel-2", "sentinel-1+sentinel-2"]
    assert list(counts.values()) == np.bincount(source.ravel()).tolist()


def test_mu_beyond_0_and_1_is_noise_of_the_sensors_without_which_sums_find_water(run: Run) -> None:
    with rasterio.open(run.out / "water_mu.tif") as file:
        mu = file.read(1, masked=True)
    seen = [rasterio.open(run.out / f"scene/s{n}_mu.tif").read(1, masked=True) for n in (1, 2)]
    # an average of what sensors say, by weights that are not negative
    assert min(each.min() for each in seen) <= mu.min() < 0
    assert 1 < mu.max() <= max(each.max() for each in seen)
    fused = xf.raster.open_retrieval(run.out / "water_mu.tif", run.out / "water_sigma.tif")
    at = run.out / "scene"
    scene = Scene(at, at, at, at, at, at, size=0.25)  # of which the truth needs the size alone
    truth = scene.truth(fused.fusion.product.geobox)[np.isfinite(fused.mu)].sum()
    assert float(fused.mu.sum()) == pytest.approx(truth, rel=0.02)
    assert float(xf.gaussian(fused, bounded=(0, 1)).mu.sum()) > 1.2 * truth
    assert "Below 0 and above 1 mu is noise" in run.stdout


def test_summary_says_that_fusion_is_better_and_masks_help(run: Run) -> None:
    error = run.section("error against the truth (RMSE)")
    assert 0 < error["fused"] < min(error["sentinel-1"], error["sentinel-2"])
    assert error["fused, all pixels"] < 0.8 * error["fused, no masks"]


def test_odds_of_calibrated_sensors_are_the_better_probability_of_water(run: Run) -> None:
    score = run.section("error of the probability of water (Brier score)")
    assert list(score) == ["gaussian", "log_odds"]
    assert 0 < score["log_odds"] < 0.8 * score["gaussian"] < 0.04


def test_progress_goes_where_it_does_not_mix_with_the_summary(run: Run) -> None:
    assert "(100 %)" in run.stderr
    assert "tasks" not in run.stdout


def test_nothing_but_progress_is_on_stderr(run: Run) -> None:
    lines = run.stderr.splitlines()
    assert [
        line for line in lines if not re.match(r"fusing the scene: \d+ of \d+ tasks", line)
    ] == []
    assert "\r" not in run.stderr


@pytest.mark.thorough
def test_two_more_runs_at_once_in_that_folder_make_the_same(run: Run, tmp_path: Path) -> None:
    both = [start(run.out, "--quiet", TMPDIR=str(tmp_path)) for _ in range(2)]
    results = [process.communicate(timeout=120) for process in both]
    for process, (stdout, stderr) in zip(both, results, strict=True):
        assert (process.returncode, stdout, stderr) == (0, run.stdout, "")
    assert contents(run.out) == run.contents
    assert list(tmp_path.iterdir()) == []


# A run that ends otherwise


@contextmanager
def serving(
    out: Path, folder: Path
) -> Iterator[tuple[subprocess.Popen[str], list[psutil.Process]]]:
    """Start a run, and wait until its server is there."""
    # so large that the run does not end before a busy machine has seen its server
    with start(out, "--size", "0.8", TMPDIR=str(folder)) as process:
        try:
            family: list[psutil.Process] = []
            while not family and process.poll() is None:
                time.sleep(0.01)
                family = servers(psutil.Process(process.pid))
            assert family, process.communicate()[1]
            yield process, family
        finally:
            process.kill()


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")
@pytest.mark.some(one_in=3)
@pytest.mark.parametrize(
    ("ending", "codes"),
    [
        pytest.param(signal.SIGINT, {1, -signal.SIGINT}, id="interrupted"),
        pytest.param(signal.SIGTERM, {128 + signal.SIGTERM}, id="terminated"),
        pytest.param(signal.SIGKILL, {-signal.SIGKILL}, id="killed"),
    ],
)
def test_server_is_gone_when_the_run_is_ended(
    ending: signal.Signals, codes: set[int], tmp_path: Path
) -> None:
    (tmp_path / "temporary").mkdir()
    with serving(tmp_path / "out", tmp_path / "temporary") as (process, family):
        process.send_signal(ending)
        _, stderr = process.communicate(timeout=60)
        assert process.returncode in codes
        assert "Traceback" not in stderr
    _, alive = psutil.wait_procs(family, timeout=60)
    assert alive == []
    deadline = time.monotonic() + 60
    while any((tmp_path / "temporary").iterdir()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert list((tmp_path / "temporary").iterdir()) == []
    assert not FILES & {path.name for path in (tmp_path / "out").iterdir()}


def test_server_is_gone_when_the_run_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[psutil.Process] = []
    # such as what multiprocessing keeps of a cluster of another test
    before = psutil.Process().children(recursive=True)

    @contextmanager
    def full(*_: object, **__: object) -> Iterator[None]:
        yield
        seen.extend(child for child in servers(psutil.Process()) if child not in before)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("xfusion.demo.run.progress_of_tasks", full)
    with pytest.raises(OSError, match="No space left"):
        demo.run_demo(tmp_path, size=0.2)
    assert seen
    assert psutil.wait_procs(seen, timeout=60)[1] == []


def test_an_error_is_one_line_and_with_debug_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "scene").write_text("in the way")
    process = start(tmp_path)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 1
    assert re.fullmatch(r"Error: .*File exists: .*scene'\n", stderr)
    assert "written" not in stdout
    process = start(tmp_path, "--debug")
    assert "Traceback (most recent call last)" in process.communicate(timeout=60)[1]
    assert process.returncode == 1


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (RuntimeError("the server\n  says this\n"), "Error: the server says this\n"),
        (MemoryError(), "Error: MemoryError\n"),
    ],
)
def test_an_error_of_several_lines_or_none_is_one_line(
    error: Exception, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(demo, "run_demo", fail)
    result = CliRunner().invoke(main, ["demo", "--out", str(tmp_path)])
    assert (result.exit_code, result.stderr) == (1, line)


def test_missing_matplotlib_is_said_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    result = CliRunner().invoke(main, ["demo", "--out", str(tmp_path / "out")])
    assert result.exit_code == 1
    assert 'Error: the picture needs matplotlib: pip install "xfusion[demo]"' in result.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("size", ["0.1", "11", "nan", "inf", "large"])
def test_a_size_that_makes_no_scene_is_refused(size: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["demo", "--size", size, "--out", str(tmp_path / "out")])
    assert result.exit_code > 0
    assert isinstance(result.exception, SystemExit)
    assert not (tmp_path / "out").exists()


# Help


def test_help_names_the_command_and_its_options() -> None:
    top = CliRunner().invoke(main, ["--help"])
    assert re.search("demo +Fuse an example scene", top.stdout)
    for flag in ("-h", "--help"):
        text = CliRunner().invoke(main, ["demo", flag]).stdout
        for option in ("--out", "--size", "--seed", "--quiet", "--debug"):
            assert re.search(rf"{option} .*[A-Z].+\.", text), option
        assert "[default: xfusion-demo]" in text
        assert max(map(len, text.splitlines())) <= 80


def test_version_is_that_of_the_package() -> None:
    assert CliRunner().invoke(main, ["--version"]).stdout.split()[-1] == xf.__version__


# The result and the picture from Python


def test_python_gets_the_numbers_that_the_command_prints(run: Run, tmp_path: Path) -> None:
    result = demo.run_demo(tmp_path, size=0.25)
    assert result.pixels == run.section("pixels by source")
    printed = run.section("error against the truth (RMSE)")
    assert result.rmse == pytest.approx(printed, abs=6e-5)
    scores = run.section("error of the probability of water (Brier score)")
    assert result.brier == pytest.approx(scores, abs=6e-5)
    assert {path.name for path in result.files.values()} == FILES
    assert all(path.is_file() for path in result.files.values())


def test_seed_changes_the_noise_alone(run: Run, tmp_path: Path) -> None:
    result = demo.run_demo(tmp_path, size=0.25, seed=1)
    printed = run.section("error against the truth (RMSE)")
    assert result.rmse != pytest.approx(printed, abs=6e-5)
    assert result.rmse == pytest.approx(printed, rel=0.1)


def test_picture_has_two_rows_of_a_readable_size(run: Run) -> None:
    picture = imread(run.out / "water.png")
    assert picture.shape[:2] == (761, 980)
    assert len(np.unique(picture[::10, ::10].reshape(-1, picture.shape[2]), axis=0)) > 100


@pytest.fixture
def retrievals() -> tuple[xr.Dataset, xr.Dataset]:
    mu = np.linspace(0, 1, 6, dtype=np.float32).reshape(2, 3)
    sigma = np.full_like(mu, 0.1)
    sigma[0, 0] = np.nan
    masked = np.zeros(mu.shape, np.uint8)
    masked[1, 2] = xf.Exclusion.CLOUD
    s1 = xf.retrieval(mu, sigma, sensor="radar")
    s2 = xf.retrieval(mu, sigma, masked, sensor="camera")
    return s1, s2


def image_of(axis: Axes) -> NDArray[Any]:
    pixels = axis.images[0].get_array()
    assert pixels is not None
    return np.ma.filled(pixels, np.nan)


def test_panel_shows_six_maps_by_the_names_of_the_sensors(
    retrievals: tuple[xr.Dataset, xr.Dataset],
) -> None:
    figure = demo.draw_panel(*retrievals, retrievals[0].fusion.gaussian(retrievals[1]))
    panels, bars = figure.axes[:6], figure.axes[6:]
    titles = ["radar: mu", "camera: mu", "fused: mu", "fused: sigma", "source", "mask"]
    assert [axis.get_title() for axis in panels] == titles
    assert [bar.get_xlabel() for bar in bars] == ["mu", "sigma"]
    legends = [axis.get_legend() for axis in panels]
    said = [[text.get_text() for text in each.get_texts()] for each in legends if each]
    assert said == [
        ["none 16.7 %", "radar 16.7 %", "camera 0.0 %", "radar+camera 66.7 %"],
        ["usable 83.3 %", "unknown 16.7 %"],
    ]
    assert [bool(each) for each in legends] == [False] * 4 + [True] * 2


def test_panel_leaves_out_what_is_not_usable(retrievals: tuple[xr.Dataset, xr.Dataset]) -> None:
    s1, s2 = retrievals
    figure = demo.draw_panel(s1, s2, s1.fusion.gaussian(s2))
    drawn = [image_of(axis) for axis in figure.axes[:5]]
    empty = [np.argwhere(np.isnan(image)).tolist() for image in drawn[:4]]
    assert empty == [[[0, 0]], [[0, 0], [1, 2]], [[0, 0]], [[0, 0]]]
    assert drawn[4].tolist() == [[0, 3, 3], [3, 3, 1]]
