"""How fast a quantity changes, by what was seen of a sample of pixels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

SLOWEST, FASTEST = 1e-9, 1e2  # of what the differences of looks suggest
DAYS = 30.0  # a pace to begin with
NOTHING = float(np.finfo(np.float64).tiny) * 1e30  # of a growth
NEVER = 1e-3  # changes that rates expect of all pixels and days of a sample
GIVE_RATES = "give rates=(dry_to_wet, wet_to_dry) per day, such as rates=(0.01, 0.04)"


def likeliest_q(
    observed: NDArray[np.float64], spread: NDArray[np.float64], days: NDArray[np.float64]
) -> float:
    """Return the growth of variance a day that makes what was seen likeliest.

    Parameters
    ----------
    observed, spread : arrays, shape (dates, pixels)
        Means and standard deviations, NaN where nothing was seen.
    days : array, shape (dates,)
        Since the date before.

    Returns
    -------
    float
        In units of mu squared per day; 0 if no change is likelier than any.

    Raises
    ------
    ValueError
        If no pixel was seen twice.

    Notes
    -----
    The likelihood of innovations (Schweppe 1965; Harvey 1989, section 3.4).
    """
    from scipy.optimize import minimize_scalar

    from xfusion.kernels import random_walk

    scale = _typical_growth(observed, days)

    def unlikely(logarithm: float) -> float:
        q = scale * math.exp(logarithm)
        return -random_walk.log_likelihood(observed, spread, days, q)

    bounds = math.log(SLOWEST), math.log(FASTEST)
    best = minimize_scalar(unlikely, bounds=bounds, method="bounded", options={"xatol": 1e-4})
    if -random_walk.log_likelihood(observed, spread, days, 0.0) <= best.fun:
        return 0.0
    return scale * math.exp(best.x)


def likeliest_rates(
    observed: NDArray[np.float64], days: NDArray[np.float64], prior: float | None
) -> tuple[tuple[float, float], float]:
    """Return the rates from dry to wet, and back, that make what was seen likeliest.

    Parameters
    ----------
    observed : array, shape (dates, pixels)
        Probabilities, NaN where nothing was seen.
    days : array, shape (dates,)
        Since the date before.
    prior : float, optional
        Of the probabilities; by default their mean.

    Returns
    -------
    (float, float), float
        Per day; and the prior.

    Raises
    ------
    ValueError
        If no pixel was seen twice, or none turns wet or dry: then no rate is likelier than all
        that are smaller.

    Notes
    -----
    The likelihood of a hidden Markov chain, which the iterations of Baum and others (1970) climb,
    is climbed directly (Nelder and Mead 1965): there are but two numbers.
    """
    from scipy.optimize import minimize
    from scipy.special import expit, logit

    from xfusion.kernels import two_state

    if not _typical_growth(observed, days) > NOTHING:
        raise _unchanging(observed)
    if prior is None:
        prior = float(np.clip(np.nanmean(observed), 1e-3, 1 - 1e-3))

    def unlikely(guess: Any) -> float:
        share, pace = float(expit(guess[0])), math.exp(guess[1])
        return -two_state.log_likelihood(observed, days, share, pace, prior)

    start = [float(logit(prior)), -math.log(DAYS)]
    best = minimize(unlikely, start, method="Nelder-Mead", options={"xatol": 1e-3, "fatol": 1e-3})
    share, pace = float(expit(best.x[0])), math.exp(best.x[1])
    rates = share * pace, float(expit(-best.x[0])) * pace
    if min(rates) * float(days.sum()) * observed.shape[1] < NEVER:
        raise _unchanging(observed)
    return rates, prior


def _unchanging(observed: NDArray[np.float64]) -> ValueError:
    """Return the error of a sample without a change from dry to wet or back."""
    wet, seen = observed > 0.5, np.isfinite(observed)  # noqa: PLR2004  # one half, by definition
    number = f"{observed.shape[1]} pixels on {observed.shape[0]} dates"
    if (wet[seen]).all() or not wet.any():
        what = f"its {number} are always {'wet' if wet.any() else 'dry'}"
    else:
        what = f"of its {number} none turns wet, or none turns dry again"
    return ValueError(
        f"rates='ml' finds no rates, as the sample never changes state: {what}, by what was seen, "
        f"so nothing is known of how often that happens; {GIVE_RATES}, or take a longer series or "
        "more pixels"
    )


def _typical_growth(observed: NDArray[np.float64], days: NDArray[np.float64]) -> float:
    """Return the mean square of differences between looks in a row, per day."""
    last = np.full(observed.shape[1], np.nan)
    passed = np.zeros(observed.shape[1])
    total, count = 0.0, 0
    for row, span in zip(observed, days, strict=True):
        passed += span
        both = np.isfinite(row) & np.isfinite(last)
        total += float(np.sum((row[both] - last[both]) ** 2 / np.maximum(passed[both], 1e-6)))
        count += int(both.sum())
        seen = np.isfinite(row)
        last[seen], passed[seen] = row[seen], 0.0
    if not count:
        msg = (
            "no pixel of the sample was seen twice, so nothing is known of how fast mu changes: "
            "give a number instead of 'ml', or, if little of a large area was seen at all, find it "
            "for that part, .isel(y=slice(...), x=slice(...))"
        )
        raise ValueError(msg)
    return max(total / count, NOTHING)
