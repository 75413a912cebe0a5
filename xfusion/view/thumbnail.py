"""A small picture of what is in memory, as text that any page can hold."""

from __future__ import annotations

import base64
import struct
import zlib
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfusion.datamodel.grid import spatial_dims
from xfusion.datamodel.names import MASK, MU, SIGMA
from xfusion.datamodel.units import units_of

from .palette import APART, MEAN, RAMPS
from .scales import scale_of

SIDE = 160  # pixels, at most
ANCHORS = {
    name: np.array([[*bytes.fromhex(stop[1:])] for stop in RAMPS[name]]) for name in (MEAN, APART)
}
ENDS = {MEAN: ("light", "dark"), APART: ("brown", "violet")}
MISSING = 190  # grey, which is none of these


class Thumbnail(NamedTuple):
    """A picture of mu."""

    uri: str
    """PNG, as an address that holds it."""
    lowest: float
    highest: float
    """Of the colours."""
    ends: tuple[str, str]
    """What these look like."""
    shape: tuple[int, int]


def in_memory(variable: xr.Variable) -> NDArray[Any] | None:
    """Return the pixels of a variable without reading or computing them, None of a lazy one."""
    # .data of what is in a file would read it
    held = variable._data  # noqa: SLF001  # as above
    held = getattr(held, "magnitude", held)  # of pint
    if isinstance(held, np.ndarray):
        return held
    known = variable.chunks is None and variable._in_memory  # noqa: SLF001  # as above
    return np.asarray(variable.data) if known else None


def thumbnail_of(dataset: xr.Dataset) -> Thumbnail | None:
    """Draw mu, of a cube the last of each dim, grey where it is not usable; None of a lazy one."""
    dims = spatial_dims(dataset) or dataset[MU].dims[-2:]
    layers = {name: _thinned(dataset, name, dims) for name in (MU, SIGMA, MASK) if name in dataset}
    mu = layers[MU]
    if mu is None or mu.ndim != len(dims) or not mu.size:
        return None
    values = np.asarray(mu, np.float64)
    shown = np.isfinite(values)
    if (sigma := layers.get(SIGMA)) is not None:
        shown &= np.isfinite(sigma) & (sigma >= 0)
    if (mask := layers.get(MASK)) is not None:
        shown &= mask == 0
    (lowest, highest), colours = scale_of([values[shown]], units_of(dataset[MU]))
    share = (np.where(shown, values, lowest) - lowest) / (highest - lowest)
    anchors = ANCHORS[colours]
    places = np.clip(share, 0, 1) * (len(anchors) - 1)
    steps = np.arange(len(anchors))
    pixels = np.stack([np.interp(places, steps, band) for band in anchors.T], axis=-1)
    pixels[~shown] = MISSING
    rows, columns = pixels.shape[:2]
    png = png_of(pixels.round().astype(np.uint8))
    uri = f"data:image/png;base64,{base64.b64encode(png).decode()}"
    return Thumbnail(uri, lowest, highest, ENDS[colours], (rows, columns))


def png_of(pixels: NDArray[np.uint8]) -> bytes:
    """Return an image of shape (rows, columns, 3) as a PNG (ISO/IEC 15948)."""
    rows, columns, _ = pixels.shape
    lines = np.concatenate([np.zeros((rows, 1), np.uint8), pixels.reshape(rows, -1)], axis=1)
    header = struct.pack(">IIBBBBB", columns, rows, 8, 2, 0, 0, 0)  # 8 bits of red, green and blue
    chunks = {b"IHDR": header, b"IDAT": zlib.compress(lines.tobytes()), b"IEND": b""}
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks.items()
    )


def _thinned(dataset: xr.Dataset, name: str, dims: tuple[Any, ...]) -> NDArray[Any] | None:
    """Return every n-th pixel of the last of a cube, north at the top; None of a lazy layer."""
    variable = dataset.variables[name]
    pixels = in_memory(variable)
    if pixels is None:
        return None
    index: list[Any] = []
    for dim, n in zip(variable.dims, variable.shape, strict=True):
        step = max(1, -(-n // SIDE))
        first = n - 1 if n else 0
        index.append(slice(step // 2, None, step) if dim in dims else first)
    thin: NDArray[Any] = pixels[tuple(index)]
    labels = dataset.indexes.get(dims[0])
    rises = labels is not None and len(labels) > 1 and labels[0] < labels[-1]
    down = [dim for dim in variable.dims if dim in dims]
    thin = thin if down == [*dims] else thin.T
    # rows of a grid that is turned are counted, not placed
    is_counted = dims[0] in dataset.coords and dataset[dims[0]].attrs.get("units") == "pixel"
    return thin[::-1] if rises and not is_counted else thin
