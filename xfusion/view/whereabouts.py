"""Where the cells of a look are: rows and columns, coordinates of the CRS, degrees."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfusion.datamodel.grid import crs_name, geobox_of, has_crs, spatial_dims

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox

CONTROL = 65  # points a side between which degrees are interpolated, as vectors on a ball
ALIKE = 1e-6  # degrees
FLAT = 1 / 20, 20.0  # height of a cell over its width, at least and at most


class Place(NamedTuple):
    """Where a report is."""

    geobox: GeoBox | None
    why_not: str
    """Why there is none."""

    @property
    def crs(self) -> str:
        """What to call the CRS."""
        return "" if self.geobox is None else crs_name(self.geobox.crs)


def place_of(dataset: xr.Dataset) -> Place:
    """Return the grid of a retrieval, if it has one."""
    if not has_crs(dataset):
        return Place(None, "the result has no CRS, name it with .rio.write_crs('EPSG:...')")
    try:
        return Place(geobox_of(dataset), "")
    except ValueError as error:  # its labels are uneven, say
        return Place(None, str(error))


def indexed(dataset: xr.Dataset) -> xr.Dataset:
    """Return layers with the numbers of rows and columns, which a look of them then has."""
    down, across = _dims(dataset)
    return dataset.assign_coords(
        report_row=(down, np.arange(dataset.sizes[down])),
        report_column=(across, np.arange(dataset.sizes[across])),
    )


def north_up(looked: xr.Dataset, place: Place) -> xr.Dataset:
    """Return a look with north at the top and east at the right, where rows and columns run so."""
    down, across = _dims(looked)
    flipped = [
        dim for dim, falls in ((down, True), (across, False)) if _runs(looked, dim, place) is falls
    ]
    return looked.isel({dim: slice(None, None, -1) for dim in flipped})


def _runs(looked: xr.Dataset, dim: Any, place: Place) -> bool | None:
    """Whether the coordinate rises along a dim; None where that is not known."""
    if place.geobox is not None:
        a, b, _, d, e, _ = [*place.geobox.transform][:6]
        turned = abs(b) + abs(d) > abs(a) + abs(e)
        return None if turned else (e if dim == _dims(looked)[0] else a) > 0
    labels = looked.coords.get(dim)
    if labels is None or labels.dtype.kind not in "fiu":
        return None
    first, last = labels.to_numpy()[[0, -1]]
    return None if first == last else bool(last > first)


def facts_of(
    looked: xr.Dataset, place: Place, shape: tuple[int, int]
) -> tuple[dict[str, Any], NDArray[np.float64] | None]:
    """Return where cells are, as the script takes it, and the vectors of control points.

    Parameters
    ----------
    looked : Dataset
        As it is drawn, with the numbers of rows and columns.
    place : Place
    shape : (int, int)
        Rows and columns of the grid.
    """
    down, across = _dims(looked)
    facts: dict[str, Any] = {
        "width": looked.sizes[across],
        "height": looked.sizes[down],
        "rows": looked["report_row"].to_numpy().tolist(),
        "columns": looked["report_column"].to_numpy().tolist(),
        "size": [*shape],
        "names": {"x": str(across), "y": str(down)},
        "unit": "",
        "affine": None,
        "labels": None,
        "ball": None,
        "aspect": 1.0,
        "metres": None,
    }
    geobox = place.geobox
    if geobox is None:
        labels = [looked.coords.get(dim) for dim in (across, down)]
        if all(
            k is not None and k.dtype.kind in "fiu" and bool(np.isfinite(k).all()) for k in labels
        ):
            x, y = (np.asarray(k, np.float64) for k in labels)
            facts["labels"] = {"x": x.tolist(), "y": y.tolist()}
            facts["aspect"] = _aspect(_step(y), _step(x))
        return facts, None
    facts["affine"] = [*geobox.transform][:6]
    facts["names"] = {"x": f"{across} ({place.crs})", "y": f"{down} ({place.crs})"}
    facts["unit"] = _unit(geobox)
    facts["aspect"], facts["metres"] = _sizes(geobox, _step(np.array(facts["columns"])))
    ball = _ball(geobox)
    if isinstance(ball, str) or ball is None:
        facts["ball"] = ball
        return facts, None
    facts["ball"] = {"rows": CONTROL, "columns": CONTROL}
    return facts, ball


def _dims(dataset: xr.Dataset) -> tuple[Any, Any]:
    dims = spatial_dims(dataset)
    assert dims is not None  # noqa: S101  # the report has checked it
    return dims


def _step(labels: NDArray[Any]) -> float:
    return float(abs(labels[-1] - labels[0]) / (labels.size - 1)) if labels.size > 1 else 1.0


def _aspect(height: float, width: float) -> float:
    if not (np.isfinite(height) and np.isfinite(width) and height > 0 and width > 0):
        return 1.0
    return float(np.clip(height / width, *FLAT))


def _sizes(geobox: GeoBox, step: float) -> tuple[float, float | None]:
    """Return height over width of a cell, and its width in metres, both in the middle."""
    from xfusion.datamodel.ground_distance import GroundDistance

    try:
        squares = GroundDistance(geobox).metric(*(slice(0, n) for n in geobox.shape))
    except (ValueError, ArithmeticError):  # it is not on the earth
        sides = geobox.resolution
        return _aspect(abs(sides.y), abs(sides.x)), None
    height, width = np.sqrt(np.diag(squares))
    return _aspect(height, width), float(width * step)


def _unit(geobox: GeoBox) -> str:
    crs = geobox.crs
    if crs is None:
        return ""
    if crs.geographic:
        return "°"
    names = {axis.unit_name for axis in crs.proj.axis_info}
    name = next(iter(names), "") if len(names) == 1 else ""
    return {"metre": " m", "": ""}.get(name, f" {name}")


def _ball(geobox: GeoBox) -> NDArray[np.float64] | str | None:
    """Return unit vectors of longitude and latitude at points over the grid.

    "native" where the coordinates are degrees already, None where nobody knows.
    """
    from pyproj.exceptions import ProjError

    from xfusion.datamodel.earth import degrees_of, transformer

    rows, columns = (np.linspace(0, n, CONTROL) for n in geobox.shape)
    a, b, c, d, e, f = [*geobox.transform][:6]
    column, row = np.meshgrid(columns, rows)
    x, y = a * column + b * row + c, d * column + e * row + f
    crs = str(geobox.crs)
    try:
        longitude, latitude = transformer(crs, degrees_of(crs)).transform(x, y)
    except ProjError:  # a local CRS is nowhere on the earth
        return None
    with np.errstate(invalid="ignore"):
        apart = np.abs(np.stack([np.mod(longitude - x + 180, 360) - 180, latitude - y]))
    if geobox.crs is not None and geobox.crs.geographic and np.nanmax(apart, initial=0) < ALIKE:
        return "native"
    lost = ~(np.isfinite(longitude) & np.isfinite(latitude))
    east, north = (np.radians(np.where(lost, np.nan, k)) for k in (longitude, latitude))
    return np.stack(
        [np.cos(north) * np.cos(east), np.cos(north) * np.sin(east), np.sin(north)], axis=-1
    )
