"""The datum of a CRS, and whether a shift between two is known."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox

UNNAMED = re.compile(r"unknown|unnamed|notspecified|undefined")
LEFT_OUT = "ballpark"  # PROJ's word for degrees of one datum that are taken for those of another


def same_datum(a: Any, b: Any) -> bool:
    """Whether two CRS of pyproj have one datum: of equal ellipsoids there are several."""
    # a CRS with its shift to another one is wrapped around the CRS that has the datum
    one, other = ((crs.source_crs or crs).geodetic_crs for crs in (a, b))
    if one is None or other is None:
        return one is other
    if one.equals(other, ignore_axis_order=True):
        return True
    names = [datum_name(crs) for crs in (one, other)]
    return names[0] == names[1] or all(map(UNNAMED.search, names))


def datum_name(crs: Any) -> str:
    """Return the name of a datum in small letters, without what libraries add to it."""
    name = re.sub(r"^D_|\bensemble\b|[\W_]+", "", str(crs.datum and crs.datum.name), flags=re.ASCII)
    return name.lower()


def left_out_shift(grid: GeoBox, crs: Any) -> str | None:
    """Return what PROJ says it does from a grid to a CRS, where it leaves out the shift of datums.

    It does so where it knows none for the place, without a word; positions may then be hundreds of
    metres off. Of a sphere, or of any datum without a name, no shift can be known.

    Parameters
    ----------
    grid : GeoBox
    crs : CRS
        Of odc-geo.
    """
    from pyproj import Transformer
    from pyproj.exceptions import ProjError

    one, other = grid.crs.proj, crs.proj  # type: ignore[union-attr]  # it has one
    if same_datum(one, other) or any(UNNAMED.search(datum_name(each)) for each in (one, other)):
        return None
    middle = grid.pix2wld(grid.shape[1] / 2, grid.shape[0] / 2)  # type: ignore[no-untyped-call]  # odc-geo's are not typed
    try:
        # one of its own: another thread may be using a shared one
        to = Transformer.from_crs(one, other, always_xy=True)
        to.transform(*middle)
        said = str(to.get_last_used_operation().description)
    except ProjError:  # it has no place there
        return None
    return said if LEFT_OUT in said.lower() else None
