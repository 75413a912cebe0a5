"""The report as a user has it: in a browser without a network, by mouse, touch and keyboard."""

import html
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyproj
import pytest
import xarray as xr
from odc.geo.geobox import GeoBox
from odc.geo.xr import xr_coords

import xfusion as xf

from .browser import Browser, at, browser_in, finger, up

ROWS, COLUMNS = 1100, 1300
HOSTILE = "</script><script>document.title = 'taken'</script><img src=x onerror=alert(1)>"
SHIFT, LEFT, RIGHT, UP, DOWN = "\ue008", "\ue012", "\ue014", "\ue013", "\ue015"
TITLES = {
    "mu": "Estimate (mu)",
    "sigma": "Uncertainty (sigma)",
    "mask": "Reasons (mask)",
    "source": "Contributors (source)",
}


class Page(NamedTuple):
    path: Path
    dataset: xr.Dataset
    sensors: list[xr.Dataset]


def sensors_on(geobox: GeoBox, count: int) -> list[xr.Dataset]:
    """Retrievals with every reason of exclusion."""
    rng = np.random.default_rng(count)
    coords = xr_coords(geobox, "spatial_ref")
    every = []
    for k in range(count):
        mu = rng.random(geobox.shape).astype(np.float32)
        sigma = rng.uniform(0.01, 0.3, geobox.shape).astype(np.float32)
        flags = np.uint8(1) << rng.integers(0, 8, geobox.shape).astype(np.uint8)
        flags |= np.uint8(1) << rng.integers(0, 8, geobox.shape).astype(np.uint8)
        mask = np.where(rng.random(geobox.shape) < 0.4, flags, 0).astype(np.uint8)
        layers = {
            n: xr.DataArray(v, coords, geobox.dimensions)
            for n, v in {"mu": mu, "sigma": sigma, "mask": mask}.items()
        }
        every.append(xf.retrieval(layers["mu"], layers["sigma"], layers["mask"], sensor=f"s{k}"))
    return every


def written(folder: Path, name: str, geobox: GeoBox, count: int, **attrs: str) -> Page:
    sensors = sensors_on(geobox, count)
    fused = xf.gaussian(*sensors, diagnostics=True).assign_attrs(attrs)
    path = folder / f"{name}.html"
    truth = xr.zeros_like(fused.mu).where(fused.mu < 0.5, 1.0)
    return Page(xf.report(fused, path, sensors=sensors, reference=truth), fused, sensors)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("reports")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser_in(tmp_path_factory.mktemp("profile")) as started:
        yield started


@pytest.fixture(scope="module")
def utm(folder: Path) -> Page:
    """A grid that is larger than what is shown, with names and attributes that attack."""
    box = (500_000, 5_000_000, 500_000 + COLUMNS * 10, 5_000_000 + ROWS * 10)
    geobox = GeoBox.from_bbox(box, "EPSG:32633", resolution=10)
    attrs = {"title": HOSTILE, "note": HOSTILE, HOSTILE: "name", "mask_items": f"a {HOSTILE}"}
    attrs["mask_links"] = json.dumps({"a": "javascript:alert(1)", HOSTILE: f"https://a/{HOSTILE}"})
    return written(folder, "utm", geobox, 2, **attrs)


@pytest.fixture(scope="module")
def south_up(folder: Path) -> Page:
    """Rows that run to the north, in degrees, across the antimeridian."""
    geobox = GeoBox.from_bbox((179.9, -10, 180.3, -9.8), "EPSG:4326", resolution=0.002)
    return written(folder, "south_up", geobox.flipy(), 8)


@pytest.fixture(scope="module")
def polar(folder: Path) -> Page:
    """A map with the pole in it."""
    box = (-50_000, -60_000, 70_000, 60_000)
    return written(folder, "polar", GeoBox.from_bbox(box, "EPSG:3995", resolution=1000), 2)


