"""The STAC items of the example scene, with the quirks of the catalogues they stand for."""

from __future__ import annotations

from typing import Any

from odc.geo.geobox import GeoBox
from pyproj import CRS

from xfusion.datamodel.outline import footprint

SCHEMA = "https://stac-extensions.github.io/{}/schema.json"
_REFLECTANCE = {"data_type": "uint16", "bits_per_sample": 15, "spatial_resolution": 10}
_REFLECTANCE_SCALE = {"nodata": 0, "scale": 0.0001, "offset": -0.1}
BAND_FIELDS: dict[str, dict[str, Any]] = {
    "red": {
        "eo:bands": [{"name": "red", "common_name": "red", "center_wavelength": 0.665}],
        "gsd": 10,
        "raster:bands": [_REFLECTANCE | _REFLECTANCE_SCALE],
    },
    "nir": {
        "eo:bands": [{"name": "nir", "common_name": "nir", "center_wavelength": 0.842}],
        "gsd": 10,
        "raster:bands": [_REFLECTANCE | _REFLECTANCE_SCALE],
    },
    "scl": {"raster:bands": [{"nodata": 0, "data_type": "uint8", "spatial_resolution": 20}]},
}


def sentinel2_item(
    item_id: str, time: str, geobox: GeoBox, cloud_cover: float, assets: dict[str, Any]
) -> dict[str, Any]:
    """An item as Earth Search has it; `assets` are of :func:`band_asset`."""
    properties = {
        "platform": f"sentinel-{item_id[1:3].lower()}",
        "constellation": "sentinel-2",
        "instruments": ["msi"],
        "eo:cloud_cover": cloud_cover,
        "proj:epsg": 32634,
        "mgrs:utm_zone": 34,
        "mgrs:latitude_band": "T",
        "mgrs:grid_square": "BT",
        "grid:code": "MGRS-34TBT",
        "s2:product_type": "S2MSI2A",
        "s2:processing_baseline": "05.09",
        "s2:sequence": "0",
        # As served: the offset that raster:bands declares is already in the pixels.
        "earthsearch:boa_offset_applied": True,
    }
    extensions = [SCHEMA.format(name) for name in ("eo/v1.0.0", "raster/v1.1.0")]
    item = _item("sentinel-2-l2a", item_id, time, geobox, properties, assets)
    return item | {"stac_extensions": extensions}


def gfm_item(item_id: str, time: str, geobox: GeoBox, href: str) -> dict[str, Any]:
    """An item of the Global Flood Monitoring, whose one asset is the exclusion mask."""
    day, clock = time[:8], time[9:]
    instant = f"{day[:4]}-{day[4:6]}-{day[6:]}T{clock[:2]}:{clock[2:4]}:{clock[4:]}Z"
    properties = _projection(geobox) | {
        # Nothing but the WKT says which CRS it is, as in the real collection.
        "proj:wkt2": CRS(27704).to_wkt("WKT2_2019"),
        "gsd": 20,
        "Equi7Tile": "EU020M_E051N015T3",
    }
    return _item("GFM", item_id, instant, geobox, properties, {"exclusion_mask": _asset(href)})


def band_asset(name: str, href: str, geobox: GeoBox) -> dict[str, Any]:
    """The asset of a Sentinel-2 layer: red, nir or scl."""
    return _asset(href) | _projection(geobox) | BAND_FIELDS[name]


def _item(
    collection: str,
    item_id: str,
    time: str,
    geobox: GeoBox,
    properties: dict[str, Any],
    assets: dict[str, Any],
) -> dict[str, Any]:
    geometry, bbox = footprint(geobox)
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "stac_extensions": [SCHEMA.format("projection/v1.0.0")],
        "id": item_id,
        "collection": collection,
        "geometry": geometry,
        "bbox": bbox,
        "properties": {"datetime": time} | properties,
        "links": [],
        "assets": assets,
    }


def _projection(geobox: GeoBox) -> dict[str, Any]:
    return {"proj:shape": list(geobox.shape), "proj:transform": list(geobox.affine)[:6]}


def _asset(href: str) -> dict[str, Any]:
    return {
        "href": href,
        "type": "image/tiff; application=geotiff; profile=cloud-optimized",
        "roles": ["data"],
    }
