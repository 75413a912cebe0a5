"""What the command makes a report of: one map of a result, and a reference on its grid."""

from __future__ import annotations

import numpy as np
import xarray as xr

from xfusion.assessment.truth import Kind
from xfusion.datamodel.building import retrieval
from xfusion.datamodel.grid import extent_of, geobox_of, has_crs
from xfusion.datamodel.names import MU
from xfusion.datamodel.redaction import public
from xfusion.datamodel.times import as_time, label_text, moments_of
from xfusion.raster.opening import open_raster
from xfusion.raster.sample import has_shares
from xfusion.warp.coregistration import coregister
from xfusion.warp.pixel_mapping import PixelMapping


def map_of(dataset: xr.Dataset, time: str | None) -> xr.Dataset:
    """Return one map of a cube; what is one already as it is.

    Parameters
    ----------
    dataset : Dataset
        A retrieval.
    time : str, optional
        The one that is nearest, within a day.

    Raises
    ------
    ValueError
        If a cube has several and none is named, or none is near.
    """
    if "time" not in dataset[MU].dims:
        return dataset
    labels = [label_text(label) for label in dataset["time"].to_numpy()]
    if time is None:
        if len(labels) == 1:
            return dataset.isel(time=0)
        msg = f"it holds {len(labels)} times, {labels[0]} to {labels[-1]}: name one with --time"
        raise ValueError(msg)
    moments = moments_of(dataset["time"].to_numpy())
    if moments is None:
        msg = f"its times, {labels[0]} to {labels[-1]}, are no dates: select one, .isel(time=0)"
        raise ValueError(msg)
    apart = np.abs(moments - as_time(time))
    place = int(apart.argmin())
    if apart[place] > np.timedelta64(1, "D"):
        msg = (
            f"--time {time} is none of {len(labels)}, {labels[0]} to {labels[-1]}; the nearest is "
            f"{labels[place]}"
        )
        raise ValueError(msg)
    return dataset.isel(time=place)


def open_reference(path: str, dataset: xr.Dataset) -> tuple[xr.DataArray, Kind | None]:
    """Open what is true, lazily; on another grid the nearest pixels of it are taken.

    It is "continuous" where a sample of it has shares, else what its dtype and units say.

    Parameters
    ----------
    path : str
        A raster of one band.
    dataset : Dataset
        The retrieval that is judged by it.

    Raises
    ------
    ValueError
        If no pixel of it is of the place of the retrieval.
    """
    raster = open_raster(path)
    kind: Kind | None = "continuous" if raster.dtype.kind == "f" and has_shares(raster) else None
    if not (has_crs(raster) and has_crs(dataset)) or geobox_of(raster) == geobox_of(dataset):
        return raster, kind
    mapping = PixelMapping.between(geobox_of(raster), geobox_of(dataset))
    if not mapping.meets():
        msg = (
            f"--reference {public(path)} and the result do not overlap: "
            f"{extent_of(geobox_of(raster))}, and {extent_of(geobox_of(dataset))}"
        )
        raise ValueError(msg)
    floats = raster if raster.dtype.kind == "f" else raster.astype(np.float32)
    moved = coregister(retrieval(floats, xr.zeros_like(floats)), dataset, resampling="nearest")
    truth = moved[MU]
    truth.encoding["dtype"] = raster.encoding.get("dtype", raster.dtype)
    truth.attrs = raster.attrs
    return truth, kind
