"""Scores of probabilities by a reference of wet and dry, from how many pixels are in which bin.

Each function takes arrays of any leading dims.
"""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

CALIBRATION_BINS = 10
HALF_WAY = 0.5
SLACK = 1e-5  # of a calibration bin, whose edges are rounded
EDGE = 2e-7  # two edges that are as near are one
CLIP = float(np.finfo(np.float32).eps)  # log loss takes no probability as nearer to 0 or 1
NAMES = {
    "iou": "intersection over union of wet pixels (critical success index)",
    "f1": "F1 score of wet pixels",
    "precision": "precision: share of what is predicted wet that is wet (user's accuracy)",
    "recall": "recall: share of what is wet that is predicted wet (producer's accuracy)",
    "accuracy": "overall accuracy",
    "kappa": "Cohen's kappa",
    "bias": "what is predicted wet over what is wet",
    "brier": "Brier score",
    "brier_reliability": "reliability of the Brier score",
    "brier_resolution": "resolution of the Brier score",
    "brier_uncertainty": "uncertainty of the Brier score",
    "log_loss": "logarithmic loss",
    "ece": "expected calibration error",
    "average_precision": "average precision",
    "roc_auc": "area under the receiver operating characteristic",
    "best_threshold": "threshold of the best intersection over union",
    "best_iou": "intersection over union at the best threshold",
    "z2": "mean squared error in units of sigma squared",
}


class Histogram(NamedTuple):
    """Bins of mu, and which of them are predicted wet."""

    edges: Floats
    """Lower edges of the bins, and 1. A bin has its upper edge; the first has its lower as well."""
    first_wet: int
    """The first bin above the threshold."""
    merged: int | None
    """Bin that the next one is to be merged with, as nothing is between the edges of that."""
    cuts: Floats
    """Of each bin but the first, the edge below it: of bins without those that are empty, one
    between it and the last bin before, that which is nearest to one half."""

    @property
    def size(self) -> int:
        """How many bins there are."""
        return len(self.edges) - 1


def histogram(threshold: float, dtype: np.dtype[Any]) -> Histogram:
    """Return the bins of a threshold, which is an edge of them.

    Parameters
    ----------
    threshold : float
    dtype : dtype
        Of mu, whose bins the kernel finds in this precision.
    """
    from xfusion.kernels.probability_bins import BINS, bin_of, edges

    own = dtype.type(threshold)
    cut = bin_of(own)
    all_edges = np.insert(edges(), cut + 1, threshold)
    first_wet, merged = cut + 1, None
    if threshold <= 0:
        # 0 itself is not above it, and no label says so but one below 0
        all_edges[0] = np.nextafter(0.0, -1.0)
    if cut + 1 == BINS:  # nothing is above the last edge
        return Histogram(all_edges[:-1], first_wet, cut, all_edges[1:-2])
    if abs(all_edges[cut + 2] - threshold) < EDGE:
        # numbers that are above it and, but for rounding, on it
        merged = cut + 1
        all_edges = np.delete(all_edges, cut + 2)
    return Histogram(all_edges, first_wet, merged, all_edges[1:-1])


def without_empty(bins: Histogram, there: NDArray[np.intp]) -> tuple[Histogram, NDArray[np.intp]]:
    """Return a histogram without bins that are empty, whose scores are the same.

    Parameters
    ----------
    bins : Histogram
    there : array of int
        Cells of the kernel that are not empty.

    Returns
    -------
    Histogram
    kept : array of int
        Cells of the kernel that have its bins.
    """
    # the first and the last say how far thresholds go
    always = [0, bins.size - 1]
    if bins.merged is not None:
        always = [0, bins.size, bins.merged, bins.merged + 1]
    kept = np.union1d(there, always).astype(np.intp)
    own = kept
    if bins.merged is not None:
        own = np.unique(np.where(kept > bins.merged, kept - 1, kept))
    cuts = [_nearest(bins.cuts[a:b]) for a, b in itertools.pairwise(own)]
    merged = None if bins.merged is None else int(np.searchsorted(own, bins.merged))
    first_wet = int(np.searchsorted(own, bins.first_wet))
    edges = np.append(bins.edges[own], bins.edges[-1])
    return Histogram(edges, first_wet, merged, np.array(cuts)), kept


def _nearest(cuts: Floats) -> float:
    falling = cuts[::-1]
    return float(falling[np.abs(falling - HALF_WAY).argmin()])


def of_bins(cells: NDArray[Any], bins: Histogram) -> NDArray[Any]:
    """Return cells of the kernel, on the last axis, as those of bins."""
    if bins.merged is None:
        return cells
    merged = np.delete(cells, bins.merged + 1, axis=-1)
    merged[..., bins.merged] += cells[..., bins.merged + 1]
    return merged


