"""xfusion map: from a box and a date, by a STAC API of this machine, to a map of a real place."""

import dataclasses
import datetime as dt
import json
import re
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import xarray as xr
from click.testing import CliRunner, Result
from odc.geo.geobox import GeoBox

import xfusion as xf
from tests import catalogues as c
from xfusion.cli import main
from xfusion.datamodel.provenance import lasting, scene_links
from xfusion.demo.server import serve
from xfusion.scenes import nearest_pass
from xfusion.stac.named import S2_CATALOGS, catalog_of_name
from xfusion.view import origins
from xfusion.water_map import Catalogs, WaterMap, map_water

DAY, S1_ONLY, S2_ONLY, NEITHER = "2023-06-20", "2023-06-10", "2023-06-14", "2023-07-01"
PC_DAY, PC_OLD_DAY, CDSE_DAY = "2023-03-01", "2021-03-01", "2023-03-11"
HALF_DAY, WHOLE_DAY = "2023-04-20", "2023-04-22"  # of Sentinel-1, of which the first sees a part
BANDS = {"green": 3, "red": 4, "nir": 8, "swir16": 11}  # of the chip, from 1
SCL = 6


def chip(folder: Path, layer: str) -> tuple[Any, GeoBox]:
    with rasterio.open(folder / "terramind" / f"282D_485L_3_3_{layer}.tif") as file:
        return file.read(), GeoBox(file.shape, file.transform, str(file.crs))


def items_of_chip(data: Path, folder: Path) -> tuple[list[dict[str, Any]], GeoBox]:
    decibels, grid = chip(data, "S1RTC")
    reflectances, _ = chip(data, "S2L2A")
    made = []

    def asset(name: str, pixels: Any, geobox: GeoBox = grid) -> dict[str, Any]:
        href = Path(c.write(folder / f"{name}.tif", pixels, geobox)).as_uri()
        return {"href": href, "type": "image/tiff", "roles": ["data"]}

    power = {
        band: asset(band, (10 ** (pixels / 10)).astype(np.float32))
        for band, pixels in zip(("vv", "vh"), decibels, strict=True)
    }
    coarse = grid.zoom_out(2)
    bands = {
        n: asset(n, reflectances[k - 1].astype(np.uint16)) | {"eo:bands": [{"common_name": n}]}
        for n, k in BANDS.items()
    }
    bands["scl"] = asset("scl", np.full(coarse.shape, SCL, np.uint8), coarse)
    excluded = np.zeros(coarse.shape, np.uint8)
    excluded[:20] = 1
    gfm = asset("exclusion", excluded, coarse)
    name, time = f"GFM_{DAY}", f"{DAY}T05:00:00Z"
    made.append(c.item(name, time, grid, {"exclusion_mask": gfm}, {}, collection="GFM"))
    for day in (DAY, S1_ONLY):
        said = {"sat:relative_orbit": 22, "sat:orbit_state": "descending", **c.proj(grid)}
        time = f"{day}T05:00:00Z"
        made.append(c.item(f"S1_{day}", time, grid, power, said, collection="sentinel-1-rtc"))
    for day in (DAY, S2_ONLY):
        said = {"earthsearch:boa_offset_applied": True, "s2:processing_baseline": "05.09"}
        made.append(c.item(f"S2_{day}", f"{day}T10:00:00Z", grid, bands, said | c.proj(grid)))
    made += [*items_of_others(bands["scl"], reflectances, asset, grid)]
    for day, part in ((HALF_DAY, grid[:, :60]), (WHOLE_DAY, grid)):
        said = {"sat:relative_orbit": 22, "sat:orbit_state": "ascending", **c.proj(grid)}
        one = c.item(f"S1_{day}", f"{day}T17:00:00Z", part, power, said)
        made.append(one | {"collection": "sentinel-1-rtc"})
    return made, grid


