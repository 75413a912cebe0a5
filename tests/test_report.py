"""The report as a file: what it holds, how large it is, what it refuses; seen, in a browser."""

import base64
import html
import json
import re
import zlib
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
import rioxarray  # noqa: F401  # registers .rio
import xarray as xr
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from matplotlib.colors import to_hex
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from odc.geo.xr import xr_coords

import xfusion as xf
from xfusion.cli import main
from xfusion.view import citing, embedding
from xfusion.view.markup import element
from xfusion.view.tables import paragraph

ROOT = Path(__file__).parents[1]
LIMIT = 15_000_000


def water(rows: int = 40, columns: int = 60, *, crs: str | None = "EPSG:32633") -> xr.Dataset:
    """A fused retrieval of two sensors."""
    rng = np.random.default_rng(0)
    geobox = GeoBox.from_bbox(
        (5e5, 5e6, 5e5 + columns * 10, 5e6 + rows * 10), crs or "EPSG:32633", resolution=10
    )
    coords = xr_coords(geobox, "spatial_ref") if crs else {}
    pair = []
    for name in ("radar", "camera"):
        mu = xr.DataArray(rng.random((rows, columns)), coords, ("y", "x"))
        mask = (rng.random((rows, columns)) < 0.3) * np.uint8(xf.Exclusion.CLOUD)
        pair.append(xf.retrieval(mu, mu * 0 + 0.1, mu.copy(data=mask), sensor=name))
    return xf.gaussian(*pair)


def text_of(path: Path) -> str:
    """The page without its script, style and data, and without tags."""
    page = re.sub(r"<(script|style)\b.*?</\1>", "", path.read_text(), flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())


def test_no_line_of_a_paragraph_ends_within_a_number() -> None:
    said = paragraph("steps of 7.2e-06 to <3.2e-05>")
    whole = '<span class="whole">{}</span>'
    assert said == f"<p>steps of {whole.format('7.2e-06')} to &lt;{whole.format('3.2e-05')}&gt;</p>"
    assert paragraph(element("strong", "1e-05"), " one-two") == (
        "<p><strong>1e-05</strong> one-two</p>"
    )


def facts_of(path: Path) -> dict[str, Any]:
    found = re.search(r'id="facts">(.*?)</script>', path.read_text())
    assert found is not None
    facts: dict[str, Any] = json.loads(found[1])
    return facts


