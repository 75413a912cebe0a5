"""What files and their item say of the pixels: names, colours and statistics."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import xarray as xr
from odc.geo.geobox import GeoBox
from odc.geo.xr import xr_zeros
from rio_cogeo.cogeo import cog_validate

import xfusion as xf

GRID = GeoBox.from_bbox((500000, 5000000, 506000, 5007000), "EPSG:32633", resolution=10)
MOMENTS = ("minimum", "maximum", "mean", "stddev")


def one(sensor: str, chunks: int | None = None, low: float = 0) -> xr.Dataset:
    rng = np.random.default_rng(len(sensor))
    mu = xr_zeros(GRID, dtype="float32")
    mu = mu.copy(data=rng.random(mu.shape, np.float32) + np.float32(low))
    mu = mu.where(rng.random(mu.shape) > 0.1)
    mask = mu.copy(data=rng.choice(np.array([0, 0, 2, 3, 33], np.uint8), mu.shape))
    made = xf.retrieval(mu, mu * 0 + 0.1, mask, sensor=sensor, time="2023-06-20")
    return made if chunks is None else made.chunk(chunks)


def written(dataset: xr.Dataset, folder: Path) -> dict[str, Any]:
    dataset.fusion.to_cog(folder, progress=False)
    fields: dict[str, Any] = json.loads((folder / "item.json").read_text())["assets"]
    return fields


@pytest.mark.parametrize("chunks", [None, 250])
def test_statistics_are_those_of_the_pixels_that_have_a_value(
    chunks: int | None, tmp_path: Path
) -> None:
    # far from 0, where a sum of squares would lose all digits
    fused = xf.gaussian(one("a", chunks, 3e4), one("bc", chunks, 3e4), diagnostics=True)
    assets = written(fused, tmp_path)
    for name in ("mu", "sigma", "chi2", "weight"):
        pixels = fused[name].to_numpy().astype(np.float64)
        layers = pixels if pixels.ndim == 3 else pixels[None]
        with rasterio.open(tmp_path / f"{name}.tif") as file:
            for i, (layer, band) in enumerate(zip(layers, assets[name]["bands"], strict=True), 1):
                kept = layer[np.isfinite(layer)]
                expected = [kept.min(), kept.max(), kept.mean(), kept.std()]
                said = band["statistics"]
                assert [said[k] for k in MOMENTS] == pytest.approx(expected, rel=1e-9)
                assert said["count"] == kept.size
                assert said["valid_percent"] == pytest.approx(100 * kept.size / layer.size)
                tags = file.tags(i)
                assert [float(tags[f"STATISTICS_{k.upper()}"]) for k in MOMENTS] == [
                    said[k] for k in MOMENTS
                ]


def test_statistics_are_the_same_in_each_run(tmp_path: Path) -> None:
    fused = xf.gaussian(one("a", 100), one("bc", 100))
    first, second = (written(fused, tmp_path / name) for name in "ab")
    assert first == second


def test_a_layer_without_a_value_has_no_statistics(tmp_path: Path) -> None:
    empty = one("a")
    empty["mu"] = empty.mu * np.nan
    assets = written(empty, tmp_path)
    assert "statistics" not in assets["mu"]["bands"][0]
    assert "statistics" in assets["sigma"]["bands"][0]


def test_names_and_colours_of_flags_are_in_the_file_itself(tmp_path: Path) -> None:
    fused = xf.gaussian(one("a", 250), one("bc", 250))
    assets = written(fused, tmp_path)
    assert not [*tmp_path.glob("*.aux.xml")]
    for name in ("source", "mask", "conflict"):
        assert cog_validate(tmp_path / f"{name}.tif", strict=True, quiet=True)[0]
    with rasterio.open(tmp_path / "mask.tif") as file:
        tags, table = file.tags(1), file.colormap(1)
        there = {int(value) for value in np.unique(file.read())}
    named = {int(k.removeprefix("CLASS_")): v for k, v in tags.items() if k.startswith("CLASS_")}
    assert there <= {*named}
    assert named[0] == "usable"
    assert named[3] == "cloud+shadow"
    assert named[128] == "user"
    assert len({table[1 << bit] for bit in range(8)} | {table[0]}) == 9
    with rasterio.open(tmp_path / "source.tif") as file:
        assert file.tags(1)["CLASS_3"] == "a+bc"
        codes = file.read()
    counts = {c["value"]: c["count"] for c in assets["source"]["classification:classes"]}
    assert counts == {value: int((codes == value).sum()) for value in range(4)}


def test_the_item_has_size_and_checksum_of_each_file(tmp_path: Path) -> None:
    for asset in written(one("a"), tmp_path).values():
        content = (tmp_path / asset["href"]).read_bytes()
        assert asset["file:size"] == len(content)
        assert asset["file:checksum"] == f"1220{hashlib.sha256(content).hexdigest()}"


def test_a_file_that_is_read_again_does_not_say_what_was_counted_of_it(tmp_path: Path) -> None:
    written(one("a"), tmp_path)
    back = xf.SensorProduct.open(
        tmp_path / "mu.tif", tmp_path / "sigma.tif", tmp_path / "mask.tif"
    ).dataset
    for name in back.data_vars:
        assert not [k for k in back[name].attrs if str(k).startswith(("STATISTICS", "CLASS"))]