def items_of_others(
    scl: dict[str, Any], reflectances: Any, asset: Any, grid: GeoBox
) -> Iterator[dict[str, Any]]:
    """As the Planetary Computer and CDSE serve the chip: with the 1 000, and before there was."""
    number = {"green": "B03", "red": "B04", "nir": "B08", "swir16": "B11"}
    metres = {"green": 10, "red": 10, "nir": 10, "swir16": 20}
    known = {n: {"eo:bands": [{"name": number[n], "common_name": n}]} for n in BANDS}
    raw, old = (
        {
            n: asset(f"{n}_{more}", (reflectances[k - 1] + more).astype(np.uint16))
            for n, k in BANDS.items()
        }
        for more in (1000, 0)
    )
    for day, pixels, baseline in ((PC_DAY, raw, "05.09"), (PC_OLD_DAY, old, "02.12")):
        named = {number[n]: pixels[n] | known[n] for n in BANDS} | {"SCL": scl}
        said = {"s2:processing_baseline": baseline, **c.proj(grid)}
        yield c.item(f"S2_{day}", f"{day}T10:00:00Z", grid, named, said)
    declared = {"raster:scale": 0.0001, "raster:offset": -0.1, "nodata": 0}
    named = {
        f"{number[n]}_{metres[n]}m": raw[n]
        | declared
        | {"bands": [{"name": number[n], "eo:common_name": n}]}
        for n in BANDS
    }
    said = {"processing:version": "05.11", **c.proj(grid)}
    time = f"{CDSE_DAY}T10:00:00Z"
    yield c.item(f"S2_{CDSE_DAY}", time, grid, named | {"SCL_20m": scl}, said, version="1.1.0")


@pytest.fixture(scope="module")
def served(
    shared_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, GeoBox]]:
    folder = tmp_path_factory.mktemp("map")
    items, grid = items_of_chip(shared_data, folder)
    (folder / "items.json").write_text(json.dumps({"type": "FeatureCollection", "features": items}))
    with serve(folder / "items.json") as url:
        yield url, grid


def box_of(grid: GeoBox) -> tuple[float, float, float, float]:
    west, south, east, north = grid.extent.to_crs("EPSG:4326").boundingbox.bbox
    return west + 3e-3, south + 3e-3, east - 3e-3, north - 3e-3


def run(served: tuple[str, GeoBox], out: Path, date: str, *more: str) -> Result:
    url, grid = served
    box = ",".join(map(str, box_of(grid)))
    catalogs = [word for name in ("rtc", "s1", "s2") for word in (f"--catalog-{name}", url)]
    words = ["map", "--bbox", box, "--date", date, "--out", str(out), *catalogs, *more]
    return CliRunner().invoke(main, words)


def step_by_step(served: tuple[str, GeoBox], rtc: Any, s2: Any) -> list[Any]:
    url, grid = served
    radar = xf.stac.load(rtc, box_of(grid), DAY, ["vv", "vh"])
    place = radar.odc.geobox
    one = radar.isel(time=0).drop_vars(["orbit", "orbit_state"])
    s1 = xf.Sentinel1Product(dataset=xf.water.from_backscatter(one.vv, one.vh))
    optical = xf.stac.load(s2, place, DAY, ["green", "red", "nir", "swir16", "scl"], nodata=0)
    two = optical.isel(time=0)
    water = xf.water.from_reflectance(two.green, two.swir16, two.nir, scale=1e-4)
    other = xf.Sentinel2Product(dataset=water)
    return [s1.attach_mask(catalog=url), other.attach_mask(catalog=url)]


def test_a_map_is_what_its_steps_make_one_by_one(
    served: tuple[str, GeoBox], tmp_path: Path
) -> None:
    ran = run(served, tmp_path / "water", DAY)
    assert ran.exit_code == 0, ran.output
    rtc = dataclasses.replace(xf.stac.PLANETARY_COMPUTER_RTC, url=served[0], signer=None)
    s2 = dataclasses.replace(xf.stac.EARTH_SEARCH, url=served[0])
    s1, other = step_by_step(served, rtc, s2)
    expected = s1.gaussian(other)
    for name in ("mu", "sigma", "mask", "source"):
        with rasterio.open(tmp_path / "water" / f"{name}.tif") as file:
            np.testing.assert_array_equal(file.read(1), expected.dataset[name])
    assert (expected.dataset["mask"] == 0).mean() > 0.9
    assert {*np.unique(expected.dataset["source"])} >= {2, 3}
    assert "Sentinel-1: the pass of 2023-06-20 05:00 UTC, orbit 22 descending." in ran.output
    assert "Sentinel-2: the pass of 2023-06-20 10:00 UTC." in ran.output
    assert "km2" in ran.output
    for name in ("water.png", "report.html", "item.json"):
        assert (tmp_path / "water" / name).stat().st_size > 1000


