"""What is counted of the pixels of a strip, which are STRIP.

Everything is compiled into the kernel that calls it, results go to buffers on the stack, and loops
have no branches and as many rounds as is known when they are compiled: so they vectorise, without
checks at their start and a rest at their end, which take as long as the loop itself.

What holds of a pixel is all bits set, or none, in an integer as wide as what it chooses between: a
mask. Of booleans numba makes vectors of another width, and widening them takes longer than the
rest. So each loop asks of its own width of numbers: bytes, mu, and double precision.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import probability_bins as bins
from .buffers import STRIP
from .compile import inlined
from .weight_lines import MAGIC, WHOLE, as_whole

CELLS = bins.BINS + 1  # the threshold divides a bin
KINDS = 4  # of a slot: dry and wet that are not usable, dry and wet that are

# z^2 up to 2^14 is added as a whole number of 2^13 units of weight, what is larger exactly
LARGE_Z2 = 2.0**14
Z_UNIT = 2.0**13
Z_MAGIC = MAGIC * Z_UNIT
Z_WHOLE = np.float64(Z_MAGIC).view(np.int64).item()
OUTSIDE = 1e-6  # beyond 0 and 1, which is of rounding

DRY, WET, OTHER, MISSING = np.uint8(0), np.uint8(1), np.uint8(2), np.uint8(3)
NOT_ONE, ONE_MORE = np.uint8(0), np.uint8(1)
NO_BYTE, ALL_BYTE = np.int8(0), np.int8(-1)
NONE, ONE, ALL = np.int32(0), np.int32(1), np.int32(-1)
OF_WET, OF_USABLE, OF_SLOT = np.int32(CELLS), np.int32(2 * CELLS), np.int32(KINDS * CELLS)


@inlined
def differ(slots: Any) -> Any:
    """Whether some pixels are in another slot than the first."""
    others = NONE
    for i in range(STRIP):
        others = np.int32(others | (slots[i] ^ slots[0]))
    return others != 0


@inlined
def read_truth(labels: Any, mask: Any, nodata: Any, declared: bool, label_of: Any, of: Any) -> Any:
    """Write as masks what is wet, known, and known and not excluded; return if some are neither.

    Parameters
    ----------
    labels, mask : array
    nodata : number
        No label, if it is declared.
    declared : bool
    label_of : array of uint8
        A buffer.
    of : three arrays of int8
        For the masks.
    """
    wet_of, known_of, clear_of = of
    for i in range(STRIP):
        label = labels[i]
        code = WET if label == 1 else OTHER
        code = DRY if label == 0 else code
        missing = (label != label) | (declared & (label == nodata))  # noqa: PLR0124  # NaN
        label_of[i] = MISSING if missing else code
    neither = NOT_ONE
    for i in range(STRIP):
        label = label_of[i]
        neither = np.uint8(neither | (ONE_MORE if label == OTHER else NOT_ONE))
        wet_of[i] = ALL_BYTE if label == WET else NO_BYTE
        known = ALL_BYTE if label <= WET else NO_BYTE
        known_of[i] = known
        clear_of[i] = known if mask[i] == 0 else NO_BYTE
    return np.int64(neither)


@inlined
def leave_out(weights: Any, gaps: bool, slots: Any, skipped: int, of: Any) -> None:
    """Take from the masks of :func:`read_truth` what has no weight, no slot, or was counted.

    Parameters
    ----------
    weights : array of float64
    gaps : bool
        Whether some may not be positive.
    slots : array of int32, or None
    skipped : int
        How many of the first pixels were counted before.
    of : three arrays of int8
    """
    _, known_of, clear_of = of
    if gaps:
        for i in range(STRIP):
            there = ALL_BYTE if weights[i] > 0.0 else NO_BYTE
            known_of[i] &= there
            clear_of[i] &= there
    if slots is not None:
        for i in range(STRIP):
            there = ALL_BYTE if slots[i] >= 0 else NO_BYTE
            known_of[i] &= there
            clear_of[i] &= there
    for i in range(skipped):
        known_of[i] = clear_of[i] = NO_BYTE


@inlined
def _bin_of(x: Any, above: Any) -> Any:
    """Return the bin of a probability that is so far from 0, or from 1 if it is above one half."""
    thousandths = np.float32(x) * bins.THOUSAND + (bins.NEAR if above else -bins.NEAR)
    thousandths = max(bins.LEAST, thousandths)
    bits = np.int32(np.float32(thousandths).view(np.int32) >> bins.DROPPED)
    place = np.int32(bits - bins.BEFORE_FIRST)
    linear = np.int32(np.int32(thousandths) + bins.SHIFT)
    place = min(linear if thousandths >= bins.LINEAR_FROM else place, bins.LAST_OF_HALF)
    return np.int32(bins.LAST - place) if above else place


@inlined
def judge(
    mu: Any,
    sigma: Any,
    of: Any,
    floor: Any,
    stand_in: Any,
    threshold: Any,
    unused: Any,
    out: Any,
) -> Any:
    """Say which pixels are scored and usable, in which cell, and how far from the truth they are.

    Parameters
    ----------
    mu, sigma : array
    of : three arrays of int8
        Masks as :func:`read_truth` writes them.
    floor : float
        Sigmas below it are raised to it.
    stand_in : float, or None
        What mu is taken for where it is not usable; None for what it is.
    threshold : float
        It divides a bin.
    unused : int32
        The first cell for what is not scored.
    out : five arrays
        For each pixel: its cell; its mask of usable; the distance of the probability from 0 or 1,
        whichever is nearer, and from the truth, and the square of the latter in sigmas. The last
        three are 0 of what is not scored.

    Returns
    -------
    scored, used, left : int32
        How many are scored, usable, and known but not scored.
    odd : int32
        0 if all that is scored has mu and sigma, and no large z^2.
    outside : int32
        How many that are scored are no probability.
    """
    wet_of, known_of, clear_of = of
    cell_of, used_of, x_of, d_of, z2_of = out
    kind = mu.dtype.type
    zero, one, large = kind(0), kind(1), kind(LARGE_Z2)
    half, least = kind(0.5), kind(-OUTSIDE)
    left_count = scored_count = used_count = odd = outside = NONE
    for i in range(STRIP):
        m, s = mu[i], sigma[i]
        known, clear, wet = np.int32(known_of[i]), np.int32(clear_of[i]), np.int32(wet_of[i])
        no_m = m - m
        sound = s >= (s - s) + no_m  # NaN where one of them is not finite
        usable = clear if sound else NONE
        if stand_in is None:
            p = m
            scored = known if no_m == no_m else NONE  # noqa: PLR0124  # not NaN
            counted = scored if sound else NONE
        else:
            p = m if usable < 0 else stand_in
            scored = known
            counted = usable
        left_count = np.int32(left_count + (known ^ scored))
        scored_count = np.int32(scored_count + scored)
        used_count = np.int32(used_count + usable)
        cell = np.int32((wet & OF_WET) + (usable & OF_USABLE))
        cell = cell if scored < 0 else unused
        p = p if scored < 0 else zero
        d = one - p if (wet & scored) < 0 else p
        z = d / max(floor, s)
        square_z = z * z if counted < 0 else zero
        odd = np.int32(odd - (NONE if sound else scored))
        odd = np.int32(odd + (ONE if square_z >= large else NONE))
        above = p > half
        x = one - p if above else p
        outside = np.int32(outside + (ONE if x < least else NONE))
        place = _bin_of(x, above)
        place = np.int32(place + (ONE if p > threshold else NONE))
        cell_of[i] = np.int32(cell + place)
        used_of[i] = usable
        x_of[i] = x
        d_of[i] = d
        z2_of[i] = square_z
    return np.int32(-scored_count), np.int32(-used_count), np.int32(-left_count), odd, outside


@inlined
def move_to_slots(cell_of: Any, slots: Any, unused: Any) -> None:
    """Add to the cells of what is scored those of the slots before its own."""
    for i in range(STRIP):
        cell = cell_of[i]
        cell_of[i] = np.int32(cell + np.int32(slots[i] * OF_SLOT)) if cell < unused else cell


@inlined
def weigh(weights: Any, of: Any, used_count: Any, pairs: Any) -> Any:
    """Return sums of weights times squared distances, and times z^2, of all and of usable pixels.

    Parameters
    ----------
    weights : array of float64
    of : four arrays
        Distances, z^2, x and masks of usable, as :func:`judge` writes them.
    used_count : int
        How many are usable.
    pairs : array of int64
        For weights and weights times x, pair by pair.
    """
    d_of, z2_of, x_of, used_of = of
    # as their bits, from which those of what was added to round them are taken in the end
    brier = brier_usable = z2 = z2_usable = np.int64(0)
    for i in range(STRIP):
        weight, d = weights[i], np.float64(d_of[i])
        is_used = used_of[i] < 0
        pairs[2 * i] = as_whole(weight)
        pairs[2 * i + 1] = as_whole(weight * np.float64(x_of[i]))
        square = np.float64(weight * (d * d) + MAGIC).view(np.int64)
        brier += square
        brier_usable += square if is_used else np.int64(0)
        whole_z = np.float64(weight * np.float64(z2_of[i]) + Z_MAGIC).view(np.int64)
        z2 += whole_z
        z2_usable += whole_z if is_used else np.int64(0)
    return (
        brier - STRIP * WHOLE,
        brier_usable - used_count * WHOLE,
        z2 - STRIP * Z_WHOLE,
        z2_usable - used_count * Z_WHOLE,
    )


@inlined
def weigh_each(weights: Any, d_of: Any, z2_of: Any, brier_of: Any, whole_z_of: Any) -> None:
    """Write what :func:`weigh` sums, pixel by pixel."""
    for i in range(STRIP):
        weight, d = weights[i], np.float64(d_of[i])
        brier_of[i] = as_whole(weight * (d * d))
        whole_z = np.float64(weight * np.float64(z2_of[i]) + Z_MAGIC).view(np.int64)
        whole_z_of[i] = whole_z - Z_WHOLE
