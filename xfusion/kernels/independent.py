"""Gaussian fusion of one block of pixels, any number of sensors in one pass."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .compile import compiled, part
from .parallel import map_blocks

Floats: TypeAlias = NDArray[np.float32] | NDArray[np.float64]
Flags: TypeAlias = NDArray[np.uint8]

MAX_SENSORS = 8  # one bit of a uint8 each
ONE = np.float32(1.0)  # turns into the type of what it is added to
LARGEST = float(np.finfo(np.float64).max)
INFINITE = np.float32(np.inf)
WIDE = np.float32(3.0)  # sigmas around a mean that the means of others are expected in


@part
def _first(m: Any, s: Any, flags: Any, floor: Any, floor_nonfinite: bool) -> Any:
    """Return the sums over one sensor."""
    m, s, usable = _usable(m, s, flags, floor, floor_nonfinite)
    return np.float64(m), 1.0, s, np.uint8(usable), flags, m - WIDE * s, m + WIDE * s


@part
def _both(
    m: Any, s: Any, flags: Any, n: Any, t: Any, others: Any, floor: Any, floor_nonfinite: bool
) -> Any:
    """Return the sums over two sensors of mu m and n, sigma s and t.

    The same as :func:`_first` and :func:`_add`, with one choice less in double precision.
    """
    m, s, usable = _usable(m, s, flags, floor, floor_nonfinite)
    n, t, usable_too = _usable(n, t, others, floor, floor_nonfinite)
    less = t < s
    low = t if less else s
    ratio = _ratio(low, s if less else t, floor)
    weighted = np.float64(n if less else m) + np.float64(m if less else n) * ratio
    second = np.uint8(2) if usable_too else np.uint8(0)
    # in the type of the input, as in _usable: what is not usable may be anything
    bottom, top = m - WIDE * s, m + WIDE * s
    bottom_too, top_too = n - WIDE * t, n + WIDE * t
    return (
        weighted,
        1.0 + ratio,
        low,
        np.uint8(usable) | second,
        flags | others,
        bottom if bottom > bottom_too else bottom_too,  # noqa: FURB136  # one instruction, as the next
        top if top < top_too else top_too,  # noqa: FURB136  # max and min take care of NaN
    )


@part
def _add(sums: Any, bit: int, m: Any, s: Any, flags: Any, floor: Any, floor_nonfinite: bool) -> Any:
    """Return the sums with one more sensor, relative to the smallest sigma met so far.

    Weights so lie in [0, 1], and no square of a sigma is ever formed on its own. A sensor that
    is not usable has an infinite sigma, so any other one leaves it no weight.
    """
    weighted, weight, smallest, contributed, reasons, bottom, top = sums
    m, s, usable = _usable(m, s, flags, floor, floor_nonfinite)
    less = s < smallest
    low = s if less else smallest
    ratio = _ratio(low, smallest if less else s, floor)
    own = 1.0 if less else ratio
    before = ratio if less else 1.0
    return (
        weighted * before + np.float64(m) * own,
        weight * before + own,
        low,
        contributed | (np.uint8(bit) if usable else np.uint8(0)),
        reasons | flags,
        bottom if bottom > m - WIDE * s else m - WIDE * s,  # noqa: FURB136  # as in _both
        top if top < m + WIDE * s else m + WIDE * s,  # noqa: FURB136  # as in _both
    )


@part
def _ratio(low: Any, high: Any, floor: Any) -> Any:
    """Return the square of the ratio of two sigmas; 1 also if both are 0, or infinite."""
    one = floor - floor + ONE
    same = low == high
    low = one if same else low
    high = one if same else high
    # in double precision from here: the means may cancel
    ratio = np.float64(low) / np.float64(high)
    return ratio * ratio


@part
def _usable(m: Any, s: Any, flags: Any, floor: Any, floor_nonfinite: bool) -> Any:
    """Return mu, sigma and whether they are usable; 0 and infinity where they are not.

    All in the type of the input, `floor` as well: twice as many float32 fit a vector.
    """
    # x - x is 0 or, of what is not finite, NaN, which nothing equals or exceeds
    sound = s >= s - s
    zero_m = m - m
    usable = (flags == 0) & (zero_m == zero_m) & (sound | floor_nonfinite)  # noqa: PLR0124  # not NaN
    s = s if sound & (s > floor) else floor
    return (m if usable else floor - floor), (s if usable else floor + INFINITE), usable


@compiled
def _gaussian(
    mus: Any,
    sigmas: Any,
    masks: Any,
    floor: Any,
    floor_nonfinite: bool,
    unknown: int,
    largest: float | None,
    mu: Any,
    sigma: Any,
    mask: Any,
    source: Any,
    conflict: Any,
) -> None:
    rounded = mu.dtype.type
    n = len(mus)  # a constant of the compiled code, as is every comparison with it
    for i in range(mu.size):
        if n > 1:
            k = min(1, n - 1)
            sums = _both(
                mus[0][i],
                sigmas[0][i],
                masks[0][i],
                mus[k][i],
                sigmas[k][i],
                masks[k][i],
                floor,
                floor_nonfinite,
            )
        else:
            sums = _first(mus[0][i], sigmas[0][i], masks[0][i], floor, floor_nonfinite)
        # Written out: a loop over more than three sensors is neither unrolled nor vectorised.
        # k is only for the types of branches that are not taken.
        if n > 2:
            k = min(2, n - 1)
            sums = _add(sums, 4, mus[k][i], sigmas[k][i], masks[k][i], floor, floor_nonfinite)
        if n > 3:
            k = min(3, n - 1)
            sums = _add(sums, 8, mus[k][i], sigmas[k][i], masks[k][i], floor, floor_nonfinite)
        if n > 4:
            k = min(4, n - 1)
            sums = _add(sums, 16, mus[k][i], sigmas[k][i], masks[k][i], floor, floor_nonfinite)
        if n > 5:
            k = min(5, n - 1)
            sums = _add(sums, 32, mus[k][i], sigmas[k][i], masks[k][i], floor, floor_nonfinite)
        if n > 6:
            k = min(6, n - 1)
            sums = _add(sums, 64, mus[k][i], sigmas[k][i], masks[k][i], floor, floor_nonfinite)
        if n > 7:
            k = min(7, n - 1)
            sums = _add(sums, 128, mus[k][i], sigmas[k][i], masks[k][i], floor, floor_nonfinite)
        weighted, weight, smallest, contributed, reasons, bottom, top = sums
        # in double precision, rounded once: float32 never leaves the range of its sensors
        share = 1.0 / weight
        mean = weighted * share
        # asked instead of `contributed`: what is compared takes eight bytes of a vector, not one
        possible = smallest < np.inf
        if largest is not None:
            possible &= abs(mean) <= largest
            contributed = contributed if possible else np.uint8(0)
        # added, not chosen: compilers turn a choice here into slow masked stores
        blank = rounded(0.0) if possible else rounded(np.nan)
        mu[i] = rounded(mean) + blank
        sigma[i] = smallest * np.sqrt(rounded(share)) + blank
        reasons = reasons if reasons != 0 else np.uint8(unknown)
        source[i] = contributed
        disagree = (bottom > top) & possible
        if n < MAX_SENSORS:
            mask[i] = np.uint8(0) if possible else reasons
            conflict[i] = disagree
        else:
            mask[i] = np.uint8(disagree) if possible else reasons
    if n == MAX_SENSORS:
        # with one array more in the loop above compilers no longer check that none overlap, and it
        # takes eight times as long
        for i in range(mu.size):
            conflict[i] = (mask[i] != 0) & (source[i] != 0)
            mask[i] = np.uint8(0) if source[i] != 0 else mask[i]


def gaussian(
    mus: tuple[Floats, ...],
    sigmas: tuple[Floats, ...],
    masks: tuple[Flags | None, ...],
    *,
    sigma_floor: float,
    floor_nonfinite: bool,
    unknown: int,
    threads: int | None,
) -> tuple[Floats, Floats, Flags, Flags, NDArray[np.bool_]]:
    """Fuse independent Gaussians pixel by pixel: the inverse-variance weighted mean.

    Parameters
    ----------
    mus, sigmas : tuple of arrays
        Means and standard deviations, float32 or float64, all of one shape.
    masks : tuple of arrays or None
        uint8 flags, 0 where a pixel is usable; None where nothing is excluded.
    sigma_floor : float
        Sigmas at or below it are raised to it.
    floor_nonfinite : bool
        Give a sigma that is not finite, or negative, the value of `sigma_floor`, instead of leaving
        the pixel out.
    unknown : int
        Flag of a pixel that no sensor can use although none excluded it.
    threads : int or None
        1 to stay in the calling thread, None for one thread per core.

    Returns
    -------
    mu, sigma : arrays
        float32 where all inputs are float32, else float64; NaN where no sensor is usable.
    mask, source : arrays of uint8
        0 where a sensor was usable, else all flags together; bit i of `source` is set
        where sensor i contributed.
    conflict : array of bool
        Where no value is within WIDE sigmas of all usable means.

    Notes
    -----
    ``w_i = 1 / sigma_i^2``, ``mu = sum(w_i mu_i) / sum(w_i)``, ``sigma = sum(w_i)^-1/2``
    over the usable sensors (Aitken 1936; Cochran 1937), evaluated in double precision
    relative to the smallest sigma. Where the sum of means of 1e308 overflows, no sensor is usable.
    """
    dtype = np.result_type(*mus, *sigmas)
    shape = mus[0].shape
    outputs = tuple(np.empty(shape, kind) for kind in (dtype, dtype, np.uint8, np.uint8, np.bool_))

    def fuse_block(*block: Flags | Floats | None) -> None:
        n = len(mus)
        fused = block[3 * n :]
        nothing_excluded = np.zeros(fused[0].size, np.uint8)  # type: ignore[union-attr]  # outputs are there
        _gaussian(
            tuple(flat(a, dtype) for a in block[:n]),
            tuple(flat(a, dtype) for a in block[n : 2 * n]),
            tuple(
                flat(nothing_excluded if a is None else a, np.dtype(np.uint8))
                for a in block[2 * n : 3 * n]
            ),
            dtype.type(sigma_floor),
            floor_nonfinite,
            unknown,
            # sums of float32 do not overflow: a branch less in the compiled code
            LARGEST if dtype == np.float64 else None,
            *(a.reshape(-1) for a in fused),  # type: ignore[union-attr]  # as above
        )

    map_blocks(fuse_block, (*mus, *sigmas, *masks, *outputs), shape, threads=threads)
    return outputs  # type: ignore[return-value]  # of five


def flat(array: NDArray[Any] | None, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return an input as kernels want it: contiguous, of one type, so none may be writable."""
    pixels = np.ascontiguousarray(array, dtype).reshape(-1).view()
    pixels.flags.writeable = False
    return pixels
