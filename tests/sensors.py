"""Retrievals of some sensors, written down as numbers."""

from typing import Any

import numpy as np
import xarray as xr

import xfusion as xf


def sensors_of(mu: Any, sigma: Any) -> list[xr.Dataset]:
    """One retrieval for each row."""
    return [
        xf.retrieval(np.atleast_2d(m), np.broadcast_to(s, np.shape(np.atleast_2d(m))))
        for m, s in zip(mu, sigma, strict=True)
    ]