def box_of(browser: Browser, panel: int) -> dict[str, float]:
    """Where the map of a panel is in the window, scrolled to."""
    script = """
      const canvas = document.querySelectorAll('#panels figure:not([hidden]) canvas')[arguments[0]];
      canvas.scrollIntoView({block: 'center', behavior: 'instant'});
      const box = canvas.getBoundingClientRect();
      return {x: box.left + 1, y: box.top + 1, width: box.width - 2, height: box.height - 2};
    """
    found: dict[str, float] = browser.run(script, panel)
    return found


def panels_of(browser: Browser) -> int:
    return int(
        browser.run("return document.querySelectorAll('#panels figure:not([hidden])').length")
    )


def told(browser: Browser) -> dict[str, str]:
    """What is said of the place under the crosshair."""
    script = """
      const rows = document.querySelectorAll('#readout tr');
      return [...rows].map((row) => [...row.cells].map((cell) => cell.textContent));
    """
    return dict(browser.run(script))


def place_of(said: dict[str, str]) -> tuple[int, int]:
    row, column = said["row, column"].split(", ")
    return int(row), int(column)


def view_of(browser: Browser) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        browser.run("return document.getElementById('panels').dataset.view")
    )
    return found


def colours_at(browser: Browser, places: list[tuple[float, float]]) -> np.ndarray[Any, Any]:
    """Colours in each panel, shape (panels, places, 4), at places counted from its corner."""
    script = """
      return [...document.querySelectorAll('#panels figure:not([hidden]) canvas')].map((canvas) =>
        arguments[0].map(([x, y]) => [...canvas.getContext('2d').getImageData(x, y, 1, 1).data]));
    """
    return np.array(browser.run(script, [[round(x), round(y)] for x, y in places]))


def steps_of(page: Page) -> dict[str, float]:
    """Title of a layer -> the step that its numbers are kept in."""
    facts = re.search(r'id="facts">(.*?)</script>', page.path.read_text())
    assert facts is not None
    return {layer["title"]: layer.get("step") or 0.0 for layer in json.loads(facts[1])["layers"]}


def check_reading(page: Page, said: dict[str, str]) -> None:
    """Compare what is said with the pixel of the Dataset that it is said of."""
    row, column = place_of(said)
    dims = page.dataset["mu"].dims
    pixel = page.dataset.isel({dims[0]: row, dims[1]: column})
    steps = steps_of(page)
    numbers = {TITLES["mu"]: pixel.mu, TITLES["sigma"]: pixel.sigma}
    numbers |= {f"Weight of {k}": pixel.weight.sel(sensor=k) for k in pixel.sensor.to_numpy()}
    for title, value in numbers.items():
        if np.isnan(value):
            assert said[title] == "no value"
        else:
            rounding = 0.5 * 10.0 ** -len(said[title].partition(".")[2])
            assert abs(float(said[title]) - float(value)) <= steps[title] / 2 + rounding + 1e-12
    reasons = [str(f.name).lower().replace("_", " ") for f in xf.Exclusion if f & int(pixel.mask)]
    assert said[TITLES["mask"]] == (", ".join(reasons) or "usable")
    names = str(page.dataset.source.flag_meanings).split()
    there = [name for k, name in enumerate(names) if int(pixel.source) >> k & 1]
    assert said[TITLES["source"]] == (", ".join(there) or "none")
    for sensor in page.sensors:
        one = sensor.isel({dims[0]: row, dims[1]: column})
        text = said[f"{sensor.attrs['sensor']}: mu"]
        value, _, why = text.partition("; excluded: ")
        assert abs(float(value) - float(one.mu)) < 1e-4
        reasons = [str(f.name).lower().replace("_", " ") for f in xf.Exclusion if f & int(one.mask)]
        assert why == ", ".join(reasons)
    x, y = (float(pixel[dim]) for dim in reversed(dims))
    crs = page.dataset.spatial_ref.attrs["crs_wkt"]
    to_degrees = pyproj.Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
    longitude, latitude = to_degrees.transform(x, y)
    if not pyproj.CRS(crs).is_geographic:
        native = [text for name, text in said.items() if name.startswith(("x (EPSG:", "y (EPSG:"))]
        assert [float(text.removesuffix(" m")) for text in native] == pytest.approx([x, y])
    for name, letters, degrees in (("longitude", "EW", longitude), ("latitude", "NS", latitude)):
        number, _, letter = said[name].partition("° ")
        signed = float(number) * (1 if letter == letters[0] else -1)
        assert (signed - degrees + 180) % 360 - 180 == pytest.approx(0, abs=2e-5)


