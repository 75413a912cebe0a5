"""What items say of the numbers of bands that nobody has named: nodata, scale, reflectance."""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from xfusion.stac.asset_bands import asset_band
from xfusion.stac.profiles import Catalog

from .exclusion import NIR, RED

if TYPE_CHECKING:
    import pystac

Scale: TypeAlias = 'float | Literal["metadata"]'
# of the band of an optical sensor, in STAC 1.1 and before
# coordinate -> what items call it
ORBIT: dict[str, tuple[str, type]] = {
    "orbit": ("sat:relative_orbit", int),
    "orbit_state": ("sat:orbit_state", str),
}
SPECTRAL = ("eo:common_name", "common_name", "eo:center_wavelength", "center_wavelength")


def nodata_of(
    band: str,
    items: Sequence[pystac.Item],
    catalog: Catalog,
    named: Catalog,
    given: float | Mapping[str, float | None] | None,
) -> float | None:
    """Return what means "not observed" in a band: as given, as the catalogue says, as items do.

    Raises
    ------
    ValueError
        If none of them says it, or the items say several things.
    """
    for known in (given, named.nodata):
        if isinstance(known, Mapping):
            if band in known:
                return known[band]
        elif known is not None:
            return known
    if named.nodata is None:
        return None
    stated = {_nodata(fields.get("nodata")) for fields in _fields(band, items, catalog)}
    if len(stated) == 1 and None not in stated:
        # "nan" as well
        return float(*stated)  # type: ignore[arg-type]  # None is not in it
    msg = (
        f"of what means no data in {band!r} the items of {catalog.collection!r} say "
        f"{sorted(map(str, stated))}: give it, nodata={{{band!r}: 0}}, or NaN if every number is "
        "an observation"
    )
    raise ValueError(msg)


def orbits_of(passes: Sequence[Sequence[pystac.Item]]) -> dict[str, tuple[str, NDArray[Any]]]:
    """Return coordinates that say the relative orbit of each pass, and which way it leads.

    Only those that all items say, and the items of a pass alike.
    """
    found: dict[str, tuple[str, NDArray[Any]]] = {}
    for name, (key, kind) in ORBIT.items():
        said = [{str(item.properties.get(key)) for item in items} for items in passes]
        values = [next(iter(each)) for each in said if len(each) == 1]
        fits = kind is str or all(value.isdecimal() for value in values)
        if len(values) == len(passes) and "None" not in values and fits:
            texts_or_numbers = [kind(value) for value in values]
            # of texts of any length, for which Zarr has a type
            found[name] = "time", np.array(texts_or_numbers, object if kind is str else int)
    return found


def scale_of(
    band: str, items: Sequence[pystac.Item], catalog: Catalog, scale: Scale | None
) -> float:
    """Return what the numbers of a band are multiplied by.

    Raises
    ------
    ValueError
        If it is no number above 0; or is what the items declare, and they do not, or not the same.
    """
    if scale is None:
        return 1.0
    given: list[Any] = [scale]
    if scale == "metadata":
        stated = _fields(band, items, catalog)
        given = [fields.get("raster:scale", fields.get("scale")) for fields in stated]
    first = given[0]
    if _is_number(first) and first > 0 and all(factor == first for factor in given):
        return float(first)
    msg = (
        f"the scale of {band!r} is {sorted({*map(str, given)})[:3]}: give one number above 0, "
        "scale=0.0001, or leave it out for the numbers as they are"
    )
    raise ValueError(msg)


def check_reflectances(
    bands: Iterable[str], items: Sequence[pystac.Item], catalog: Catalog
) -> None:
    """Refuse bands that are not known to hold reflectances, to which the offset belongs.

    Raises
    ------
    ValueError
    """
    for band in bands:
        for item, fields in zip(items, _fields(band, items, catalog), strict=True):
            if band in (RED, NIR) or any(fields.get(name) for name in SPECTRAL):
                continue
            msg = (
                f"item {item.id!r} does not say that {band!r} holds reflectances, by a wavelength "
                f"or a common name, so it is not known whether offset={catalog.offset!r} is for "
                "it: give a number, offset=0, or load it by itself"
            )
            raise ValueError(msg)


def _fields(band: str, items: Iterable[pystac.Item], catalog: Catalog) -> list[Mapping[str, Any]]:
    keys = [(item, catalog.keys_of(item.collection_id)[band]) for item in items]
    return [asset_band(item, key, band).fields for item, key in keys]


def _nodata(value: Any) -> float | str | None:
    """Return a number that an item states, "nan" of NaN, which no set would know again."""
    if isinstance(value, str):
        return "nan" if value.casefold() == "nan" else None
    if isinstance(value, float) and math.isnan(value):
        return "nan"
    return value if _is_number(value) else None


def _is_number(value: Any) -> bool:
    is_real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    return is_real and math.isfinite(value)
