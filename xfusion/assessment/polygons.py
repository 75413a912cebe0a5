"""Zones that are polygons: on the grid, and the share that each has in each pixel."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from xfusion.datamodel.caller import warn
from xfusion.datamodel.comparison import same_crs
from xfusion.datamodel.earth import transformer, turn_of
from xfusion.datamodel.graph import InGraph
from xfusion.datamodel.grid import crs_name

from .geojson import KINDS, features_of
from .rectangles import Pixels
from .zone_windows import ZoneWindow

if TYPE_CHECKING:
    from odc.geo.crs import CRS
    from odc.geo.geobox import GeoBox

PIECES = 256  # into which a side as long as a polygon is cut: straight lines become curves
ROUNDING = 1e-3  # of a pixel, by which a polygon may seem to leave the grid


@dataclass(frozen=True)
class Polygons(InGraph):
    """Polygons in rows and columns of a grid; picklable."""

    shapes: tuple[bytes, ...]
    """Well-known binary, x to the right in columns, y up, so that row r ends at -r - 1."""
    bounds: tuple[tuple[float, float, float, float], ...]
    """Of each the first row, the first column, the last row, the last column."""

    def windows(self, core: Pixels, around: Pixels) -> Iterator[ZoneWindow]:
        """Yield what each polygon that meets a block has of it and its surroundings."""
        for number, (top, left, bottom, right) in enumerate(self.bounds):
            own = Pixels(
                slice(int(np.floor(top)), int(np.ceil(bottom))),
                slice(int(np.floor(left)), int(np.ceil(right))),
            )
            if own.within(core) is not None:
                there = own.within(around)
                assert there is not None  # noqa: S101  # the core is part of it
                yield ZoneWindow(number, there, self._shares(number, there))

    def _shares(self, number: int, pixels: Pixels) -> NDArray[np.float64]:
        """Return the share of a polygon in each pixel, 0 to 1."""
        import shapely
        from exactextract import exact_extract
        from exactextract.raster import NumPyRasterSource

        rows, columns = pixels
        # edges of pixels are whole numbers, so that shares are the same in any block
        left, bottom, right, top = columns.start, -rows.stop, columns.stop, -rows.start
        ones = np.broadcast_to(np.uint8(1), pixels.shape)
        grid = NumPyRasterSource(ones, left, bottom, right, top)
        polygon = shapely.geometry.mapping(shapely.from_wkb(self.shapes[number]))
        feature = {"type": "Feature", "properties": {}, "geometry": polygon}
        (found,) = exact_extract(grid, feature, ["cell_id", "coverage"])
        cells = np.asarray(found["properties"]["cell_id"], np.intp)
        shares = np.zeros(pixels.shape)
        shares.reshape(-1)[cells] = found["properties"]["coverage"]
        return shares


def on_geobox(zones: Any, geobox: GeoBox) -> tuple[NDArray[Any], Polygons]:
    """Return the labels of polygons, and the polygons on a grid.

    Parameters
    ----------
    zones : GeoDataFrame, GeoSeries, mapping, geometry or sequence of these
        See :func:`features_of`. What names no CRS is in that of the grid.
    geobox : GeoBox

    Raises
    ------
    ImportError
        If exactextract is not installed.
    ValueError
        If there are none, one is no valid polygon, or their place is not known.
    """
    import shapely
    from odc.geo.crs import CRS

    try:
        import exactextract  # noqa: F401  # whether it is there
    except ImportError as error:
        msg = "zones that are polygons need the package exactextract: pip install 'xfusion[zones]'"
        raise ImportError(msg) from error
    labels, geometries, named = _named(zones)
    crs = None if named is None else CRS(named)
    whole = [
        _on_pixels(geometry, label, crs, geobox)
        for label, geometry in zip(labels, geometries, strict=True)
    ]
    placed = [_wrapped(each, geobox) for each in whole]
    _check_place(placed, shapely.area(whole), labels, crs, geobox)
    bounds = np.nan_to_num(shapely.bounds(placed))  # what is empty has none
    edges = tuple((-y1, x0, -y0, x1) for x0, y0, x1, y1 in bounds.tolist())
    return labels, Polygons(tuple(shapely.to_wkb(placed).tolist()), edges)


def _named(zones: Any) -> tuple[NDArray[Any], list[Any], Any]:
    """Return labels, geometries of shapely, and the CRS that they name, if any."""
    items = list(zones) if isinstance(zones, Sequence) else [zones]
    features = list(itertools.chain.from_iterable(map(features_of, items)))
    if not features:
        msg = "zones has no polygon: give some, or None for the whole grid"
        raise ValueError(msg)
    named = [each.crs for each in features if each.crs is not None]
    if any(str(crs) != str(named[0]) for crs in named) or 0 < len(named) < len(features):
        msg = "zones are in different CRS, or only some name one: bring them to one, .to_crs(...)"
        raise ValueError(msg)
    index = None if isinstance(zones, Sequence) else getattr(zones, "index", None)
    ids = [each.label for each in features] if index is None else list(index)
    ids = ids if all(i is not None for i in ids) else list(range(len(features)))
    labels = np.array(ids if len({*map(type, ids)}) == 1 else [*map(str, ids)])
    if labels.ndim > 1:  # of an index of several levels
        labels = np.array([*map(str, ids)])
    names, counts = np.unique(labels, return_counts=True)
    if (counts > 1).any():
        msg = (
            f"zones has {counts.max()} of the name {str(names[counts.argmax()])!r}: .reset_index()"
        )
        raise ValueError(msg)
    return labels, [each.geometry for each in features], named[0] if named else None


def _on_pixels(geometry: Any, label: Any, crs: CRS | None, geobox: GeoBox) -> Any:
    """Return a polygon in columns and minus rows of a grid."""
    import shapely

    if geometry.geom_type not in ("Polygon", "MultiPolygon"):
        msg = f"the zone {label!r} is a {geometry.geom_type}, which has no area: give {KINDS}"
        raise ValueError(msg)
    if not geometry.is_valid:
        why = shapely.is_valid_reason(geometry)
        msg = f"the zone {label!r} is no valid polygon, {why}: shapely.make_valid(polygon)"
        raise ValueError(msg)
    own = geobox.crs
    if crs is not None and not same_crs(crs, own):
        x0, y0, x1, y1 = geometry.bounds if not geometry.is_empty else (0.0, 0.0, 1.0, 1.0)
        geometry = shapely.segmentize(geometry, max(x1 - x0, y1 - y0) / PIECES)
        to = transformer(str(crs), str(own))
        geometry = shapely.transform(geometry, to.transform, interleaved=False)
        if not np.isfinite(shapely.get_coordinates(geometry)).all():
            rim = f"the rim of the map of {crs_name(own)}"
            msg = f"the zone {label!r} is partly beyond {rim}: cut it there"
            raise ValueError(msg)
    return shapely.transform(geometry, lambda x, y: _mirrored(x, y, geobox), interleaved=False)


def _mirrored(x: Any, y: Any, geobox: GeoBox) -> tuple[Any, Any]:
    column, row = geobox.wld2pix(x, y)  # type: ignore[no-untyped-call]  # odc-geo's are not typed
    return column, -row


def _wrapped(polygon: Any, geobox: GeoBox) -> Any:
    """Return a polygon in pixels where the grid has it, that may go on beyond the edge of a map."""
    import shapely
    from shapely.affinity import translate

    turn = turn_of(geobox.crs)
    if turn is None:
        return polygon
    (here, there), down = _mirrored(np.array([0.0, turn]), np.zeros(2), geobox)
    step = (there - here, down[1] - down[0])
    copies = (translate(polygon, k * step[0], k * step[1]) for k in (-1, 0, 1))
    grid = shapely.box(0, -geobox.shape[0], geobox.shape[1], 0)
    seen = [copy for copy in copies if shapely.intersects(copy, grid)]
    return shapely.union_all(seen) if seen else polygon


def _check_place(
    placed: list[Any],
    whole: NDArray[np.float64],
    labels: NDArray[Any],
    crs: CRS | None,
    geobox: GeoBox,
) -> None:
    """Say which polygons, of such areas, leave the grid; refuse those that are in no known CRS."""
    import shapely

    rows, columns = geobox.shape
    grid = shapely.box(-ROUNDING, -rows - ROUNDING, columns + ROUNDING, ROUNDING)
    if not shapely.intersects(placed, grid).any():
        where = f"no zone lies on the grid, {tuple(geobox.boundingbox)} in {crs_name(geobox.crs)}"
        if crs is None:
            msg = (
                f"{where}, and zones do not say in which CRS they are: give a GeoDataFrame with "
                "its CRS, or odc.geo.geom.Geometry(polygon, 'EPSG:...')"
            )
            raise ValueError(msg)
        warn(f"{where}: their areas are 0")
        return
    inside = shapely.area(shapely.intersection(placed, grid))
    outside = labels[whole - inside > ROUNDING * shapely.length(placed)]
    if outside.size:
        warn(
            f"{outside.size} of {labels.size} zones lie wholly or partly outside the grid, such as "
            f"{outside[0]!s}: only what is inside counts"
        )
