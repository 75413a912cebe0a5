"""Fusion rules on pixels of any number of sensors: correlated errors, conflict, diagnostics.

The case of independent errors without diagnostics, by far the most frequent, has a kernel of its
own in :mod:`xfusion.kernels.fuse`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .compile import compiled
from .correlation import Correlation, chi_square, convex, normalised
from .independent import MAX_SENSORS, flat
from .parallel import BLOCK_SIZE, map_ranges, pixels

GAUSSIAN, MIXTURE, RANDOM_EFFECTS, MINIMUM_SIGMA, LOG_ODDS = range(5)
RULES = {
    "gaussian": GAUSSIAN,
    "mixture": MIXTURE,
    "random_effects": RANDOM_EFFECTS,
    "minimum_sigma": MINIMUM_SIGMA,
    "log_odds": LOG_ODDS,
}
LENGTH = 512
SURE = 1e-9  # probabilities are kept this far from 0 and 1


class Fused(NamedTuple):
    """What fusion makes of a block of pixels."""

    mu: NDArray[Any]
    sigma: NDArray[Any]
    mask: NDArray[np.uint8]
    source: NDArray[Any]
    """uint8 with bit i set where sensor i has weight; beyond 8 sensors their number."""
    chi2: NDArray[Any]
    """Reduced chi-square, NaN where fewer than two sensors are usable; maybe empty."""
    difference: NDArray[Any]
    """First sensor less the second, in standard deviations of that; empty unless of two."""
    weight: NDArray[Any]
    """Shape (n, ...), NaN where a sensor is not usable; maybe empty."""


@compiled
def _fuse(
    mus: Any,
    sigmas: Any,
    masks: Any,
    n: int,
    start: int,
    stop: int,
    rule: int,
    matrix: Any,
    inverses: Any,
    prior: float,
    sigma_floor: float,
    floor_nonfinite: bool,
    unknown: int,
    inflate: bool,
    diagnostics: bool,
    out_mu: Any,
    out_sigma: Any,
    out_mask: Any,
    out_source: Any,
    out_chi2: Any,
    out_difference: Any,
    out_weight: Any,
) -> None:
    m, s, z, u, x = np.empty(n), np.empty(n), np.empty(n), np.empty(n), np.empty(n)
    ok = np.empty(n, np.bool_)
    prior_logit = math.log(prior / (1.0 - prior))
    # one sensor after the other through pixels that fit a cache
    ms, ss = np.empty((LENGTH, n)), np.empty((LENGTH, n))
    oks, reasons = np.empty((LENGTH, n), np.bool_), np.empty(LENGTH, np.uint8)
    for first in range(start, stop, LENGTH):
        count = min(LENGTH, stop - first)
        reasons[:] = 0
        for k in range(n):
            mu, sigma, mask = mus[k], sigmas[k], masks[k]
            for p in range(count):
                i = first - start + p
                deviation = np.float64(sigma[i])
                finite = math.isfinite(deviation)
                flags = mask[i] if mask.size > 0 else np.uint8(0)
                ms[p, k] = mu[i]
                ss[p, k] = deviation if finite and deviation > sigma_floor else sigma_floor
                oks[p, k] = flags == 0 and math.isfinite(mu[i]) and (finite or floor_nonfinite)
                reasons[p] |= flags
        for p in range(count):
            i = first + p
            low = math.inf
            usable = number = last = 0
            for k in range(n):
                m[k], s[k], ok[k] = ms[p, k], ss[p, k], oks[p, k]
                if ok[k]:
                    low = min(low, s[k])
                    number += 1
                    last = k
                    if n <= MAX_SENSORS:
                        usable |= 1 << k
            for k in range(n):
                u[k] = 1.0 if ok[k] and k == last else 0.0
                z[k] = 0.0
                if ok[k]:
                    z[k] = 1.0 if s[k] == low else low / s[k]
            mean, spread, total = m[last], s[last], 1.0
            chi2 = math.nan
            if number > 1:
                # a mean to start from: of independent errors
                mean = total = 0.0
                least, most = math.inf, -math.inf
                for k in range(n):
                    u[k] = z[k] * z[k]
                    total += u[k]
                share = 1.0 / total
                for k in range(n):
                    if u[k] > 0.0:
                        mean += u[k] * share * m[k]
                        least, most = min(least, m[k]), max(most, m[k])
                # sensors that are certain and agree do so without rounding
                mean = min(max(mean, least), most)
                spread = low * math.sqrt(1.0 / total)
                if diagnostics or inflate or rule == RANDOM_EFFECTS:
                    for k in range(n):
                        x[k] = 0.0
                        if ok[k] and m[k] != mean:
                            x[k] = (m[k] - mean) / s[k]
                    chi2 = chi_square(x, z, usable, n, inverses)
                weighed_anew = False
                if rule == GAUSSIAN and inverses.size > 0:
                    convex(z, usable, n, matrix, inverses, u)
                    for k in range(n):
                        u[k] *= z[k]
                    weighed_anew = True
                elif rule == RANDOM_EFFECTS and low > 0.0:
                    squares = 0.0
                    for k in range(n):
                        squares += u[k] * u[k]
                    room = total - squares / total
                    tau2 = max(0.0, (chi2 - (number - 1)) / room) if room > 0.0 else 0.0
                    for k in range(n):
                        u[k] /= 1.0 + tau2 * u[k]
                    weighed_anew = True
                elif rule == MINIMUM_SIGMA:
                    for k in range(n):
                        u[k] = 1.0 if ok[k] and s[k] == low else 0.0
                    weighed_anew = True
                elif rule == MIXTURE:
                    mean = 0.0
                    for k in range(n):
                        u[k] = 1.0 if ok[k] else 0.0
                        if ok[k]:
                            mean += m[k] / number
                    total = float(number)
                    scale = 0.0
                    for k in range(n):
                        if ok[k]:
                            scale = max(scale, s[k], abs(m[k] - mean))
                    square = 0.0
                    for k in range(n):
                        if ok[k] and scale > 0.0:
                            square += (s[k] / scale) ** 2 + ((m[k] - mean) / scale) ** 2
                    spread = scale * math.sqrt(square / number)
                elif rule == LOG_ODDS:
                    logit = -(number - 1) * prior_logit
                    square = 0.0
                    for k in range(n):
                        u[k] = 1.0 if ok[k] else 0.0
                        if ok[k]:
                            q = min(max(m[k], SURE), 1.0 - SURE)
                            logit += math.log(q / (1.0 - q))
                            square += (s[k] / (q * (1.0 - q))) ** 2
                    total = 1.0  # the evidence of each counts whole
                    # of the smaller of P and 1 - P: no cancellation
                    small = math.exp(-abs(logit)) / (1.0 + math.exp(-abs(logit)))
                    mean = small if logit < 0.0 else 1.0 - small
                    spread = small * (1.0 - small) * math.sqrt(square)
                if weighed_anew:
                    # in place: a call with arrays costs as much as the loop
                    mean = total = 0.0
                    least, most = math.inf, -math.inf
                    for k in range(n):
                        total += u[k]
                    share = 1.0 / total
                    for k in range(n):
                        if u[k] > 0.0:
                            mean += u[k] * share * m[k]
                            least, most = min(least, m[k]), max(most, m[k])
                    mean = min(max(mean, least), most)
                    if rule == RANDOM_EFFECTS:
                        spread = low * math.sqrt(1.0 / total)
                    elif rule == GAUSSIAN:
                        # no sigma is larger than the smallest, but for rounding
                        spread = low * math.sqrt(1.0 / max(total, 1.0))
                    else:
                        spread = low
                if inflate and spread > 0.0:
                    spread *= math.sqrt(max(1.0, chi2 / (number - 1)))
                chi2 /= number - 1
            if diagnostics:
                out_chi2[i] = chi2
            if out_difference.size > 0:
                out_difference[i] = np.nan
                if number == 2:
                    rho = matrix[0, 1] if inverses.size > 0 else 0.0
                    out_difference[i] = normalised(m[0] - m[1], s[0], s[1], rho)
            out_mu[i] = mean
            out_sigma[i] = spread
            # a result that overflows is none
            possible = number > 0 and math.isfinite(out_mu[i]) and math.isfinite(out_sigma[i])
            out_mask[i] = 0
            if not possible:
                out_mu[i] = out_sigma[i] = np.nan
                out_mask[i] = reasons[p] if reasons[p] != 0 else np.uint8(unknown)
            took_part = 0
            for k in range(n):
                if u[k] > 0.0 and possible:
                    took_part += 1 << k if n <= MAX_SENSORS else 1
                if diagnostics:
                    out_weight[k, i] = u[k] / total if ok[k] and possible else np.nan
            out_source[i] = took_part


def fuse(
    mus: Sequence[NDArray[Any]] | NDArray[Any],
    sigmas: Sequence[NDArray[Any]] | NDArray[Any],
    masks: Sequence[NDArray[np.uint8] | None] | NDArray[np.uint8] | None,
    *,
    rule: int,
    correlation: Correlation,
    prior: float,
    sigma_floor: float,
    floor_nonfinite: bool,
    unknown: int,
    inflate: bool,
    diagnostics: bool,
    threads: int | None,
) -> Fused:
    """Fuse sensors pixel by pixel.

    Parameters
    ----------
    mus, sigmas : sequence of up to 8 arrays, or one array of shape (n, ...)
        Means and standard deviations, float32 or float64.
    masks : sequence of arrays or None, one array of shape (n, ...), or None
        uint8 flags, 0 where a pixel is usable; None where nothing is excluded.
    rule : int
        One of `RULES`.
    correlation : Correlation
        Of the errors of the sensors; used by "gaussian" and by chi-square.
    prior : float
        Probability before any evidence, for "log_odds".
    sigma_floor, floor_nonfinite, unknown, threads
        As in :func:`xfusion.kernels.fuse.gaussian`.
    inflate : bool
        Multiply sigma with the Birge ratio where it is above 1.
    diagnostics : bool
        Fill `chi2` and `weight`.

    Returns
    -------
    Fused
        float32 where all inputs are float32, else float64.

    Notes
    -----
    Sums are in double precision, with sigma relative to the smallest of the pixel. The formulas
    and their references are in ``docs/rules.md``.
    """
    dtype = np.result_type(*mus, *sigmas)
    n, shape = len(mus), mus[0].shape
    size = math.prod(shape)
    source = np.empty(shape, np.uint8 if n <= MAX_SENSORS else np.uint16)
    kept = shape if diagnostics else (0,)
    fused = Fused(
        mu=np.empty(shape, dtype),
        sigma=np.empty(shape, dtype),
        mask=np.empty(shape, np.uint8),
        source=source,
        chi2=np.empty(kept, dtype),
        difference=np.empty(kept if n == 2 else (0,), dtype),
        weight=np.empty((n, *kept), dtype),
    )
    outputs: Any = [a.reshape(-1) for a in fused[:-1]] + [fused.weight.reshape(n, -1)]

    def on_range(start: int, stop: int) -> None:
        block: list[Any] = []
        for layers, kind in ((mus, dtype), (sigmas, dtype), (masks, np.dtype(np.uint8))):
            given = [None] * n if layers is None else layers
            parts = (np.empty(0) if a is None else pixels(a, start, stop) for a in given)
            if n > MAX_SENSORS:  # more than a compiled function can take one by one
                block.append(np.empty((n, 0 if layers is None else stop - start), kind))
                for row, part in zip(block[-1], parts, strict=True):
                    row[:] = part
            else:
                block.append(tuple(flat(part, kind) for part in parts))
        _fuse(
            block[0],
            block[1],
            block[2],
            n,
            start,
            stop,
            rule,
            correlation.matrix,
            correlation.inverses,
            prior,
            sigma_floor,
            floor_nonfinite,
            unknown,
            inflate,
            diagnostics,
            *outputs,
        )

    # converted block by block: all at once would take as much memory as the inputs
    map_ranges(on_range, size, threads=threads, length=max(LENGTH, BLOCK_SIZE // (8 * n)))
    return fused
