"""A cube as files: what is written of each of its times, and how it is called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from xfusion.datamodel.caller import warn
from xfusion.datamodel.components import PLAIN, is_component, unfit_names
from xfusion.datamodel.grid import spatial_dims
from xfusion.datamodel.names import MU
from xfusion.datamodel.slices import slices_along
from xfusion.datamodel.times import calendar_of, moments_of

from .collection import COLLECTION, ITEM, CollectionFile, Look
from .item import stac_item

if TYPE_CHECKING:
    import pystac

EDGES = "._- "  # of an id


@dataclass(frozen=True)
class Planned:
    """What is written where."""

    scenes: Mapping[str, xr.Dataset]
    """What begins the names of files -> what they hold."""
    rasters: Mapping[str, Mapping[str, Path]]
    """The same -> variable -> file."""
    items: Mapping[Path, pystac.Item]
    collections: Sequence[CollectionFile]
    """Of a cube one; none of what has no items."""
    files: dict[str, Path]
    """What the caller calls each -> file."""

    def in_order(self) -> list[Path]:
        """Return rasters before items: one that is there has its files."""
        return [path for each in self.rasters.values() for path in each.values()] + [*self.items]


def planned(
    dataset: xr.Dataset, folder: Path, look: Look, *, prefix: str, called: str, item: bool | None
) -> Planned:
    """Return what is to be written of a retrieval, refusing by metadata what cannot be.

    Parameters
    ----------
    dataset : Dataset
    folder : Path
    look : callable
        Tells the content of files that are there.
    prefix : str
        Begins the name of each file.
    called : str
        How the folder is called, for ids without a prefix.
    item : bool or None
        Whether items are written; None where there can be one.
    """
    scenes = named_by_time(dataset)
    stem = prefix if prefix.strip(EDGES) else f"{called or 'result'}_"
    rasters: dict[str, dict[str, Path]] = {}
    items: dict[Path, pystac.Item] = {}
    files: dict[str, Path] = {}
    for label, scene in scenes.items():
        check_fits(scene, prefix)
        names = {str(name): folder / f"{prefix}{label}{name}.tif" for name in scene.data_vars}
        files |= {f"{label}{name}": path for name, path in names.items()}
        rasters[label] = names
        described = None
        if item is not False:
            item_id = f"{stem}{label}".strip(EDGES)
            described = _item(scene, names, item_id, asked_for=bool(item))
        if described is not None:
            files[f"{label}{ITEM}"] = folder / f"{prefix}{label}{ITEM}.json"
            items[files[f"{label}{ITEM}"]] = described
    collections = []
    if "" not in scenes and len(items) == len(scenes):
        files[COLLECTION] = path = folder / f"{prefix}{COLLECTION}.json"
        collections = [CollectionFile.of(dataset, path, stem.strip(EDGES), prefix, items, look)]
    return Planned(scenes, rasters, items, collections, files)


def named_by_time(dataset: xr.Dataset) -> dict[str, xr.Dataset]:
    """Return what begins the names of files -> what they hold: of a cube each time.

    Raises
    ------
    ValueError
        If times of a cube are no dates, or are the same to the second.
    """
    if "time" not in dataset[MU].dims:
        return {"": dataset}
    labels = dataset["time"].to_numpy() if "time" in dataset.coords else None
    times = moments_of(labels)
    if times is None or not times.size or np.isnat(times).any():
        there = f"{dataset.sizes['time']} without labels" if labels is None else f"{labels}"
        calendar = calendar_of(labels)
        if calendar is not None:
            msg = (
                f"the times of mu are of the calendar {calendar!r}, from {labels.flat[0]} on, and "  # type: ignore[union-attr]  # it has one
                "not all of them are days of ours, by which files are named: "
                ".convert_calendar('standard')"
            )
            raise ValueError(msg)
        msg = (
            f"mu has the dims ['time'] besides the spatial ones, by which files are named, and "
            f"along it are {there}: .assign_coords(time=...) with a date for each, or select one, "
            ".isel(time=0)"
        )
        raise ValueError(msg)
    texts = np.datetime_as_string(times, unit="s")
    names = [str(text).replace("-", "").replace(":", "") for text in texts]
    for name in names:
        if names.count(name) > 1:
            where = [i for i, other in enumerate(names) if other == name]
            msg = (
                f"time[{where[0]}] and time[{where[1]}] are both {name}, by which files are named: "
                "fuse the two, or write them apart, .isel(time=...)"
            )
            raise ValueError(msg)
    slices = slices_along(dataset.transpose("time", ...), "time")
    return {f"{name}_": each for name, each in zip(names, slices, strict=True)}


def check_fits(dataset: xr.Dataset, prefix: str) -> None:
    """Refuse by metadata what does not go into files."""
    spatial = spatial_dims(dataset) or ()
    extra = [d for d in dataset[MU].dims if d not in spatial]
    if extra:
        msg = (
            f"mu has the dims {extra} besides time and the spatial ones, a GeoTIFF has none: "
            f"select one, e.g. .isel({extra[0]}=0)"
        )
        raise ValueError(msg)
    for name, array in dataset.data_vars.items():
        others = [d for d in array.dims if d not in spatial]
        if len(array.dims) - len(others) < len(spatial) or len(others) > 1:
            msg = (
                f"{name} has the dims {array.dims}, a file has {spatial} and one more at most: "
                f"leave it out, .drop_vars({name!r})"
            )
            raise ValueError(msg)
        if array.dtype.kind not in "fiub":
            msg = (
                f"{name} is {array.dtype}, which no GeoTIFF holds: convert it, or leave it out, "
                f".drop_vars({name!r})"
            )
            raise ValueError(msg)
    for name in unfit_names(list(dataset.data_vars)):
        msg = f"the variable {name!r} cannot be the name of a file: .rename with {PLAIN}"
        raise ValueError(msg)
    for name in dataset.data_vars:
        if not is_component(f"{prefix}{name}"):
            msg = (
                f"{prefix=} begins the name of a file, it has no folder: put that into `folder`, "
                f"and choose {PLAIN}"
            )
            raise ValueError(msg)
    if ITEM in dataset.data_vars:
        msg = f"a variable is called {ITEM!r}, as the STAC item is: .rename({ITEM}=...)"
        raise ValueError(msg)


def _item(
    dataset: xr.Dataset, rasters: Mapping[str, Path], item_id: str, *, asked_for: bool
) -> pystac.Item | None:
    """Return the STAC item, None where there can be none and nobody asked for it."""
    try:
        return stac_item(dataset, rasters, item_id=item_id)
    except ValueError as error:
        if asked_for:
            raise
        warn(f"no STAC item is written: {error}")
        return None
