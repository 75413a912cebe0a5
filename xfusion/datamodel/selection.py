"""A part of a retrieval by positions or by labels, as xarray takes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import xarray as xr


def isel(
    dataset: xr.Dataset, indexers: Mapping[Any, Any] | None = None, /, **more: Any
) -> xr.Dataset:
    """Select by positions, as :meth:`xarray.Dataset.isel` does.

    Parameters
    ----------
    dataset : Dataset
    indexers : mapping, optional
        Dim -> positions; a dim may also be given as a keyword.
    **more
        Further dims, and the options of :meth:`xarray.Dataset.isel`.

    Returns
    -------
    Dataset

    Examples
    --------
    >>> import numpy as np, xfusion as xf
    >>> ones = np.ones((4, 6), np.float32)
    >>> product = xf.SensorProduct(dataset=xf.retrieval(ones, ones))
    >>> dict(product.isel(x=slice(2)).dataset.sizes), product["mu"].shape
    ({'y': 4, 'x': 2}, (4, 6))
    """
    return dataset.isel(indexers, **more)


def sel(
    dataset: xr.Dataset, indexers: Mapping[Any, Any] | None = None, /, **more: Any
) -> xr.Dataset:
    """Select by labels, as :meth:`xarray.Dataset.sel` does.

    Parameters
    ----------
    dataset : Dataset
    indexers : mapping, optional
        Dim -> labels; a dim may also be given as a keyword.
    **more
        Further dims, and the options of :meth:`xarray.Dataset.sel`.

    Returns
    -------
    Dataset

    Examples
    --------
    >>> import numpy as np, xfusion as xf
    >>> ones = np.ones((2, 4, 6), np.float32)
    >>> series = xf.retrieval(ones, ones).assign_coords(time=[2020, 2021])
    >>> xf.SensorProduct(dataset=series).sel(time=2021).mu.dims
    ('y', 'x')
    """
    return dataset.sel(indexers, **more)
