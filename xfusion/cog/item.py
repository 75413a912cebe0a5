"""The STAC item of a result: where and when it is, what its files hold, what it came from."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from xfusion.datamodel.grid import geobox_of
from xfusion.datamodel.names import CONFLICT, SOURCE, SPAN
from xfusion.datamodel.outline import footprint
from xfusion.datamodel.provenance import SCENE_LINKS, item_links, lasting, scene_links
from xfusion.datamodel.times import as_time, calendar_of, moment_of, stated_span

from .flag_colours import AGREEMENT, colours, combinations, meanings_of

if TYPE_CHECKING:
    import pystac
    from odc.geo.geobox import GeoBox
    from pystac.extensions.classification import Classification

# Of these pystac has no module, or of raster one of 1.1, which puts into `raster:bands` what is
# common metadata of bands since STAC 1.1
EXTENSIONS = {
    name: f"https://stac-extensions.github.io/{name}/v{version}/schema.json"
    for name, version in {"raster": "2.0.0", "processing": "1.2.0"}.items()
}
MAX_CLASSES = 16  # who contributed, of four sensors; of more, bit by bit


def stac_item(dataset: xr.Dataset, files: Mapping[str, Path], *, item_id: str) -> pystac.Item:
    """Return the STAC item of a retrieval that was written to files.

    Parameters
    ----------
    dataset : Dataset
        The retrieval; its pixels are not looked at.
    files : mapping
        Variable -> file; hrefs are relative to the folder of the files.
    item_id : str

    Returns
    -------
    pystac.Item

    Raises
    ------
    ValueError
        If there is no time or no outline on the earth.
    """
    import pystac
    from pystac.extensions.classification import ClassificationExtension
    from pystac.extensions.file import FileExtension
    from pystac.extensions.projection import ProjectionExtension

    geobox = geobox_of(dataset)
    geometry, bbox = footprint(geobox)
    item = pystac.Item(
        id=item_id,
        geometry=geometry,
        bbox=bbox,
        **_times(dataset),
        properties=_processing(dataset),
        stac_extensions=[*EXTENSIONS.values()],
    )
    ProjectionExtension.ext(item, add_if_missing=True).apply(**_projection(geobox))
    for extension in (ClassificationExtension, FileExtension):
        extension.add_to(item)
    for name, path in files.items():
        item.add_asset(name, _asset(dataset[name], path, geobox))
        classes = _classification(dataset[name])
        if classes:
            ClassificationExtension.ext(item.assets[name]).apply(**classes)
    lasts = lasting(dataset.attrs)
    of_all = (*scene_links(lasts).values(), item_links(lasts))
    sources = {k: v for links in of_all for k, v in links.items() if v}
    for source, href in sources.items():
        media_type = pystac.MediaType.GEOJSON
        item.add_link(pystac.Link(pystac.RelType.DERIVED_FROM, href, media_type, title=source))
    return item


def write_item(item: pystac.Item, path: Path) -> None:
    """Write an item with its links and hrefs as they are."""
    text = json.dumps(fields_of(item), indent=2, allow_nan=False) + "\n"
    path.write_text(text, encoding="utf-8")


def fields_of(item: pystac.Item) -> dict[str, Any]:
    """Return an item as it is written."""
    return item.to_dict(include_self_link=False, transform_hrefs=False)


def nodata_of(array: xr.DataArray) -> float | None:
    """Return the value of missing pixels in a file: NaN, what is declared, or None."""
    if array.dtype.kind == "f":
        return float("nan")
    declared = array.attrs.get("_FillValue", array.attrs.get("missing_value"))
    return None if declared is None else float(declared)


def band_names(array: xr.DataArray) -> list[str]:
    """Return a name for each band of the file of a variable, dims (y, x) or (label, y, x)."""
    if array.ndim < 3:  # noqa: PLR2004  # one band
        return [str(array.name)]
    labels = array.coords.get(array.dims[0], array[array.dims[0]])
    return [f"{array.name} {label}" for label in labels.to_numpy()]


def _times(dataset: xr.Dataset) -> dict[str, Any]:
    """Return the time of a retrieval, or the span of its acquisitions, or both as of a month."""
    time = dataset.coords.get("time")
    of_time = moment_of(time)
    moment = None if of_time is None else _moment(of_time)
    span = stated_span(dataset)
    # attributes beside a time may be those of a cube that it was selected from
    if len(span) == len(SPAN) and (moment is None or {*SPAN} <= {*dataset.coords}):
        start, end = (_moment(as_time(of_end)) for of_end in span.values())
        if start != end:
            return {"datetime": moment, "start_datetime": start, "end_datetime": end}
        moment = moment or start
    if moment is not None:
        return {"datetime": moment}
    calendar = None if time is None else calendar_of(time)
    has = "no `time`" if calendar is None else f"a `time` of the calendar {calendar!r}"
    msg = (
        f"the retrieval has {has}, and a STAC item is of some time: "
        ".assign_coords(time=np.datetime64(...)), or leave the item out, item=False"
    )
    raise ValueError(msg)


def _moment(time: np.datetime64) -> dt.datetime:
    moment: dt.datetime = time.astype("datetime64[us]").item()
    return moment.replace(tzinfo=dt.UTC)


def _projection(geobox: GeoBox) -> dict[str, Any]:
    crs: Any = geobox.crs
    # surely this one, not only one that is much like it
    authority = crs.proj.to_authority(min_confidence=100)
    return {
        "code": ":".join(authority) if authority else None,
        "wkt2": None if authority else crs.proj.to_wkt("WKT2_2019"),
        "shape": [*geobox.shape],
        "transform": [float(number) for number in geobox.transform[:6]],
        "bbox": [float(edge) for edge in geobox.extent.boundingbox],
    }


def _processing(dataset: xr.Dataset) -> dict[str, Any]:
    from xfusion.datamodel.version import __version__

    attrs = {str(k): v for k, v in lasting(dataset.attrs).items()}
    parts = [f"sensors: {attrs['sensor']}"] if "sensor" in attrs else []
    parts += [f"{k}: {v}" for k, v in attrs.items() if _is_told(k)]
    names = ("mask_catalog", "mask_collection", "mask_items")
    parts += [f"{k}: {attrs[k]}" for k in names if k in attrs]
    fields = {
        "processing:software": {"xfusion": __version__},
        "processing:version": __version__,
    }
    return {"processing:lineage": "; ".join(parts), **fields} if parts else fields


def _is_told(name: str) -> bool:
    # where scenes are, links say
    return name.startswith("fusion_") and not name.startswith(SCENE_LINKS)


def _asset(array: xr.DataArray, path: Path, geobox: GeoBox) -> pystac.Asset:
    import pystac

    description = array.attrs.get("long_name")
    fields: dict[str, Any] = {"raster:sampling": "area"}
    crs: Any = geobox.crs
    if crs.projected and {axis.unit_name for axis in crs.proj.axis_info} == {"metre"}:
        pixel = abs(geobox.transform.determinant) ** 0.5
        fields["raster:spatial_resolution"] = float(pixel)
    for name, key in (("raster:scale", "scale_factor"), ("raster:offset", "add_offset")):
        if key in array.attrs:
            fields[name] = float(array.attrs[key])
    return pystac.Asset(
        href=f"./{path.name}",
        title=str(array.name),
        description=None if description is None else str(description),
        media_type=pystac.MediaType.COG,
        roles=["data-mask"] if _is_flags(array) and array.name != SOURCE else ["data"],
        extra_fields=fields | {"bands": _bands(array)},
    )


def _bands(array: xr.DataArray) -> list[dict[str, Any]]:
    dtype = np.dtype(np.uint8) if array.dtype == bool else array.dtype
    fields: dict[str, Any] = {"data_type": str(dtype)}
    nodata = nodata_of(array)
    if nodata is not None:
        # JSON has no NaN
        fields["nodata"] = "nan" if np.isnan(nodata) else nodata
    if "units" in array.attrs:
        fields["unit"] = str(array.attrs["units"])
    return [{"name": name} | fields for name in band_names(array)]


def _classification(array: xr.DataArray) -> dict[str, Any]:
    """Return what pystac's extension is to be given of a variable of flags."""
    from pystac.extensions.classification import Bitfield

    if array.name == CONFLICT:
        return {"classes": [_class(i, name) for i, name in enumerate(AGREEMENT)]}
    if not _is_flags(array):
        return {}
    meanings = meanings_of(array)
    if array.name == SOURCE and 1 << len(meanings) <= MAX_CLASSES:
        return {"classes": _source_classes(array, meanings)}
    masks = [int(mask) for mask in np.ravel(array.attrs["flag_masks"])]
    return {
        "bitfields": [
            Bitfield.create(
                offset=mask.bit_length() - 1,
                length=1,
                classes=[_class(0, f"not {meaning}"), _class(1, meaning)],
                description=meaning,
                name=_class_name(meaning),
            )
            for mask, meaning in zip(masks, meanings, strict=True)
        ]
    }


def _source_classes(source: xr.DataArray, meanings: list[str]) -> list[Classification]:
    colour = colours(source)
    classes = []
    for value, members in combinations(len(meanings)).items():
        title = " and ".join(meanings[i] for i in members) or "none"
        hint = "".join(f"{part:02X}" for part in colour[value])
        classes.append(_class(value, title, hint))
    return classes


def _class(value: int, title: str, colour: str | None = None) -> Classification:
    from pystac.extensions.classification import Classification

    return Classification.create(
        value=value, name=_class_name(title), title=title, color_hint=colour
    )


def _class_name(text: str) -> str:
    """Return a text in the letters that the name of a class may have."""
    return re.sub(r"[^0-9A-Za-z_-]+", "_", text)


def _is_flags(array: xr.DataArray) -> bool:
    masks = np.ravel(array.attrs.get("flag_masks", []))
    single = all(int(mask).bit_count() == 1 for mask in masks)
    return bool(len(masks)) and single and len(masks) == len(meanings_of(array))
