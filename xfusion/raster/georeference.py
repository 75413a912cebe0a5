"""Whether a file says where its pixels lie."""

from __future__ import annotations

from typing import Any


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


def is_of_heights(file: Any) -> bool:
    """Whether the unit of a band is that of the vertical part of the CRS, as GDAL has it."""
    unit = file.units[0]
    if not unit:
        return False
    from pyproj import CRS

    vertical = [part for part in CRS(file.crs.to_wkt()).sub_crs_list if part.is_vertical]
    # "m" is no name of theirs, so somebody has said it of the band
    return any(str(unit) == a.unit_name for part in vertical for a in part.axis_info)
