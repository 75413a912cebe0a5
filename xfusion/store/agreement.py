"""What dates and the store that they are added to must agree on."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import xarray as xr
from numpy.typing import NDArray

from xfusion.datamodel.comparison import same_geobox
from xfusion.datamodel.conventions import is_of_store
from xfusion.datamodel.grid import crs_text, geobox_of, has_crs, spatial_dims
from xfusion.datamodel.names import SPATIAL_REF
from xfusion.datamodel.provenance import JOB, merged_mask_attrs
from xfusion.datamodel.state import CARRIED, LAST_LOOK
from xfusion.datamodel.times import label_text

from .growth import Stored, sides_of
from .metadata import consolidated
from .place import ROOT
from .sensors import joined_flags, joined_sensors
from .template import TIME

UNTOUCHED = "nothing was written"
# without these the same numbers mean something else
MEANING = ("units", "calendar", "grid_mapping", "standard_name", "flag_", "scale_", "add_offset")
OF_RESULTS = ("sensor", "fusion_", "series_", "calibration_", "aleatoric", "passes")
# words and marks that change no number; a store of an earlier version has none of some
OF_WORDS = ("title", "history", "unc_comps", "units_metadata", "Conventions")
OF_LATER = ("long_name", "flag_values", "grid_mapping")  # which earlier versions did not write
OF_STATES = "series_"  # begins the parameters of a filter
OF_NAMES = ("coordinates", "ancillary_variables")  # of variables, which are compared as such


def check_store(stored: Stored, *, shards: bool) -> None:
    """Refuse a store to which no dates can be added.

    Raises
    ------
    FileExistsError
        If :func:`~xfusion.to_zarr` did not write it.
    ValueError
        If it has no dates, or its last block along time is not full; or if its blocks are shards,
        and none are wanted.
    """
    if stored.note is None:
        msg = (
            f"{stored.name} holds a Zarr group that xf.to_zarr did not write. Nothing was changed; "
            "choose another store, or delete it"
        )
        raise FileExistsError(msg)
    if "mu" not in stored.nodes:
        msg = (
            f"the metadata of {stored.name} are not whole, {UNTOUCHED}: xf.verify tells more of "
            "it, and the call that made the store mends what it can"
        )
        raise ValueError(msg)
    if TIME not in stored.dataset.dims or TIME not in stored.nodes:
        msg = (
            f"{stored.name} holds a retrieval without a dim {TIME!r}, to which no dates can be "
            f"added, {UNTOUCHED}: write it to another store, with append_dim={TIME!r}"
        )
        raise ValueError(msg)
    if stored.is_in_shards and not shards:
        msg = (
            f"shards=False, and the blocks of {stored.name} are shards, {UNTOUCHED}: leave it out, "
            "or write all dates to another store"
        )
        raise ValueError(msg)
    block = stored.blocks()[TIME]
    if stored.count % block:
        msg = (
            f"the last block along {TIME} of {stored.name} has {stored.count % block} dates, and "
            f"is not full with less than {block}; {UNTOUCHED}, as others may read it: write the "
            f"dates that are there once more, to another store, with append_dim={TIME!r}, which "
            "gives each date blocks of its own"
        )
        raise ValueError(msg)


def check_agreement(stored: Stored, dataset: xr.Dataset, template: Mapping[str, bytes]) -> None:
    """Refuse dates that are of another kind than those in a store.

    Parameters
    ----------
    stored : Stored
    dataset : Dataset
        The dates that are to be added, in blocks.
    template : mapping
        What a store of them alone would hold besides its pixels.

    Raises
    ------
    ValueError
        If they have another grid, other variables, dtypes, blocks, attributes or parameters; it
        names the variable and what it is in both.
    """
    for said in _differences(stored, dataset, template):
        msg = f"these dates do not go with those in {stored.name}, {UNTOUCHED}: {said}"
        raise ValueError(msg)


def _differences(
    stored: Stored, dataset: xr.Dataset, template: Mapping[str, bytes]
) -> Iterator[str]:
    root = json.loads(template[ROOT])
    yield from _of_grid(stored.dataset, dataset)
    yield from _of_names(stored, dataset)
    for name, node in consolidated(root).items():
        yield from _of_arrays(name, stored.nodes[name], node)
    attributes = stored.attributes, root["attributes"]
    yield from _of_attributes("", *attributes, OF_RESULTS, joined_sensors(*attributes))
    yield from _of_values(stored.dataset, dataset)


def _of_grid(stored: xr.Dataset, dataset: xr.Dataset) -> Iterator[str]:
    dims = spatial_dims(stored) or ()
    for dim in dims:
        if dataset.sizes.get(dim) != stored.sizes[dim]:
            yield (
                f"they have {dataset.sizes.get(dim, 'no')} pixels along {dim}, the store "
                f"{stored.sizes[dim]}: .coregister(store) brings them onto its grid"
            )
            return
    if not has_crs(stored) and not has_crs(dataset):
        for dim in dims:
            yield from _of_labels(dim, stored, dataset)
        return
    if has_crs(stored) != has_crs(dataset):
        which = "the store" if has_crs(stored) else "these dates"
        yield f"only {which} have a CRS: .rio.write_crs('EPSG:...') names it"
        return
    ours, theirs = geobox_of(dataset), geobox_of(stored)
    if not same_geobox(ours, theirs):
        shown = [f"{crs_text(box.crs)} {tuple(box.transform)[:6]}" for box in (ours, theirs)]
        yield (
            f"their grid is {shown[0]}, that of the store {shown[1]}: .coregister(store) brings "
            "them onto it"
        )


def _of_labels(dim: Any, stored: xr.Dataset, dataset: xr.Dataset) -> Iterator[str]:
    if (dim in stored.coords) != (dim in dataset.coords):
        which = "the store" if dim in stored.coords else "these dates"
        yield f"only {which} have labels {dim}: .assign_coords({dim}=...) or .drop_vars({dim!r})"
        return
    if dim in stored.coords and not stored.variables[dim].equals(dataset.variables[dim]):
        ends = [f"{a[0]} to {a[-1]}" for a in (_labels(dataset, dim), _labels(stored, dim))]
        yield f"{dim} is {ends[0]}, in the store {ends[1]}: .coregister(store)"


def _labels(dataset: xr.Dataset, dim: Any) -> NDArray[Any]:
    labels: NDArray[Any] = dataset.coords[dim].to_numpy()
    return labels


def _of_names(stored: Stored, dataset: xr.Dataset) -> Iterator[str]:
    lacking = {n for n, v in stored.dataset.variables.items() if TIME in v.dims}
    for name in sorted(lacking - {*dataset.variables}, key=str):
        yield (
            f"the store has {name}, they have not: .assign({name}=...); or write all of them to "
            "another store"
        )
    for name, variable in dataset.variables.items():
        if name not in stored.nodes:
            yield f"they have {name}, the store has not: .drop_vars({name!r})"
            return
        dims = stored.nodes[str(name)].get("dimension_names") or []
        if [*variable.dims] != [*dims]:
            yield (
                f"{name} has the dims {variable.dims}, in the store {tuple(dims)}: "
                f".transpose{tuple(dims)}, or .expand_dims and .isel where one is too few or many"
            )
            return


def _of_arrays(name: str, stored: Mapping[str, Any], node: Mapping[str, Any]) -> Iterator[str]:
    if node["data_type"] != stored["data_type"]:
        kinds = [each["data_type"] for each in (node, stored)]
        yield (
            f"{name} is of {kinds[0]}, in the store of {kinds[1]}: "
            f".assign({name}=....astype(...)) makes it that"
        )
    attributes = stored.get("attributes", {}), node.get("attributes", {})
    joined = joined_flags(name, *attributes)
    yield from _of_attributes(f"{name}.", *attributes, MEANING, joined)
    if sides_of(node) != sides_of(stored):
        dims = stored.get("dimension_names") or []
        asked = ", ".join(f"{d}={n}" for d, n in zip(dims, sides_of(stored), strict=True))
        yield (
            f"{name} is in blocks of {tuple(sides_of(node))}, in the store of "
            f"{tuple(sides_of(stored))}: .chunk({asked})"
        )
    for part in ("codecs", "fill_value", "chunk_key_encoding"):
        if node.get(part) != stored.get(part):
            yield (
                f"the {part} of {name} are {node.get(part)}, in the store {stored.get(part)}: it "
                "was written by another version; write all dates to another store"
            )


def _of_attributes(
    of: str,
    stored: Mapping[str, Any],
    ours: Mapping[str, Any],
    meaning: tuple[str, ...],
    joined: Mapping[str, Any],
) -> Iterator[str]:
    """Name attributes that differ; what a user has given the store besides is none of it."""
    grown = {*merged_mask_attrs([stored, ours]), JOB, CARRIED, *OF_NAMES, *OF_WORDS, *joined}
    if LAST_LOOK in ours and LAST_LOOK in stored:
        grown.add(LAST_LOOK)
    grown |= {key for key in OF_LATER if key not in stored}
    for key in {**stored, **ours}:
        if key in grown or is_of_store(key) or stored.get(key) == ours.get(key):
            continue
        if key in ours or key.startswith(meaning):
            values = [repr(each[key]) if key in each else "none" for each in (ours, stored)]
            attr = f"{f'[{of[:-1]!r}]' if of else ''}.attrs[{key!r}]"
            mend = f"{attr} = {values[1]}" if key in stored else f"del {attr}"
            # how a state was made is no label that could be wrong
            mend = "" if key.startswith(OF_STATES) else f", or, if they are, {mend}"
            yield (
                f"the attribute {of}{key} is {values[0]}, in the store {values[1]}: compute them "
                f"alike{mend}"
            )


def _of_values(stored: xr.Dataset, dataset: xr.Dataset) -> Iterator[str]:
    """Name what has no time and differs: there is one of it for all dates."""
    for name, variable in dataset.variables.items():
        if TIME in variable.dims or name in (SPATIAL_REF, *(spatial_dims(dataset) or ())):
            continue
        if not variable.equals(stored.variables[name]):
            values = [_shown(each.variables[name]) for each in (dataset, stored)]
            yield (
                f"{name}, which has no {TIME} and is one for all dates, is {values[0]}, in the "
                f"store {values[1]}: .drop_vars({name!r})"
            )


def _shown(variable: xr.Variable) -> str:
    if variable.ndim:
        return f"another map or list of {tuple(variable.shape)}"
    return label_text(variable.to_numpy())
