"""What the numbers in a file stand for: nodata, masks, scale and offset honoured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .classes import as_classes

if TYPE_CHECKING:
    from .file import RasterFile


def pixels_of(
    band: RasterFile,
    file: Any,
    rows: slice,
    columns: slice,
    shape: tuple[int, int] | None = None,
) -> NDArray[Any]:
    """Return the pixels of a window of an open file as the band says they are to be understood.

    Parameters
    ----------
    band : RasterFile
    file : rasterio dataset
        Open.
    rows, columns : slice
        Of the file.
    shape : pair of int, optional
        Rows and columns of the result: of a window that is larger, the nearest pixels, and from
        the overview of the file that is next finer, if it has one.
    """
    from rasterio.enums import MaskFlags
    from rasterio.windows import Window

    # nearest: of flags there is no mean, and of nodata none with what is beside it
    taken: dict[str, Any] = {"window": Window.from_slices(rows, columns), "out_shape": shape}
    place = band.band - 1
    flags = set(file.mask_flag_enums[place])
    nodata = file.nodatavals[place]
    if not band.masked:
        stored: NDArray[Any] = file.read(band.band, **taken)
        raw = as_classes(stored, band.dtype, nodata, band.missing, band.path)
        if band.missing is not None and np.isnan(band.missing):
            raw = raw.astype(band.dtype, copy=False)  # integers have no NaN
        for value in (band.nodata, nodata if band.declares else None):
            if band.missing is not None and value is not None:
                raw[_is(stored, value)] = band.missing
        # a nodata that it declares may be a class of its own, as that of SCL is
        if band.missing is not None and flags & {MaskFlags.per_dataset, MaskFlags.alpha}:
            raw[file.read_masks(band.band, **taken) == 0] = band.missing
        return raw
    if flags <= {MaskFlags.all_valid, MaskFlags.nodata}:
        pixels = file.read(band.band, **taken)
        missing = None if nodata is None or np.isnan(nodata) else _is(pixels, nodata)
    else:
        both = file.read(band.band, masked=True, **taken)
        pixels, missing = both.data, np.ma.getmaskarray(both)
    if band.nodata is not None:
        declared = pixels == float(band.nodata)
        missing = declared if missing is None else missing | declared
    scale = file.scales[place] if band.scale is None else band.scale
    offset = file.offsets[place] if band.offset is None else band.offset
    values: NDArray[Any] = pixels.astype(band.dtype, copy=False)
    if (scale, offset) != (1.0, 0.0):
        values = (values * scale + offset).astype(band.dtype, copy=False)
    if missing is not None and missing.any():
        values[missing] = np.nan
    return values


def _is(pixels: NDArray[Any], nodata: float) -> NDArray[np.bool_]:
    """Return where pixels are nodata, which is in double precision where they are in single."""
    same: NDArray[np.bool_] = pixels == (
        np.float32(nodata) if pixels.dtype == np.float32 else nodata
    )
    return same
