"""Gaussian fusion of one block of pixels, any number of sensors in one pass."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .compile import compiled
from .parallel import map_blocks

Floats: TypeAlias = NDArray[np.float32] | NDArray[np.float64]
Flags: TypeAlias = NDArray[np.uint8]

MAX_SENSORS = 8  # one bit of a uint8 each


@compiled
def _first(m: Any, s: Any, flags: Any, sigma_floor: float, floor_nonfinite: bool) -> Any:
    """Return the sums over one sensor."""
    m, s, usable = _usable(m, s, flags, sigma_floor, floor_nonfinite)
    return m, 1.0 if usable else 0.0, s, np.uint8(usable), flags


@compiled
def _add(
    sums: Any, bit: int, m: Any, s: Any, flags: Any, sigma_floor: float, floor_nonfinite: bool
) -> Any:
    """Return the sums with one more sensor, relative to the smallest sigma met so far.

    Weights so lie in [0, 1], and no square of a sigma is ever formed on its own.
    """
    weighted, weight, smallest, contributed, reasons = sums
    m, s, usable = _usable(m, s, flags, sigma_floor, floor_nonfinite)
    less = s < smallest
    low = s if less else smallest
    high = smallest if less else s
    ratio = 1.0 if low == high else low / high
    ratio = ratio * ratio
    own = 1.0 if less else ratio
    own = own if usable else 0.0
    before = ratio if less else 1.0
    return (
        weighted * before + m * own,
        weight * before + own,
        low,
        contributed | (np.uint8(bit) if usable else np.uint8(0)),
        reasons | flags,
    )


@compiled
def _usable(m: Any, s: Any, flags: Any, sigma_floor: float, floor_nonfinite: bool) -> Any:
    """Return mu, sigma and whether they are usable; of no weight where they are not."""
    # in the type of the input, twice as many fit a vector: x - x is 0 or, of what is not
    # finite, NaN, which does not equal itself
    zero = s - s
    finite = zero == zero  # noqa: PLR0124
    zero_m = m - m
    usable = (flags == 0) & (zero_m == zero_m) & (finite | floor_nonfinite)  # noqa: PLR0124
    wide: Any = np.float64(s)
    wide = wide if finite & (wide > sigma_floor) else sigma_floor
    return (np.float64(m) if usable else 0.0), (wide if usable else np.inf), usable


@compiled
def _gaussian(
    mus: Any,
    sigmas: Any,
    masks: Any,
    sigma_floor: float,
    floor_nonfinite: bool,
    unknown: int,
    mu: Any,
    sigma: Any,
    mask: Any,
    source: Any,
) -> None:
    rounded = mu.dtype.type
    n = len(mus)  # a constant of the compiled code, as is every comparison with it
    for i in range(mu.size):
        sums = _first(mus[0][i], sigmas[0][i], masks[0][i], sigma_floor, floor_nonfinite)
        # Written out: a loop over more than three sensors is neither unrolled nor vectorised.
        # k is only for the types of branches that are not taken.
        if n > 1:
            k = min(1, n - 1)
            sums = _add(sums, 2, mus[k][i], sigmas[k][i], masks[k][i], sigma_floor, floor_nonfinite)
        if n > 2:
            k = min(2, n - 1)
            sums = _add(sums, 4, mus[k][i], sigmas[k][i], masks[k][i], sigma_floor, floor_nonfinite)
        if n > 3:
            k = min(3, n - 1)
            sums = _add(sums, 8, mus[k][i], sigmas[k][i], masks[k][i], sigma_floor, floor_nonfinite)
        if n > 4:
            k = min(4, n - 1)
            sums = _add(
                sums, 16, mus[k][i], sigmas[k][i], masks[k][i], sigma_floor, floor_nonfinite
            )
        if n > 5:
            k = min(5, n - 1)
            sums = _add(
                sums, 32, mus[k][i], sigmas[k][i], masks[k][i], sigma_floor, floor_nonfinite
            )
        if n > 6:
            k = min(6, n - 1)
            sums = _add(
                sums, 64, mus[k][i], sigmas[k][i], masks[k][i], sigma_floor, floor_nonfinite
            )
        if n > 7:
            k = min(7, n - 1)
            sums = _add(
                sums, 128, mus[k][i], sigmas[k][i], masks[k][i], sigma_floor, floor_nonfinite
            )
        weighted, weight, smallest, contributed, reasons = sums
        # of the precision of the result: its error is relative, cancellation is behind
        scale = rounded(1.0) / rounded(weight)
        mu[i] = weighted * scale if contributed != 0 else np.nan
        sigma[i] = smallest * np.sqrt(scale) if contributed != 0 else np.nan
        reasons = reasons if reasons != 0 else np.uint8(unknown)
        mask[i] = np.uint8(0) if contributed != 0 else reasons
        source[i] = contributed


def gaussian(
    mus: tuple[Floats, ...],
    sigmas: tuple[Floats, ...],
    masks: tuple[Flags | None, ...],
    *,
    sigma_floor: float,
    floor_nonfinite: bool,
    unknown: int,
    threads: int | None,
) -> tuple[Floats, Floats, Flags, Flags]:
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
        Give a sigma that is not finite the value of `sigma_floor`, instead of leaving
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

    Notes
    -----
    ``w_i = 1 / sigma_i^2``, ``mu = sum(w_i mu_i) / sum(w_i)``, ``sigma = sum(w_i)^-1/2``
    over the usable sensors (Aitken 1936; Cochran 1937), evaluated in double precision
    relative to the smallest sigma.
    """
    dtype = np.result_type(*mus, *sigmas)
    shape = mus[0].shape
    outputs = tuple(np.empty(shape, kind) for kind in (dtype, dtype, np.uint8, np.uint8))

    def fuse_block(*block: Flags | Floats | None) -> None:
        n = len(mus)
        fused = block[3 * n :]
        nothing_excluded = np.zeros(fused[0].size, np.uint8)  # type: ignore[union-attr]
        _gaussian(
            tuple(_flat(a, dtype) for a in block[:n]),
            tuple(_flat(a, dtype) for a in block[n : 2 * n]),
            tuple(
                nothing_excluded if a is None else _flat(a, np.dtype(np.uint8))
                for a in block[2 * n : 3 * n]
            ),
            sigma_floor,
            floor_nonfinite,
            unknown,
            *(a.reshape(-1) for a in fused),  # type: ignore[union-attr]
        )

    map_blocks(fuse_block, (*mus, *sigmas, *masks, *outputs), shape, threads=threads)
    return outputs  # type: ignore[return-value]


def _flat(array: NDArray[np.generic] | None, dtype: np.dtype[np.generic]) -> NDArray[np.generic]:
    return np.ascontiguousarray(array, dtype).reshape(-1)