def unpacked(text: str, form: dict[str, Any], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Read a layer as the page describes it, by numpy alone."""
    raw = np.frombuffer(zlib.decompress(base64.b64decode(text)), np.uint8)
    if form["form"] == "codes":
        return raw.reshape(shape).astype(np.float64)
    low, high = raw.reshape(2, *shape).astype(np.uint16)
    codes = np.cumsum(low + 256 * high, axis=-1, dtype=np.uint16)
    if form["form"] == "rounded":
        return (codes.astype(np.uint32) << 16).view(np.float32).astype(np.float64)
    values = form["low"] + (codes.astype(np.float64) - 1) * form["step"]
    return np.where(codes == 0, np.nan, values)


# Layers


@given(
    arrays.arrays(
        st.sampled_from([np.float32, np.float64]),
        arrays.array_shapes(min_dims=2, max_dims=2, max_side=6),
        elements=st.floats(width=32, allow_subnormal=False),
    )
)
def test_a_number_comes_back_within_half_a_step_or_a_256th(values: NDArray[Any]) -> None:
    packed = embedding.packed_numbers(values)
    back = unpacked(packed.text, packed.form, values.shape)
    wanted = values.astype(np.float64)
    np.testing.assert_array_equal(np.isnan(back), np.isnan(wanted))
    infinite = np.isinf(wanted)
    np.testing.assert_array_equal(back[infinite], wanted[infinite])
    with np.errstate(invalid="ignore"):
        error = np.abs(back - wanted)[np.isfinite(wanted)]
    sizes = np.abs(wanted[np.isfinite(wanted)])
    if packed.form["form"] == "even":
        allowed = packed.form["step"] * 0.501 + 1e-12 * sizes
    else:
        allowed = sizes / 256
        # nearer to the largest float32 than half a step is infinite
        error[sizes > 3.38e38] = 0
    assert (error <= allowed).all()


def test_small_values_beside_large_ones_are_not_lost() -> None:
    values = np.array([[1e-20, 2e-20, 3e-20, 1e20, np.inf, np.nan]])
    packed = embedding.packed_numbers(values)
    np.testing.assert_allclose(unpacked(packed.text, packed.form, (1, 6)), values, rtol=1 / 256)


@given(
    st.tuples(st.integers(1, 10**6), st.integers(1, 10**6)),
    st.integers(1, 200),
)
def test_no_shape_and_no_number_of_layers_makes_the_page_too_large(
    shape: tuple[int, int], of_cell: int
) -> None:
    side = embedding.side_within(shape, of_cell, most=1024)
    assert 1 <= side <= 1024

    def size(side: int) -> float:
        step = -(-max(shape) // side)
        cells = -(-shape[0] // step) * -(-shape[1] // step)
        return cells * of_cell * 4 / 3 * 1.001

    assert size(side) <= LIMIT - embedding.TABLES
    if side < min(1024, max(shape)):  # no coarser than it must be
        assert size(side + 1) > LIMIT - embedding.TABLES


def test_the_page_of_a_large_lazy_result_of_8_sensors_is_small_and_computes_few_pixels(
    tmp_path: Path,
) -> None:
    side, chunk = 10_000, 1_000
    computed: list[int] = []

    def noise(block_info: Any = None) -> NDArray[np.float32]:
        where = block_info[None]
        computed.append(int(np.prod(where["chunk-shape"])))
        rng = np.random.default_rng(where["chunk-location"])
        numbers: NDArray[np.float32] = rng.random(where["chunk-shape"], dtype=np.float32)
        return numbers

    def layer(scale: float = 1.0) -> xr.DataArray:
        chunks = ((chunk,) * (side // chunk),) * 2
        pixels = da.map_blocks(noise, chunks=chunks, dtype=np.float32, meta=np.empty((0, 0), "f4"))
        return xr.DataArray(pixels * np.float32(scale), coords, ("y", "x"))

    geobox = GeoBox.from_bbox((0, 0, side * 10, side * 10), "EPSG:3035", resolution=10)
    coords = xr_coords(geobox, "spatial_ref")
    sensors = [xf.retrieval(layer(), layer(0.2), sensor=f"s{k}") for k in range(8)]
    fused = xf.gaussian(*sensors, diagnostics=True)
    path = fused.fusion.report(tmp_path / "r.html", sensors=sensors, statistics="shown")
    assert path.stat().st_size < LIMIT
    facts = facts_of(path)
    assert len([one for one in facts["layers"] if one["title"] and one["kind"] == "number"]) >= 8
    assert min(facts["width"], facts["height"]) > 300
    # of mu and sigma of 8 sensors
    assert sum(computed) < 0.3 * 16 * side**2
    assert "not of all pixels" in text_of(path)
    assert "was computed for the maps" in text_of(path)


def test_the_layers_of_the_page_are_pixels_of_the_result(tmp_path: Path) -> None:
    result = water(300, 500)
    page = xf.report(result, tmp_path / "r.html").read_text()
    facts = facts_of(tmp_path / "r.html")
    layers = {one["title"]: (k, one) for k, one in enumerate(facts["layers"])}
    for name, title in (("mu", "Estimate (mu)"), ("mask", "Reasons (mask)")):
        place, form = layers[title]
        found = re.search(rf'id="layer-{place}">([\w+/=]*)<', page)
        assert found is not None
        shape = facts["height"], facts["width"]
        pixels = result[name].to_numpy()[np.ix_(facts["rows"], facts["columns"])]
        step = form.get("step") or 0.0
        np.testing.assert_allclose(unpacked(found[1], form, shape), pixels, rtol=0, atol=step)


@pytest.mark.parametrize(
    ("low", "high", "units"),
    [(-0.1, 1.1, None), (0.0, 0.3, None), (0.1, 0.9, "m"), (-3.0, 4.0, "m"), (-20.0, -5.0, "dB")],
)
def test_a_mean_has_the_scale_and_the_colours_that_its_picture_has(
    low: float, high: float, units: str | None, tmp_path: Path
) -> None:
    numbers = np.linspace(low, high, 600, dtype=np.float32).reshape(20, 30)
    mu = water(20, 30).mu.copy(data=numbers).drop_attrs()
    result = xf.retrieval(mu.assign_attrs({} if units is None else {"units": units}), 0.1)
    xf.report(result, tmp_path / "r.html")
    layer = facts_of(tmp_path / "r.html")["layers"][0]
    image = xf.plot(result).axes[0].images[0]
    assert (layer["from"], layer["to"]) == pytest.approx(image.get_clim(), rel=1e-6)
    ends = [to_hex(image.get_cmap()(end)) for end in (0.0, 1.0)]
    assert [layer["ramp"][0], layer["ramp"][-1]] == ends


def test_what_is_excluded_stretches_no_scale(tmp_path: Path) -> None:
    numbers = np.linspace(0, 10, 600, dtype=np.float32).reshape(20, 30)
    flags = np.zeros((20, 30), np.uint8)
    numbers[:4], flags[:4] = 1000, xf.Exclusion.CLOUD
    mu = water(20, 30).mu.copy(data=numbers).drop_attrs().assign_attrs(units="m")
    sigma = mu.copy(data=np.where(flags, np.float32(500), np.float32(0.5)))
    result = xf.retrieval(mu, sigma, mu.copy(data=flags).drop_attrs())
    xf.report(result, tmp_path / "r.html")
    layers = facts_of(tmp_path / "r.html")["layers"]
    pictures = [axes.images[0].get_clim() for axes in xf.plot(result).axes[:2]]
    for layer, clim, most in zip(layers, pictures, (10, 0.5), strict=False):
        assert (layer["from"], layer["to"]) == pytest.approx(clim, rel=1e-6)
        assert layer["to"] <= most


# Numbers


def test_numbers_are_of_all_pixels_and_the_same_when_lazy(tmp_path: Path) -> None:
    result = water(1200, 1100)
    result.mu[{"y": 777, "x": 555}] = 0.99999
    result.mask[{"y": 777, "x": 555}] = 0
    said = text_of(xf.report(result, tmp_path / "eager.html"))
    lazy = text_of(xf.report(result.chunk(y=500, x=300), tmp_path / "lazy.html"))
    assert said == lazy
    usable = xf.usable(result)
    assert f"{100 * float(usable.mean()):.2f} % of the pixels are usable" in said
    mu = result.mu.where(usable)
    least, mean, most = (f"{float(n):.4g}" for n in (mu.min(), mu.mean(), mu.max()))
    assert f"mu {least} {mean} {most}" in said
    both = float((result.source == 3).mean())
    assert f"radar+camera {100 * both:.2f} %" in said
    area = float(result.fusion.area().area[0])
    assert f"{area:.4g} km²" in said


def test_the_area_says_which_correlation_it_takes(tmp_path: Path) -> None:
    result, path = water(), tmp_path / "r.html"
    assert "is a range" in text_of(xf.report(result, path))
    given = text_of(xf.report(result, path, correlation=100.0))
    assert "exp(-h / 100 m)" in given
    sigma = float(result.fusion.area(correlation=100.0).area_sigma[0])
    assert f"± {sigma:.3g} km²" in given
    truth = (result.mu > 0.5).where(xf.usable(result))
    measured = text_of(xf.report(result, path, reference=truth))
    correlation = xf.error_correlation(result, truth)
    sigma = float(result.fusion.area(correlation=correlation).area_sigma[0])
    assert "was measured against the reference" in measured
    assert f"± {sigma:.3g} km²" in measured


def test_scores_and_charts_are_those_of_assess(tmp_path: Path) -> None:
    result, path = water(), tmp_path / "r.html"
    assert "No reference was given" in text_of(xf.report(result, path))
    truth = (result.mu > 0.4).where(xf.usable(result))
    said = text_of(xf.report(result, path, reference=truth))
    scores = xf.assess(result, truth)
    for name in ("iou", "brier", "ece", "z2"):
        every, usable = (f"{float(n):.4g}" for n in scores[name])
        assert f"{name} {every} {usable}" in said
    page = path.read_text()
    assert "Reliability diagram" in page
    assert "Coverage" not in page
    depth = result.assign(mu=result.mu * 10, sigma=result.sigma * 10)
    truth = depth.mu + 0.5
    said = text_of(xf.report(depth, path, reference=truth, kind="continuous"))
    assert f"rmse {float(xf.assess(depth, truth, kind='continuous').rmse[0]):.4g}" in said
    assert "Coverage" in path.read_text()


@pytest.mark.parametrize(("crs", "said"), [("EPSG:32633", "m"), ("EPSG:2263", "US survey foot")])
def test_sides_of_pixels_have_their_unit(crs: str, said: str, tmp_path: Path) -> None:
    page = text_of(water(crs=crs).fusion.report(tmp_path / "r.html", statistics="shown"))
    assert re.search(rf"pixels of \d+ x \d+ {said} in {crs}", page)


def test_a_reliability_diagram_has_its_dots_where_they_belong(tmp_path: Path) -> None:
    mu = np.repeat([[0.25, 0.75]], 400, axis=1)
    truth = xr.DataArray(np.tile([[0, 0, 0, 1]], 200), dims=("y", "x"))
    page = xf.report(
        xf.retrieval(mu, mu * 0 + 0.3), tmp_path / "r.html", reference=truth
    ).read_text()
    dots = re.findall(r"predicted ([\d.]+), came true ([\d.]+), ([\d.]+) %", page)
    assert [(float(o), float(s)) for _, o, s in dots] == [(0.25, 50), (0.25, 50)]
    assert [float(p) for p, _, _ in dots] == pytest.approx([0.25, 0.75], abs=2e-3)


@pytest.mark.parametrize(
    ("result", "said"),
    [
        (water(crs=None), "There is none: the grid has no CRS"),
        (xf.retrieval(np.full((3, 4), np.nan), np.ones((3, 4))), "0.00 % of the pixels are usable"),
        (xf.retrieval(np.full((1, 1), 300.0), np.ones((1, 1))), "There is no mask"),
        (xf.retrieval(np.full((1, 2, 3), 0.5), np.ones((1, 2, 3))), "2 rows x 3 columns"),
    ],
)
def test_any_retrieval_has_a_report(tmp_path: Path, result: xr.Dataset, said: str) -> None:
    assert said in text_of(xf.report(result, tmp_path / "r.html"))


def test_uneven_labels_are_said_and_shown_as_they_are(tmp_path: Path) -> None:
    labels = {"y": np.linspace(2, 0, 20) ** 2, "x": np.arange(30.0)}
    pixels = xr.DataArray(np.full((20, 30), 0.5), labels, ("y", "x")).rio.write_crs("EPSG:3035")
    path = xf.report(xf.retrieval(pixels, pixels), tmp_path / "r.html", reference=pixels > 0.4)
    assert "y is not evenly spaced" in text_of(path)
    assert facts_of(path)["labels"]["y"] == pytest.approx(labels["y"])


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:3857", "EPSG:3995", "EPSG:2154"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_any_grid_has_its_place(tmp_path: Path, crs: str, dtype: str) -> None:
    box = (5, 44, 5.5, 44.4) if crs == "EPSG:4326" else (700_000, 6_300_000, 740_000, 6_330_000)
    geobox = GeoBox.from_bbox(box, crs, shape=(30, 40))
    pixels = xr.DataArray(
        np.full((30, 40), 0.5, dtype), xr_coords(geobox, "spatial_ref"), geobox.dimensions
    )
    facts = facts_of(xf.report(xf.retrieval(pixels, pixels), tmp_path / "r.html"))
    assert facts["affine"] == pytest.approx([*geobox.transform][:6])
    assert facts["metres"] > 0
    assert (facts["ball"] == "native") == (crs == "EPSG:4326")


# What is not trusted


def test_markup_in_a_name_or_an_attribute_is_text(tmp_path: Path) -> None:
    attack = '"><script>alert(1)</script>'
    result = water().rename_vars(conflict=attack)
    result.attrs |= {attack: attack, "mask_items": f"x{attack}", "title": "a \x00\ud800 b"}
    result.mu.attrs |= {"units": attack, "long_name": attack}
    path = xf.report(result, tmp_path / "r.html")
    page = path.read_text()
    assert "<script>alert" not in page
    assert page.count("<script") == page.count("</script>")
    assert attack in text_of(path)
    assert "'unsafe" not in page


def test_secrets_and_addresses_of_this_machine_are_left_out(tmp_path: Path) -> None:
    result = water()
    result.attrs |= {
        "mask_items": "a b c",
        "mask_items_found": 3,
        "mask_links": json.dumps(
            {
                "a": "https://user:hunter2@example.org/a.json?sig=hunter3",
                "b": "javascript:alert('hunter4')",
                "c": "http://127.0.0.1:8000/hunter5.json",
            }
        ),
        "mask_catalog": "https://who:hunter6@stac.example.org/v1?key=hunter7",
        "source_file": "read from https://who:hunter8@example.org/x?token=hunter9",
        "api_key": "hunter10",
    }
    page = xf.report(result, tmp_path / "r.html").read_text()
    assert "hunter" not in page
    assert 'href="https://example.org/a.json"' in page
    assert re.findall(r'href="(?!#|https://|data:,)([^"]*)"', page) == []


@given(st.text(), st.text())
def test_no_text_leaves_its_element(text: str, attribute: str) -> None:
    made = element("p", text, title=attribute)
    assert re.fullmatch(r'<p title="[^"<>]*">[^<>]*</p>', made, re.DOTALL)


def test_very_many_items_do_not_make_the_page_too_large(tmp_path: Path) -> None:
    names = [f"item-{k}-{'x' * 40}" for k in range(20_000)]
    links = {name: f"https://example.org/{name}" for name in names}
    attrs = {"mask_items": " ".join(names), "mask_links": json.dumps(links)}
    path = xf.report(water().assign_attrs(attrs), tmp_path / "r.html")
    assert path.stat().st_size < 1_000_000
    assert "The first 500 of 20000" in text_of(path)


# Files


def test_only_a_report_is_replaced_and_nothing_else_is_left(tmp_path: Path) -> None:
    result, path = water(), tmp_path / "new folder" / "r.html"
    xf.report(result, path)
    xf.report(result, path)
    before = b"<html>mine</html>"
    path.write_bytes(before)
    with pytest.raises(FileExistsError, match="is no report: pass overwrite=True"):
        xf.report(result, path)
    assert path.read_bytes() == before
    xf.report(result, path, overwrite=True)
    assert path.read_bytes().startswith(b"<!DOCTYPE html>")
    assert [file.name for file in path.parent.iterdir()] == ["r.html"]


def test_a_run_that_fails_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result, path = water(), tmp_path / "r.html"
    xf.report(result, path)
    before = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space"):
        xf.report(result, path)
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("r.html", before)]


def test_two_reports_of_one_result_are_the_same_bytes(tmp_path: Path) -> None:
    first, second = (xf.report(water(), tmp_path / f"{k}.html").read_bytes() for k in "ab")
    assert first == second


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"path": "s3://bucket/r.html"}, "is an address"),
        ({"statistics": "some"}, "must be 'all' or 'shown'"),
        ({"reference": xr.DataArray(np.zeros((3, 3)), dims=("y", "x"))}, "reference"),
        ({"sensors": [water(30, 60)]}, "mu of radar"),
    ],
)
def test_what_cannot_be_is_said_before_a_file_is_written(
    tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    options: dict[str, Any] = {"path": tmp_path / "r.html"} | change
    with pytest.raises(ValueError, match=said):
        xf.report(water(), **options)
    assert not [*tmp_path.iterdir()]


def test_a_cube_is_told_how_to_have_a_report(tmp_path: Path) -> None:
    cube = xr.concat([water(), water()], "time")
    with pytest.raises(ValueError, match=r"one map: select it, \.isel\(time=0\)"):
        xf.report(cube, tmp_path / "r.html")


def test_the_citation_is_that_of_the_project() -> None:
    said = re.sub(r"\s+", " ", (ROOT / "CITATION.cff").read_text())
    for each in (citing.AUTHORS, citing.PAPER, citing.CONFERENCE, citing.NUMBER, citing.DOI):
        assert each in said
    assert f"year: {citing.YEAR}" in said
    names = re.findall(r"family-names: (\w+) given-names: (\S+)", said)
    assert tuple(names) == citing.PAPER_AUTHORS


# The command


def test_the_command_takes_a_folder_and_a_reference_on_another_grid(tmp_path: Path) -> None:
    result = water()
    result.fusion.to_cog(tmp_path / "cogs", item=False, progress=False)
    truth = (result.mu > 0.5).astype(np.uint8).isel(x=slice(None, None, 2))
    truth.rio.write_crs("EPSG:32633").rio.to_raster(tmp_path / "truth.tif")
    out = tmp_path / "out.html"
    arguments = ["report", str(tmp_path / "cogs"), "--out", str(out)]
    done = CliRunner().invoke(main, [*arguments, "--reference", str(tmp_path / "truth.tif")])
    assert done.exit_code == 0, done.output
    assert "open it in a browser" in done.output
    assert "Reliability diagram" in out.read_text()
    out.write_text("mine")
    again = CliRunner().invoke(main, arguments)
    assert again.exit_code == 1
    assert "is no report: give --overwrite to replace it" in again.output
    assert "Errno" not in again.output


def test_the_command_takes_one_time_of_a_cube(tmp_path: Path) -> None:
    times = np.array(["2023-06-01", "2023-06-13"], "datetime64[ns]")
    cube = xr.concat([water(), water()], "time").assign_coords(time=times)
    cube.fusion.to_zarr(tmp_path / "cube.zarr", progress=False)
    arguments = ["report", str(tmp_path / "cube.zarr"), "--out", str(tmp_path / "r.html")]
    several = CliRunner().invoke(main, arguments)
    assert several.exit_code == 1
    assert "2023-06-01" in several.output
    assert "--time" in several.output
    done = CliRunner().invoke(main, [*arguments, "--time", "2023-06-13"])
    assert done.exit_code == 0, done.output
    assert "2023-06-13" in text_of(tmp_path / "r.html")
    far = CliRunner().invoke(main, [*arguments, "--time", "2024-01-01"])
    assert "the nearest is 2023-06-13" in far.output
