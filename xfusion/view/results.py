"""A result is opened: a Zarr store, a folder of COGs, or one of its files."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import xarray as xr

from xfusion.datamodel.names import CONFLICT, MASK, MU, SIGMA, SOURCE
from xfusion.datamodel.redaction import public
from xfusion.raster.file import FilePath
from xfusion.raster.opening import open_raster, open_retrieval
from xfusion.store.write import is_store, open_store

FURTHER = ("exceedance", "chi2")
PARTS = (
    *(f"{name}.tif" for name in (MU, SIGMA, MASK, SOURCE, CONFLICT)),
    "item.json",
)  # of a folder


def open_result(path: FilePath, *, prefix: str = "") -> xr.Dataset:
    """Open a result lazily: a Zarr store, a folder of COGs, or one of the files in it.

    Raises
    ------
    ValueError
        If it is none of these, or not there, or a store that is not finished.
    """
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
    return dataset.assign({n: open_raster(file, masked=False) for n, file in layers.items()})


def _further(path: Path, prefix: str, known: set[str]) -> dict[str, Path]:
    """Return the files of other layers: those that the item beside them names, or of our names."""
    assets: Any = FURTHER  # without a time there is no item
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        assets = json.loads((path / f"{prefix}item.json").read_text(encoding="utf-8"))["assets"]
    names = [name for name in assets if name not in known and name.isidentifier()]
    files = {name: path / f"{prefix}{name}.tif" for name in names}
    return {name: file for name, file in files.items() if file.exists()}
