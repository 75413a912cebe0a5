"""Whether a file says where its pixels lie."""

from __future__ import annotations

import re
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from xfusion.datamodel.labels import UNEVEN

Along = Literal["rows", "columns"]
BOTH: tuple[tuple[Along, Along], ...] = ("rows", "columns"), ("columns", "rows")

NAMES: dict[str, Along] = {
    **dict.fromkeys(("latitude", "grid_latitude", "projection_y_coordinate"), "rows"),
    **dict.fromkeys(("degrees_north", "degree_north", "Y"), "rows"),
    **dict.fromkeys(("longitude", "grid_longitude", "projection_x_coordinate"), "columns"),
    **dict.fromkeys(("degrees_east", "degree_east", "X"), "columns"),
}
SAYS_AXIS = ("standard_name", "units", "axis")
PLAIN: dict[str, Along] = {
    **dict.fromkeys(("lat", "latitude", "y"), "rows"),
    **dict.fromkeys(("lon", "longitude", "x"), "columns"),
}
OF_NETCDF = re.compile(r'netcdf:"?(?P<path>.+?)"?:/?[^:"]+', re.IGNORECASE)
TURN = 360.0


def check_place(file: Any, name: str) -> None:
    """Refuse a file of rasterio that has no geotransform or no CRS.

    GDAL puts the pixels of one without a geotransform at (0, 0), each one unit of the CRS large,
    and only warns.

    Raises
    ------
    ValueError
        Naming what the file has instead, and the command that mends it.
    """
    if file.transform.is_identity:
        points, _ = file.gcps
        if points:
            instead = f"{len(points)} ground control points: gdalwarp {name} warped.tif"
        elif file.rpcs is not None:
            instead = f"rational polynomials (RPC): gdalwarp -rpc {name} warped.tif"
        elif file.driver in ("netCDF", "HDF5", "Zarr"):
            instead = (
                f"the labels of a {file.driver} file, which GDAL did not understand: open it with "
                "xarray, and build xf.retrieval(ds['mu'], ds['sigma'])"
            )
        else:
            instead = "nothing: set it, e.g. rio edit-info --transform"
        msg = f"{name}: no geotransform, so its pixels have no place; it has {instead}"
        raise ValueError(msg)
    if file.crs is None:
        msg = f"{name}: no CRS, so its pixels have no place: set it, e.g. rio edit-info --crs"
        raise ValueError(msg)
    if file.driver == "netCDF" and not file.transform.b and not file.transform.d:
        _check_labels(file, name)


def _check_labels(file: Any, name: str) -> None:
    """Refuse a netCDF file whose labels are not those that GDAL says.

    It evens out latitudes that are uneven by up to 0.1 degrees, which may be many pixels, and takes
    the first of two dims for rows, also where it is the longitude.
    """
    transform, shape = file.transform, file.shape
    there: dict[Along, NDArray[np.float64]] = {
        "rows": transform.f + transform.e * (np.arange(shape[0]) + 0.5),
        "columns": transform.c + transform.a * (np.arange(shape[1]) + 0.5),
    }
    mend = "open it with xarray, and build xf.retrieval(ds['mu'], ds['sigma'])"
    found = _labels(file)
    for along, other in BOTH:
        named = [(k, labels) for k, axis, labels in found if axis == along]
        if any(_are(labels, there[along]) for _, labels in named):
            continue
        for variable, labels in named:
            if _are(labels, there[other]):
                msg = (
                    f"{name}: {variable!r} is along its {other}, GDAL has it along {along}: {mend}"
                )
                raise ValueError(msg)
            worst, off = _unevenness(labels)
            if labels.size == there[along].size and off > UNEVEN:
                msg = (
                    f"{name}: {variable!r} is not evenly spaced, {variable}[{worst}] is "
                    f"{labels[worst]}, {off:.2g} pixels off, and GDAL evens it out: open it with "
                    "xarray, put it on a regular grid, .interp(), and build xf.retrieval(...)"
                )
                raise ValueError(msg)


def _labels(file: Any) -> list[tuple[str, Along, NDArray[np.float64]]]:
    """Return the variables of a netCDF file that are labels of one dim: name, axis and numbers."""
    import rasterio
    from rasterio.errors import RasterioError

    within = OF_NETCDF.fullmatch(file.name)
    path = within["path"] if within else file.name
    axes: dict[str, Along] = {}
    for key, said in file.tags().items():
        variable, _, attribute = key.partition("#")
        if attribute in SAYS_AXIS and said in NAMES:
            axes.setdefault(variable, NAMES[said])
    # without attributes GDAL goes by names as well
    axes |= {k: axis for k, axis in PLAIN.items() if axis not in axes.values()}
    found = []
    for variable, axis in axes.items():
        try:
            with rasterio.open(f'netcdf:"{path}":{variable}') as labels:
                if labels.count == labels.height == 1:  # those of each pixel say no axis
                    numbers = labels.read(1)[0].astype(np.float64)
                    period = TURN if file.crs.is_geographic else np.inf
                    found.append((variable, axis, np.unwrap(numbers, period=period)))
        except RasterioError:
            continue
    return found


def _are(labels: NDArray[np.float64], there: NDArray[np.float64]) -> bool:
    """Whether labels are those of rows or columns, in either direction."""
    if labels.size != there.size or there.size == 1:
        return False
    tolerance = UNEVEN * abs(there[1] - there[0])
    turns = TURN * np.round((there.mean() - labels.mean()) / TURN)
    return any(
        bool(np.all(np.abs(each - there) <= tolerance))
        for by in {0.0, float(turns)}
        for each in (labels + by, labels[::-1] + by)
    )


def _unevenness(labels: NDArray[np.float64]) -> tuple[int, float]:
    """Return which label is furthest from the line through all, and by how many pixels."""
    last = labels.size - 1
    span = labels[-1] - labels[0] if last > 0 else 0.0
    if not span:
        return 0, 0.0
    off = np.abs((labels - labels[0]) / span * last - np.arange(labels.size))
    return int(off.argmax()), float(off.max())


def is_of_heights(file: Any) -> bool:
    """Whether the unit of a band is that of the vertical part of the CRS, as GDAL has it."""
    unit = file.units[0]
    if not unit:
        return False
    from pyproj import CRS

    vertical = [part for part in CRS(file.crs.to_wkt()).sub_crs_list if part.is_vertical]
    # "m" is no name of theirs, so somebody has said it of the band
    return any(str(unit) == a.unit_name for part in vertical for a in part.axis_info)
