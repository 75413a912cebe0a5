"""What items say of how they were processed: baseline, when, from which datatake, offset taken off.

Catalogues agree on what these are called, but not on the prefix of the name.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from xfusion.datamodel.times import as_time

if TYPE_CHECKING:
    import pystac

BASELINE, APPLIED, VERSION = "processing_baseline", "boa_offset_applied", "processing:version"
# those of whom it is known what they mean come before others that use the word
PREFIXES = ("s2:", "earthsearch:", "sentinel:", "sentinel2:", "")
TIMES = ("processing:datetime", "s2:generation_time", "created")  # what is nearer the pixels first

NUMBERS = re.compile(r"\s*[vN]?(\d{1,9}(?:\.\d{1,9})*)\s*", re.IGNORECASE)
# of the European Space Agency: S2A_MSIL2A_<datatake>_N0511_R022_T33TXN_<processing>, without N...
# at the Planetary Computer
PRODUCT = re.compile(
    r"(?P<satellite>S2[A-Z])_MSIL\w{2}_(?P<datatake>\d{8}T\d{6})_(N(?P<baseline>\d{4})_)?R\d{3}_"
    r"T[^\W_]{5}(_(?P<processing>\d{8}T\d{6}))?"
)
DATATAKE = re.compile(r"G(?P<satellite>S2[A-Z])_(?P<datatake>\d{8}T\d{6})_")


class Processing(NamedTuple):
    """Of two processings of one scene the greater is the newer."""

    version: tuple[int, ...]
    """Baseline or version, () if it is not known."""
    time: np.datetime64
    """When it was processed, or made an item; the first of 1970 if it is not known."""
    sequence: tuple[int, ...] = ()
    """Which it is of those that a catalogue has of one tile and day."""

    @property
    def is_known(self) -> bool:
        """Whether anything is."""
        return self != UNKNOWN


UNKNOWN = Processing((), np.datetime64(0, "ns"))


def processing_of(item: pystac.Item) -> Processing:
    """Return how new the processing of an item is, as it says itself."""
    sequence = next(_stated(item, "sequence"), None)
    return Processing(baseline_of(item) or (), _time(item), _numbers(sequence) or ())


def baseline_of(item: pystac.Item) -> tuple[int, ...] | None:
    """Return the processing baseline or version as numbers, (5, 9) of "05.09"; None if unknown."""
    for value in (*_stated(item, BASELINE), item.properties.get(VERSION)):
        numbers = _numbers(value)
        if numbers:
            return numbers
    for product in _products(item):
        if product["baseline"]:
            return int(product["baseline"][:2]), int(product["baseline"][2:])
    return None


def offset_applied(item: pystac.Item) -> bool | None:
    """Return whether the numbers of an item have their offset applied.

    None if it does not say, or says both.
    """
    says = {"true": True, "1": True, "false": False, "0": False}
    answers = {says.get(str(value).strip().lower()) for value in _stated(item, APPLIED)} - {None}
    return answers.pop() if len(answers) == 1 else None


def datatake_of(item: pystac.Item) -> tuple[str, str] | None:
    """Return satellite and start of the datatake that an item of Sentinel-2 is of, if it says so.

    All that a satellite saw from being switched on until it was switched off, so that it saw each
    place once, whatever was made of it since.
    """
    stated = (DATATAKE.match(str(value)) for value in _stated(item, "datatake_id"))
    for found in (*stated, *_products(item)):
        if found is not None:
            return found["satellite"], found["datatake"]
    return None


def _stated(item: pystac.Item, name: str) -> Iterator[Any]:
    """Yield what an item says under a name, whatever the prefix."""
    known = [f"{prefix}{name}" for prefix in PREFIXES]
    others = [key for key in item.properties if key.endswith(f":{name}") and key not in known]
    return (item.properties[key] for key in (*known, *others) if key in item.properties)


def _numbers(value: Any) -> tuple[int, ...] | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, float):
        # of a baseline, which has two digits after the point
        value = f"{value:.2f}"
    found = NUMBERS.fullmatch(str(value))
    if found is None:
        return None
    numbers = tuple(int(number) for number in found[1].split("."))
    return numbers if len(numbers) > 1 else (*numbers, 0)


def _products(item: pystac.Item) -> Iterator[re.Match[str]]:
    names = [*_stated(item, "product_uri"), *_stated(item, "product_id"), item.id]
    found = (PRODUCT.match(str(name)) for name in names)
    return (match for match in found if match is not None)


def _time(item: pystac.Item) -> np.datetime64:
    *times, made = (item.properties.get(name) for name in TIMES)
    of_products = (product["processing"] for product in _products(item) if product["processing"])
    for value in (*times, *of_products, made):
        with contextlib.suppress(ValueError):
            # anything but text is no time of JSON
            return as_time(str(value))
    return UNKNOWN.time
