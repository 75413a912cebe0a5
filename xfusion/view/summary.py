"""What a result contains: sensors, grid, ranges, areas, shares by source and mask, parameters."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfusion.assessment.correlation_range import Correlation
from xfusion.assessment.water_area import area
from xfusion.datamodel.earth import check_is_on_earth
from xfusion.datamodel.flags import Exclusion, contributors
from xfusion.datamodel.grid import crs_text, geobox_of, has_crs, spatial_dims
from xfusion.datamodel.names import CONFLICT, MASK, MU, SOURCE
from xfusion.datamodel.provenance import JOB, in_words
from xfusion.datamodel.times import moment_of, moments_of
from xfusion.datamodel.units import same_units, units_of
from xfusion.datamodel.validation import Retrieval, as_retrieval
from xfusion.run.memory import compute

from .census import (
    ALIKE,
    CODES,
    EXPECTED,
    LAYERS,
    RANGED,
    TOTAL,
    USABLE,
    VARIANCE,
    Census,
    census_of,
    threshold_of,
)

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox

NO_PARAMETERS = ("sensor", "title", "history", "Conventions", JOB)
NO_CRS = "the grid has no CRS"


@dataclass(frozen=True, kw_only=True)
class Statistics:
    """Of usable pixels, in the units of mu; NaN where there are none."""

    minimum: float
    mean: float
    maximum: float


@dataclass(frozen=True, kw_only=True)
class AreaOfMap:
    """Of one map, in km2 on the ellipsoid."""

    time: str | None
    """Of a cube, which of its maps."""
    total: float
    """Of all pixels."""
    usable: float
    """Of pixels that have an estimate."""
    expected: float | None
    """Sum of mu, or of the probability to exceed a threshold, over usable pixels; None where mu is
    no share of a pixel, and there is no threshold."""
    sigma_independent: float | None
    """Standard uncertainty of what is expected where each pixel errs alone: the least it can be."""
    sigma_alike: float | None
    """The same where all pixels err alike: the most it can be."""
    sigma: float | None
    """The same with the correlation that was given, None without."""


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Shares are of all pixels, 0 to 1."""

    sensors: tuple[str, ...]
    sizes: Mapping[str, int]
    crs: str | None
    resolution: tuple[float, float] | None
    """Sides of a pixel along x and y, in the unit of the CRS; None without a CRS."""
    bounds: tuple[float, float, float, float] | None
    """Left, bottom, right, top in the CRS; None without one."""
    time: str | None
    units: str | None
    """Of mu and sigma."""
    statistics: Mapping[str, Statistics]
    """"mu" and "sigma" to their range and mean."""
    areas: tuple[AreaOfMap, ...]
    """Of each map, which is one unless the result is a cube; empty where `no_area` says why."""
    area_of: str | None
    """What `expected` of the areas sums up, None where nothing is."""
    no_area: str | None
    """Why there are no areas, or none is expected; None where there are."""
    correlation: str | None
    """What `sigma` of the areas takes for the correlation of errors of pixels; None if none was
    given."""
    usable: float
    """Share of pixels that have an estimate."""
    contributions: Mapping[str, float]
    """Sensor to the share of pixels that it contributed to, 0 where it did to none."""
    sources: Mapping[str, float]
    """Sensors that contributed, joined by "+", to the share of pixels; "none" where none did."""
    conflict: float | None
    """Share of pixels where sensors contradict each other, see :func:`xfusion.gaussian`; None of a
    result in which nobody looked for that."""
    masks: Mapping[str, float]
    """Each reason of exclusion to the share of pixels, 0 where it is of none; a pixel may have
    several. Empty without a mask."""
    parameters: Mapping[str, str]
    """What the result was made with."""

    @property
    def pixels(self) -> int:
        """How many there are, of all maps."""
        return math.prod(self.sizes.values())


