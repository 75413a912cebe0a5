"""The accessor is another spelling of the functions, and holds no state."""

import inspect

import numpy as np
import pytest
import xarray as xr

import xfusion as xf
from xfusion.accessor import DataArrayFusion, DatasetFusion


def methods(accessor: type) -> list[str]:
    return [n for n, _ in inspect.getmembers(accessor, inspect.isfunction) if n[0] != "_"]


@pytest.mark.parametrize(
    ("accessor", "name"),
    [(a, n) for a in (DatasetFusion, DataArrayFusion) for n in methods(a)],
)
def test_method_has_the_signature_of_its_function(accessor: type, name: str) -> None:
    def shape(function: object, drop: int) -> list[tuple[str, object, object]]:
        parameters = list(inspect.signature(function).parameters.values())  # type: ignore[arg-type]  # any callable
        return [(p.name, p.kind, p.default) for p in parameters[drop:]]

    assert shape(getattr(accessor, name), 1) == shape(getattr(xf, name), 1)


@pytest.mark.parametrize("name", ["coregister", "exclude", "gaussian", "attach_mask"])
def test_product_method_has_the_arguments_of_its_function(name: str) -> None:
    method = inspect.signature(getattr(xf.SensorProduct, name)).parameters
    function = inspect.signature(getattr(xf, name)).parameters
    for argument in list(method)[1:]:
        assert method[argument].default == function[argument].default, argument


def test_a_result_does_not_depend_on_what_an_accessor_did_before() -> None:
    a = xf.retrieval(np.full((2, 2), 0.2), np.full((2, 2), 0.1))
    b = xf.retrieval(np.full((2, 2), 0.6), np.full((2, 2), 0.1))
    accessor = a.fusion
    first = accessor.gaussian(b)
    accessor.exclude(xr.DataArray(np.ones((2, 2), bool), dims=("y", "x")))
    xr.testing.assert_identical(accessor.gaussian(b), first)
    a["mu"] = a.mu + 1  # the accessor of a Dataset that changed sees the change
    assert accessor.gaussian(b).mu[0, 0].item() == pytest.approx(0.9)
    assert vars(accessor).keys() == {"_obj"}


def test_accessors_of_other_packages_stay_usable() -> None:
    import rioxarray  # noqa: F401  # registers .rio
    from odc.geo.geobox import GeoBox
    from odc.geo.xr import xr_zeros

    geobox = GeoBox.from_bbox((0, 0, 30, 20), "EPSG:32633", resolution=10)
    mu = xr_zeros(geobox, dtype="float32")
    fused = xf.retrieval(mu, mu + 1).fusion.gaussian(xf.retrieval(mu, mu + 1))
    assert fused.rio.crs.to_epsg() == fused.mu.rio.crs.to_epsg() == 32633
    assert fused.odc.geobox == fused.mu.odc.geobox == geobox
