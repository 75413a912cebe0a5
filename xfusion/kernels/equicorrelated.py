"""Gaussian fusion where the errors of any two sensors have one correlation, in closed form.

Strip by strip, and each loop is over the pixels of a strip: so all of it vectorises, and one
compiled kernel does for any number of sensors.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .buffers import STRIP, borrowed, strip_buffer, strips_buffer
from .compile import compiled
from .independent import MAX_SENSORS, WIDE, flat
from .parallel import BLOCK_SIZE, map_ranges, pixels

ABSENT = 2.0  # the y of a sensor that is not usable, beyond all others
UNIT = 1.0 / 64.0  # of weights: their sum is then at most 1, and no sum of means overflows
DOUBLES, BYTES = np.empty(0), np.empty(0, np.uint8)


@compiled
def _equicorrelated(
    mus: Any,
    sigmas: Any,
    masks: Any,
    n: int,
    rho: float,
    sigma_floor: float,
    floor_nonfinite: bool,
    unknown: int,
    mu: Any,
    sigma: Any,
    mask: Any,
    source: Any,
    conflict: Any,
) -> None:
    ys, zs, behind = strips_buffer(DOUBLES), strips_buffer(DOUBLES), strips_buffer(DOUBLES)
    low, total = strip_buffer(DOUBLES), strip_buffer(DOUBLES)
    bottom, top = strip_buffer(DOUBLES), strip_buffer(DOUBLES)
    number, sum_y = strip_buffer(DOUBLES), strip_buffer(DOUBLES)
    least, most, mean = strip_buffer(DOUBLES), strip_buffer(DOUBLES), strip_buffer(DOUBLES)
    reasons, bits = strip_buffer(BYTES), strip_buffer(BYTES)
    apart, along, rounded = UNIT * (1.0 - rho), UNIT * rho, mu.dtype.type
    for first in range(0, mu.size, STRIP):
        last = min(first + STRIP, mu.size)
        count = last - first
        for p in range(count):
            low[p] = top[p] = least[p] = np.inf
            bottom[p] = most[p] = -np.inf
            number[p] = sum_y[p] = total[p] = mean[p] = 0.0
            reasons[p] = bits[p] = 0
        for k in range(n):
            s_k = ys[k * STRIP : (k + 1) * STRIP]
            m_of, s_of = borrowed(mus[k])[first:last], borrowed(sigmas[k])[first:last]
            flags_of = borrowed(masks[k])[first:last]
            for p in range(count):
                m: Any = np.float64(m_of[p])
                s: Any = np.float64(s_of[p])
                flags = flags_of[p]
                # x - x is 0 or, of what is not finite, NaN, which nothing equals or exceeds
                sound = s >= s - s
                usable = (flags == 0) & (m - m == 0.0) & (sound | floor_nonfinite)
                s = s if sound & (s > sigma_floor) else sigma_floor
                m, s = (m if usable else 0.0), (s if usable else np.inf)
                s_k[p] = s
                lower, upper = m - WIDE * s, m + WIDE * s
                # the sum, of 0 or not: of a mere choice compilers make slow masked stores
                low[p] = min(low[p], s) + 0.0
                bottom[p] = max(bottom[p], lower) + 0.0
                top[p] = min(top[p], upper) + 0.0
                reasons[p] |= flags
        for k in range(n):
            y_k, z_k = ys[k * STRIP : (k + 1) * STRIP], zs[k * STRIP : (k + 1) * STRIP]
            behind_k = behind[k * STRIP : (k + 1) * STRIP]
            for p in range(count):
                s, smallest = y_k[p], low[p]
                # the smaller of y and z by a division, the other one is exact enough then
                near = s <= 2.0 * smallest
                less = (s - smallest if near else smallest) / (s if s > 0.0 else 1.0)
                more = 1.0 - less
                usable = s < np.inf
                y_k[p] = (less if near else more) if usable else ABSENT
                z_k[p] = (more if near else less) if usable else 0.0
                behind_k[p] = 0.0
        for k in range(1, n):
            y_k, behind_k = ys[k * STRIP : (k + 1) * STRIP], behind[k * STRIP : (k + 1) * STRIP]
            for h in range(k):
                y_h, behind_h = ys[h * STRIP : (h + 1) * STRIP], behind[h * STRIP : (h + 1) * STRIP]
                for p in range(count):
                    surer = y_k[p] - y_h[p]
                    behind_k[p] += surer if surer > 0.0 else 0.0  # noqa: FURB136  # as above
                    behind_h[p] += -surer if surer < 0.0 else 0.0
        for k in range(n):
            y_k, z_k = ys[k * STRIP : (k + 1) * STRIP], zs[k * STRIP : (k + 1) * STRIP]
            behind_k = behind[k * STRIP : (k + 1) * STRIP]
            for p in range(count):
                weighs = (apart * z_k[p] > along * behind_k[p]) & (y_k[p] < ABSENT)
                z_k[p] = (z_k[p] if weighs else 0.0) + 0.0
                number[p] += 1.0 if weighs else 0.0
                sum_y[p] += y_k[p] if weighs else 0.0
        for k in range(n):
            y_k, z_k = ys[k * STRIP : (k + 1) * STRIP], zs[k * STRIP : (k + 1) * STRIP]
            m_of, bit = borrowed(mus[k])[first:last], np.uint8(1 << k)
            for p in range(count):
                v = apart * z_k[p] + along * (sum_y[p] - number[p] * y_k[p])
                w = z_k[p] * v
                weighs = w > 0.0
                w = w if weighs else 0.0
                m = np.float64(m_of[p]) if weighs else 0.0
                total[p] += w
                mean[p] += w * m
                lower, upper = (m if weighs else np.inf), (m if weighs else -np.inf)
                least[p] = min(least[p], lower) + 0.0
                most[p] = max(most[p], upper) + 0.0
                bits[p] |= bit * np.uint8(weighs)
        mu_of, sigma_of, mask_of = mu[first:last], sigma[first:last], mask[first:last]
        source_of, conflict_of = source[first:last], conflict[first:last]
        for p in range(count):
            # added, not chosen: compilers turn a choice here into slow masked stores
            blank = rounded(0.0) if bits[p] != 0 else rounded(np.nan)
            m = mean[p] / total[p]
            m = m if m > least[p] else least[p]  # noqa: FURB136  # as above
            mu_of[p] = rounded(m if m < most[p] else most[p]) + blank  # noqa: FURB136  # as above
        for p in range(count):
            blank = rounded(0.0) if bits[p] != 0 else rounded(np.nan)
            share = apart * (1.0 + (number[p] - 1.0) * rho) / total[p]
            # no sigma is larger than the smallest, but for rounding
            share = share if share < 1.0 else 1.0  # noqa: FURB136  # as above
            sigma_of[p] = rounded(low[p] * math.sqrt(share)) + blank
        for p in range(count):
            why = reasons[p] if reasons[p] != 0 else np.uint8(unknown)
            mask_of[p] = np.uint8(0) if bits[p] != 0 else why
            source_of[p] = bits[p]
        for p in range(count):
            conflict_of[p] = (bottom[p] > top[p]) & (bits[p] != 0)


def fuse_equicorrelated(
    mus: Sequence[NDArray[Any]] | NDArray[Any],
    sigmas: Sequence[NDArray[Any]] | NDArray[Any],
    masks: Sequence[NDArray[np.uint8] | None] | NDArray[np.uint8] | None,
    rho: float,
    sigma_floor: float,
    floor_nonfinite: bool,
    unknown: int,
    threads: int | None,
    out: Sequence[NDArray[Any]],
) -> None:
    """Fuse sensors any two of which have errors of one correlation, with the best convex weights.

    Parameters
    ----------
    mus, sigmas, masks
        As in :func:`xfusion.kernels.rules.fuse`, of at most MAX_SENSORS.
    rho : float
        That correlation, below 1 and above -1 / (n - 1).
    sigma_floor, floor_nonfinite, unknown, threads
        As in :func:`xfusion.kernels.independent.gaussian`.
    out : arrays of mu, sigma, mask, source and conflict
        Filled; flat.

    Notes
    -----
    Of the m sensors that have weight, with z = low / s and y = 1 - z,

    ``w_i = z_i v_i``, ``v_i = (1 - rho) z_i + rho sum_j (y_j - y_i)``,
    ``sigma^2 = low^2 (1 - rho) (1 + (m - 1) rho) / sum(w_i)``,

    with the inverse of Sherman and Morrison (1950). Where sensors are nearly as sure as each other
    y is as precise as z is, so their differences are, however near 1 rho is. From the surest sensor
    on v falls: those have weight whose v is positive among all that are surer.
    """
    n, dtype = len(mus), out[0].dtype
    length = BLOCK_SIZE // MAX_SENSORS
    none = np.zeros(length, np.uint8)

    def on_range(start: int, stop: int) -> None:
        block: list[Any] = []
        for layers, kind in ((mus, dtype), (sigmas, dtype), (masks, none.dtype)):
            of_sensors = [None] * n if layers is None else layers
            parts = [
                none[: stop - start] if a is None else pixels(a, start, stop) for a in of_sensors
            ]
            flats = tuple(flat(part, kind) for part in parts)
            block.append(flats + flats[:1] * (MAX_SENSORS - n))
        told = n, rho, sigma_floor, floor_nonfinite, unknown
        _equicorrelated(block[0], block[1], block[2], *told, *(a[start:stop] for a in out))

    # converted block by block: all at once would take as much memory as the inputs
    map_ranges(on_range, len(out[0]), threads=threads, length=length)
