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


def scores(weight: Floats, sound: Floats, cells: Floats, sums: Floats) -> dict[str, Floats]:
    """Return the scores.

    Parameters
    ----------
    weight : array, shape (...)
    sound : array, shape (...)
        Weight of those whose sigma is one.
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

    def mean(values: Floats, of: Floats) -> Floats:
        whole = np.broadcast_to(of[..., None], values.shape)
        out = np.full(values.shape, np.nan)
        np.divide(values, whole, out=out, where=whole > 0)
        return out

    of_mu, of_sigma = mean(sums, weight), mean(sums, sound)
    below = np.concatenate([np.zeros((*cells.shape[:-1], 1)), np.cumsum(cells, axis=-1)], axis=-1)
    places = np.concatenate([[0.0], BETWEEN, [1.0]])

    def up_to(probabilities: Floats) -> Floats:
        return below[..., np.abs(places[:, None] - probabilities).argmin(axis=0)]

    levels = np.array(LEVELS)
    inside = up_to(0.5 + levels / 2) - up_to(0.5 - levels / 2)
    return {
        "bias": of_mu[..., ERROR],
        "rmse": np.sqrt(of_mu[..., SQUARE]),
        "mae": of_mu[..., DISTANCE],
        "crps": of_sigma[..., CRPS],
        "z2": of_sigma[..., Z2],
        "coverage": mean(inside, sound),
        "pit": mean(np.diff(up_to(np.linspace(0, 1, PIT_BINS + 1)), axis=-1), sound),
    }
