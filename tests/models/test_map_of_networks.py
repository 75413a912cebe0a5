"""xfusion map --model: networks in files of ONNX, from a STAC API of this machine to a map."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import xarray as xr
from odc.geo.geobox import GeoBox

import xfusion as xf
from tests.test_map import DAY, box_of, run, served

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

__all__ = ["served"]  # a fixture


def network(path: Path, weights: list[float], bias: float) -> Path:
    """Write the mean of 3 x 3 pixels of each band, weighed, and a sigmoid."""
    helper, proto = onnx.helper, onnx.TensorProto
    kernel = np.repeat(np.array(weights, np.float32), 9).reshape(1, -1, 3, 3) / 9
    nodes = [
        helper.make_node("Conv", ["pixels", "kernel", "bias"], ["logit"], pads=[1, 1, 1, 1]),
        helper.make_node("Sigmoid", ["logit"], ["mean"]),
    ]
    values = {"kernel": kernel, "bias": np.array([bias], np.float32)}
    shapes = ["pixels", "mean"], [("n", len(weights), "h", "w"), None]
    given, made = (
        helper.make_tensor_value_info(name, proto.FLOAT, shape)
        for name, shape in zip(*shapes, strict=True)
    )
    tensors = [onnx.numpy_helper.from_array(value, name) for name, value in values.items()]
    graph = helper.make_graph(nodes, "net", [given], [made], tensors)
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), path)
    return path


def pair(folder: Path, name: str, more: float) -> tuple[Path, Path]:
    return (
        network(folder / f"{name}_s1.onnx", [-0.4, -0.2], -10 + more),
        network(folder / f"{name}_s2.onnx", [12.0, 0.0, -8.0, -8.0], more),
    )


def bands_of(url: str, grid: GeoBox) -> tuple[xr.Dataset, xr.Dataset]:
    """Bands in the units that networks get, of one pass each."""
    rtc = dataclasses.replace(xf.stac.PLANETARY_COMPUTER_RTC, url=url, signer=None)
    s2 = dataclasses.replace(xf.stac.EARTH_SEARCH, url=url)
    radar = xf.stac.load(rtc, box_of(grid), DAY, ["vv", "vh"])
    names = ["green", "red", "nir", "swir16"]
    optical = xf.stac.load(s2, radar.odc.geobox, DAY, [*names, "scl"])[names]
    in_db = (10 * radar.where(radar > 0).map(np.log10)).astype(np.float32)
    reflectance = (optical * np.float32(1e-4)).astype(np.float32)
    orbit = ["orbit", "orbit_state"]
    return in_db.isel(time=0).drop_vars(orbit), reflectance.isel(time=0)


@pytest.mark.parametrize("number", [1, 4], ids=["one pair", "four pairs"])
def test_a_map_of_networks_is_what_its_steps_make_one_by_one(
    number: int, served: tuple[str, GeoBox], tmp_path: Path
) -> None:
    url, grid = served
    pairs = [pair(tmp_path, str(k), 0.3 * k) for k in range(number)]
    words = [str(word) for each in pairs for word in ("--model", *each)]
    ran = run(served, tmp_path / "water", DAY, *words)
    assert ran.exit_code == 0, ran.output
    products = []
    kinds = xf.Sentinel1Product, xf.Sentinel2Product
    for bands, files, kind in zip(
        bands_of(url, grid), zip(*pairs, strict=True), kinds, strict=True
    ):
        model = xf.models.onnx(files if number > 1 else files[0])
        how: dict[str, Any] = {"sigma": 0.0} if number == 1 else {}
        found = xf.predict(
            bands.drop_vars("time"), model, bounded=(0, 1), time=bands.time.to_numpy(), **how
        )
        found["sigma"].attrs["units"] = "1"
        found = xf.add_aleatoric(found) if number == 1 else found
        products.append(kind(dataset=found).attach_mask(catalog=url))
    expected = products[0].gaussian(products[1]).dataset
    for name in ("mu", "sigma", "mask", "source"):
        with rasterio.open(tmp_path / "water" / f"{name}.tif") as file:
            np.testing.assert_array_equal(file.read(1), expected[name])
            attrs = file.tags()
    assert {*np.unique(expected["source"])} >= {2, 3}
    assert 0.1 < float(expected["mu"].mean()) < 0.9
    assert float(expected["mu"].std()) > 0.1
    said = "One network tells no sigma of Sentinel-1: it is the least that a probability has"
    assert (said in " ".join(ran.output.split())) == (number == 1)
    for sensor, file in zip(("sentinel-1", "sentinel-2"), pairs[0], strict=True):
        retrieval = json.loads(attrs[f"fusion_retrieval_{sensor}"])
        assert xf.models.onnx(file).name in retrieval["prediction_model"]
