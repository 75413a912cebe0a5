"""A band of a raster file as an array that is read window by window."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

ENCODING = "xfusion_raster_file"

# formats of catalogue assets; each holds its pixels itself
ASSET_DRIVERS = ("GTiff", "JP2OpenJPEG")

# for files on the web only: beside a local file there may be others that belong to it
WEB_OPTIONS = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_HTTP_MAX_RETRY": "5",
    "GDAL_HTTP_RETRY_DELAY": "0.5",
    "GDAL_HTTP_TIMEOUT": "60",
}


@dataclass(frozen=True)
class RasterFile:
    """One band of a file; picklable, opened for each read and closed again.

    It has what :func:`dask.array.from_array` asks of an array.
    """

    path: str
    shape: tuple[int, int]
    dtype: np.dtype[Any]
    masked: bool
    """Turn nodata into NaN, and apply a declared scale and offset."""
    trusted: bool = True
    """False for an asset of a catalogue, see :func:`open_asset`."""

    ndim = 2

    def __getitem__(self, index: tuple[slice, slice]) -> NDArray[Any]:
        """Read a window."""
        rows, columns = (slice(*part.indices(n)) for part, n in zip(index, self.shape, strict=True))
        return self.read(rows, columns)

    def read(self, rows: slice, columns: slice) -> NDArray[Any]:
        """Read a window, shape (rows, columns), of `dtype`."""
        from rasterio.enums import MaskFlags
        from rasterio.windows import Window

        window = Window.from_slices(rows, columns)
        with self._opened() as file:
            if not self.masked:
                raw: NDArray[Any] = file.read(1, window=window)
                return raw
            flags = set(file.mask_flag_enums[0])
            if flags <= {MaskFlags.all_valid, MaskFlags.nodata}:
                pixels = file.read(1, window=window)
                nodata = file.nodata
                missing = None if nodata is None or np.isnan(nodata) else pixels == nodata
                if nodata is not None and pixels.dtype == np.float32:
                    missing = pixels == np.float32(nodata)
            else:
                both = file.read(1, window=window, masked=True)
                pixels, missing = both.data, np.ma.getmaskarray(both)
            scale, offset = file.scales[0], file.offsets[0]
        values: NDArray[Any] = pixels.astype(self.dtype, copy=False)
        if (scale, offset) != (1.0, 0.0):
            values = (values * scale + offset).astype(self.dtype, copy=False)
        if missing is not None and missing.any():
            values[missing] = np.nan
        return values

    @contextmanager
    def _opened(self) -> Iterator[Any]:
        import rasterio

        options = WEB_OPTIONS if self.path.startswith(("http://", "https://")) else {}
        with self._named_errors(), rasterio.Env(**options), self._open() as file:
            if file.shape != self.shape:
                msg = (
                    f"{self.path.partition('?')[0]} has {file.shape} pixels, not {self.shape} as "
                    "it or its catalogue said: open it anew, or correct the item"
                )
                raise ValueError(msg)
            yield file

    def _open(self) -> Any:
        import rasterio

        return rasterio.open(self.path) if self.trusted else open_asset(self.path)

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        from rasterio.errors import RasterioIOError

        try:
            yield
        except RasterioIOError as error:
            # GDAL says "HTTP response code: 404", but of what
            msg = f"{self.path.partition('?')[0]} could not be read: {error}"
            raise RasterioIOError(msg) from error


def open_asset(path: str) -> Any:
    """Open an asset of a catalogue with rasterio, as one of the formats that hold their pixels.

    A VRT, say, may name any file of this machine, and GDAL would follow it.
    """
    import rasterio
    from rasterio.errors import RasterioIOError

    *others, last = ASSET_DRIVERS
    for driver in others:
        try:
            return rasterio.open(path, driver=driver)
        except RasterioIOError as error:
            if "not recognized" not in str(error):
                raise
    return rasterio.open(path, driver=last)


def remember(variable: xr.Variable, file: RasterFile) -> None:
    """Note on a lazy variable which file it is; what is derived from it forgets."""
    variable.encoding[ENCODING] = (_name(variable), file)


def recall(variable: xr.Variable) -> RasterFile | None:
    """Return the file whose pixels a lazy variable is, unchanged, or None."""
    name, file = variable.encoding.get(ENCODING, (None, None))
    return file if name is not None and name == _name(variable) else None


def _name(variable: xr.Variable) -> str | None:
    """Return the name of a dask array, which tells its content."""
    # only a lazy variable gives its array without reading it
    return None if variable.chunks is None else str(variable.data.name)