def summarise(
    dataset: Retrieval, *, threshold: float | None = None, correlation: Correlation = None
) -> Summary:
    """Summarise a retrieval; a lazy one is read once, block by block.

    Parameters
    ----------
    dataset : Dataset or product
        A retrieval, usually a fused one.
    threshold : float, in units of mu, optional
        As in :func:`xfusion.area`: areas are those where the quantity exceeds this; by default
        the one that the result was fused with, if any.
    correlation : float or other, optional
        Of the errors of two pixels, as in :func:`xfusion.area`. Without it areas have two
        uncertainties, of errors that are independent and of errors that are all alike.

    Returns
    -------
    Summary

    Raises
    ------
    ValueError
        As :func:`xfusion.area`, with a threshold or a correlation.
    """
    dataset = as_retrieval(dataset)
    threshold = threshold_of(dataset, threshold)
    has_place = spatial_dims(dataset) is not None and has_crs(dataset)
    geobox = geobox_of(dataset) if has_place else None
    no_area = _why_no_area(geobox)
    layers = {"census": census_of(dataset, None if no_area else geobox, threshold)}
    if correlation is not None:
        measured = area(dataset, threshold=threshold, correlation=correlation)
        layers["sigma"] = measured.area_sigma
    known = compute(xr.Dataset({name: v.variable for name, v in layers.items()}))
    each = Census.of_flat(known["census"].to_numpy())
    whole = each.whole()
    counts = dict(zip(LAYERS, whole.codes[0] / max(1, dataset[MU].size), strict=True))
    names = str(dataset[SOURCE].attrs.get("flag_meanings", "")).split() if SOURCE in dataset else []
    sensors = names or str(dataset.attrs.get("sensor", "")).split("+")
    statistics = _statistics(whole)
    is_expected = threshold is not None or _is_share(dataset, statistics[MU])
    counted = "sum of mu" if threshold is None else f"probability of exceeding {threshold:g}"
    sigmas = known["sigma"].to_numpy().ravel() if "sigma" in known else None
    return Summary(
        sensors=tuple(name for name in sensors if name),
        sizes={str(d): n for d, n in dataset[MU].sizes.items()},
        crs=None if geobox is None else crs_text(geobox.crs),
        resolution=None if geobox is None else _sides(geobox),
        bounds=None if geobox is None else _edges(geobox),
        time=_time(dataset.coords.get("time")),
        units=units_of(dataset[MU]),
        statistics=statistics,
        areas=() if no_area else _areas(each, dataset, sigmas, is_expected=is_expected),
        area_of=counted if is_expected and not no_area else None,
        no_area=no_area or (None if is_expected else _why_not_expected(dataset, statistics[MU])),
        correlation=None if correlation is None else str(measured.attrs["area_correlation"]),
        usable=float(whole.usable[0, 0] / max(1, dataset[MU].size)),
        contributions=_by_sensor(counts[SOURCE], names) if SOURCE in dataset else {},
        sources=_by_source(counts[SOURCE], names) if SOURCE in dataset else {},
        conflict=float(counts[CONFLICT][1]) if CONFLICT in dataset else None,
        masks=_by_reason(counts[MASK]) if MASK in dataset else {},
        parameters=in_words(dataset.attrs, without=NO_PARAMETERS),
    )


def _why_no_area(geobox: GeoBox | None) -> str | None:
    if geobox is None:
        return NO_CRS
    try:
        check_is_on_earth(geobox)
    except ValueError:
        return "the CRS of the grid is a local one, of no place on the earth"
    return None


def _sides(geobox: GeoBox) -> tuple[float, float]:
    a, b, _, d, e, _ = tuple(geobox.transform)[:6]
    return math.hypot(a, d), math.hypot(b, e)


def _edges(geobox: GeoBox) -> tuple[float, float, float, float]:
    box = geobox.boundingbox
    return box.left, box.bottom, box.right, box.top