def test_a_page_asks_for_nothing_and_has_no_error(browser: Browser, utm: Page) -> None:
    browser.open(utm.path)
    browser.drag((400, 500), (450, 520))
    assert browser.logs("browser") == []
    asked = [url for url in browser.requests() if not url.startswith("data:")]
    assert asked == [utm.path.as_uri()]


def test_what_attributes_hold_is_text_and_runs_nowhere(browser: Browser, utm: Page) -> None:
    browser.open(utm.path)
    assert browser.run("return document.title") == HOSTILE
    assert HOSTILE in browser.run("return document.querySelector('h1').textContent")
    assert (
        browser.run("return document.querySelector('#parameters').textContent").count(HOSTILE) == 3
    )
    script = "return [...document.querySelectorAll('a[href]')].map((a) => a.getAttribute('href'))"
    links = browser.run(script)
    assert all(re.match(r"#[\w-]+$|https?://", href) for href in links)
    assert browser.run("return document.images.length") == 0


def test_a_script_that_is_not_ours_is_refused_and_that_is_seen(
    browser: Browser, utm: Page, folder: Path
) -> None:
    added = folder / "added.html"
    added.write_text(
        utm.path.read_text().replace("</header>", "<script>document.title = 1</script>")
    )
    browser.open(added)
    assert browser.run("return document.title") == HOSTILE
    assert "Content Security Policy" in browser.logs("browser")[0]["message"]


def test_in_a_frame_of_another_page_its_contents_lead_to_its_sections(
    browser: Browser, utm: Page, folder: Path
) -> None:
    page = html.escape(utm.path.read_text())
    around = folder / "around.html"
    around.write_text(f'<p id="panels" data-ready="yes"><iframe srcdoc="{page}"></iframe>')
    browser.open(around)
    inside = "const page = frames[0].document;"
    browser.wait_for(f"{inside} return page.getElementById('panels')?.dataset.ready === 'yes'")
    browser.run(f"{inside} page.querySelector('a[href=\"#reasons\"]').click()")
    browser.settle()
    top = f"{inside} return page.getElementById('reasons').getBoundingClientRect().top"
    assert browser.run(top) == pytest.approx(0, abs=1)
    assert browser.run(f"{inside} return page.title") == HOSTILE


@pytest.mark.parametrize("name", ["utm", "south_up", "polar"])
def test_the_value_under_the_cursor_is_that_of_the_pixel(
    browser: Browser, request: pytest.FixtureRequest, name: str
) -> None:
    page: Page = request.getfixturevalue(name)
    browser.open(page.path)
    rng = np.random.default_rng(3)
    seen = set()
    for k in range(12):
        panel = int(rng.integers(panels_of(browser)))
        box = box_of(browser, panel)
        x, y = box["x"] + box["width"] * rng.random(), box["y"] + box["height"] * rng.random()
        if k % 3 == 1:
            browser.turn_wheel(x, y, int(rng.integers(-400, 100)))
        elif k % 3 == 2:
            browser.drag((x, y), (x + rng.integers(-40, 40), y + rng.integers(-40, 40)))
        browser.move_to(x, y)
        said = told(browser)
        check_reading(page, said)
        seen.add(place_of(said))
    assert len(seen) > 6