@pytest.mark.parametrize(
    ("date", "there", "lacks"), [(S1_ONLY, "1", "2"), (S2_ONLY, "2", "1")], ids=["s1", "s2"]
)
def test_without_scenes_of_one_sensor_it_is_a_map_of_the_other_and_says_so(
    date: str, there: str, lacks: str, served: tuple[str, GeoBox], tmp_path: Path
) -> None:
    ran = run(served, tmp_path / "water.zarr", date)
    assert ran.exit_code == 0, ran.output
    assert f"Warning: No scene of Sentinel-{lacks} was found on {date}." in ran.output
    assert f"Sentinel-{there}: the pass of {date}" in ran.output
    water = xr.open_zarr(tmp_path / "water.zarr")
    assert water.attrs["sensor"] == f"sentinel-{there}"
    assert 0.2 < float(water.mu.mean()) < 0.8
    assert (tmp_path / "water.png").exists()
    assert (tmp_path / "water.html").exists()
    if there == "1":  # of that day there is no exclusion mask either
        assert "Warning: No mask of the pass of Sentinel-1 was found" in ran.output


def test_without_any_scene_it_ends_with_the_nearest_dates(
    served: tuple[str, GeoBox], tmp_path: Path
) -> None:
    ran = run(served, tmp_path / "water", NEITHER, "--days", "2")
    assert ran.exit_code == 1
    said = " ".join(ran.output.split())
    assert "no scene of either sensor was found on 2023-07-01, nor within 2 days of it" in said
    assert re.search(r"of Sentinel-1 there are 2023-06-10, 2023-06-20", said)
    assert re.search(r"of Sentinel-2 there are 2023-06-14, 2023-06-20", said)
    assert "search farther, --days 11" in said
    assert not (tmp_path / "water").exists()


def test_days_before_and_after_are_searched_and_the_nearest_pass_is_taken(
    served: tuple[str, GeoBox], tmp_path: Path
) -> None:
    ran = run(served, tmp_path / "water", "2023-06-13", "--days", "8")
    assert ran.exit_code == 0, ran.output
    assert "Sentinel-1: the pass of 2023-06-10 05:00" in ran.output
    assert "Sentinel-2: the pass of 2023-06-14 10:00" in ran.output


def test_a_map_says_what_it_was_made_of(served: tuple[str, GeoBox], tmp_path: Path) -> None:
    ran = run(served, tmp_path / "water.zarr", DAY)
    assert ran.exit_code == 0, ran.output
    attrs = xr.open_zarr(tmp_path / "water.zarr").attrs
    for sensor, number, hour in (("sentinel-1", 1, "05"), ("sentinel-2", 2, "10")):
        assert attrs[f"fusion_scene_items_{sensor}"] == f"S{number}_{DAY}"
        assert attrs[f"fusion_scene_time_{sensor}"].startswith(f"{DAY}T{hour}:00")
    assert attrs["fusion_scene_collection_sentinel-1"] == "sentinel-1-rtc"
    radar, optical = (json.loads(attrs[f"fusion_retrieval_sentinel-{k}"]) for k in (1, 2))
    assert radar["water_looks"] == 4.4
    assert radar["water_coefficients"] == [*xf.water.VV_VH.coefficients]
    assert optical["water_features"] == "mndwi ndwi"
    assert optical["water_source"] == xf.water.MNDWI_NDWI.source
    assert optical["water_noise"] == [0.005, 0.05]
    assert "boa_offset_applied" in attrs["fusion_scene_offsets_sentinel-2"]
    assert attrs["fusion_scene_found"].count("the pass of") == 2
    # of a server of this machine, which stops
    assert not [k for k, v in attrs.items() if "127.0.0.1" in str(v)]
    info = CliRunner().invoke(main, ["info", str(tmp_path / "water.zarr")]).output
    assert f"fusion_scene_items_sentinel-1   S1_{DAY}" in info
    assert "fusion_scene_collection_sentinel-1 sentinel-1-rtc" in info  # longer than its column
    report = (tmp_path / "water.html").read_text()
    assert re.search(
        rf"Scenes that retrievals were made of.*sentinel-1.*S1_{DAY}", report, re.DOTALL
    )


