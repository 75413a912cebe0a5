"""Whether a grid lies on the earth, as a local CRS does not say."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox


def check_is_on_earth(geobox: GeoBox) -> None:
    """Refuse a grid in a CRS that has no place on the earth, such as that of a building site.

    Raises
    ------
    ValueError
        Naming the CRS, and what gives it another one.
    """
    crs = geobox.crs
    if crs is not None and not (crs.geographic or crs.projected):
        msg = (
            f"the CRS {crs.proj.name!r} is a {crs.proj.type_name}, neither projected nor "
            "geographic, so nobody knows where on the earth its pixels are: name the right one, "
            ".rio.write_crs('EPSG:...')"
        )
        raise ValueError(msg)