def _statistics(whole: Census) -> dict[str, Statistics]:
    count = float(whole.usable[0, 0])
    if not count:
        return {name: Statistics(minimum=np.nan, mean=np.nan, maximum=np.nan) for name in RANGED}
    return {
        name: Statistics(
            minimum=float(whole.low[0, k]),
            mean=float(whole.sums[0, k] / count),
            maximum=float(whole.high[0, k]),
        )
        for k, name in enumerate(RANGED)
    }


def _is_share(dataset: xr.Dataset, mu: Statistics) -> bool:
    """Whether mu may be summed up: a probability or a share, by its units and all its values."""
    units = units_of(dataset[MU])
    is_plain = units in (None, "") or same_units(units, "1")
    return is_plain and mu.minimum >= 0 and mu.maximum <= 1


def _why_not_expected(dataset: xr.Dataset, mu: Statistics) -> str:
    if math.isnan(mu.mean):
        return "no pixel is usable"
    units = units_of(dataset[MU])
    said = f"in {units}" if units else f"{mu.minimum:.4g} to {mu.maximum:.4g}"
    return f"mu is {said}, no share of a pixel from 0 to 1, and no threshold says what counts"


def _areas(
    each: Census, dataset: xr.Dataset, sigmas: NDArray[Any] | None, *, is_expected: bool
) -> tuple[AreaOfMap, ...]:
    times = _times_of_maps(dataset)
    return tuple(
        AreaOfMap(
            time=None if times is None else times[i],
            total=of_map[TOTAL],
            usable=of_map[USABLE],
            expected=of_map[EXPECTED] if is_expected else None,
            sigma_independent=math.sqrt(of_map[VARIANCE]) if is_expected else None,
            sigma_alike=of_map[ALIKE] if is_expected else None,
            sigma=None if sigmas is None else float(sigmas[i]),
        )
        for i, of_map in enumerate(each.areas.tolist())
    )


def _times_of_maps(dataset: xr.Dataset) -> Sequence[str] | None:
    """Return the labels of the maps of a cube, joined where it has several leading dims."""
    dims = spatial_dims(dataset) or ()
    leading = [d for d in dataset[MU].dims if d not in dims]
    if not leading:
        return None
    axes = [[_label(v) for v in np.asarray(dataset[d].to_numpy())] for d in leading]
    indices = np.ndindex(*(len(axis) for axis in axes))
    return [" ".join(axis[i] for axis, i in zip(axes, index, strict=True)) for index in indices]


def _label(value: Any) -> str:
    moment = moment_of(xr.DataArray(value)) if isinstance(value, np.datetime64) else None
    return str(value) if moment is None else str(moment.astype("datetime64[s]"))


def _time(label: xr.DataArray | None) -> str | None:
    """Return the time of a retrieval, or the first and the last of a cube."""
    moment = moment_of(label)
    if moment is not None:
        return str(moment.astype("datetime64[s]"))
    moments = None if label is None or not label.size else moments_of(label.to_numpy())
    if moments is None or np.isnat(moments).any():
        return None
    first, last = (str(each.astype("datetime64[s]")) for each in (moments.min(), moments.max()))
    return f"{first} to {last}, {moments.size} dates" if moments.size > 1 else f"{first}, 1 date"


def _by_source(shares: NDArray[Any], names: Sequence[str]) -> dict[str, float]:
    return {
        contributors(code, names): float(share)
        for code, share in enumerate(shares[: 1 << len(names)])
        if share
    }


def _by_sensor(shares: NDArray[Any], names: Sequence[str]) -> dict[str, float]:
    codes = np.arange(CODES)
    return {name: float(shares[codes >> bit & 1 > 0].sum()) for bit, name in enumerate(names)}


def _by_reason(shares: NDArray[Any]) -> dict[str, float]:
    codes = np.arange(CODES)
    return {str(f.name).lower(): float(shares[codes & f.value > 0].sum()) for f in Exclusion}
