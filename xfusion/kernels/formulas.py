"""The formulas of the rules, each a function of the sensors at one pixel.

A formula takes what it needs of these, fills `weights`, and returns mean, standard deviation and
the sum of weights. References are in ``docs/rules.md``.

n
    Number of sensors, usable or not; all arrays have a value for each.
m, s, ok
    Mean and standard deviation of each sensor, and whether it is usable; two at least are.
low
    The smallest s of usable sensors; it is the unit of `z` and of variances.
z
    low / s of each sensor, 0 where it is not usable.
weights
    In any unit, 0 where a sensor has no part in the result.
number, bits
    How many sensors are usable; and which: bit k is set for sensor k, none beyond 8 of them.

All are copied into the kernel that calls them, for one number of sensors: a call that hands on
arrays costs as much as a loop over the sensors.
"""

from __future__ import annotations

import math
from typing import Any

from .codes import LOG_ODDS, MINIMUM_SIGMA, MIXTURE, RANDOM_EFFECTS
from .compile import spliced
from .correlation import convex

SURE = 1e-9  # probabilities are kept this far from 0 and 1


@spliced
def estimate(
    rule: int,
    n: int,
    m: Any,
    s: Any,
    ok: Any,
    z: Any,
    weights: Any,
    number: int,
    bits: int,
    low: float,
    chi2: float,
    matrix: Any,
    inverses: Any,
    prior: float,
    alpha: float,
) -> Any:
    """Return mean, standard deviation and sum of weights, with the formula of a rule.

    `weights` are those of :func:`gaussian_independent` before. `chi2` is not reduced, and only of
    RANDOM_EFFECTS always a number. `prior` and `alpha` are those of LOG_ODDS.
    """
    if rule == MIXTURE:
        return mixture(n, m, s, ok, weights, number)
    if rule == RANDOM_EFFECTS:
        return random_effects(n, m, weights, number, low, chi2)
    if rule == MINIMUM_SIGMA:
        return minimum_sigma(n, m, s, ok, weights, low)
    if rule == LOG_ODDS:
        return log_odds(n, m, s, ok, weights, number, prior, alpha)
    return gaussian_correlated(n, m, z, weights, bits, low, matrix, inverses)


@spliced
def gaussian_independent(n: int, m: Any, z: Any, weights: Any, low: float) -> Any:
    """``w_i = 1 / s_i^2``: the best linear unbiased estimate, of independent errors."""
    for k in range(n):
        weights[k] = z[k] * z[k]
    mean, total = _weighted_mean(n, m, weights)
    return mean, low * math.sqrt(1.0 / total), total


@spliced
def gaussian_correlated(
    n: int, m: Any, z: Any, weights: Any, bits: int, low: float, matrix: Any, inverses: Any
) -> Any:
    """``w = C^-1 1 / (1' C^-1 1)``: the best estimate with convex weights, of any errors."""
    convex(z, bits, n, matrix, inverses, weights)
    for k in range(n):
        weights[k] *= z[k]
    mean, total = _weighted_mean(n, m, weights)
    # no sigma is larger than the smallest, but for rounding
    return mean, low * math.sqrt(1.0 / max(total, 1.0)), total


@spliced
def random_effects(n: int, m: Any, weights: Any, number: int, low: float, chi2: float) -> Any:
    """``w_i = 1 / (s_i^2 + tau^2)``, with the tau^2 of DerSimonian and Laird."""
    total = squares = 0.0
    for k in range(n):
        total += weights[k]
        squares += weights[k] * weights[k]
    room = total - squares / total
    tau2 = max(0.0, (chi2 - (number - 1)) / room) if room > 0.0 else 0.0
    # a sensor that is certain leaves no variance to compare tau^2 with
    tau2 = tau2 if low > 0.0 else 0.0
    for k in range(n):
        weights[k] /= 1.0 + tau2 * weights[k]
    mean, total = _weighted_mean(n, m, weights)
    return mean, low * math.sqrt(1.0 / total), total


@spliced
def minimum_sigma(n: int, m: Any, s: Any, ok: Any, weights: Any, low: float) -> Any:
    """``mu = m_k, sigma = s_k``, of the smallest s_k; sensors that share it weigh the same."""
    for k in range(n):
        weights[k] = 1.0 if ok[k] and s[k] == low else 0.0
    mean, total = _weighted_mean(n, m, weights)
    return mean, low, total


@spliced
def mixture(n: int, m: Any, s: Any, ok: Any, weights: Any, number: int) -> Any:
    """``mu = sum(m_i) / N, sigma^2 = sum(s_i^2 + (m_i - mu)^2) / N``: the equal linear pool."""
    # the smallest numbers lose bits when they are divided, the largest overflow when they are added
    largest = 0.0
    for k in range(n):
        weights[k] = 1.0 if ok[k] else 0.0
        if ok[k]:
            largest = max(largest, abs(m[k]))
    small = largest < 1e300
    mean = 0.0
    least, most = math.inf, -math.inf
    for k in range(n):
        if ok[k]:
            mean += m[k] if small else m[k] / number
            least, most = min(least, m[k]), max(most, m[k])
    mean = min(max(mean / number if small else mean, least), most)
    scale = 0.0
    for k in range(n):
        if ok[k]:
            scale = max(scale, s[k], abs(m[k] - mean))
    square = 0.0
    for k in range(n):
        if ok[k] and scale > 0.0:
            square += (s[k] / scale) ** 2 + ((m[k] - mean) / scale) ** 2
    return mean, scale * math.sqrt(square / number), float(number)


@spliced
def log_odds(
    n: int, m: Any, s: Any, ok: Any, weights: Any, number: int, prior: float, alpha: float
) -> Any:
    """``logit mu = logit prior + alpha sum(logit m_i - logit prior)``, sigma to first order.

    Both are NaN where the prior is.
    """
    logit = (1.0 - alpha * number) * math.log(prior / (1.0 - prior))
    square = 0.0
    for k in range(n):
        weights[k] = 1.0 if ok[k] else 0.0
        if ok[k]:
            q = min(max(m[k], SURE), 1.0 - SURE)
            logit += alpha * math.log(q / (1.0 - q))
            square += (s[k] / (q * (1.0 - q))) ** 2
    # of the smaller of P and 1 - P: no cancellation
    small = math.exp(-abs(logit)) / (1.0 + math.exp(-abs(logit)))
    # as the inputs: what is fused here can be outvoted, too. NaN, being first, stays
    small = max(small, SURE)
    mean = small if logit < 0.0 else 1.0 - small
    # the evidence of each sensor counts whole
    return mean, alpha * small * (1.0 - small) * math.sqrt(square), 1.0


@spliced
def _weighted_mean(n: int, m: Any, weights: Any) -> Any:
    """Return the mean of the sensors with their weights, and the sum of these."""
    mean = total = 0.0
    least, most = math.inf, -math.inf
    for k in range(n):
        total += weights[k]
    share = 1.0 / total
    for k in range(n):
        if weights[k] > 0.0:
            mean += weights[k] * share * m[k]
            least, most = min(least, m[k]), max(most, m[k])
    # sensors that are certain and agree do so without rounding
    return min(max(mean, least), most), total
