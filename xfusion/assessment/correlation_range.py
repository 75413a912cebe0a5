"""How the correlation of the errors of two pixels falls off with their distance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfusion.datamodel.graph import InGraph
from xfusion.datamodel.units import as_number, same_units, units_of

Correlation: TypeAlias = float | Sequence[tuple[float, float]] | xr.DataArray | None

LAG = "lag"
Z2 = "z2"
REACH = 8.0  # ranges; what an exponential has beyond is .3 % of its sum over a plane
ROUNDING = 1e-6


@dataclass(frozen=True)
class Exponential(InGraph):
    """A part of the correlation that is ``exp(-h / length)``, in metres."""

    share: float
    length: float

    @property
    def reach(self) -> float:
        """The distance in metres beyond which there is none to speak of."""
        return REACH * self.length

    def at(self, distance: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the correlation at distances in metres."""
        return self.share * np.exp(-distance / self.length)


@dataclass(frozen=True, eq=False)
class Measured(InGraph):
    """A correlation that was measured at some distances, straight between them, 0 beyond."""

    lags: NDArray[np.float64]
    correlations: NDArray[np.float64]

    @property
    def reach(self) -> float:
        """The distance in metres beyond which nothing was measured."""
        return float(self.lags[-1])

    def at(self, distance: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the correlation at distances in metres."""
        return np.interp(distance, self.lags, self.correlations, right=0.0)


def as_exponentials(correlation: Correlation) -> tuple[Exponential, ...]:
    """Return the parts of a correlation that are given by lengths in metres.

    Raises
    ------
    ValueError
        If a length is not above 0, or shares are negative or more than 1 together.
    """
    if correlation is None or isinstance(correlation, xr.DataArray):
        return ()
    pairs = _pairs(correlation)
    if pairs is None:
        msg = (
            f"correlation={correlation!r}: give None, a length in metres, pairs such as [(0.7, "
            "40.0), (0.3, 400.0)] of a share and a length in metres, or what "
            "xf.error_correlation(retrieval, reference) returns"
        )
        raise ValueError(msg)
    for share, length in pairs:
        if not (share >= 0 and length > 0):
            msg = (
                f"correlation={correlation!r}: a length must be above 0 metres, np.inf where all "
                "errors are one, and a share from 0 to 1; None is without correlation"
            )
            raise ValueError(msg)
    total = sum(share for share, _ in pairs)
    if total > 1 + ROUNDING:
        msg = (
            f"correlation={correlation!r}: the shares add up to {total:g}, at most 1 is correlated:"
            " divide them by their sum; less than 1 leaves the rest without correlation"
        )
        raise ValueError(msg)
    return tuple(Exponential(share, length) for share, length in pairs if share > 0)


def _pairs(correlation: Any) -> list[tuple[float, float]] | None:
    """Return shares and lengths, or None of what is neither a length nor such pairs."""
    if isinstance(correlation, bool | np.bool_ | str | dict | set):
        return None
    if np.ndim(correlation) == 0:
        return [(1.0, as_number(correlation, "m"))]
    try:
        return [(as_number(share), as_number(length, "m")) for share, length in correlation]
    except (TypeError, ValueError):
        return None


def check_measured(correlation: xr.DataArray) -> None:
    """Refuse what is no correlation along distances, by its metadata.

    Raises
    ------
    ValueError
        Naming what it lacks.
    """
    if correlation.dims != (LAG,) or LAG not in correlation.coords:
        msg = (
            f"correlation has the dims {correlation.dims}: it must be along {LAG!r}, distances in "
            "metres from 0 on, as xf.error_correlation(retrieval, reference) returns it"
        )
        raise ValueError(msg)
    units = units_of(correlation.coords[LAG])
    if units is not None and not same_units(units, "m"):
        msg = f"correlation has lags in {units!r}: convert them to metres"
        raise ValueError(msg)
    lags = correlation.coords[LAG].to_numpy()
    if not (lags.size and lags[0] == 0 and np.isfinite(lags).all() and (np.diff(lags) > 0).all()):
        msg = (
            f"correlation has the lags {lags.tolist()[:3]}...: they must grow from 0 on, in metres,"
            f" .sortby({LAG!r})"
        )
        raise ValueError(msg)
