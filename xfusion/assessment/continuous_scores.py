"""Scores of a quantity and its sigma, from sums over its errors."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

NAMES = {
    "bias": "mean of mu less the reference",
    "rmse": "root of the mean squared error",
    "mae": "mean absolute error",
    "crps": "continuous ranked probability score of normal errors",
    "z2": "mean squared error in units of sigma squared",
    "coverage": "share of references inside the central interval of this probability",
    "pit": "share of references in this part of their predicted distribution",
}
OF_MU = ("bias", "rmse", "mae", "crps")  # which have its units


def scores(weight: Floats, cells: Floats, sums: Floats) -> dict[str, Floats]:
    """Return the scores.

    Parameters
    ----------
    weight : array, shape (...)
    cells : array, shape (..., cells)
        Weights of references between two of :data:`xfusion.kernels.continuous_tally.BETWEEN`.
    sums : array, shape (..., 5)
        Weights times error, its square, its size, CRPS and squared z.
    """
    from xfusion.kernels.continuous_tally import (
        BETWEEN,
        CRPS,
        DISTANCE,
        ERROR,
        LEVELS,
        PIT_BINS,
        SQUARE,
        Z2,
    )

    def mean(values: Floats) -> Floats:
        whole = np.broadcast_to(weight[..., None], values.shape)
        out = np.full(values.shape, np.nan)
        np.divide(values, whole, out=out, where=whole > 0)
        return out

    of_one = mean(sums)
    below = np.concatenate([np.zeros((*cells.shape[:-1], 1)), np.cumsum(cells, axis=-1)], axis=-1)
    places = np.concatenate([[0.0], BETWEEN, [1.0]])

    def up_to(probabilities: Floats) -> Floats:
        return below[..., np.abs(places[:, None] - probabilities).argmin(axis=0)]

    levels = np.array(LEVELS)
    inside = up_to(0.5 + levels / 2) - up_to(0.5 - levels / 2)
    return {
        "bias": of_one[..., ERROR],
        "rmse": np.sqrt(of_one[..., SQUARE]),
        "mae": of_one[..., DISTANCE],
        "crps": of_one[..., CRPS],
        "z2": of_one[..., Z2],
        "coverage": mean(inside),
        "pit": mean(np.diff(up_to(np.linspace(0, 1, PIT_BINS + 1)), axis=-1)),
    }