def test_a_map_shows_at_a_place_what_is_said_of_it(browser: Browser, south_up: Page) -> None:
    browser.open(south_up.path)
    box = box_of(browser, 3)
    middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    for _ in range(8):
        browser.turn_wheel(*middle, -300)
    legend = browser.run(
        """return [...document.querySelectorAll('#panel-3 .legend li')].map(
             (item) => [item.textContent, item.querySelector('rect').getAttribute('fill')])"""
    )
    colours = {text: [int(fill[k : k + 2], 16) for k in (1, 3, 5)] for text, fill in legend}
    for dx in (-3, 0, 3):
        browser.move_to(middle[0] + dx * 20, middle[1] - dx * 9)
        said = told(browser)[TITLES["source"]].replace(", ", "+")
        x, y = round(middle[0] + dx * 20 - box["x"]), round(middle[1] - dx * 9 - box["y"])
        shown = colours_at(browser, [(x, y)])[3, 0, :3].tolist()
        assert shown == colours.get(said, colours["several"])
    assert view_of(browser)["scale"] > 10
    # north is up, although the rows run to the north
    latitudes = []
    for share in (0.1, 0.9):
        browser.press("0")
        browser.move_to(middle[0], box["y"] + box["height"] * (0.3 + 0.4 * share))
        latitudes.append(float(told(browser)["latitude"].split("°")[0]))
    assert latitudes[0] < latitudes[1]  # in degrees south


def test_all_panels_move_together(browser: Browser, utm: Page) -> None:
    browser.open(utm.path)
    box = box_of(browser, 0)
    middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    for _ in range(4):
        browser.turn_wheel(*middle, -300)
    rng = np.random.default_rng(0)
    places = [(float(x), float(y)) for x, y in rng.uniform(40, 150, (30, 2))]
    before = colours_at(browser, places)
    assert len(before) == panels_of(browser) > 3
    assert all(len(np.unique(panel, axis=0)) > 1 for panel in before)
    browser.drag(middle, (middle[0] + 32, middle[1] - 20))
    after = colours_at(browser, [(x + 32, y - 20) for x, y in places])
    assert (np.abs(before - after).max(axis=-1) < 3).mean(axis=1).min() > 0.9
    assert (np.abs(before - colours_at(browser, places)).max(axis=-1) > 3).any(axis=1).all()


def test_the_keyboard_moves_zooms_and_reads(browser: Browser, utm: Page) -> None:
    browser.open(utm.path)
    browser.run("document.getElementById('panels').focus()")
    whole = view_of(browser)
    browser.press("+", "+")
    near = view_of(browser)
    assert near["scale"] == pytest.approx(whole["scale"] * 2.25)
    browser.press(RIGHT, DOWN)
    moved = view_of(browser)
    assert moved["x"] > near["x"]
    assert moved["y"] > near["y"]
    browser.press(LEFT, UP)
    back = view_of(browser)
    assert (back["x"], back["y"]) == pytest.approx((near["x"], near["y"]))
    row, column = place_of(told(browser))
    browser.press(SHIFT + RIGHT, SHIFT + DOWN, SHIFT + DOWN)
    said = told(browser)
    step = utm.dataset.sizes["x"] // 650
    assert place_of(said) == (row + 2 * step, column + step)
    check_reading(utm, said)
    browser.wait_for(
        f"return document.getElementById('spoken').textContent.includes('{said['row, column']}')"
    )
    browser.press("-", "0")
    assert view_of(browser)["whole"]


def test_buttons_and_switches_do_what_they_say(browser: Browser, utm: Page) -> None:
    browser.open(utm.path)
    whole = view_of(browser)
    for name in ("in", "left", "out", "whole"):
        browser.run(f"document.querySelector('button[data-do={name}]').click()")
        browser.settle()
        if name == "left":
            assert view_of(browser)["x"] < whole["x"]
    assert view_of(browser)["whole"]
    count = panels_of(browser)
    browser.run("document.querySelector('input[data-layer=\"0\"]').click()")
    browser.settle()
    assert panels_of(browser) == count - 1
    assert browser.run("return document.getElementById('panel-0').hidden")


