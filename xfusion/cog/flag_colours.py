"""Names and colours of the values of bit flags, as a file of them and its item have them."""

from __future__ import annotations

import itertools

import numpy as np
import xarray as xr

from xfusion.datamodel.names import CONFLICT, MASK, SOURCE
from xfusion.datamodel.palette import CONTRADICTION, PLAIN, colours_of_mask, colours_of_source

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


def colours(flags: xr.DataArray) -> dict[int, tuple[int, int, int]]:
    """Return a colour for each value of flags, as pictures have them."""
    names = meanings_of(flags)
    if flags.name == CONFLICT:
        table = {0: PLAIN, 1: CONTRADICTION}
    else:
        table = colours_of_mask(names) if flags.name == MASK else colours_of_source(len(names))
    return {value: _channels(colour) for value, colour in table.items()}


def _channels(colour: str) -> tuple[int, int, int]:
    red, green, blue = bytes.fromhex(colour.removeprefix("#"))
    return red, green, blue


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
