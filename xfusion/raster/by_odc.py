"""A band of an asset on a piece of a grid, as odc.stac.load reads it.

Imported late, as odc.stac takes a second to be.
"""

from __future__ import annotations

import contextvars
import datetime as dt
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import odc.stac
import pystac
import rasterio
from numpy.typing import NDArray
from odc.loader import RasterLoadParams, RasterSource, RioDriver, RioReader
from rasterio.enums import MaskFlags
from rasterio.errors import RasterioError, RasterioIOError

from xfusion.datamodel.redaction import public

from .address import opened_as
from .classes import as_classes
from .file import RasterFile
from .signing import signed

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox

KEY = "asset"
PROJECTION = "https://stac-extensions.github.io/projection/v1.1.0/schema.json"
ANY_TIME = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)  # an item has one; nobody asks for it

_ours = contextvars.ContextVar("_ours", default=False)


def read_onto(
    file: RasterFile,
    geobox: GeoBox,
    *,
    resampling: str,
    nodata: float,
    fill: float,
    options: dict[str, str],
) -> NDArray[Any]:
    """Read what a piece of a grid shows of a band, by odc.stac.load.

    Parameters
    ----------
    file : RasterFile
        The band; what comes is of its dtype.
    geobox : GeoBox
        The piece, no larger than a chunk of odc.stac, 2048 pixels a side.
    resampling : {"nearest", "bilinear"}
    nodata : float
        Means "not observed" in the file, whatever this declares; a number that it cannot hold
        stands for none.
    fill : float
        What that becomes, and what lies outside.
    options : dict
        Further options of GDAL.

    Returns
    -------
    array, shape of the geobox

    Raises
    ------
    OSError
        If it cannot be read.
    ValueError
        If it is not as its item says, or odc.stac.load would misread it.
    """
    with file.checked(options) as opened:
        stored = np.dtype(opened.dtypes[file.band - 1])
        declared = opened.nodatavals[file.band - 1]
        source_nodata = nodata if _holds(stored, nodata) else None
        _check(opened, file, source_nodata)
        # in which all that is stored stays what it is, to be seen if it is none of the classes
        dtype = np.result_type(stored, file.dtype) if file.dtype.kind in "iu" else file.dtype
        try:
            # without any setting odc would set its own, which hide the files beside a local one
            with rasterio.Env(VSI_CACHE=False), _unlogged():
                loaded = odc.stac.load(
                    [_item_of(file, geobox)],
                    [f"{KEY}.{file.band}"],
                    geobox=geobox,
                    resampling=resampling,
                    dtype=str(dtype),
                    nodata=fill,
                    use_overviews=False,
                    fail_on_error=True,
                    driver=_Driver(source_nodata),
                )
        except RasterioIOError:
            raise
        except RasterioError as error:
            # such as one of warping, which is no OSError
            raise RasterioIOError(str(error)) from error
    pixels: NDArray[Any] = loaded[f"{KEY}.{file.band}"].to_numpy()[0]
    return as_classes(pixels, file.dtype, declared, fill, file.path)


def _holds(dtype: np.dtype[Any], number: float) -> bool:
    if dtype.kind == "f" or np.isnan(number):
        return dtype.kind == "f"
    limits = np.iinfo(dtype)
    return bool(limits.min <= number <= limits.max)


def _check(opened: Any, file: RasterFile, nodata: float | None) -> None:
    """Refuse what odc.stac.load would take for something else than it is."""
    place, name = file.band - 1, public(file.path)
    if {MaskFlags.per_dataset, MaskFlags.alpha} & {*opened.mask_flag_enums[place]}:
        msg = f"{name} has a mask of its own, at which odc.stac.load does not look"
    elif opened.crs is None:
        msg = f"{name} does not say its CRS, and odc.stac.load does not take that of an item"
    elif nodata is None and opened.nodatavals[place] is not None:
        msg = (
            f"{name} declares the nodata {opened.nodatavals[place]:g}, its catalogue says that "
            "each number is an observation, and odc.stac.load follows the file"
        )
    else:
        return
    msg = f"{msg}: loader='xfusion' does"
    raise ValueError(msg)


def _item_of(file: RasterFile, geobox: GeoBox) -> pystac.Item:
    """Return an item of nothing but one file, which has been checked.

    It says to lie where it is read, so that it is; where it does lie the reader sees itself.
    """
    assert geobox.crs is not None  # noqa: S101  # geobox_of saw that it has one
    href = file.path if file.signer is None else signed(file.path, file.signer)
    place = {
        "proj:wkt2": geobox.crs.to_wkt(),
        "proj:shape": [*geobox.shape.yx],
        "proj:transform": [*geobox.transform][:6],
    }
    item = pystac.Item(KEY, None, None, ANY_TIME, {}, stac_extensions=[PROJECTION])
    bands = {"bands": [{"name": str(n)} for n in range(1, max(file.bands, file.band) + 1)]}
    asset = pystac.Asset(opened_as(href), media_type="image/tiff", extra_fields=place | bands)
    item.add_asset(KEY, asset)
    return item


class _Reader(RioReader):
    def __init__(self, src: RasterSource, ctx: Any, nodata: float | None) -> None:
        super().__init__(src, ctx)
        self._nodata = nodata

    def read(self, cfg: RasterLoadParams, dst_geobox: Any, **how: Any) -> Any:
        ours = cfg.patch(src_nodata_override=self._nodata)
        return super().read(ours, dst_geobox, **how)


class _Driver(RioDriver):
    """Reads with rasterio, and with our nodata: odc.stac.load would follow the file."""

    def __init__(self, nodata: float | None) -> None:
        super().__init__()
        self._nodata = nodata

    def open(self, src: RasterSource, ctx: Any) -> RioReader:
        return _Reader(src, ctx, self._nodata)


@contextmanager
def _unlogged() -> Iterator[None]:
    """Keep addresses, with the secrets in them, out of the log; errors are raised."""
    token = _ours.set(True)
    try:
        yield
    finally:
        _ours.reset(token)


logging.getLogger(RioReader.__module__).addFilter(lambda _: not _ours.get())