def test_fingers_pinch_on_a_narrow_screen_that_nothing_is_wider_than(
    browser: Browser, utm: Page
) -> None:
    browser.open(utm.path, width=390, height=800, mobile=True)
    assert browser.run("return document.documentElement.scrollWidth") <= 390
    box = box_of(browser, 0)
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    before = view_of(browser)
    down, wait = {"type": "pointerDown", "button": 0}, {"type": "pause", "duration": 0}
    browser.perform(
        finger("one", at(x - 30, y), down, wait, at(x - 60, y), up()),
        finger("two", at(x + 30, y), down, wait, at(x + 60, y), up()),
    )
    assert view_of(browser)["scale"] > 1.5 * before["scale"]
    browser.perform(finger("one", at(x, y), down, up()))
    check_reading(utm, told(browser))


def test_the_page_can_be_read_by_those_who_do_not_see_it(browser: Browser, utm: Page) -> None:
    browser.open(utm.path)
    script = """
      const all = (what) => [...document.querySelectorAll(what)];
      return {
        language: document.documentElement.lang,
        landmarks: ['header', 'nav', 'main', 'footer', 'aside'].map((tag) => all(tag).length),
        levels: all('h1, h2, h3').map((heading) => +heading.tagName[1]),
        headless: all('#tables table').filter((t) => !t.querySelector('th[scope=col]')).length,
        nameless: all('button, input, canvas, #tables svg').filter((e) => !(
          e.textContent.trim() || e.getAttribute('aria-label') || e.getAttribute('aria-hidden')
          || e.closest('label'))).length,
        dead: all('a[href^="#"]').map((a) => a.hash.slice(1))
          .filter((name) => !document.getElementById(name)).length,
        twice: all('[id]').length - new Set(all('[id]').map((e) => e.id)).size,
      };
    """
    found = browser.run(script)
    assert found["language"] == "en"
    assert found["landmarks"] == [1, 1, 1, 1, 1]
    assert found["levels"][0] == 1
    assert max(np.diff(found["levels"])) <= 1
    assert (found["headless"], found["nameless"], found["dead"], found["twice"]) == (0, 0, 0, 0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast_enough(browser: Browser, utm: Page, scheme: str) -> None:
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.devtools("Emulation.setEmulatedMedia", features=features)
    browser.open(utm.path)
    script = """
      const channels = (text) => text.match(/[\\d.]+/g).map(Number);
      const behind = (element) => {
        for (let e = element; e; e = e.parentElement) {
          const colour = channels(getComputedStyle(e).backgroundColor);
          if (colour.length === 3 || colour[3] > 0) return colour.slice(0, 3);
        }
        return [255, 255, 255];
      };
      const light = (c) => c.slice(0, 3).map((v) => v / 255)
        .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
        .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
      const contrast = (e) => {
        const [a, b] = [light(channels(getComputedStyle(e).color)), light(behind(e))];
        return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
      };
      return Math.min(...[...document.querySelectorAll('body *')]
        .filter((e) => [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim()))
        .filter((e) => !['SCRIPT', 'STYLE', 'NOSCRIPT'].includes(e.tagName) && !e.closest('svg'))
        .map(contrast));
    """
    assert browser.run(script) >= 4.5  # AA of WCAG 2
    browser.devtools("Emulation.setEmulatedMedia", features=[])


def test_printed_it_has_maps_and_tables_without_controls(browser: Browser, utm: Page) -> None:
    browser.open(utm.path)
    browser.devtools("Emulation.setEmulatedMedia", media="print")
    script = """
      const all = (what) => [...document.querySelectorAll(what)];
      const shown = (what) => all(what).filter((e) => e.offsetWidth).length;
      return [shown('button'), shown('input'), shown('#readout'), shown('canvas'), shown('table')];
    """
    buttons, boxes, readout, maps, tables = browser.run(script)
    browser.devtools("Emulation.setEmulatedMedia", media="")
    assert (buttons, boxes, readout) == (0, 0, 0)
    assert maps == panels_of(browser)
    assert tables > 6
    assert browser.printed().startswith(b"%PDF")
