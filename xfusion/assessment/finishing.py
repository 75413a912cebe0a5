"""From the counts of all pixels to scores and their intervals, group by group."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xfusion.datamodel.graph import InGraph

from . import binary_scores, continuous_scores
from .binary_scores import Histogram
from .group_counts import Counts, bins_there, cells_of, cells_to_draw
from .weighing import Weighing

Floats = NDArray[np.float64]

BATCH = 32  # draws at a time: each takes the memory of all bins
ENDS = (2.5, 97.5)  # percentiles
SUFFIXES = ("lower", "upper")
COUNTS = ("count", "unscored")
FEWEST = 2  # parts that can differ


@dataclass(frozen=True)
class Finishing(InGraph):
    """What is made of the counts; picklable."""

    weighing: Weighing
    members: NDArray[np.bool_]
    """Shape (groups, numbers): which numbers are of a group."""
    bins: Histogram | None
    """None of a quantity."""
    grouped: bool
    """Whether results have an axis of groups."""
    own: bool
    """Whether pixels that are not usable are scored by their own mu."""
    draws: int
    seed: int

    def __call__(self, counts: Counts, largest: float) -> dict[str, NDArray[Any]]:
        """Return the scores, each of shape (groups, 2, ...), or (2, ...): of all and usable pixels.

        Parameters
        ----------
        counts : Counts
        largest : float
            The largest weight.
        """
        from xfusion.kernels.binary_tally import COUNT  # as of a quantity

        unit = self.weighing.unit(largest)
        sums, _ = counts.arrays
        parts, numbers = np.divmod(counts.codes, self.members.shape[1])
        scored = sums[..., COUNT].any(axis=1)
        there = np.unique(parts[scored])
        draws = self._drawn(len(there))
        groups = []
        for group in self.members:
            here = group[numbers]
            of_group = cells_of(counts, here), *(a[here].sum(axis=0) for a in counts.arrays)
            results = self._scores(*(a[None] for a in of_group), unit=unit, bins=self.bins)
            scores = {name: values[0] for name, values in results.items()}
            scores |= _counts(sums[here].sum(axis=0))
            if self.draws:
                here &= scored
                place = np.searchsorted(there, parts[here])
                scores |= self._intervals(counts, here, place, draws, scores)
            groups.append(scores)
        if not self.grouped:
            return groups[0]
        return {name: np.stack([scores[name] for scores in groups]) for name in groups[0]}

    def _drawn(self, parts: int) -> NDArray[np.int64]:
        """Return how often each part is drawn, of shape (draws, parts)."""
        if not parts:
            return np.zeros((self.draws, 0), np.int64)
        rng = np.random.default_rng(self.seed)
        return rng.multinomial(parts, np.full(parts, 1 / parts), size=self.draws)

    def _intervals(
        self,
        counts: Counts,
        here: NDArray[np.bool_],
        place: NDArray[np.intp],
        draws: NDArray[np.int64],
        scores: dict[str, Floats],
    ) -> dict[str, Floats]:
        names = [name for name in scores if name not in (*COUNTS, "wet", "dry")]
        if len(np.unique(place)) < FEWEST:
            none = {name: np.full_like(scores[name], np.nan) for name in names}
            return {f"{name}_{end}": none[name] for name in names for end in SUFFIXES}
        drawn: dict[str, list[Floats]] = {name: [] for name in names}
        bins, kept = self.bins, None
        if bins is not None:
            bins, kept = binary_scores.without_empty(bins, bins_there(counts, here))
        sums, words = counts.arrays
        matrices = [
            cells_to_draw(counts, here, kept),
            *(
                (a.reshape(len(a), -1).astype(np.float64), a.shape[1:])
                for a in (sums[here], exact_totals(words[here]))
            ),
        ]
        for start in range(0, self.draws, BATCH):
            some = draws[start : start + BATCH, place].astype(np.float64)
            drawn_sums = ((some @ a).reshape(len(some), *shape) for a, shape in matrices)
            results = self._scores(*drawn_sums, unit=1.0, bins=bins)
            for name in names:
                drawn[name].append(results[name])
        return {
            f"{name}_{end}": limit
            for name in names
            for end, limit in zip(SUFFIXES, _limits(np.concatenate(drawn[name])), strict=True)
        }

    def _scores(
        self,
        cells: NDArray[Any],
        sums: NDArray[Any],
        words: NDArray[Any],
        *,
        unit: float,
        bins: Histogram | None,
    ) -> dict[str, Floats]:
        """Return the scores of counts of shape (n, usable, ...); exact sums may be floats."""
        totals = exact_totals(words) if words.dtype.kind == "i" else words
        if bins is None:
            return _of_quantity(cells, sums, totals)
        return self._of_bins(bins, cells, sums, totals, unit)

    def _of_bins(
        self,
        bins: Histogram,
        cells: NDArray[Any],
        sums: NDArray[Any],
        large_z2: Floats,
        unit: float,
    ) -> dict[str, Floats]:
        from xfusion.kernels.binary_tally import BRIER, BROKEN_WEIGHT, Z2, Z_UNIT

        in_bins = binary_scores.of_bins(np.moveaxis(cells, -1, 0), bins)
        # pixels that are not usable and those that are become all and those that are
        weights, distances = (_all_and_usable(some).astype(np.float64) for some in in_bins)
        of_each = in_bins[0].sum(axis=(-2, -1)).astype(np.float64)
        of_each[:, 0] = of_each[:, 0] - sums[:, 0, BROKEN_WEIGHT] if self.own else 0
        z2 = sums[..., Z2] * Z_UNIT + large_z2
        weight, z2 = _all_and_usable(of_each), _all_and_usable(z2)
        mean_z2 = np.divide(z2, weight, out=np.full(z2.shape, np.nan), where=weight > 0)
        brier = _all_and_usable(sums[..., BRIER]).astype(np.float64)
        results = binary_scores.scores(weights, distances, brier, mean_z2, bins)
        results["wet"], results["dry"] = (weights[..., k, :] * unit for k in (1, 0))
        return results


def _of_quantity(cells: NDArray[Any], sums: NDArray[Any], totals: Floats) -> dict[str, Floats]:
    from xfusion.kernels.continuous_tally import BROKEN_WEIGHT, WEIGHT

    weight, broken, within = (
        _all_and_usable(some).astype(np.float64)
        for some in (sums[..., WEIGHT], sums[..., BROKEN_WEIGHT], cells)
    )
    return continuous_scores.scores(weight, weight - broken, within, _all_and_usable(totals))


def _counts(sums: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
    from xfusion.kernels.binary_tally import COUNT, UNSCORED  # as of a quantity

    count, lost = sums[:, COUNT], sums[:, UNSCORED].sum()
    return {
        "count": np.array([count.sum(), count[1]]),
        "unscored": np.array([lost, lost + count[0]]),
    }


def _all_and_usable(values: NDArray[Any]) -> NDArray[Any]:
    """Return what is of pixels that are not usable, and of those that are, as of all and of those.

    They are on the second axis.
    """
    return np.stack([values.sum(axis=1), values[:, 1]], axis=1)


def exact_totals(words: NDArray[np.int64]) -> Floats:
    """Return exact sums as floats."""
    from xfusion.kernels import exact_sums

    return exact_sums.total(exact_sums.carried(words))


def _limits(drawn: Floats) -> Floats:
    """Return percentiles along the first axis, of what is defined."""
    none = np.isnan(drawn).all(axis=0)
    limits = np.nanpercentile(np.where(none, 0.0, drawn), ENDS, axis=0)
    return np.where(none, np.nan, limits)
