"""A result is opened: a Zarr store, a folder of COGs, or one of its files."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from xfusion.datamodel.cf import AGREEMENT, annotate
from xfusion.datamodel.names import CONFLICT, MASK, MU, SIGMA, SOURCE, WEIGHT
from xfusion.datamodel.redaction import public
from xfusion.datamodel.tags import OF_ALL, UNPACKED
from xfusion.raster.file import FilePath
from xfusion.raster.opening import CHUNK, open_raster, open_retrieval
from xfusion.store.place import StoreLike
from xfusion.store.write import is_store, open_store

FURTHER = ("exceedance", "chi2", WEIGHT)
PARTS = (
    *(f"{name}.tif" for name in (MU, SIGMA, MASK, SOURCE, CONFLICT)),
    "item.json",
)  # of a folder


def open_result(result: FilePath | StoreLike, /, *, prefix: str = "") -> xr.Dataset:
    """Open a result lazily: a Zarr store, a folder of COGs, or one of the files in it.

    Parameters
    ----------
    result : path, URL, zarr store or icechunk.Repository
        As :func:`~xfusion.to_zarr` takes it; or a folder that :func:`~xfusion.to_cog` has written,
        or a file in it.
    prefix : str
        Of the files, as of :func:`~xfusion.to_cog`.

    Returns
    -------
    Dataset
        The retrieval as it was before it was written, with the source and whatever else is there,
        in the blocks of the store or the files. Of files `conflict` is uint8, 0 or 1, and layers of
        several bands are left out, but the weights of sensors.

    Raises
    ------
    ValueError
        If it is none of these, or not there, or a store that is not finished.
    ImportError
        If it is a store, and zarr is not installed; or an address, and obstore is not.

    Notes
    -----
    Of a store, what ``xr.open_zarr`` opens besides is left out: where the whole lies by the
    conventions of GeoZarr, `zarr_conventions` and others. It is not true of a part, and netCDF
    cannot hold it. Numbers of flags are of the dtype of their variable, as CF wants them, and the
    name of the CRS variable is in ``encoding``, as rioxarray keeps it. Pictures of a store with
    :func:`~xfusion.add_overviews` are made of its levels, if it was opened here.

    Examples
    --------
    >>> import numpy as np, tempfile, xfusion as xf
    >>> mu = np.zeros((4, 4), np.float32)
    >>> store = f"{tempfile.mkdtemp()}/water.zarr"
    >>> _ = xf.to_zarr(xf.retrieval(mu, mu + 1, mu > 0), store, progress=False)
    >>> opened = xf.open_result(store)
    >>> opened.to_netcdf(f"{store}.nc")
    >>> opened.mask.attrs["flag_masks"].dtype
    dtype('uint8')
    """
    path: Any = result
    if is_store(path):
        store = open_store(path)
        lacks = [name for name in (MU, SIGMA) if name not in store]
        if lacks:
            what = f"is no result, there is no {' and no '.join(lacks)} in it"
            msg = f"{public(str(path))} {what}: give one that xfusion has written"
            raise ValueError(msg)
        return store
    path = given = Path(path)
    if not path.exists():
        msg = f"{path} is not there: give a Zarr store, or a folder of mu.tif and sigma.tif"
        raise ValueError(msg)
    beside: list[str] = []
    if path.is_file():
        beside = [path.name.removesuffix(end) for end in PARTS if path.name.endswith(end)]
        path, prefix = (path.parent, beside[0]) if beside else (path, prefix)
    files = {n: path / f"{prefix}{n}.tif" for n in (MU, SIGMA, MASK, SOURCE, CONFLICT)}
    if not files[MU].exists() and given.is_dir():
        means = sorted(path.glob(f"*{MU}.tif"))
        if len(means) == 1:
            return open_result(means[0])
    if not (files[MU].exists() and files[SIGMA].exists()):
        missing = [files[name].name for name in (MU, SIGMA) if not files[name].exists()]
        one = len(missing) == 1 or bool(beside)
        place = "beside it" if given.is_file() else "in it"
        told = f", there is no {' and no '.join(missing)} {place}" if one else ""
        msg = (
            f"{public(str(given))} is no result{told}: give a Zarr store, a folder of mu.tif and "
            "sigma.tif, or one of its files"
        )
        raise ValueError(msg)
    mask = files[MASK] if files[MASK].exists() else None
    try:
        dataset = open_retrieval(files[MU], files[SIGMA], mask)
    except ValueError as error:
        if "declares no scale" not in str(error):
            raise
        msg = (
            f"{public(str(given))} is no result: the numbers of {files[MU].name} do not say what "
            "they stand for; give what xfusion has written"
        )
        raise ValueError(msg) from error
    layers = {n: files[n] for n in (SOURCE, CONFLICT) if files[n].exists()}
    layers |= _further(path, prefix, {*files})
    return _with_layers(dataset, layers)


def _with_layers(dataset: xr.Dataset, files: Mapping[str, Path]) -> xr.Dataset:
    """Return a retrieval of files with its further layers, in the words that it had."""
    dataset = dataset.assign({name: _layer(name, file) for name, file in files.items()})
    if MASK in dataset:
        dataset[MASK].attrs = _own(dataset[MASK].attrs)
    return annotate(dataset)


def _layer(name: str, file: Path) -> xr.DataArray:
    """Open a layer beside mu, with what is said of it alone."""
    layer = _weights(file) if name == WEIGHT else open_raster(file, masked=False)
    own = _own(layer.attrs)
    if name == CONFLICT:
        own["flag_values"] = AGREEMENT["flag_values"].astype(layer.dtype)
    return layer.drop_attrs(deep=False).assign_attrs(own)


def _weights(file: Path) -> xr.DataArray:
    """Open the weights of all sensors, a band for each."""
    import rasterio
    import rioxarray

    with rasterio.open(file) as opened:
        said, tags = [str(each) for each in opened.descriptions], opened.tags()
    bands = rioxarray.open_rasterio(file, chunks={"band": -1, "y": CHUNK, "x": CHUNK})
    assert isinstance(bands, xr.DataArray)  # noqa: S101  # a file of one size is
    labels = [each.removeprefix(f"{WEIGHT} ") for each in said]
    weights = xr.DataArray(bands.variable.data, {"sensor": labels}, ("sensor", *bands.dims[1:]))
    return weights.assign_attrs({k: tags[k] for k in ("long_name", "units") if k in tags})


def _own(attrs: Mapping[Any, Any]) -> dict[Any, Any]:
    """Return attributes without those of the whole, and of a packing that is none."""
    is_packed = (attrs.get("scale_factor", 1), attrs.get("add_offset", 0)) != (1, 0)
    is_missing = not np.isnan(attrs.get("_FillValue", np.nan))
    kept = {k: v for k, v in attrs.items() if not OF_ALL.fullmatch(str(k))}
    return kept if is_packed or is_missing else {k: v for k, v in kept.items() if k not in UNPACKED}


def _further(path: Path, prefix: str, known: set[str]) -> dict[str, Path]:
    """Return the files of other layers: those that the item beside them names, or of our names."""
    assets: Any = FURTHER  # without a time there is no item
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        assets = json.loads((path / f"{prefix}item.json").read_text(encoding="utf-8"))["assets"]
    names = [name for name in assets if name not in known and name.isidentifier()]
    files = {name: path / f"{prefix}{name}.tif" for name in names}
    return {n: file for n, file in files.items() if file.exists() and _is_of_map(n, file)}


def _is_of_map(name: str, file: Path) -> bool:
    """Whether a file has one band, or the weights: what else may be along others nobody knows."""
    import rasterio

    with rasterio.open(file) as opened:
        return name == WEIGHT or int(opened.count) == 1
