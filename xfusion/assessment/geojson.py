"""Zones that are told as GeoJSON, by themselves or by what has ``__geo_interface__``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

DEGREES = "EPSG:4326"  # with longitude first, as all that is read here
FARTHEST = 540.0, 90.0  # of longitude and latitude, with once around to either side
KINDS = (
    "polygons: a GeoDataFrame, a GeoSeries, GeoJSON as a dict, or a list of geometries of shapely "
    "or odc.geo"
)


class Feature(NamedTuple):
    """A geometry and what is said of it."""

    label: Any
    """Its `id`, None without one."""
    geometry: Any
    """Of shapely."""
    crs: Any
    """The CRS it is in, None if it says none."""


def features_of(zones: Any) -> Iterator[Feature]:
    """Yield the features of zones.

    Parameters
    ----------
    zones : GeoDataFrame, GeoSeries, mapping, or geometry
        Anything with ``__geo_interface__``. What has an attribute `crs` is in that; geometries of
        shapely in none; GeoJSON, a dict or a feature, in that of its member `crs`, and without it
        in longitude and latitude (RFC 7946, 4).

    Raises
    ------
    TypeError
        If it is something else.
    ValueError
        If a feature has no geometry, or GeoJSON does not say in which CRS it is.
    """
    is_json = isinstance(zones, Mapping)
    told = zones if is_json else getattr(zones, "__geo_interface__", None)
    if not isinstance(told, Mapping):
        msg = f"zones is or has a {type(zones).__name__}: give a DataArray on the grid, or {KINDS}"
        raise TypeError(msg)
    if is_json or ("Feature" in str(told.get("type")) and not hasattr(zones, "crs")):
        yield from _features(told, DEGREES)
    else:
        yield from _features({**told, "crs": None}, getattr(zones, "crs", None), is_json=False)


def _features(told: Any, crs: Any, *, is_json: bool = True) -> Iterator[Feature]:
    """Yield the features of what is told as GeoJSON, in a CRS unless it names another one."""
    import shapely

    if not isinstance(told, Mapping) or "type" not in told:
        msg = f"zones has a {type(told).__name__} without a type, which is no GeoJSON: give {KINDS}"
        raise ValueError(msg)
    if is_json and "crs" in told:
        crs = _crs_of(told["crs"])
    if told["type"] == "FeatureCollection":
        for feature in told.get("features", ()):
            yield from _features(feature, crs, is_json=is_json)
        return
    is_feature = told.get("type") == "Feature"
    label, geometry = (told.get("id"), told.get("geometry")) if is_feature else (None, told)
    if geometry is None:
        msg = f"the zone {label!r} has no geometry: leave it out"
        raise ValueError(msg)
    shape = shapely.force_2d(shapely.geometry.shape(geometry))
    if is_json and crs == DEGREES:
        _check_degrees(shape, label)
    yield Feature(label, shape, crs)


def _crs_of(member: Any) -> str:
    """Return what the member `crs` of GeoJSON names, as GeoJSON of 2008 and GDAL have it."""
    from odc.geo.crs import CRS

    said = member.get("properties") if isinstance(member, Mapping) else None
    name = said.get("name") if isinstance(said, Mapping) else member
    try:
        crs = CRS(name)
    except Exception as error:  # of pyproj, whatever it takes the text for
        msg = (
            f"zones has the member crs={member!r}, which names no CRS: write {{'type': 'name', "
            "'properties': {'name': 'EPSG:...'}}, or delete it where they are in longitude and "
            "latitude"
        )
        raise ValueError(msg) from error
    # CRS84 is the same, with longitude first as here
    return DEGREES if crs == CRS(DEGREES) or str(name).endswith("CRS84") else str(crs)


def _check_degrees(geometry: Any, label: Any) -> None:
    """Refuse a geometry that GeoJSON has in degrees, and that cannot be."""
    if geometry.is_empty:
        return
    west, south, east, north = geometry.bounds
    x, y = max(abs(west), abs(east)), max(abs(south), abs(north))
    if not (x <= FARTHEST[0] and y <= FARTHEST[1]):
        of_zone = "a zone" if label is None else f"the zone {label!r}"
        msg = (
            f"GeoJSON is in longitude and latitude unless it says otherwise, and {of_zone} goes to "
            f"{x:g}, {y:g}: name its CRS, zones['crs'] = {{'type': 'name', 'properties': {{'name': "
            "'EPSG:...'}}, or give geometries of shapely, which are in the CRS of the grid"
        )
        raise ValueError(msg)
