"""What is drawn: pixels, legends, scales, scale bars, and colours that readers tell apart."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pyproj
import pytest
import rasterio
import xarray as xr
from affine import Affine
from click.testing import CliRunner
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from odc.geo.xr import xr_zeros

import xfusion as xf
from xfusion.cli import main
from xfusion.datamodel.palette import CATEGORIES, REASONS, SEVERAL
from xfusion.view.map_marks import marks_of
from xfusion.view.scales import scale_of

pytest.importorskip("matplotlib")

UTM = GeoBox.from_bbox((5e5, 5e6, 5e5 + 400, 5e6 + 300), "EPSG:32633", resolution=10)
DEGREES = GeoBox.from_bbox((16, 60, 17, 60.5), "EPSG:4326", resolution=0.01)
COS, SIN = 10 * np.sqrt(0.75), 5.0
ROTATED = GeoBox((60, 80), Affine(COS, SIN, 5e5, SIN, -COS, 5e6), "EPSG:32633")
# Machado, Oliveira and Fernandes (2009), severity 1, of linear RGB
DEFICIENCIES = {
    "none": np.eye(3),
    "protanopia": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "deuteranopia": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
}


def sensor(name: str, value: float, grid: GeoBox = UTM, flag: int = 0) -> xr.Dataset:
    mu = xr_zeros(grid, dtype="f4") + np.float32(value)
    flags = np.zeros(mu.shape, np.uint8)
    flags[:, : mu.shape[1] // 4] = flag
    return xf.retrieval(mu, 0.1, mu.copy(data=flags).astype("u1"), sensor=name)


def legend_of(axes: Any) -> list[str]:
    return [text.get_text() for text in axes.get_legend().get_texts()]


def drawn(image: Any) -> NDArray[np.float64]:
    """Return the pixels of an image, NaN where there are none."""
    pixels: NDArray[np.float64] = np.ma.filled(image.get_array(), np.nan)
    return pixels


OF_FLAGS = [CATEGORIES, (*REASONS.values(), SEVERAL)]


def lab(colours: tuple[str, ...], deficiency: NDArray[np.float64]) -> NDArray[np.float64]:
    rgb = np.array([[int(c[i : i + 2], 16) / 255 for i in (1, 3, 5)] for c in colours])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ deficiency.T, 0, 1)
    to_xyz = np.array(
        [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750],
         [0.0193339, 0.1191920, 0.9503041]]
    )  # fmt: skip
    xyz = seen @ to_xyz.T / [0.95047, 1, 1.08883]
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.stack(
        [116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=1
    )


@pytest.mark.parametrize(
    "colours", [CATEGORIES, (*REASONS.values(), SEVERAL)], ids=["source", "mask"]
)
@pytest.mark.parametrize("deficiency", DEFICIENCIES)
def test_any_two_classes_are_apart_for_colour_blind_readers(
    colours: tuple[str, ...], deficiency: str
) -> None:
    places = lab(colours, DEFICIENCIES[deficiency])
    apart = [float(np.linalg.norm(a - b)) for a, b in itertools.combinations(places, 2)]
    assert min(apart) > 25  # CIE 1976; 2.3 is just noticeable


@pytest.mark.parametrize(
    "colours", [CATEGORIES, (*REASONS.values(), SEVERAL)], ids=["source", "mask"]
)
def test_any_two_classes_are_apart_in_grey(colours: tuple[str, ...]) -> None:
    lightness = np.sort(lab(colours, np.eye(3))[:, 0])
    assert np.diff(lightness).min() > 8


def test_every_mean_has_one_scale_and_its_own_pixels() -> None:
    one, two = sensor("radar", 0.9, flag=1), sensor("optical", 0.2)
    fused = xf.gaussian(one, two)
    axes = xf.plot(fused, sensors=[one, two]).axes
    titles = [axis.get_title() for axis in axes[:6]]
    assert titles == ["radar: mu", "optical: mu", "fused: mu", "fused: sigma", "source", "mask"]
    images = [axis.images[0] for axis in axes[:6]]
    assert {image.get_clim() for image in images[:3]} == {(0.0, 1.0)}
    radar = images[0].get_array()
    assert radar is not None
    np.testing.assert_array_equal(np.ma.getmaskarray(radar)[0], np.arange(40) < 10)
    np.testing.assert_allclose(drawn(images[2]), fused.mu)


def test_legends_name_combinations_and_reasons_with_their_shares() -> None:
    one, two = sensor("radar", 0.9, flag=1), sensor("optical", 0.2)
    axes = {a.get_title(): a for a in xf.plot(xf.gaussian(one, two)).axes}
    said = {t: legend_of(axes[t]) for t in ("source", "mask")}
    assert said["source"] == [
        "none 0.0 %", "radar 0.0 %", "optical 25.0 %", "radar+optical 75.0 %",
    ]  # fmt: skip
    assert said["mask"] == ["usable 100.0 %"]
    alone = {a.get_title(): a for a in xf.plot(one).axes}
    texts = legend_of(alone["mask"])
    assert texts == ["usable 75.0 %", "cloud 25.0 %"]
    assert "source" not in alone


def test_of_many_sensors_combinations_without_a_colour_are_counted_together() -> None:
    sensors = [sensor(f"s{k}", 0.5) for k in range(6)]
    for k, each in enumerate(sensors):
        each["mask"][k * 5 : k * 5 + 5] = 1
    axes = {a.get_title(): a for a in xf.plot(xf.gaussian(*sensors)).axes}
    texts = legend_of(axes["source"])
    assert texts[-1].startswith("5 other combinations")
    shares = [float(text.rpartition(" %")[0].split()[-1]) for text in texts]
    assert sum(shares) == pytest.approx(100, abs=0.5)


def test_units_are_on_the_bar_and_numbers_about_zero_have_it_in_the_middle() -> None:
    mu = xr_zeros(UTM, dtype="f4")
    mu[:] = np.linspace(-3, 4, mu.size).reshape(mu.shape)
    mu.attrs["units"] = "m"
    figure = xf.plot(xf.retrieval(mu, 0.5))
    image = figure.axes[0].images[0]
    low, high = image.get_clim()
    assert low == -high
    assert image.get_cmap().name == "PuOr"
    assert "mu (m)" in [axis.get_xlabel() for axis in figure.axes]


@pytest.mark.parametrize(
    ("numbers", "units", "expected"),
    [
        ([0.2, 0.9], None, (0, 1)),
        ([-0.1, 0.0, 0.3, 1.1], None, (0, 1)),  # noise of shares
        ([0.2, 0.9], "m", None),
        ([np.nan, np.nan], None, (0, 1)),
        ([5.0, 5.0], "m", (4.5, 5.5)),
        ([0.0, 0.0], "m", (-1, 1)),
    ],
)
def test_a_scale_is_of_the_numbers_unless_they_are_shares(
    numbers: list[float], units: str | None, expected: tuple[float, float] | None
) -> None:
    (low, high), _ = scale_of([np.array(numbers)], units)
    assert low < high
    if expected is not None:
        assert (low, high) == expected
    else:
        assert low > 0.2


@pytest.mark.parametrize("grid", [UTM, DEGREES, ROTATED], ids=["utm", "degrees", "rotated"])
def test_a_scale_bar_is_as_long_on_the_ground_as_it_says(grid: GeoBox) -> None:
    marks = marks_of(grid)
    assert marks is not None
    rows, columns = grid.shape
    middle = rows / 2
    a, b, left, d, e, top = tuple(grid.transform)[:6]
    reach = [columns / 2 + sign * marks.columns / 2 for sign in (-1, 1)]
    ends = [(a * c + b * middle + left, d * c + e * middle + top) for c in reach]
    to_degrees = pyproj.Transformer.from_crs(str(grid.crs), "EPSG:4326", always_xy=True)
    start, stop = (to_degrees.transform(*end) for end in ends)
    metres = pyproj.Geod(ellps="WGS84").inv(*start, *stop)[2]
    assert metres == pytest.approx(marks.length, rel=2e-3)
    assert marks.columns <= 0.36 * columns
    lines = xf.plot(sensor("s", 0.5, grid)).axes[0].lines
    (line,) = [line for line in lines if line.get_gid() == "scale bar"]
    assert np.ptp(np.asarray(line.get_xdata())) == pytest.approx(marks.columns)


@pytest.mark.parametrize(
    ("grid", "expected"),
    [(UTM, (0, -1)), (DEGREES, (0, -1)), (ROTATED, (0.5, -np.sqrt(0.75)))],
    ids=["utm", "degrees", "rotated"],
)
def test_the_arrow_points_north(grid: GeoBox, expected: tuple[float, float]) -> None:
    marks = marks_of(grid)
    assert marks is not None
    np.testing.assert_allclose(marks.north, expected, atol=0.02)


def test_a_map_without_a_crs_has_no_scale_bar_and_no_north() -> None:
    axis = xf.plot(xf.retrieval(np.full((8, 9), 0.5), 0.1)).axes[0]
    assert not axis.lines
    assert not axis.texts


def test_what_was_not_looked_at_is_hatched_and_the_title_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from xfusion.view import looking

    monkeypatch.setattr(looking.look, "__kwdefaults__", {"side": 1024, "most": 300})
    lazy = da.full((40, 40), 0.5, chunks=10, dtype="f4")
    axis = xf.plot(xf.retrieval(lazy, lazy * 0 + 0.1)).axes[0]
    assert axis.get_title() == "mu\nevery 6th block"
    assert axis.patch.get_hatch() == "////"
    shown = np.asarray(axis.images[0].get_alpha())
    assert 0 < shown.mean() <= 0.25


def test_a_cube_needs_a_time_and_the_error_names_the_call() -> None:
    days = [sensor("s", v).assign_coords(time=np.datetime64(f"2023-06-0{d}", "ns"))
            for d, v in ((1, 0.2), (2, 0.8))]  # fmt: skip
    cube = xf.stack(days, dim="time")
    with pytest.raises(ValueError, match=r"xf\.plot\(ds\.isel\(time=0\)\)"):
        xf.plot(cube)
    shown = xf.plot(cube, time="2023-06-02").axes[0].images[0]
    assert float(drawn(shown)[0, 0]) == pytest.approx(0.8)


def test_sensors_on_another_grid_and_too_few_axes_are_refused() -> None:
    fused = sensor("s", 0.5)
    with pytest.raises(ValueError, match="coregister"):
        xf.plot(fused, sensors=[sensor("t", 0.5, DEGREES)])
    figure = xf.plot(fused)
    with pytest.raises(ValueError, match="1 axes are given as ax, the picture has 3 panels"):
        xf.plot(fused, ax=figure.axes[0])


@pytest.mark.some(one_in=4)
@pytest.mark.parametrize("shape", [(40, 60), (20, 300), (300, 20)], ids=str)
@pytest.mark.parametrize("count", [2, 4, 8])
def test_bars_and_legends_stand_under_their_maps_and_hide_nothing(
    shape: tuple[int, int], count: int
) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    sensors = []
    for k in range(count):
        mu = xr.DataArray(np.full(shape, 4.0 + k / 4), dims=("y", "x"), attrs={"units": "m"})
        mask = np.zeros(shape, np.uint8)
        mask.ravel()[k :: count + 1] = 1 << k
        sensors.append(xf.retrieval(mu, 0.1, mask, sensor=f"sensor-number-{k}"))
    fused = xf.gaussian(*sensors)
    # all reasons, alone and together
    fused["mask"].to_numpy().ravel()[:9] = [0, 1, 2, 4, 8, 16, 32, 64, 192]
    figure = xf.plot(fused, sensors=sensors)
    canvas: Any = FigureCanvasAgg(figure)
    renderer = canvas.get_renderer()
    figure.draw(renderer)
    maps = [axis for axis in figure.axes if axis.get_title()]
    bars = [axis for axis in figure.axes if not axis.get_title()]
    assert [axis.get_xlabel() for axis in bars][-1] == "sigma (m)"
    boxes = [axis.get_tightbbox(renderer) for axis in figure.axes]
    page = figure.bbox
    for box in boxes:
        assert box is not None
        assert page.x0 <= box.x0 <= box.x1 <= page.x1
        assert page.y0 <= box.y0 <= box.y1 <= page.y1
    for one, other in itertools.combinations(boxes, 2):
        assert one is not None
        assert other is not None
        overlap = [min(one.x1, other.x1) - max(one.x0, other.x0),
                   min(one.y1, other.y1) - max(one.y0, other.y0)]  # fmt: skip
        assert min(overlap) <= 1  # of a pixel: ends of what is beside each other
    for bar in bars:
        box = bar.get_window_extent()
        above = [m.get_window_extent() for m in maps]
        feet = [m.y0 for m in above if m.x0 < (box.x0 + box.x1) / 2 < m.x1 and m.y0 > box.y1]
        between = [m.y0 for m in above if m.x0 < box.x1 and m.x1 > box.x0 and m.y0 > box.y1]
        assert 0 < min(feet or between) - box.y1 < 0.15 * figure.dpi


def test_maps_beside_each_other_of_one_scale_have_one_bar_and_given_axes_have_theirs() -> None:
    import matplotlib.figure

    one, two = sensor("radar", 0.9), sensor("optical", 0.2)
    fused = xf.gaussian(one, two, diagnostics=True)
    labels = [axis.get_xlabel() for axis in xf.plot(fused, sensors=[one, two]).axes[9:]]
    assert labels == ["mu", "sigma", "weight", "reduced chi2"]
    axes = matplotlib.figure.Figure(layout="constrained").subplots(1, 4)
    figure = xf.plot(xf.gaussian(one, two), ax=axes)
    assert figure is axes[0].figure
    assert [axis.get_xlabel() for axis in figure.axes[4:]] == ["mu", "sigma"]


def test_a_notebook_shows_a_picture_whatever_else_it_has_imported() -> None:
    from IPython.core.formatters import PNGFormatter

    figures = [
        xf.plot(sensor("s", 0.5)),
        xf.plot_area(xf.area(sensor("s", 0.25), correlation=100.0)),
    ]
    for figure in figures:
        shown: Any = PNGFormatter()(figure)
        assert shown.startswith(b"\x89PNG")


@pytest.mark.parametrize("shape", [(1, 1), (2, 300), (300, 2)])
def test_the_smallest_and_the_longest_grids_are_drawn(shape: tuple[int, int]) -> None:
    mu = np.full(shape, np.nan, np.float32)
    image = xf.plot(xf.retrieval(mu, mu)).axes[0].images[0]
    assert np.isnan(drawn(image)).all()


# Scores, series, weights, areas


def test_reliability_is_what_is_observed_in_each_bin() -> None:
    rng = np.random.default_rng(0)
    mu = rng.random((60, 60))
    truth = xr.DataArray((rng.random(mu.shape) < mu**2).astype(int), dims=("y", "x"))
    scores = xf.assess(xf.retrieval(mu, 0.2), truth)
    axis = xf.plot_reliability({"made": scores}).axes[0]
    x, y = (np.asarray(v) for v in axis.lines[1].get_data())
    bins = np.minimum((mu * 10).astype(int), 9)
    np.testing.assert_allclose(x, [mu[bins == b].mean() for b in range(10)], atol=1e-3)
    observed = [float(truth.to_numpy()[bins == b].mean()) for b in range(10)]
    np.testing.assert_allclose(y, observed, atol=0.01)
    with pytest.raises(ValueError, match="lack 'pit'"):
        xf.plot_pit(scores)


def test_markers_of_what_is_never_or_always_wet_are_whole() -> None:
    mu = np.array([[0.0, 0.0, 1.0, 1.0]])
    truth = xr.DataArray(mu.astype(int), dims=("y", "x"))
    axis, below = xf.plot_reliability(xf.assess(xf.retrieval(mu, 0.2), truth)).axes
    drawn = [line for each in (axis, below) for line in each.lines if line.get_marker() != "None"]
    assert len(drawn) == 2
    assert np.asarray(drawn[0].get_ydata()).tolist() == [0, 1]
    assert not any(line.get_clip_on() for line in drawn)


def test_a_history_marks_excluded_dates_with_their_reason() -> None:
    days: list[Any] = []
    for day, (value, flag) in enumerate([(0.2, 0), (0.4, 1), (0.9, 0)], 1):
        one = sensor("s", value).assign_coords(time=np.datetime64(f"2023-06-0{day}", "ns"))
        one["mask"][:] = flag
        days.append(one)
    axis = xf.plot_history(xf.stack(days, dim="time"), x=500_105, y=5_000_105).axes[0]
    texts = legend_of(axis)
    assert texts == ["excluded: cloud", "usable"]
    np.testing.assert_allclose(np.asarray(axis.containers[0][0].get_ydata()), [0.2, 0.9])
    with pytest.raises(ValueError, match="x=1 is not on the grid"):
        xf.plot_history(xf.stack(days, dim="time"), x=1, y=5_000_105)


def test_bars_of_areas_are_as_high_as_the_areas() -> None:
    areas = xf.area(sensor("s", 0.25, flag=1), correlation=100.0)
    bars: list[Any] = [*xf.plot_area(areas).axes[0].patches]
    assert bars[0].get_height() == pytest.approx(float(areas.area[0]))
    assert bars[1].get_height() == pytest.approx(float(areas.unusable[0]))
    with pytest.raises(ValueError, match="xf.area"):
        xf.plot_area(xr.Dataset())


@pytest.mark.parametrize("kind", ["png", "pdf", "svg"])
def test_the_command_writes_a_picture_of_a_folder(tmp_path: Path, kind: str) -> None:
    sensor("s", 0.5).fusion.to_cog(tmp_path / "result", item=False, progress=False)
    out = tmp_path / f"picture.{kind}"
    ran = CliRunner().invoke(main, ["plot", str(tmp_path / "result"), "--out", str(out)])
    assert ran.exit_code == 0, ran.output
    starts = {"png": b"\x89PNG", "pdf": b"%PDF", "svg": b"<?xml"}
    assert out.read_bytes().startswith(starts[kind])
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_the_command_refuses_another_format(tmp_path: Path) -> None:
    ran = CliRunner().invoke(main, ["plot", "x", "--out", str(tmp_path / "picture.jpeg")])
    assert ran.exit_code == 2
    assert "png, pdf or svg" in ran.output


def test_flags_have_one_colour_in_files_pictures_and_reports(tmp_path: Path) -> None:
    from matplotlib.colors import to_hex

    from xfusion.view.map_layers import drawn as drawn_layers
    from xfusion.view.map_layers import layers_of

    sensors = [sensor(f"s{k}", 0.5) for k in range(4)]
    for k, each in enumerate(sensors):
        each["mask"][k * 5 :] = 1 + k
    fused = xf.gaussian(*sensors)
    fused["conflict"][3:] = True
    fused["mask"][:3] = np.array([[1], [2], [3]], np.uint8)
    fused.fusion.to_cog(tmp_path, progress=False)
    tables = {}
    for name in ("source", "mask", "conflict"):
        with rasterio.open(tmp_path / f"{name}.tif") as file:
            colours = file.colormap(1).items()
            tables[name] = {v: f"#{bytes(colour[:3]).hex()}" for v, colour in colours}
    axes = {a.get_title(): a for a in xf.plot(fused).axes}
    for name in ("source", "mask"):
        image = axes[name].images[0]
        shown: Any = image.cmap(image.norm(np.asarray(image.get_array())))
        codes = fused[name].to_numpy()
        assert len({*codes.ravel()}) > 2
        for code in np.unique(codes):
            (colour,) = {to_hex(c) for c in shown[codes == code]}
            assert colour == tables[name][int(code)], (name, code)
    there, layers = layers_of(fused, [], None)
    said = dict(zip([each.name for each in layers], drawn_layers(layers, there), strict=True))
    for name, table in tables.items():
        bits = {each["bit"]: each["colour"] for each in said[name]["bits"]}
        for code in map(int, np.unique(there[name])):
            of_page = {0: said[name]["zero"]} | bits | said[name]["colours"]
            assert of_page.get(code, said[name]["several"]) == table[code], (name, code)


def test_a_page_has_the_colours_of_matplotlib() -> None:
    import matplotlib as mpl

    from xfusion.view.palette import RAMPS

    for name, stops in RAMPS.items():
        for k, stop in enumerate(stops):
            expected = mpl.colormaps[name](k / (len(stops) - 1))
            found = [int(stop[i : i + 2], 16) / 255 for i in (1, 3, 5)]
            np.testing.assert_allclose(found, expected[:3], atol=2.1 / 255)
