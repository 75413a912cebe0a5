"""A store before its pixels: the metadata of all arrays, and how these are cut."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from xfusion.datamodel.components import PLAIN, unfit_names
from xfusion.datamodel.flags import Exclusion
from xfusion.datamodel.grid import spatial_dims
from xfusion.datamodel.names import MASK, SPATIAL_REF
from xfusion.datamodel.placement import PIXEL
from xfusion.datamodel.provenance import JOB
from xfusion.datamodel.times import moments_of
from xfusion.run.scheduler import lazy_variables

from .arrays import quiet_zarr
from .geozarr import grid_attrs
from .notes import note_of, with_digest
from .place import ROOT, STATE, Place

if TYPE_CHECKING:
    from zarr.abc.store import Store as ZarrStore

GRID_MAPPING, COORDINATES = "grid_mapping", "coordinates"
LEVEL = 0  # of zstd: Zarr's own choice
TIME = "time"  # the dim along which a store can grow
LABELS = 1024  # times, in one piece: there is room for more than a store begins with
NO_TIME = int(np.iinfo(np.int64).min)  # NaT, as times are stored
CHUNK = 512  # pixels a side, at most, of what is compressed in one piece


def template_of(
    dataset: xr.Dataset, job: Mapping[str, str], *, shards: bool = True
) -> dict[str, bytes]:
    """Return what a store holds besides its pixels: keys and their contents.

    Parameters
    ----------
    dataset : Dataset
        A retrieval in blocks of one size.
    job : mapping
        As :func:`~xfusion.store.fingerprint.job_of` describes it.
    shards : bool
        As of :func:`~xfusion.to_zarr`.

    Raises
    ------
    ValueError
        If an attribute or a name is none that a store can hold.
    """
    from zarr.codecs import Crc32cCodec, ZstdCodec
    from zarr.storage import MemoryStore

    _check_names(dataset)
    _check_attrs(dataset)
    dataset = _with_moments_of_store(dataset)
    # any reader of Zarr sees by the checksum that a chunk is not what was written
    checked = (ZstdCodec(level=LEVEL), Crc32cCodec())
    # programs that have no shards have no CRC-32C either
    plain = (ZstdCodec(level=LEVEL, checksum=True),)
    codecs = {"compressors": checked if shards else plain}
    encoding: dict[Any, dict[str, Any]] = {name: dict(codecs) for name in dataset.variables}
    for name in {*dataset.dims} & {*encoding}:
        if dataset.variables[name].dtype.kind == "f":
            encoding[name] |= {"_FillValue": None}  # a label of a pixel is never missing
    for name, variable in lazy_variables(dataset).items():
        dims = spatial_dims(dataset) or ()
        block = {d: c[0] for d, c in _blocks(variable)}
        encoding[name] |= {"chunks": tuple(block.values())}
        if shards:
            chunk = tuple(_chunk(n) if d in dims else n for d, n in block.items())
            encoding[name] |= {"chunks": chunk, "shards": tuple(block.values())}
    for name, variable in dataset.variables.items():
        if variable.chunks is None and TIME in variable.dims:
            encoding[name] |= _of_labels(variable)
    # what a reader gets of a file that is gone
    for name, variable in dataset.variables.items():
        if variable.dtype.kind in "mM":
            encoding[name] |= {"fill_value": NO_TIME}
    if MASK in encoding:
        encoding[MASK] |= {"fill_value": int(Exclusion.UNKNOWN)}
    template: Any = MemoryStore()
    with quiet_zarr():
        _placed(_without_blocks(dataset)).to_zarr(
            template,
            mode="w",
            compute=False,
            consolidated=True,
            zarr_format=3,
            encoding=encoding,
            safe_chunks=False,  # blocks are what is one file
            write_empty_chunks=True,
        )
    _check_moments(dataset, Place(template))
    contents = _contents(template)
    root = json.loads(contents[ROOT])
    root["attributes"] |= {**grid_attrs(dataset), JOB: note_of(job)}
    return contents | {ROOT: json.dumps(with_digest(root), indent=2).encode()}


def _contents(store: ZarrStore) -> dict[str, bytes]:
    held = Place(store)
    return {key: held.read(key) or b"" for key in held.listed()}


def _without_blocks(dataset: xr.Dataset) -> xr.Dataset:
    """Return what has the same metadata: xarray would make a task for each block."""
    import dask.array as da

    empty = {
        name: variable.copy(data=da.zeros(variable.shape, dtype=variable.dtype, chunks=-1))
        for name, variable in lazy_variables(dataset).items()
        if variable.dtype.kind in "biufc"
    }
    return dataset.assign({k: v for k, v in empty.items() if k in dataset.data_vars}).assign_coords(
        {k: v for k, v in empty.items() if k in dataset.coords}
    )


def _check_names(dataset: xr.Dataset) -> None:
    """Refuse names that would lead out of the store, or to what is its own."""
    names = list(dataset.variables)
    # those of Zarr's format 2 begin with .z
    of_zarr = [name for name in names if str(name)[:2].casefold() == ".z"]
    for name in [*unfit_names(names, taken=(ROOT, STATE)), *of_zarr]:
        msg = f"the variable {name!r} cannot be a folder of a Zarr store: .rename with {PLAIN}"
        raise ValueError(msg)


def _check_attrs(dataset: xr.Dataset) -> None:
    """Refuse attributes that a store cannot hold, by their names."""
    owners: list[tuple[str, Mapping[Any, Any]]] = [("the retrieval", dataset.attrs)]
    owners += [(str(name), variable.attrs) for name, variable in dataset.variables.items()]
    for owner, attrs in owners:
        for name, value in attrs.items():
            try:
                json.dumps(value, default=_listed)
            except TypeError as error:
                msg = (
                    f"attribute {name!r} of {owner} is a {type(value).__name__}, which Zarr does "
                    f"not hold: .assign_attrs({name}=str(...))"
                )
                raise ValueError(msg) from error


def _listed(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "biufU":
        return value.tolist()
    raise TypeError


def _with_moments_of_store(dataset: xr.Dataset) -> xr.Dataset:
    """Return labels along time in a unit for which xarray keeps the numbers it is told to write.

    Of seconds and milliseconds it writes NaT, if it is asked for microseconds.
    """
    labels = {
        name: (variable.dims, variable.to_numpy().astype(f"{variable.dtype.kind}8[us]"))
        for name, variable in dataset.variables.items()
        if variable.chunks is None and TIME in variable.dims and _unit_of(variable) in ("s", "ms")
    }
    return dataset.assign(
        {name: (*label, dataset.variables[name].attrs) for name, label in labels.items()}
    )


def _unit_of(variable: xr.Variable) -> str | None:
    return np.datetime_data(variable.dtype)[0] if variable.dtype.kind in "mM" else None


def _check_moments(dataset: xr.Dataset, template: Place) -> None:
    """Refuse dates that a reader of the store would see as others."""
    dates = {n: v for n, v in dataset.variables.items() if v.chunks is None and _unit_of(v)}
    found = template.opened({}) if dates else dataset
    for name, variable in dates.items():
        ours, theirs = variable.to_numpy(), found.variables[name].to_numpy()
        moments = moments_of(theirs) if variable.dtype.kind == "M" else theirs
        if moments is None or not np.array_equal(ours, moments, equal_nan=True):
            msg = (
                f"{name} is {ours.ravel()[:3]}, and would be read from the store as "
                f"{theirs.ravel()[:3]}: .assign_coords({name}=ds[{str(name)!r}]"
                f".astype('{variable.dtype.kind}8[ns]'))"
            )
            raise ValueError(msg)


def _of_labels(variable: xr.Variable) -> dict[str, Any]:
    """Return how labels along time are written: alike, however many there are and whichever."""
    side = LABELS if variable.ndim == 1 else 1
    sizes = zip(variable.dims, variable.shape, strict=True)
    encoding: dict[str, Any] = {"chunks": tuple(side if d == TIME else n for d, n in sizes)}
    if variable.dtype.kind in "mM":
        # with the units that xarray takes, days say, no moment of another day could be added
        numbers = variable.to_numpy()
        exact = np.array_equal(
            numbers, numbers.astype(f"{variable.dtype.kind}8[us]"), equal_nan=True
        )
        units = "microseconds" if exact else "nanoseconds"
        since = " since 1970-01-01" if variable.dtype.kind == "M" else ""
        encoding |= {"units": f"{units}{since}", "dtype": "int64"}
    return encoding


def _placed(dataset: xr.Dataset) -> xr.Dataset:
    """Return layers that say which variable holds their CRS, as CF has it and GDAL reads it."""
    dims = spatial_dims(dataset) or ()
    is_turned = any(dataset[d].attrs.get("units") == PIXEL for d in dims if d in dataset.coords)
    # GDAL would take the numbers of rows and columns of a turned grid for metres of its CRS
    if SPATIAL_REF not in dataset.coords or is_turned:
        return dataset
    dataset = dataset.copy()
    for name, layer in dataset.data_vars.items():
        if spatial_dims(layer) is not None:
            labels = sorted(str(label) for label in layer.coords if label not in layer.dims)
            attrs = {k: v for k, v in layer.attrs.items() if k != COORDINATES}
            dataset[name].attrs = attrs | {GRID_MAPPING: SPATIAL_REF}
            # else the CRS would be a layer to plain readers, as it is named as something else
            dataset[name].encoding = {COORDINATES: " ".join(labels)}
    return dataset


def _blocks(variable: xr.Variable) -> Iterator[tuple[Any, tuple[int, ...]]]:
    return zip(variable.dims, variable.chunks or (), strict=True)


def _chunk(block: int) -> int:
    """Return the largest whole fraction of a block up to 512; the block, if that is below 129."""
    parts = -(-block // CHUNK)
    while block % parts:
        parts += 1
    side = block // parts
    return side if side > CHUNK // 4 else block
