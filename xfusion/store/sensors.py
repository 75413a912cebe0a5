"""Sensors of dates that are added: those of a store, and others after them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from xfusion.datamodel.names import SOURCE

SENSOR = "sensor"
MASKS, MEANINGS = "flag_masks", "flag_meanings"  # which bit of `source` is which sensor


def joined_sensors(stored: Mapping[str, Any], ours: Mapping[str, Any]) -> dict[str, Any]:
    """Return the sensors of a retrieval and of dates that are added, if they are in one order.

    Parameters
    ----------
    stored, ours : mapping
        Attributes of the whole.

    Returns
    -------
    dict
        The attribute, with the longer of both lists; empty where one does not begin the other.
    """
    lists = [str(each.get(SENSOR, "")).split("+") for each in (stored, ours)]
    shorter, longer = sorted(lists, key=len)
    return {SENSOR: "+".join(longer)} if longer[: len(shorter)] == shorter else {}


def joined_flags(name: str, stored: Mapping[str, Any], ours: Mapping[str, Any]) -> dict[str, Any]:
    """Return the table of bits of `source`, if a bit is the same sensor in both.

    Parameters
    ----------
    name : str
        Of the variable; of others than `source` the bits stay as they are.
    stored, ours : mapping
        Attributes of that variable.

    Returns
    -------
    dict
        Two attributes, of the longer of both tables; empty where one does not begin the other.
    """
    if name != SOURCE:
        return {}
    tables = [
        [*zip(each.get(MASKS, ()), str(each.get(MEANINGS, "")).split(), strict=False)]
        for each in (stored, ours)
    ]
    shorter, longer = sorted(tables, key=len)
    if longer[: len(shorter)] != shorter or not shorter:
        return {}
    masks, meanings = zip(*longer, strict=True)
    return {MASKS: [*masks], MEANINGS: " ".join(meanings)}
