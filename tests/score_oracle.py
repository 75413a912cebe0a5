"""Scores by scikit-learn, scoringrules and plain numpy, of flat arrays in double precision."""

import sys
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from sklearn import metrics

CLIP = 2.0**-23


def binary(
    mu: NDArray[Any],
    truth: NDArray[Any],
    weight: NDArray[Any],
    *,
    threshold: float = 0.5,
) -> dict[str, float]:
    """Of pixels that are wet and of others that are not."""
    wet, w = mu > threshold, {"sample_weight": weight}
    p, y = mu.astype(np.float64), truth.astype(np.int64)
    return {
        "iou": metrics.jaccard_score(y, wet, **w),
        "f1": metrics.f1_score(y, wet, **w),
        "precision": metrics.precision_score(y, wet, **w),
        "recall": metrics.recall_score(y, wet, **w),
        "accuracy": metrics.accuracy_score(y, wet, **w),
        "kappa": metrics.cohen_kappa_score(y, wet, **w),
        "bias": (weight * wet).sum() / (weight * y).sum(),
        "brier": metrics.brier_score_loss(y, p, **w),
        "log_loss": metrics.log_loss(y, p.clip(CLIP, 1 - CLIP), **w),
        "average_precision": metrics.average_precision_score(y, p, **w),
        "roc_auc": metrics.roc_auc_score(y, p, **w),
        **calibration(p, y, weight),
        **best(p, y, weight),
    }


def calibration(p: NDArray[Any], y: NDArray[Any], weight: NDArray[Any]) -> dict[str, float]:
    """By ten bins of equal width, each with its upper edge."""
    place = np.clip(np.ceil(p * 10 - 1e-6).astype(int) - 1, 0, 9)
    total, base = weight.sum(), np.average(y, weights=weight)
    ece = reliability = resolution = 0.0
    for k in np.unique(place):
        here = place == k
        share = weight[here].sum() / total
        mean, rate = (np.average(a[here], weights=weight[here]) for a in (p, y))
        ece += share * abs(mean - rate)
        reliability += share * (mean - rate) ** 2
        resolution += share * (rate - base) ** 2
    return {
        "ece": ece,
        "brier_reliability": reliability,
        "brier_resolution": resolution,
        "brier_uncertainty": base * (1 - base),
    }


def best(p: NDArray[Any], y: NDArray[Any], weight: NDArray[Any]) -> dict[str, float]:
    """By trying each probability there is as a threshold, and 0."""
    order = np.argsort(-p, kind="stable")
    true, false = np.cumsum((weight * y)[order]), np.cumsum((weight * (1 - y))[order])
    iou = true / ((weight * y).sum() + false)
    last = np.append(p[order][1:] != p[order][:-1], True) & (p[order] > 0)
    return {"best_iou": iou[last].max(initial=0.0)}


def continuous(
    mu: NDArray[Any], sigma: NDArray[Any], truth: NDArray[Any], weight: NDArray[Any]
) -> dict[str, Any]:
    """Of a quantity; what needs sigma is of pixels where it is one."""
    with pytest.MonkeyPatch.context() as patch:
        # with numba it compiles all it has, for seconds, in each process that imports it
        patch.setitem(sys.modules, "numba", None)
        import scoringrules

    m, s, t = (a.astype(np.float64) for a in (mu, sigma, truth))
    of_mu = {
        "bias": np.average(m - t, weights=weight),
        "rmse": np.average((m - t) ** 2, weights=weight) ** 0.5,
        "mae": np.average(abs(m - t), weights=weight),
    }
    m, s, t, weight = (a[np.isfinite(s) & (s >= 0)] for a in (m, s, t, weight))
    pit = stats.norm.cdf((t - m) / s)

    def mean(values: NDArray[Any]) -> float:
        return float(np.average(values, weights=weight))

    return {
        **of_mu,
        "crps": mean(scoringrules.crps_normal(t, m, s)),
        "z2": mean(((m - t) / s) ** 2),
        "coverage": [mean(abs(pit - 0.5) <= level / 2) for level in (0.5, 0.68, 0.9, 0.95)],
        "pit": np.histogram(pit, np.linspace(0, 1, 21), weights=weight)[0] / weight.sum(),
    }
