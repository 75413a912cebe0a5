"""Fusion rules on pixels of any number of sensors: correlated errors, conflict, diagnostics.

The most frequent cases, independent errors and one correlation, without diagnostics, have kernels
of their own in :mod:`xfusion.kernels.independent` and :mod:`xfusion.kernels.equicorrelated`. The
formulas are in :mod:`xfusion.kernels.formulas`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .buffers import borrowed, stack_buffer
from .codes import GAUSSIAN, LOG_ODDS, RANDOM_EFFECTS
from .compile import compiled, spliced
from .correlation import Correlation, chi_square, normalised
from .equicorrelated import fuse_equicorrelated
from .formulas import estimate, gaussian_independent
from .independent import MAX_SENSORS, WIDE, flat
from .pair_counts import SLACK
from .parallel import BLOCK_SIZE, map_ranges, pixels

LENGTH = 512
UNROLLED = 4  # sensors; of more, what a kernel of their number gains is less than its compilation


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
    conflict: NDArray[np.bool_]
    """Where no value is within WIDE sigmas of all usable means."""
    strange: NDArray[np.float64]
    """Of LOG_ODDS: one of the means that are no probability, NaN if all are."""
    weight: NDArray[Any]
    """Shape (n, ...), NaN where a sensor is not usable; maybe empty."""


@spliced
def _read(
    mus: Any,
    sigmas: Any,
    masks: Any,
    first: int,
    count: int,
    sigma_floor: float,
    floor_nonfinite: bool,
    pixels: Any,
) -> None:
    """Copy some pixels: one sensor after the other, as many as fit a cache."""
    ms, ss, oks, reasons = pixels
    reasons[:] = 0
    for k in range(len(mus)):
        mu, sigma, mask = mus[k], sigmas[k], masks[k]
        for p in range(count):
            i = first + p
            deviation = np.float64(sigma[i])
            sound = math.isfinite(deviation) and deviation >= 0
            flags = mask[i] if mask.size > 0 else np.uint8(0)
            ms[p, k] = mu[i]
            ss[p, k] = deviation if sound and deviation > sigma_floor else sigma_floor
            oks[p, k] = flags == 0 and math.isfinite(mu[i]) and (sound or floor_nonfinite)
            reasons[p] |= flags


@compiled
def _fuse(
    mus: Any,
    sigmas: Any,
    masks: Any,
    start: int,
    stop: int,
    rule: int,
    correlation: Any,
    priors: Any,
    alpha: float,
    sigma_floor: float,
    floor_nonfinite: bool,
    unknown: int,
    inflate: bool,
    diagnostics: bool,
    out: Any,
    scratch: Any,
) -> None:
    n = len(mus)  # of a tuple a constant of the compiled code: loops over sensors are unrolled
    matrix, inverses = borrowed(correlation.matrix), borrowed(correlation.inverses)
    numbers, truths = scratch
    out_mu, out_sigma, out_mask, out_source, out_chi2, out_difference = out[:6]
    out_conflict, out_strange, out_weight = out[6:]
    below_one = np.nextafter(out_mu.dtype.type(1.0), out_mu.dtype.type(0.0))
    if n <= MAX_SENSORS:
        m, s, z = stack_buffer(numbers), stack_buffer(numbers), stack_buffer(numbers)
        weights, x, ok = stack_buffer(numbers), stack_buffer(numbers), stack_buffer(truths)
    else:
        m, s, z = borrowed(numbers[0]), borrowed(numbers[1]), borrowed(numbers[2])
        weights, x, ok = borrowed(numbers[3]), borrowed(numbers[4]), borrowed(truths)
    ms, ss = np.empty((LENGTH, n)), np.empty((LENGTH, n))
    oks, reasons = np.empty((LENGTH, n), np.bool_), np.empty(LENGTH, np.uint8)
    for first in range(start, stop, LENGTH):
        count = min(LENGTH, stop - first)
        read = ms, ss, oks, reasons
        _read(mus, sigmas, masks, first - start, count, sigma_floor, floor_nonfinite, read)
        for p in range(count):
            i = first + p
            low = top = math.inf
            bottom = -math.inf
            bits = number = last = 0
            for k in range(n):
                m[k], s[k], ok[k] = ms[p, k], ss[p, k], oks[p, k]
                if ok[k]:
                    if rule == LOG_ODDS and not -SLACK <= m[k] <= 1.0 + SLACK:
                        out_strange[0] = m[k]
                    low = min(low, s[k])
                    bottom = max(bottom, m[k] - WIDE * s[k])
                    top = min(top, m[k] + WIDE * s[k])
                    number += 1
                    last = k
                    if n <= MAX_SENSORS:
                        bits |= 1 << k
            for k in range(n):
                weights[k] = 1.0 if ok[k] and k == last else 0.0
                z[k] = 0.0
                if ok[k]:
                    z[k] = 1.0 if s[k] == low else low / s[k]
            mean, spread, total = m[last], s[last], 1.0
            chi2 = math.nan
            if number > 1:
                # what is best of independent errors is where all rules begin
                mean, spread, total = gaussian_independent(n, m, z, weights, low)
                if diagnostics or inflate or rule == RANDOM_EFFECTS:
                    for k in range(n):
                        x[k] = 0.0
                        if ok[k] and m[k] != mean:
                            x[k] = (m[k] - mean) / s[k]
                    chi2 = chi_square(x, z, bits, n, inverses)
                if rule != GAUSSIAN or inverses.size > 0:
                    mean, spread, total = estimate(
                        rule,
                        n,
                        m,
                        s,
                        ok,
                        z,
                        weights,
                        number,
                        bits,
                        low,
                        chi2,
                        matrix,
                        inverses,
                        priors[i - start if priors.size > 1 else 0],
                        alpha,
                    )
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
            if rule == LOG_ODDS and number > 1:
                # of what is 0 or 1 with the probability that is stated, no error is larger
                out_mu[i] = min(out_mu[i], below_one)
                spread = min(spread, math.sqrt(out_mu[i] * (1.0 - out_mu[i])))
            out_sigma[i] = spread
            # a result that overflows is none
            possible = number > 0 and math.isfinite(out_mu[i]) and math.isfinite(out_sigma[i])
            out_mask[i] = 0
            if not possible:
                out_mu[i] = out_sigma[i] = np.nan
                out_mask[i] = reasons[p] if reasons[p] != 0 else np.uint8(unknown)
            contributed = 0
            for k in range(n):
                if weights[k] > 0.0 and possible:
                    contributed += 1 << k if n <= MAX_SENSORS else 1
                if diagnostics:
                    out_weight[k, i] = weights[k] / total if ok[k] and possible else np.nan
            out_source[i] = contributed
            out_conflict[i] = possible and bottom > top


def fuse(
    mus: Sequence[NDArray[Any]] | NDArray[Any],
    sigmas: Sequence[NDArray[Any]] | NDArray[Any],
    masks: Sequence[NDArray[np.uint8] | None] | NDArray[np.uint8] | None,
    *,
    rule: int,
    correlation: Correlation,
    prior: NDArray[np.float64],
    alpha: float,
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
        Its number in :mod:`xfusion.kernels.codes`.
    correlation : Correlation
        Of the errors of the sensors; used by GAUSSIAN and by chi-square.
    prior : array of float64, shape (1,) or that of the pixels
        Of LOG_ODDS: the probability before any evidence; no result where it is NaN, and needed.
    alpha : float
        Of LOG_ODDS: what the evidence of each sensor counts.
    sigma_floor, floor_nonfinite, unknown, threads
        As in :func:`xfusion.kernels.independent.gaussian`.
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
    diagnostic_shape = shape if diagnostics else (0,)
    fused = Fused(
        mu=np.empty(shape, dtype),
        sigma=np.empty(shape, dtype),
        mask=np.empty(shape, np.uint8),
        source=np.empty(shape, np.uint8 if n <= MAX_SENSORS else np.uint16),
        chi2=np.empty(diagnostic_shape, dtype),
        difference=np.empty(diagnostic_shape if n == 2 else (0,), dtype),
        conflict=np.empty(shape, np.bool_),
        strange=np.full(1, np.nan),
        weight=np.empty((n, *diagnostic_shape), dtype),
    )
    out = Fused._make([*(a.reshape(-1) for a in fused[:-1]), fused.weight.reshape(n, -1)])
    if rule == GAUSSIAN and not (math.isnan(correlation.common) or inflate or diagnostics):
        shared = correlation.common, sigma_floor, floor_nonfinite, unknown, threads
        fuse_equicorrelated(mus, sigmas, masks, *shared, (*out[:4], out.conflict))
        return fused

    def on_range(start: int, stop: int) -> None:
        block: list[Any] = []
        for layers, kind in ((mus, dtype), (sigmas, dtype), (masks, np.dtype(np.uint8))):
            of_sensors = [None] * n if layers is None else layers
            parts = [None if a is None else pixels(a, start, stop) for a in of_sensors]
            if n > UNROLLED:
                none = all(part is None for part in parts)
                block.append(np.zeros((n, 0 if none else stop - start), kind))
                for row, part in zip(block[-1], parts, strict=True):
                    row[:] = 0 if part is None else part
            else:
                block.append(tuple(flat(np.empty(0) if p is None else p, kind) for p in parts))
        _fuse(
            block[0],
            block[1],
            block[2],
            start,
            stop,
            rule,
            correlation,
            flat(prior if prior.size == 1 else pixels(prior, start, stop), prior.dtype),
            alpha,
            sigma_floor,
            floor_nonfinite,
            unknown,
            inflate,
            diagnostics,
            out,
            (np.empty((5, n)), np.empty(n, np.bool_)),
        )

    # converted block by block: all at once would take as much memory as the inputs
    map_ranges(on_range, out.mu.size, threads=threads, length=max(LENGTH, BLOCK_SIZE // (8 * n)))
    return fused
