"""What numbers of a quality band mean, by the names that STAC items give: Landsat, HLS, others."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias, TypeGuard

BITFIELDS, CLASSES = "classification:bitfields", "classification:classes"
BANDS = ("bands", "raster:bands", "eo:bands")

By: TypeAlias = Literal["bit", "value"]


class Field(NamedTuple):
    """Some bits of a number, and the value of them that is meant."""

    offset: int
    """Bits below it."""
    length: int
    """Its bits; 0 is the whole number, whatever its sign."""
    value: int


class Named(NamedTuple):
    """A field with a name, and the names of its values."""

    name: str
    offset: int
    length: int
    classes: Mapping[str, int]


def classification_of(asset: Any) -> dict[str, Any]:
    """Return what an asset, or the one band of it, says of its numbers; empty if it says nothing.

    Parameters
    ----------
    asset : pystac.Asset, mapping or sequence
        An asset of an item, as pystac has it or as JSON, or what stands in its field
        ``classification:bitfields`` or ``classification:classes``.
    """
    if isinstance(asset, Sequence) and not isinstance(asset, str):
        is_bits = any(isinstance(each, Mapping) and "length" in each for each in asset)
        return {BITFIELDS if is_bits else CLASSES: list(asset)} if asset else {}
    fields = asset if isinstance(asset, Mapping) else getattr(asset, "extra_fields", None)
    if not isinstance(fields, Mapping):
        return {}
    bands = [band for name in BANDS for band in _mappings(fields.get(name))]
    for key in (BITFIELDS, CLASSES):
        stated = [each[key] for each in (fields, *bands) if each.get(key)]
        if stated and all(each == stated[0] for each in stated):
            return {key: stated[0]}
    return {}


def stated_by_all(assets: Sequence[tuple[str, Any]], band: str) -> dict[str, Any]:
    """Return what the assets of all of some items, by their ids, say of the numbers of a band.

    Raises
    ------
    ValueError
        If two of them say different things: one rule would read one of them wrongly.
    """
    stated = [(item, classification_of(asset)) for item, asset in assets]
    for item, each in stated:
        if each != stated[0][1]:
            msg = (
                f"the items {stated[0][0]!r} and {item!r} of one pass give the numbers of {band!r} "
                f"different meanings, {str(stated[0][1])[:200]} and {str(each)[:200]}: correct one "
                "of them, or attach their masks one after the other"
            )
            raise ValueError(msg)
    return stated[0][1] if stated else {}


def field_of(name: str, stated: Mapping[str, Any], by: By) -> Field:
    """Return the bits and the value that a name stands for.

    Parameters
    ----------
    name : str
        Of a field of one bit, ``"cloud"``; of a value of a field, ``"cloud_confidence:high"``; or,
        by value, of a class.
    stated : mapping
        As :func:`classification_of` returns it.
    by : {"bit", "value"}

    Raises
    ------
    ValueError
        If there is no such name; with those that there are.
    """
    if by == "value":
        values = _values(stated.get(CLASSES), "classes")
        return Field(0, 0, values[_known(name, values, stated)])
    fields = {field.name: field for field in _fields(stated.get(BITFIELDS))}
    field_name, _, value_name = name.partition(":")
    field = fields[_known(field_name, fields, stated)]
    if value_name:
        value = field.classes[_known(value_name, field.classes, stated)]
    elif field.length == 1:
        value = 1
    else:
        msg = (
            f"{name!r} is a field of {field.length} bits: name a value of it, one of "
            f"{[f'{name}:{value}' for value in field.classes]}"
        )
        raise ValueError(msg)
    if value >= 1 << field.length:
        msg = f"{name!r} is the value {value} of {field.length} bits, which they cannot have"
        raise ValueError(msg)
    return Field(field.offset, field.length, value)


def _known(name: str, names: Mapping[str, Any], stated: Mapping[str, Any]) -> str:
    if name in names:
        return name
    if not names:
        has = f"it has {[*stated]}" if stated else "nothing says what its numbers mean"
        msg = (
            f"{name!r} is the name of no bits or class of the quality band, {has}: give numbers, "
            "or what an item says of it, fields=item.assets['qa_pixel']"
        )
        raise ValueError(msg)
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    msg = f"{name!r} is none of {list(names)}{hint}"
    raise ValueError(msg)


def _fields(stated: Any) -> Iterator[Named]:
    for each in _mappings(stated):
        name: Any = each.get("name")
        offset: Any = each.get("offset")
        length: Any = each.get("length")
        if name is None:
            continue  # reserved bits have none
        if not (_is_whole(offset) and _is_whole(length) and offset >= 0 and length > 0):
            msg = (
                f"{BITFIELDS} has {name!r} with offset={offset!r} and length={length!r}, which are "
                "no bits: correct the item, or give numbers of bits"
            )
            raise ValueError(msg)
        yield Named(str(name), offset, length, _values(each.get("classes"), f"{name!r}"))


def _values(stated: Any, where: str) -> dict[str, int]:
    values: dict[str, int] = {}
    for each in _mappings(stated):
        name = each.get("name", each.get("description"))
        value = each.get("value")
        if not _is_whole(value):
            msg = f"the {where} of the item have {name!r} with value={value!r}: correct the item"
            raise ValueError(msg)
        if name is not None:
            values[str(name)] = value
    return values


def _mappings(stated: Any) -> list[Mapping[str, Any]]:
    some = stated if isinstance(stated, list | tuple) else []
    return [each for each in some if isinstance(each, Mapping)]


def _is_whole(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)