def test_a_map_of_one_sensor_says_what_it_has_not_found(served: tuple[str, GeoBox]) -> None:
    url, _ = served
    made = by_functions(served, S1_ONLY, models={"s1": one_number(0.25)})
    attrs = made.product.dataset.attrs
    assert attrs["fusion_scene_catalog_sentinel-1"] == url
    assert json.loads(attrs["fusion_scene_links_sentinel-1"])[f"S1_{S1_ONLY}"].startswith(url)
    assert attrs["fusion_scene_missing"] == " ".join(made.missing)
    assert "No scene of Sentinel-2" in attrs["fusion_scene_missing"]
    said = json.loads(attrs["fusion_retrieval_sentinel-1"])
    assert said["prediction_model"] == made.product.dataset.attrs["prediction_model"]
    assert said["prediction_bounded"] == [0, 1]
    assert "fusion_scene_items_sentinel-2" not in attrs


def test_links_to_scenes_are_told_without_secrets_and_led_to_from_a_report() -> None:
    items = {"a b": "https://example.org/a.json?sig=1", "c": "http://127.0.0.1:1/c"}
    links = json.dumps(items | {"d": 4})
    attrs = {"fusion_scene_items_s": "a%20b c d", "fusion_scene_links_s": links}
    assert scene_links(attrs)["s"]["a%20b"] == "https://example.org/a.json"
    assert scene_links(lasting(attrs)) == {
        "s": {"a%20b": "https://example.org/a.json", "c": "", "d": ""}
    }
    shown = str(origins.inputs(lasting(attrs), []))
    assert 'href="https://example.org/a.json"' in shown
    assert "sig=" not in shown
    for wrong in ("[]", "{", "[" * 5000, 7):
        assert scene_links({"fusion_scene_items_s": "a", "fusion_scene_links_s": wrong}) == {
            "s": {"a": ""}
        }


def test_maps_of_two_dates_go_into_one_store_that_says_no_scene_is_that_of_both(
    served: tuple[str, GeoBox], tmp_path: Path
) -> None:
    one = by_functions(served, S2_ONLY).product.dataset
    for day in (S2_ONLY, DAY):
        made = one.assign_coords(time=np.datetime64(day, "ns"))
        made = made.assign_attrs({"fusion_scene_items_sentinel-2": day})
        xf.to_zarr(made, tmp_path / "w.zarr", append_dim="time")
    attrs = xr.open_zarr(tmp_path / "w.zarr").attrs
    assert not [k for k in attrs if k.startswith("fusion_scene_")]
    assert "fusion_retrieval_sentinel-2" in attrs


