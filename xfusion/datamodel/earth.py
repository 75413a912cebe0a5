"""Whether a grid lies on the earth: not in a local CRS, nor beyond the rim of its own map."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox
    from pyproj import Transformer

DEGREES = "EPSG:4326"
LATITUDES = (10.0, 50.0)  # where a cylindrical projection has meridians at one distance


def check_is_on_earth(geobox: GeoBox) -> None:
    """Refuse a grid in a CRS that has no place on the earth, such as that of a building site.

    Raises
    ------
    ValueError
        Naming the CRS, and what gives it another one.
    """
    crs = geobox.crs
    if crs is not None and not (crs.geographic or crs.projected):
        msg = (
            f"the CRS {crs.proj.name!r} is a {crs.proj.type_name}, neither projected nor "
            "geographic, so nobody knows where on the earth its pixels are: name the right one, "
            ".rio.write_crs('EPSG:...')"
        )
        raise ValueError(msg)


def off_the_map(
    crs: Any, x: NDArray[np.float64], y: NDArray[np.float64], within: float
) -> NDArray[np.bool_]:
    """Return which positions lie beyond the rim of a map.

    PROJ takes some of them for places on its other side, as left and right of a sinusoidal map:
    they do not come back to where they were. A map that repeats itself, as Mercator's does, has
    no rim there.

    Parameters
    ----------
    crs : CRS
        Of odc-geo.
    x, y : array
        Positions in it.
    within : float
        How far from where they were they may come back, in units of the CRS.
    """
    if crs.geographic or _is_cylindrical(str(crs)):
        return np.zeros(np.shape(x), np.bool_)
    away, back = transformer(str(crs), DEGREES), transformer(DEGREES, str(crs))
    here = np.stack(back.transform(*away.transform(x, y)))
    with np.errstate(invalid="ignore"):
        off: NDArray[np.bool_] = ~(np.hypot(*(here - np.stack([x, y]))) <= within)
    return off


@functools.lru_cache(maxsize=32)
def _is_cylindrical(crs: str) -> bool:
    longitude, latitude = np.meshgrid([0.0, 1.0], LATITUDES)
    x = transformer(DEGREES, crs).transform(longitude, latitude)[0]
    return bool(np.isfinite(x).all() and np.ptp(x, axis=0).max() < 1e-6 * np.ptp(x, axis=1).min())


@functools.lru_cache(maxsize=32)
def transformer(source: str, target: str) -> Transformer:
    """Return what takes positions of one CRS to another, x first."""
    from pyproj import Transformer

    return Transformer.from_crs(source, target, always_xy=True)
