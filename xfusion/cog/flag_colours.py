"""Names and colours of the values of bit flags, as a file of them and its item have them."""

from __future__ import annotations

import itertools

import numpy as np
import xarray as xr

from xfusion.datamodel.names import CONFLICT, MASK, SOURCE

# Okabe and Ito's, which the colour-blind tell apart
SENSOR_COLOURS = np.array(
    [
        (0, 114, 178),
        (230, 159, 0),
        (0, 158, 115),
        (204, 121, 167),
        (240, 228, 66),
        (86, 180, 233),
        (213, 94, 0),
        (120, 120, 120),
    ]
)
NOBODY = (255, 255, 255)
CONFLICT_COLOUR = (213, 94, 0)
AGREEMENT = ("agree", "conflict")
GRID = 2  # dims of a layer of one band


def is_coloured(array: xr.DataArray) -> bool:
    """Whether the values of a variable are bit flags that its file names and gives colours."""
    if array.name == CONFLICT:
        return array.dtype in (bool, np.uint8)
    named = array.name in (SOURCE, MASK) and array.dtype == np.uint8
    masks = [1 << i for i in range(len(meanings_of(array)))]
    return (
        named
        and array.ndim == GRID
        and np.ravel(array.attrs.get("flag_masks", [])).tolist() == masks
    )


def class_names(array: xr.DataArray) -> dict[int, str]:
    """Return each value of flags -> its name, as "cloud+shadow"."""
    if array.name == CONFLICT:
        return dict(enumerate(AGREEMENT))
    names = meanings_of(array)
    none = "usable" if array.name == MASK else "none"
    return {
        value: "+".join(names[i] for i in members) or none
        for value, members in combinations(len(names)).items()
    }


def colours(source: xr.DataArray) -> dict[int, tuple[int, int, int]]:
    """Return a colour for each value of flags: the mean of those of its bits."""
    table = {0: NOBODY}
    if source.name == CONFLICT:
        return table | {1: CONFLICT_COLOUR}
    for value, members in combinations(len(meanings_of(source))).items():
        if members:
            mean = SENSOR_COLOURS[members].mean(axis=0).round().astype(int)
            table[value] = (int(mean[0]), int(mean[1]), int(mean[2]))
    return table


def combinations(number: int) -> dict[int, list[int]]:
    """Return each value of `number` bits -> the bits that are set."""
    bits = itertools.product((False, True), repeat=number)
    return {
        value: [i for i, is_set in enumerate(reversed(each)) if is_set]
        for value, each in enumerate(bits)
    }


def meanings_of(array: xr.DataArray) -> list[str]:
    """Return the names of the bits of a variable, in their order."""
    return str(array.attrs.get("flag_meanings", "")).split()