def test_calibrations_are_applied_before_the_fusion(
    served: tuple[str, GeoBox], tmp_path: Path
) -> None:
    rtc = dataclasses.replace(xf.stac.PLANETARY_COMPUTER_RTC, url=served[0], signer=None)
    s2 = dataclasses.replace(xf.stac.EARTH_SEARCH, url=served[0])
    s1, other = step_by_step(served, rtc, s2)
    truth = (other.mu > 0.5).compute()
    groups = truth.copy(data=np.indices(truth.shape)[0] // 50)
    calibration = xf.calibrate(s1.dataset, truth, method="platt", groups=groups)
    (tmp_path / "s1.json").write_text(calibration.to_json())
    ran = run(served, tmp_path / "water", DAY, "--calibration", str(tmp_path / "s1.json"))
    assert ran.exit_code == 0, ran.output
    expected = s1.apply_calibration(calibration).gaussian(other)
    with rasterio.open(tmp_path / "water" / "mu.tif") as file:
        np.testing.assert_allclose(file.read(1), expected.mu, rtol=1e-6)


def test_a_map_that_is_there_is_not_written_over(
    served: tuple[str, GeoBox], tmp_path: Path
) -> None:
    (tmp_path / "water").mkdir()
    (tmp_path / "water" / "report.html").write_text("a report of somebody else")
    ran = run(served, tmp_path / "water", DAY)
    assert ran.exit_code == 1
    assert "report.html" in ran.output


def test_without_matplotlib_it_ends_before_a_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    nowhere = "http://127.0.0.1:9", GeoBox.from_bbox((16, 47, 16.1, 47.1), shape=(9, 9))
    ran = run(nowhere, tmp_path / "water", DAY)
    assert ran.exit_code == 1
    assert 'Error: the picture needs matplotlib: pip install "xfusion[viz]"' in ran.output
    assert not (tmp_path / "water").exists()


def test_models_get_decibels_and_reflectances_in_place_of_thresholds(
    served: tuple[str, GeoBox],
) -> None:
    url, grid = served
    seen: dict[str, list[Any]] = {"s1": [], "s2": []}

    def of(name: str) -> Any:
        def model(pixels: Any) -> tuple[Any, Any]:
            seen[name].append(pixels)
            first = pixels[:, 0]
            return np.full_like(first, 0.25 if name == "s1" else 0.75), np.full_like(first, 0.01)

        return xf.models.mean_and_variance(model)

    models = {name: of(name) for name in seen}
    catalogs = Catalogs(rtc=url, s1=url, s2=url)
    made = map_water(grid, DAY, models=models, catalogs=catalogs).product.dataset.compute()
    both = made["source"] == 3
    np.testing.assert_allclose(made.mu.to_numpy()[both], 0.5, atol=1e-6)
    radar, optical = (np.concatenate([p.reshape(p.shape[1], -1) for p in seen[n]], 1) for n in seen)
    assert radar.shape[0] == 2
    assert -40 < radar.min() < radar.max() < 20
    assert optical.shape[0] == 4
    assert 0 <= optical.min() < optical.max() < 2


def test_one_network_without_a_variance_has_the_sigma_of_a_probability(
    served: tuple[str, GeoBox],
) -> None:
    models = {"s1": lambda pixels: np.full_like(pixels[:, 0], 0.25)}
    made = by_functions(served, S1_ONLY, models=models)
    known = made.product.dataset.compute()
    usable = known["mask"].to_numpy() == 0
    np.testing.assert_allclose(known.mu.to_numpy()[usable], 0.25)
    np.testing.assert_allclose(known.sigma.to_numpy()[usable], (0.25 * 0.75) ** 0.5, rtol=1e-6)
    assert any("One network tells no sigma of Sentinel-1" in sentence for sentence in made.found)


def one_number(number: float) -> Any:
    """A model that is as sure of one mean everywhere."""

    def model(pixels: Any) -> tuple[Any, Any]:
        first = pixels[:, 0]
        return np.full_like(first, number), np.full_like(first, 0.01)

    return xf.models.mean_and_variance(model)


MODEL = {"s1": one_number(0.25)}


def test_what_a_model_is_given_and_what_it_returns_is_not_guessed(
    served: tuple[str, GeoBox],
) -> None:
    plain = dataclasses.replace(xf.stac.PLANETARY_COMPUTER_RTC, url=served[0], signer=None)
    says_nothing = Catalogs(rtc=dataclasses.replace(plain, units={}), s1=served[0], s2=served[0])
    models = {"s1": one_number(0.5)}
    with pytest.raises(ValueError, match="vv does not say whether it is in dB or linear"):
        by_functions(served, S1_ONLY, models=models, catalogs=says_nothing)
    logits = by_functions(served, S1_ONLY, models={"s1": one_number(-4.0)}).product
    with pytest.raises(ValueError, match=r"returned -4\.0, bounded=\(0, 1\): end it .* sigmoid"):
        logits.dataset.compute()


@pytest.mark.parametrize(
    "day", [DAY, np.datetime64(DAY), dt.date.fromisoformat(DAY), dt.datetime.fromisoformat(DAY)]
)
def test_the_pass_nearest_to_noon_is_that_of_a_day_whatever_says_it(day: Any) -> None:
    times = np.array([f"{DAY}T00:30", f"{DAY}T11:00"], "datetime64[ns]")
    passes = xr.Dataset(coords={"time": times})
    assert nearest_pass(passes, day).time == times[1]
    assert nearest_pass(passes, f"{DAY}T01:00").time == times[0]
    assert nearest_pass(passes, f"{DAY}T00:00").time == times[0]


def test_scenes_without_the_bands_are_not_told_as_those_that_there_are(tmp_path: Path) -> None:
    href = c.write(tmp_path / "hh.tif", np.full(c.GRID.shape, 0.1, np.float32), c.GRID)
    assets = {"hh": {"href": href}, "hv": {"href": href}}
    time, collection = f"{DAY}T05:00:00Z", "sentinel-1-rtc"
    made = c.item("polar", time, c.GRID, assets, c.proj(c.GRID), collection=collection)
    url = tmp_path / "items.json"
    url.write_text(json.dumps({"type": "FeatureCollection", "features": [made]}))
    for models, bands, lacks in (({}, "band vv", "'vv'"), (MODEL, "bands vv, vh", "'vv', 'vh'")):
        told = rf"none of Sentinel-1 with the {bands} within 30 days; none of Sentinel-2 within"
        with (
            pytest.warns(UserWarning, match=rf"'polar' .* lacks the assets \[{lacks}\]"),
            pytest.raises(LookupError, match=told),
        ):
            by_functions((str(url), c.GRID), DAY, models=models)


def test_a_pass_of_vv_alone_is_a_retrieval_by_vv_and_none_for_a_model(tmp_path: Path) -> None:
    power = np.geomspace(1e-3, 1, c.GRID.shape[0] * c.GRID.shape[1], dtype=np.float32)
    power = power.reshape(c.GRID.shape)
    asset = {"href": c.write(tmp_path / "vv.tif", power, c.GRID)}
    made = []
    for day, bands in ((DAY, ["vv"]), ("2023-06-22", ["vv", "vh"])):
        one = c.item(day, f"{day}T05:00:00Z", c.GRID, dict.fromkeys(bands, asset), c.proj(c.GRID))
        made.append(one | {"collection": "sentinel-1-rtc"})
    place = str(tmp_path / "items.json"), c.GRID
    Path(place[0]).write_text(json.dumps({"type": "FeatureCollection", "features": made}))
    found = by_functions(place, DAY, days=3)
    assert found.found[0] == "Sentinel-1: the pass of 2023-06-20 05:00 UTC, of VV alone."
    rtc = dataclasses.replace(xf.stac.PLANETARY_COMPUTER_RTC, url=place[0], signer=None)
    radar = xf.stac.load(rtc, c.GRID, DAY, ["vv"]).isel(time=0)
    expected = xf.water.from_backscatter(radar.vv)
    for name in ("mu", "sigma"):
        np.testing.assert_array_equal(found.product.dataset[name], expected[name])
    assert found.product.dataset.attrs["water_features"] == "vv"
    by_model = by_functions(place, DAY, days=3, models=MODEL)
    assert by_model.found[0] == "Sentinel-1: the pass of 2023-06-22 05:00 UTC."


def by_functions(served: tuple[str, GeoBox], date: str, **more: Any) -> WaterMap:
    url, grid = served
    catalogs = more.pop("catalogs", Catalogs(rtc=url, s1=url, s2=url))
    return map_water(grid, date, catalogs=catalogs, **more)


@pytest.fixture(scope="module")
def of_earth_search(served: tuple[str, GeoBox]) -> xr.Dataset:
    return by_functions(served, S2_ONLY).product.dataset.compute()


@pytest.mark.parametrize(
    ("name", "day"),
    [("planetary-computer", PC_DAY), ("planetary-computer", PC_OLD_DAY), ("cdse", CDSE_DAY)],
    ids=["pc", "pc before the 1 000", "cdse"],
)
def test_every_catalogue_of_sentinel_2_makes_the_same_map(
    name: str, day: str, served: tuple[str, GeoBox], of_earth_search: xr.Dataset
) -> None:
    own = dataclasses.replace(S2_CATALOGS[name], url=served[0], signer=None)
    catalogs = Catalogs(rtc=served[0], s1=served[0], s2=own)
    with pytest.warns(UserWarning, match="No scene of Sentinel-1"):
        made = by_functions(served, day, catalogs=catalogs).product.dataset.compute()
    for layer in ("mu", "sigma", "mask"):
        np.testing.assert_array_equal(made[layer], of_earth_search[layer])
    assert (made["mask"] == 0).mean() > 0.5


def test_a_catalogue_is_known_by_its_name_and_by_its_address() -> None:
    for name, catalog in S2_CATALOGS.items():
        assert catalog_of_name(name, S2_CATALOGS) is catalog
        assert catalog_of_name(f"{catalog.url}/", S2_CATALOGS) is catalog
    assert catalog_of_name("https://stac.example.org", S2_CATALOGS) == "https://stac.example.org"


def test_the_pass_that_covers_the_place_is_taken_before_a_nearer_one_that_does_not(
    served: tuple[str, GeoBox],
) -> None:
    said = by_functions(served, HALF_DAY, days=3).found[0]
    assert said.startswith(f"Sentinel-1: the pass of {WHOLE_DAY} 17:00 UTC, orbit 22 ascending.")
    assert re.search(rf"Nearer is that of {HALF_DAY} 17:00 UTC, which covers 2\d % of", said)
    alone = by_functions(served, HALF_DAY).found[0]
    assert re.search(r"ascending, which covers 2\d % of the place\.$", alone)


def test_a_rule_is_said_not_to_be_used_where_there_is_one_sensor(
    served: tuple[str, GeoBox],
) -> None:
    made = by_functions(served, S2_ONLY, rule="log_odds", prior=0.1)
    assert made.found[1] == "There is one sensor, so nothing was fused: log_odds was not used."
    assert len(by_functions(served, S2_ONLY).found) == 1


def test_pixels_of_bands_that_cannot_be_read_are_flagged_if_asked_for(
    shared_data: Path, tmp_path: Path
) -> None:
    items, grid = items_of_chip(shared_data, tmp_path)
    url = tmp_path / "items.json"
    url.write_text(json.dumps({"type": "FeatureCollection", "features": items}))
    (tmp_path / "green.tif").write_bytes(b"no raster")
    (tmp_path / "vh.tif").unlink()
    place = (str(url), grid)
    for day in (S2_ONLY, S1_ONLY):
        with pytest.raises(OSError, match=r"green\.tif|vh\.tif"):
            by_functions(place, day).product.dataset.compute()
        made = by_functions(place, day, on_read_error="flag").product.dataset
        assert (made["mask"].to_numpy() & 64).all()


def test_nothing_is_opened_of_passes_that_are_not_taken(shared_data: Path, tmp_path: Path) -> None:
    items, grid = items_of_chip(shared_data, tmp_path)
    for each in items:
        if each["id"] in (f"S1_{S1_ONLY}", f"S2_{S2_ONLY}"):
            lost = {"href": (tmp_path / "lost.tif").as_uri()}
            each["assets"] = {name: asset | lost for name, asset in each["assets"].items()}
    url = tmp_path / "items.json"
    url.write_text(json.dumps({"type": "FeatureCollection", "features": items}))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        made = by_functions((str(url), grid), DAY, days=12).product.dataset
        expected = by_functions((str(url), grid), DAY).product.dataset
    assert not [w for w in told if S2_ONLY in str(w.message)]
    xr.testing.assert_identical(made.compute(), expected.compute())


def test_an_offset_that_is_not_certain_is_warned_of_once(shared_data: Path, tmp_path: Path) -> None:
    items, grid = items_of_chip(shared_data, tmp_path)
    for each in items:
        if each["id"] == f"S2_{S2_ONLY}":  # which its pixels contradict
            each["properties"]["earthsearch:boa_offset_applied"] = False
    url = tmp_path / "items.json"
    url.write_text(json.dumps({"type": "FeatureCollection", "features": items}))
    for _ in range(2):  # the next map is another
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            by_functions((str(url), grid), S2_ONLY)
        assert sum("is not certain" in str(w.message) for w in told) == 1


def test_a_pass_across_midnight_is_one(tmp_path: Path) -> None:
    made = []
    for number, (part, time) in enumerate(
        [(c.GRID[:32], "2023-06-19T23:59:50Z"), (c.GRID[32:], f"{DAY}T00:00:15Z")]
    ):
        href = c.write(tmp_path / f"{number}.tif", np.full(part.shape, 0.1, np.float32), part)
        assets = {"vv": {"href": href}, "vh": {"href": href}}
        one = c.item(f"S1_{number}", time, part, assets, c.proj(part))
        made.append(one | {"collection": "sentinel-1-rtc"})
    url = tmp_path / "items.json"
    url.write_text(json.dumps({"type": "FeatureCollection", "features": made}))
    found = by_functions((str(url), c.GRID), DAY)
    assert found.found == ("Sentinel-1: the pass of 2023-06-19 23:59 UTC.",)
    assert found.product.mu.notnull().all()


def test_errors_of_the_catalogue_of_backscatter_name_its_own_option(
    served: tuple[str, GeoBox], tmp_path: Path
) -> None:
    (tmp_path / "wrong.json").write_text("{}")
    ran = run(served, tmp_path / "water", DAY, "--catalog-rtc", str(tmp_path / "wrong.json"))
    assert ran.exit_code == 1
    assert "give another --catalog-rtc" in " ".join(ran.output.split())
    ran = run(served, tmp_path / "water", DAY, "--catalog-s2", str(tmp_path / "wrong.json"))
    assert "give another --catalog-s2" in " ".join(ran.output.split())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--bbox", "0,40,20,50"], "--bbox 0.0, 40.0, 20.0, 50.0 is 1704 km wide .* give parts"),
        (["--catalog-s2", "planetary"], "'planetary' is no URL, no file and none of earth-search"),
        (["--date", "20-06-2023x"], "--date"),
        (["--date", "2023-06-18/2023-06-22"], "--date 2023-06-18/2023-06-22 is an inter.*--days 2"),
        (["--resolution", "100000"], "--resolution 100000.0: a pixel would be larger than the pl"),
        (["--resolution", "nan"], "--resolution is no number"),
        (["--bbox", "48,16,47,17"], "west, 48, is not west of east, 47; exchange them"),
        (["--bbox", "179.9,-17,-179.9,-16"], "of a box across the antimeridian give east as 180.1"),
        (["--bbox", "600000,5200000,610000,5210000"], "are no degrees: give longitudes, latitudes"),
        (["--out", __file__], "looks like a file|is a file, but a result is several"),
        (["--model", "a", "b", "--model", "c", "d"], "'/.*/a'|--model needs onnxruntime"),
    ],
)
def test_what_is_wrong_is_said_in_words_of_the_command_before_a_search(
    words: list[str], said: str, tmp_path: Path
) -> None:
    nowhere = ["--catalog-rtc", "http://127.0.0.1:9", "--catalog-s2", "http://127.0.0.1:9"]
    usual = ["--bbox", "16,47,16.1,47.1", "--date", DAY, "--out", str(tmp_path / "o"), *nowhere]
    ran = CliRunner().invoke(main, ["map", *usual, *words])
    assert ran.exit_code in (1, 2)
    assert re.search(said, " ".join(ran.output.split())), ran.output
