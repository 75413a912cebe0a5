"""Scores of what was counted in fine bins."""

from __future__ import annotations

import math

import numpy as np

from .binary_scores import CALIBRATION_BINS
from .fitting import Floats, Pairs, Squares

SMALLEST = 0.5**24  # a probability nearer to 0 or to 1 counts as this in log_loss and z2
SLACK = 1e-6  # of a bin of the calibration error, as float32 rounds its edges


def scores(p: Floats, pairs: Pairs) -> dict[str, float]:
    """Return the scores of probabilities."""
    dry, wet = pairs.dry, pairs.wet
    number = dry + wet
    near = np.clip(p, SMALLEST, 1.0 - SMALLEST)
    squares = wet * (1.0 - p) ** 2 + dry * p**2
    # a bin has its upper edge, as one of assess does
    bins = np.maximum(np.ceil(p * CALIBRATION_BINS - SLACK).astype(int), 1) - 1
    apart = np.bincount(bins, wet - number * p, CALIBRATION_BINS)
    above = p > 0.5  # noqa: PLR2004  # one half, by definition
    total = number.sum()
    return {
        "brier": float(squares.sum() / total),
        "log_loss": float(-(wet @ np.log(near) + dry @ np.log1p(-near)) / total),
        "ece": float(np.abs(apart).sum() / total),
        "z2": float((squares / (near * (1.0 - near))).sum() / total),
        "iou": float(wet[above].sum() / max(1.0, wet.sum() + dry[above].sum())),
    }


def scores_of_sigma(sigma: Floats, squares: Squares) -> dict[str, float]:
    """Return the scores of standard deviations."""
    total = squares.number.sum()
    z2 = float((squares.squares / sigma**2).sum() / total)
    of_sigma = float(squares.number @ np.log(sigma) / total)
    return {
        "rmse": math.sqrt(squares.squares.sum() / total),
        "z2": z2,
        "log_score": of_sigma + 0.5 * z2 + 0.5 * math.log(2.0 * math.pi),
    }
