"""Where a store lies, in the words of the conventions of GeoZarr: `proj` and `spatial`.

https://github.com/zarr-conventions/proj and https://github.com/zarr-conventions/spatial, 0.1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import xarray as xr

from xfusion.datamodel.conventions import CONVENTIONS_OF_ZARR, without_grid_of_store
from xfusion.datamodel.grid import geobox_of, spatial_dims
from xfusion.datamodel.names import SPATIAL_REF

SCHEMA = "https://raw.githubusercontent.com/zarr-conventions/{}/refs/tags/v0.1/schema.json"
SPECIFICATION = "https://github.com/zarr-conventions/{}/blob/v0.1/README.md"
PROJ = ("proj", "f17cb550-5864-4468-aeb7-f3180cfb622f")
SPATIAL = ("spatial", "689b58e2-cf7b-45e0-9fff-9cfc0883d6b4")
WKT = "WKT2_2019"
DESCRIPTIONS = {
    "proj": "Coordinate reference system information for geospatial data",
    "spatial": "Spatial coordinate information",
    "multiscales": "Multiscale layout of zarr datasets",
}


def grid_attrs(dataset: xr.Dataset) -> dict[str, Any]:
    """Return attributes for the root of a store that say where its pixels lie.

    Parameters
    ----------
    dataset : Dataset
        A retrieval. Of one without a CRS nothing is said.
    """
    dims = spatial_dims(dataset)
    if dims is None or SPATIAL_REF not in dataset.coords:
        return {}
    geobox = geobox_of(dataset)
    crs: Any = geobox.crs
    box = geobox.boundingbox
    own = without_grid_of_store(dataset.attrs).get(CONVENTIONS_OF_ZARR, [])
    return {
        CONVENTIONS_OF_ZARR: [*own, declaration(*PROJ), declaration(*SPATIAL)],
        **({"proj:code": f"EPSG:{crs.epsg}"} if crs.epsg else {"proj:wkt2": crs.proj.to_wkt(WKT)}),
        "spatial:dimensions": [str(dim) for dim in dims],
        "spatial:shape": [int(side) for side in geobox.shape],
        "spatial:transform": [float(number) for number in tuple(geobox.transform)[:6]],
        "spatial:bbox": [float(edge) for edge in (box.left, box.bottom, box.right, box.top)],
        "spatial:registration": "pixel",
    }


def declaration(name: str, uuid: str) -> dict[str, str]:
    """Return what declares that a group follows a convention."""
    return {
        "uuid": uuid,
        "schema_url": SCHEMA.format(name),
        "spec_url": SPECIFICATION.format(name),
        "name": name,
        "description": DESCRIPTIONS[name],
    }


def declares(attributes: Mapping[str, Any], uuid: str) -> bool:
    """Whether a group declares that it follows a convention."""
    declared = attributes.get(CONVENTIONS_OF_ZARR)
    return isinstance(declared, list) and any(
        isinstance(each, Mapping) and each.get("uuid") == uuid for each in declared
    )
