"""Products: a frozen record around a retrieval, and a dask collection."""

import dataclasses
import pickle

import dask
import numpy as np
import pytest
import xarray as xr

import xfusion as xf
from tests.laziness import nothing_computes


@pytest.fixture
def lazy() -> xf.SensorProduct:
    ones = xr.DataArray(np.ones((4, 4), np.float32), dims=("y", "x")).chunk(x=2)
    return xf.SensorProduct(dataset=xf.retrieval(ones, ones, ones > 1, sensor="radar"))


def test_product_is_frozen_and_gives_its_parts(lazy: xf.SensorProduct) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        lazy.dataset = lazy.dataset  # type: ignore[misc]  # the point
    assert lazy.mu.name == "mu"
    assert lazy.sigma.name == "sigma"
    assert lazy.mask is not None
    assert lazy.usable.dtype == bool
    assert xf.SensorProduct(dataset=lazy.dataset[["mu", "sigma"]]).mask is None
    assert "SensorProduct" in lazy._repr_html_()


def test_round_trip_between_product_and_dataset_changes_nothing(lazy: xf.SensorProduct) -> None:
    with nothing_computes():
        again = lazy.dataset.fusion.product
    xr.testing.assert_identical(again.dataset, lazy.dataset)


def test_a_sensor_names_what_it_opens_but_not_what_has_a_name(lazy: xf.SensorProduct) -> None:
    assert xf.Sentinel1Product(dataset=lazy.dataset).dataset.attrs["sensor"] == "radar"
    bare = lazy.dataset.drop_attrs(deep=False)
    assert xf.Sentinel1Product(dataset=bare).dataset.attrs["sensor"] == "sentinel-1"


def test_what_is_no_retrieval_is_refused() -> None:
    with pytest.raises(ValueError, match=r"lacks \['mu', 'sigma'\]"):
        xf.SensorProduct(dataset=xr.Dataset({"water": ("x", [1.0])}))
    with pytest.raises(TypeError, match="not int"):
        xf.gaussian(1)  # type: ignore[arg-type]  # the point


def test_dask_computes_and_persists_products(lazy: xf.SensorProduct) -> None:
    fused = lazy.gaussian(lazy)
    one, two = dask.compute(fused, lazy)
    assert isinstance(one, xf.SensorProduct)
    assert one.mu.chunks is None
    xr.testing.assert_identical(one.dataset, fused.compute().dataset)
    assert two.dataset.attrs["sensor"] == "radar"
    assert dask.persist(fused)[0].mu.chunks is not None
    assert dask.is_dask_collection(fused)
    assert not dask.is_dask_collection(one)


def test_products_are_pickled(lazy: xf.SensorProduct) -> None:
    again = pickle.loads(pickle.dumps(lazy))
    xr.testing.assert_identical(again.dataset.compute(), lazy.dataset.compute())


def test_attributes_of_mu_are_not_those_of_sigma() -> None:
    mu = xr.DataArray(np.ones((2, 2)), dims=("y", "x"), attrs={"long_name": "water", "units": "1"})
    ds = xf.retrieval(mu, mu.copy())
    fused = ds.fusion.gaussian(ds)
    for sigma in (ds.sigma, fused.sigma):
        assert sigma.attrs == {"long_name": "standard deviation of mu", "units": "1"}
    assert fused.mu.attrs["long_name"] == "water"
