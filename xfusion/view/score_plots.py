"""Pictures of scores: whether probabilities come true, and whether sigma is right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfusion.datamodel.palette import CATEGORIES

from .figures import axes_for

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Scores: TypeAlias = xr.Dataset | Sequence[xr.Dataset] | Mapping[str, xr.Dataset]
BINS = 10  # of equal width, those of the reliability of the Brier score
MARKS, LINES = "os^Dv<>ph", ("-", "--", "-.", ":")  # what tells lines apart in grey


def plot_reliability(scores: Scores, /, *, pixels: str = "usable", ax: Any = None) -> Figure:
    """Draw how often what is given a probability is wet, against that probability.

    Parameters
    ----------
    scores : Dataset, sequence, or mapping of name to Dataset
        Of :func:`xfusion.assess` with a binary reference; several are compared.
    pixels : {"usable", "all"}
        Which pixels.
    ax : pair of matplotlib Axes, optional
        For the curve, and for how much of the map has each probability; a new figure by default.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ValueError
        If scores are of a quantity, or of groups.

    Examples
    --------
    >>> import numpy as np, xarray as xr, xfusion as xf
    >>> water = xf.retrieval(np.array([[0.9, 0.8, 0.6, 0.1]]), np.full((1, 4), 0.2))
    >>> truth = xr.DataArray(np.array([[1, 1, 0, 0]]), dims=("y", "x"))
    >>> figure = xf.plot_reliability(xf.assess(water, truth))
    >>> figure.axes[0].get_xlabel()
    'mu'
    """
    found = _named(scores, "wet", "a binary reference")
    figure, (axis, below) = axes_for(ax, 2, columns=2, size=(4.0, 3.8))
    axis.plot([0, 1], [0, 1], color="0.6", linewidth=1, label="as it should be")
    for position, (name, each) in enumerate(found.items()):
        middle, observed, weight = _calibration(each.sel(pixels=pixels))
        # whole markers, also of what is never or always wet
        style = _style(position) | {"clip_on": False, "zorder": 3}
        axis.plot(middle, observed, label=f"{name}, ece {float(each.ece.sel(pixels=pixels)):.3f}",
                  **style)  # fmt: skip
        share = weight / weight.sum() if weight.sum() else weight
        below.plot(middle, share, **style)
    axis.set(xlim=(0, 1), ylim=(0, 1), xlabel="mu", ylabel="share that is wet", aspect="equal")
    axis.legend(fontsize=8)
    below.set(xlim=(0, 1), ylim=(0, None), xlabel="mu", ylabel="share of the map")
    return figure  # type: ignore[no-any-return]  # matplotlib is imported late


def plot_pit(scores: Scores, /, *, pixels: str = "usable", ax: Any = None) -> Figure:
    """Draw the probability integral transform, which is level where mu and sigma are right.

    It is high at both ends where sigma is too small, high in the middle where it is too large, and
    aslant where mu is too low or too high.

    Parameters
    ----------
    scores : Dataset, sequence, or mapping of name to Dataset
        Of :func:`xfusion.assess` with a continuous reference; several are compared.
    pixels : {"usable", "all"}
        Which pixels.
    ax : matplotlib Axes, optional
        A new figure by default.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ValueError
        If scores are of a binary reference, or of groups.

    Examples
    --------
    >>> import numpy as np, xarray as xr, xfusion as xf
    >>> height = xf.retrieval(np.array([[3.0, 4.0, 5.0]]), np.full((1, 3), 0.5))
    >>> truth = xr.DataArray(np.array([[3.1, 3.8, 5.9]]), dims=("y", "x"))
    >>> figure = xf.plot_pit(xf.assess(height, truth))
    >>> figure.axes[0].get_ylabel()
    'density'
    """
    found = _named(scores, "pit", "a continuous reference")
    figure, (axis,) = axes_for(ax, 1)
    axis.axhline(1, color="0.6", linewidth=1, label="as it should be")
    for position, (name, each) in enumerate(found.items()):
        counts = each["pit"].sel(pixels=pixels).to_numpy()
        edges = np.append(each["pit_bin"].to_numpy(), 1.0)
        density = counts / counts.sum() / np.diff(edges) if counts.sum() > 0 else counts
        z2 = float(each["z2"].sel(pixels=pixels))
        style = {k: v for k, v in _style(position).items() if k not in ("marker", "markersize")}
        axis.stairs(density, edges, linewidth=1.8, label=f"{name}, z2 {z2:.2f}", **style)
    axis.set(xlim=(0, 1), ylim=(0, None), ylabel="density")
    axis.set_xlabel("probability integral transform of the reference")
    axis.legend(fontsize=8)
    return figure  # type: ignore[no-any-return]  # matplotlib is imported late


def _calibration(
    scores: xr.Dataset,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return of each bin that has pixels its middle, the share that is wet, and its weight."""
    wet, dry = scores["wet"].to_numpy(), scores["dry"].to_numpy()
    edges = scores["mu_bin"].to_numpy()
    middles = (edges + np.append(edges[1:], 1.0)) / 2
    bins = np.minimum((middles * BINS).astype(int), BINS - 1)
    both = wet + dry
    hits, weight, moment = (
        np.asarray(np.bincount(bins, of_pixels, BINS), np.float64)
        for of_pixels in (wet, both, middles * both)
    )
    there = weight > 0
    return moment[there] / weight[there], hits[there] / weight[there], weight[there]


def _named(scores: Scores, variable: str, needed: str) -> dict[str, xr.Dataset]:
    """Return scores by the names of what they are of, checked."""
    if isinstance(scores, Mapping) and not isinstance(scores, xr.Dataset):
        found = dict(scores)
    else:
        several = [scores] if isinstance(scores, xr.Dataset) else [*scores]
        found = {}
        for position, each in enumerate(several, 1):
            name = str(each.attrs.get("sensor", f"{position}"))
            found[name if name not in found else f"{name} ({position})"] = each
    for name, each in found.items():
        if variable not in each:
            msg = f"the scores {name!r} lack {variable!r}: xf.assess(...) with {needed} has it"
            raise ValueError(msg)
        if "group" in each.dims:
            msg = (
                f"the scores {name!r} are of {each.sizes['group']} groups: give each, such as "
                "{str(g): scores.sel(group=g) for g in scores.group.to_numpy()}"
            )
            raise ValueError(msg)
    return found


def _style(position: int) -> dict[str, Any]:
    return {
        "color": CATEGORIES[position % len(CATEGORIES)],
        "marker": MARKS[position % len(MARKS)],
        "linestyle": LINES[position % len(LINES)],
        "markersize": 5,
    }
