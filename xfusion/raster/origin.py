"""Which file the pixels of a lazy variable are those of, unchanged."""

from __future__ import annotations

from collections.abc import Sequence

import xarray as xr

from .file import RasterFile

ENCODING = "xfusion_raster_file"
ENCODING_OF_EACH = "xfusion_raster_files"  # of a cube


def remember(variable: xr.Variable, file: RasterFile) -> None:
    """Note on a lazy variable which file its pixels are; results of computing lack the note."""
    variable.encoding[ENCODING] = (_name(variable), file)


def recall(variable: xr.Variable) -> RasterFile | None:
    """Return the file whose pixels a lazy variable holds unchanged, None if there is none."""
    name, file = variable.encoding.get(ENCODING, (None, None))
    return file if name is not None and name == _name(variable) else None


def remember_each(variable: xr.Variable, files: Sequence[RasterFile | None]) -> None:
    """Note on a lazy variable which files its pixels are, one for each label of its first dim."""
    if variable.chunks is not None and all(file is not None for file in files):
        variable.encoding[ENCODING_OF_EACH] = (_name(variable), tuple(files))


def recall_each(variable: xr.Variable) -> tuple[RasterFile, ...] | None:
    """Return the files whose pixels a lazy variable of dims (label, y, x) holds unchanged."""
    name, files = variable.encoding.get(ENCODING_OF_EACH, (None, None))
    return files if name is not None and name == _name(variable) else None


def _name(variable: xr.Variable) -> str | None:
    """Return the name of a dask array, which tells its content."""
    # only a lazy variable gives its array without reading it
    return None if variable.chunks is None else str(variable.data.name)
