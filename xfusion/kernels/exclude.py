"""Exclusion flags of Sentinel-2 pixels, one block in one pass."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .compile import compiled

NATIVE = (np.uint16, np.float32, np.float64)  # compiled for; what else comes is float64


@compiled
def _s2_flags(
    red: Any,
    nir: Any,
    scl: Any,
    table: Any,
    ndvi_max: float,
    nodata: Any,
    vegetation: int,
    defective: int,
    unknown: int,
    out: Any,
) -> None:
    for i in range(out.size):
        # in double precision: a limit is met exactly or not at all
        r, n = np.float64(red[i]), np.float64(nir[i])
        index = (n - r) / (n + r + 1e-6)
        flags = table[scl[i]]
        observed = flags != unknown
        no_data = (r == nodata[0]) | (n == nodata[1]) | ~(abs(index) < np.inf)
        flags |= np.uint8(vegetation) if (index > ndvi_max) & ~no_data else np.uint8(0)
        flags |= np.uint8(defective) if no_data & observed else np.uint8(0)
        out[i] = flags


def s2_flags(
    red: NDArray[Any],
    nir: NDArray[Any],
    scl: NDArray[np.uint8],
    *,
    table: NDArray[np.uint8],
    ndvi_max: float,
    nodata: tuple[float, float],
    vegetation: int,
    defective: int,
    unknown: int,
) -> NDArray[np.uint8]:
    """Return flags from the Scene Classification and NDVI.

    Parameters
    ----------
    red, nir : arrays
        Reflectances or digital numbers.
    scl : array of uint8
        Scene classes; an index into `table`.
    table : array of 256 uint8
        Scene class -> flags.
    ndvi_max : float
        Above it a pixel is `vegetation`.
    nodata : (float, float)
        Of red and nir: such a pixel is `defective` unless it is `unknown`.
    vegetation, defective, unknown : int
        Flags; `unknown` is what `table` says of no class.

    Returns
    -------
    array of uint8
    """
    out = np.empty(scl.shape, np.uint8)
    _s2_flags(
        _flat(red),
        _flat(nir),
        np.ascontiguousarray(scl).reshape(-1),
        table,
        float(ndvi_max),
        (float(nodata[0]), float(nodata[1])),
        vegetation,
        defective,
        unknown,
        out.reshape(-1),
    )
    return out


def _flat(band: NDArray[Any]) -> NDArray[Any]:
    native = band if band.dtype in NATIVE else band.astype(np.float64)
    return np.ascontiguousarray(native).reshape(-1)