def scores(
    weights: Floats, distances: Floats, brier: Floats, z2: Floats, bins: Histogram
) -> dict[str, Floats]:
    """Return the scores.

    Parameters
    ----------
    weights : array, shape (..., 2, bins)
        Of dry and of wet pixels in each bin.
    distances : array, of that shape
        Weights times how far mu is from 0 or 1, whichever is nearer.
    brier : array, shape (...)
        Weights times the squared error.
    z2 : array, shape (...)
        The score itself.
    bins : Histogram

    Returns
    -------
    dict
        Those of NAMES, NaN where one is not defined.
    """
    dry, wet = weights[..., 0, :], weights[..., 1, :]
    both = dry + wet
    total, all_wet = both.sum(axis=-1), wet.sum(axis=-1)
    results = _at_threshold(dry, wet, bins.first_wet)
    upper = bins.edges[:-1] > HALF_WAY - EDGE  # where distances are from 1
    results |= _of_calibration(both, wet, distances, upper, bins, total, all_wet)
    results["brier"] = _ratio(brier, total)
    results["log_loss"] = _ratio(_log_loss(weights, distances, upper), total)
    # from the highest bin down, what is predicted wet
    true, false = (np.cumsum(some[..., ::-1], axis=-1) for some in (wet, dry))
    all_dry = false[..., -1]
    ways = ((true - wet[..., ::-1] / 2) * dry[..., ::-1]).sum(axis=-1)
    results["roc_auc"] = _ratio(ways, all_wet * all_dry)
    hits = (wet[..., ::-1] * _ratio(true, true + false, none=0.0)).sum(axis=-1)
    results["average_precision"] = _ratio(hits, all_wet)
    results |= _best(true, false, all_wet, bins.cuts[::-1])
    results["z2"] = z2
    return {name: results[name] for name in NAMES}


def _at_threshold(dry: Floats, wet: Floats, first: int) -> dict[str, Floats]:
    true, false = wet[..., first:].sum(axis=-1), dry[..., first:].sum(axis=-1)
    missed, rejected = wet[..., :first].sum(axis=-1), dry[..., :first].sum(axis=-1)
    total = true + false + missed + rejected
    accuracy = _ratio(true + rejected, total)
    by_chance = (true + false) * (true + missed) + (missed + rejected) * (false + rejected)
    chance = _ratio(by_chance, total * total)
    return {
        "iou": _ratio(true, true + false + missed),
        "f1": _ratio(2 * true, 2 * true + false + missed),
        "precision": _ratio(true, true + false),
        "recall": _ratio(true, true + missed),
        "accuracy": accuracy,
        "kappa": _ratio(accuracy - chance, 1 - chance),
        "bias": _ratio(true + false, true + missed),
    }


def _of_calibration(
    both: Floats,
    wet: Floats,
    distances: Floats,
    upper: NDArray[np.bool_],
    bins: Histogram,
    total: Floats,
    all_wet: Floats,
) -> dict[str, Floats]:
    distance = distances.sum(axis=-2)
    predicted = np.where(upper, both - distance, distance)
    # tenths are edges, but for the rounding of their product
    lower = np.floor(np.maximum(bins.edges[:-1], 0) * CALIBRATION_BINS + SLACK)
    starts = np.searchsorted(lower, np.arange(CALIBRATION_BINS))
    weight, mean, rate = (_summed(some, starts) for some in (both, predicted, wet))
    base = _ratio(all_wet, total)
    squares = _ratio((mean - rate) ** 2, weight, none=0.0).sum(axis=-1)
    spread = weight * (_ratio(rate, weight, none=0.0) - base[..., None]) ** 2
    return {
        "brier_reliability": _ratio(squares, total),
        "brier_resolution": _ratio(spread.sum(axis=-1), total),
        "brier_uncertainty": base * (1 - base),
        "ece": _ratio(np.abs(mean - rate).sum(axis=-1), total),
    }


def _summed(values: Floats, starts: NDArray[np.intp]) -> Floats:
    stops = [*starts[1:], values.shape[-1]]
    parts = [values[..., a:b].sum(axis=-1) for a, b in zip(starts, stops, strict=True)]
    return np.stack(parts, axis=-1)


def _log_loss(weights: Floats, distances: Floats, upper: NDArray[np.bool_]) -> Floats:
    # bins are so narrow that the mean of each does for all of its pixels
    distance = np.clip(_ratio(distances, weights, none=HALF_WAY), CLIP, HALF_WAY)
    # of dry pixels the truth is far where mu is near 1, of wet ones where it is near 0
    far = np.stack([upper, ~upper])
    losses = np.where(far, -np.log(distance), -np.log1p(-distance))
    total: Floats = (weights * losses).sum(axis=(-2, -1))
    return total


def _best(true: Floats, false: Floats, all_wet: Floats, cuts: Floats) -> dict[str, Floats]:
    # what is above an edge; not above 0, which may be any number
    iou = _ratio(true, all_wet[..., None] + false)[..., :-1]
    known = ~np.isnan(iou)
    best = np.where(known, iou, -1.0).max(axis=-1, initial=-1.0)
    alike = known & (iou == best[..., None])
    # of thresholds that are as good, the nearest to one half
    nearest = np.where(alike, np.abs(cuts - HALF_WAY), np.inf).argmin(axis=-1)
    found = all_wet > 0
    return {
        "best_threshold": np.where(found, cuts[nearest], np.nan),
        "best_iou": np.where(found, best, np.nan),
    }


def _ratio(part: Floats, whole: Floats, *, none: float = np.nan) -> Floats:
    out = np.full(np.broadcast_shapes(part.shape, whole.shape), none)
    np.divide(part, whole, out=out, where=np.broadcast_to(whole > 0, out.shape))
    return out
