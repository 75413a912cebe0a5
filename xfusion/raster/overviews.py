"""A file thinned to every n-th pixel, read from its overviews: few bytes of however large a one."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .band_pixels import pixels_of
from .file import RasterFile
from .patience import read_with_retries

OURS = "Conventions"  # a tag of what xfusion wrote


class Thinned(NamedTuple):
    """Pixels of a file, one for each of so many along a side."""

    pixels: NDArray[Any]
    factor: int
    """How many pixels of the file are one of the overview that was read, along a side."""


def thinned(
    file: RasterFile, rows: NDArray[np.intp], columns: NDArray[np.intp], *, most: float
) -> Thinned | None:
    """Return single pixels of a file as its overviews show them; None if there is none to trust.

    Parameters
    ----------
    file : RasterFile
    rows, columns : array of int
        Which pixels, evenly spaced.
    most : float
        Pixels of an overview that may be read.

    Notes
    -----
    How overviews were made files do not say. Means of floats are what a picture wants; of flags
    and classes those alone are read that xfusion wrote, which are no means. Where the caller says
    what is no data, means have it in them.
    """
    steps = [int(np.diff(p[:2])[0]) for p in (rows, columns) if p.size > 1]
    step = min(steps, default=1)

    def read(options: dict[str, str]) -> Thinned | None:
        with file.checked(options) as opened:
            if not _tells_pixels(file, opened):
                return None
            factors = [f for f in opened.overviews(file.band) if 1 < f <= step]
            if not factors:
                return None
            factor = max(factors)
            shape = -(-file.shape[0] // factor), -(-file.shape[1] // factor)
            if shape[0] * shape[1] > most:
                return None
            whole = slice(0, file.shape[0]), slice(0, file.shape[1])
            pixels = pixels_of(file, opened, *whole, shape)
            chosen = [
                ((p + 0.5) * n / of).astype(np.intp)
                for p, n, of in zip((rows, columns), shape, file.shape, strict=True)
            ]
            return Thinned(pixels[np.ix_(*chosen)], factor)

    return read_with_retries(file.path, read)


def _tells_pixels(file: RasterFile, opened: Any) -> bool:
    """Whether what overviews show is what pixels are, or their mean."""
    declared = opened.nodatavals[file.band - 1]
    if file.nodata is not None and file.masked:
        return declared is not None and float(file.nodata) == declared
    return file.masked or (OURS in opened.tags() and np.dtype(opened.dtypes[0]).kind in "iub")
