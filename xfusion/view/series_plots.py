"""Pictures of results that are no maps: a place through time, areas, weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from xfusion.datamodel.building import usable
from xfusion.datamodel.flags import Exclusion, contributors
from xfusion.datamodel.grid import spatial_dims
from xfusion.datamodel.names import MASK, MU, SIGMA, SOURCE, WEIGHT
from xfusion.datamodel.palette import CATEGORIES
from xfusion.datamodel.units import DIMENSIONLESS, units_of
from xfusion.datamodel.validation import Retrieval, as_retrieval
from xfusion.run.memory import compute

from .figures import axes_for, matplotlib_of
from .looking import look

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MARKS = "os^Dv<>ph"
BINS = 50


def plot_history(
    dataset: Retrieval,
    /,
    *,
    x: float,
    y: float,
    state: Retrieval | None = None,
    ax: Any = None,
) -> Figure:
    """Draw what a series says of one place through time, with one sigma on either side.

    Parameters
    ----------
    dataset : Dataset or product
        A series, dims (time, y, x).
    x, y : float
        The place in coordinates of the grid; the nearest pixel is drawn.
    state : Dataset or product, optional
        What :func:`xfusion.filter` or :func:`xfusion.smooth` made of it, drawn as a band.
    ax : matplotlib Axes, optional
        A new figure by default.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ValueError
        If there is no time, or the place is not on the grid.

    Examples
    --------
    >>> import numpy as np, xfusion as xf
    >>> days = [
    ...     xf.retrieval(np.full((2, 2), m), 0.1, time=f"2023-06-0{d}")
    ...     for d, m in ((1, 0.2), (2, 0.8))
    ... ]
    >>> series = xf.stack(days, dim="time").assign_coords(x=[0, 10], y=[10, 0])
    >>> xf.plot_history(series, x=9, y=1).axes[0].get_ylabel()
    'mu'
    """
    series = compute(_at_place(as_retrieval(dataset), x, y))
    figure, (axis,) = axes_for(ax, 1, size=(8.0, 3.2))
    times = series["time"].to_numpy()
    mu, sigma = series[MU].to_numpy(), series[SIGMA].to_numpy()
    good = usable(series).to_numpy()
    if state is not None:
        there = compute(_at_place(as_retrieval(state), x, y))
        middle, spread = there[MU].to_numpy(), there[SIGMA].to_numpy()
        of_state = there["time"].to_numpy()
        axis.fill_between(of_state, middle - spread, middle + spread, color="0.85", zorder=0)
        axis.plot(of_state, middle, color="0.3", label="state", zorder=1)
    names = str(series[SOURCE].attrs.get("flag_meanings", "")).split() if SOURCE in series else []
    who = [contributors(int(c), names) for c in series[SOURCE].to_numpy()] if names else None
    kinds = [*dict.fromkeys(np.array(who)[good].tolist())] if who else ["usable"]
    for position, kind in enumerate(kinds):
        of_kind = good & (np.array(who) == kind) if who else good
        axis.errorbar(
            times[of_kind],
            mu[of_kind],
            sigma[of_kind],
            fmt=MARKS[position % len(MARKS)],
            color=CATEGORIES[position % len(CATEGORIES)],
            markersize=5,
            capsize=2,
            label=kind,
        )
    _mark_excluded(axis, series, times, good)
    units = units_of(series[MU])
    axis.set_ylabel("mu" if units in DIMENSIONLESS else f"mu ({units})")
    axis.set_title(f"x {float(series[_x(series)]):.10g}, y {float(series[_y(series)]):.10g}")
    _date(axis)
    axis.legend(fontsize=8)
    return figure  # type: ignore[no-any-return]  # matplotlib is imported late


def _date(axis: Any) -> None:
    """Write dates so that they stand beside each other, each part once."""
    dates = matplotlib_of().dates
    locator = dates.AutoDateLocator(minticks=4, maxticks=9)
    axis.xaxis.set_major_locator(locator)
    axis.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator))


def _mark_excluded(axis: Any, series: xr.Dataset, times: Any, good: Any) -> None:
    """Mark the dates that are excluded at the foot, by their reasons."""
    codes = series[MASK].to_numpy() if MASK in series else np.zeros(times.size, np.uint8)
    reasons: dict[str, list[int]] = {}
    for position in np.flatnonzero(~good):
        flags = [f for f in Exclusion if int(codes[position]) & f.value]
        said = "+".join(str(f.name).lower().replace("_", " ") for f in flags) or "no estimate"
        reasons.setdefault(said, []).append(int(position))
    for number, (reason, dates) in enumerate(reasons.items()):
        axis.plot(
            times[dates],
            np.full(len(dates), 0.03),
            linestyle="",
            marker="x+1234|_"[number % 8],
            color="0.35",
            transform=axis.get_xaxis_transform(),
            label=f"excluded: {reason}",
        )


def _at_place(dataset: xr.Dataset, x: float, y: float) -> xr.Dataset:
    dims = spatial_dims(dataset)
    if dims is None or dataset[MU].dims[:-2] != ("time",):
        msg = (
            f"a history is of dims (time, y, x), mu has {dataset[MU].dims}: build a series with "
            'xf.stack([...], dim="time"), or .isel the other dims'
        )
        raise ValueError(msg)
    for dim, value in zip(dims, (y, x), strict=True):
        labels = dataset[dim].to_numpy()
        room = abs(float(labels[-1] - labels[0])) / max(1, labels.size - 1) / 2
        if not labels.min() - room <= value <= labels.max() + room:
            name = "y" if dim == dims[0] else "x"
            msg = f"{name}={value} is not on the grid, {dim} is {labels.min()} to {labels.max()}"
            raise ValueError(msg)
    names = [n for n in (MU, SIGMA, MASK, SOURCE) if n in dataset]
    return dataset[names].sel({dims[0]: y, dims[1]: x}, method="nearest")


def _x(series: xr.Dataset) -> str:
    return next(d for d in ("x", "longitude", "lon") if d in series.coords)


def _y(series: xr.Dataset) -> str:
    return next(d for d in ("y", "latitude", "lat") if d in series.coords)


def plot_weights(dataset: Retrieval, /, *, ax: Any = None) -> Figure:
    """Draw how often each sensor had which weight in a fusion.

    Parameters
    ----------
    dataset : Dataset or product
        Of :func:`xfusion.gaussian` with ``diagnostics=True``.
    ax : matplotlib Axes, optional
        A new figure by default.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ValueError
        If there are no weights.

    Examples
    --------
    >>> import numpy as np, xfusion as xf
    >>> one, two = (xf.retrieval(np.full((8, 8), m), 0.1, sensor=f"s{m}") for m in (0.1, 0.2))
    >>> figure = xf.plot_weights(xf.gaussian(one, two, diagnostics=True))
    >>> [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    ['s0.1, mean 0.50', 's0.2, mean 0.50']
    """
    fused = as_retrieval(dataset)
    if WEIGHT not in fused:
        msg = f"there is no {WEIGHT!r} among {list(fused.data_vars)}: fuse with diagnostics=True"
        raise ValueError(msg)
    dim = next(d for d in fused[WEIGHT].dims if d not in fused[MU].dims)
    weights = look(fused[[WEIGHT]])[WEIGHT]
    figure, (axis,) = axes_for(ax, 1)
    edges = np.linspace(0, 1, BINS + 1)
    for position, name in enumerate(fused[dim].to_numpy().tolist()):
        of_sensor = weights.isel({dim: position}).to_numpy()
        known = of_sensor[np.isfinite(of_sensor)]
        counts = np.histogram(known, edges)[0] / max(1, known.size)
        mean = f"{known.mean():.2f}" if known.size else "unknown"
        axis.stairs(
            counts,
            edges,
            color=CATEGORIES[position % len(CATEGORIES)],
            linestyle=("-", "--", "-.", ":")[position % 4],
            linewidth=1.8,
            label=f"{name}, mean {mean}",
        )
    axis.set(xlim=(0, 1), ylim=(0, None), xlabel="weight", ylabel="share of pixels")
    axis.legend(fontsize=8)
    return figure  # type: ignore[no-any-return]  # matplotlib is imported late


def plot_area(areas: xr.Dataset, /, *, ax: Any = None) -> Figure:
    """Draw areas of zones, or through time, with two standard deviations on either side.

    Parameters
    ----------
    areas : Dataset
        Of :func:`xfusion.area`.
    ax : matplotlib Axes, optional
        A new figure by default.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ValueError
        If it is no result of :func:`xfusion.area`.

    Examples
    --------
    >>> import xfusion as xf
    >>> from odc.geo.geobox import GeoBox
    >>> from odc.geo.xr import xr_zeros
    >>> grid = GeoBox.from_bbox((0, 0, 4000, 4000), "EPSG:3035", resolution=10)
    >>> water = xf.retrieval(xr_zeros(grid) + 0.25, 0.1)
    >>> xf.plot_area(xf.area(water, correlation=100.0)).axes[0].get_ylabel()
    'area (km2)'
    """
    missing = [n for n in ("area", "area_sigma", "unusable") if n not in areas]
    if missing:
        msg = f"{missing} are not among {list(areas.data_vars)}: give what xf.area(...) returns"
        raise ValueError(msg)
    known = compute(areas)
    figure, (axis,) = axes_for(ax, 1, size=(6.0, 3.6))
    zones = [str(zone) for zone in known["zone"].to_numpy()]
    if "time" in known["area"].dims:
        for position, name in enumerate(zones):
            one = known.isel(zone=position)
            axis.errorbar(
                one["time"].to_numpy(),
                one["area"].to_numpy(),
                2 * one["area_sigma"].to_numpy(),
                color=CATEGORIES[position % len(CATEGORIES)],
                marker=MARKS[position % len(MARKS)],
                capsize=2,
                label=name,
            )
        _date(axis)
        axis.legend(fontsize=8)
    else:
        at = np.arange(len(zones))
        area, unknown = (known[n].to_numpy().ravel() for n in ("area", "unusable"))
        error = 2 * known["area_sigma"].to_numpy().ravel()
        axis.bar(at, area, yerr=error, capsize=3, color=CATEGORIES[1], edgecolor="0.2",
                 label="area, ± 2 sigma")  # fmt: skip
        axis.bar(at, unknown, bottom=area, color="none", edgecolor="0.5", hatch="///",
                 zorder=0, label="not usable: unknown")  # fmt: skip
        axis.set_xticks(at, zones, rotation=30 if len(zones) > 4 else 0)  # noqa: PLR2004  # names beside each other
        # above, as bars may be high anywhere
        axis.legend(fontsize=8, loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False)
    axis.set(ylabel="area (km2)", ylim=(0, None))
    return figure  # type: ignore[no-any-return]  # matplotlib is imported late
