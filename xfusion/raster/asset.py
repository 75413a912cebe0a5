"""Open a raster file with our options of GDAL, and the assets of catalogues with suspicion."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np

from xfusion.datamodel.redaction import public, without_secrets

from .address import opened_as
from .patience import gdal_options, is_on_the_web, read_with_retries
from .signing import signed

T = TypeVar("T")
# formats of catalogue assets; each holds its pixels itself
ASSET_DRIVERS = ("GTiff", "JP2OpenJPEG")
MAX_SIDE = 10**7  # pixels: a grid of 4 m around the earth
MAX_BLOCK = 2**28  # pixels that a reader decompresses at once
READ_ERRORS = (OSError, ValueError)  # of reading a file, and of one that is not as its item says


@contextmanager
def opened(
    path: str,
    signer: Callable[[str], str] | None = None,
    *,
    trusted: bool = False,
    any_format: bool = False,
    options: dict[str, str] | None = None,
) -> Iterator[Any]:
    """Open a raster file with our options of GDAL, and with errors that say which file it is.

    Parameters
    ----------
    path : str
    signer : callable, optional
    trusted : bool
        Whether it is a file of the caller, not the asset of a catalogue.
    any_format : bool
        Whether an asset may be of a format that can name other files.
    options : dict, optional
        Further options of GDAL.
    """
    import rasterio

    href = path if signer is None else signed(path, signer)
    ours = (gdal_options() if is_on_the_web(href) else {}) | (options or {})
    with (
        _named_errors(href),
        rasterio.Env(**ours),
        rasterio.open(opened_as(href))
        if trusted
        else open_asset(href, any_format=any_format) as file,
    ):
        yield file


def look_into(
    path: str,
    signer: Callable[[str], str] | None,
    look: Callable[[Any], T],
    *,
    any_format: bool = False,
) -> T:
    """Return what a function reads of an asset, tried as often as its pixels are."""

    def read(options: dict[str, str]) -> T:
        with opened(path, signer, any_format=any_format, options=options) as file:
            return look(file)

    return read_with_retries(path, read)


def open_asset(path: str, *, any_format: bool = False) -> Any:
    """Open an asset of a catalogue with rasterio, as one of the formats that hold their pixels.

    A VRT, say, may name any file of this machine, and GDAL would follow it; `any_format` lets it.

    Raises
    ------
    ValueError
        If it claims a size that no reader could hold.
    """
    import rasterio
    from rasterio.errors import RasterioIOError

    *others, last = ASSET_DRIVERS
    name = opened_as(path)
    if any_format:
        return _of_sane_size(rasterio.open(name), path)
    for driver in others:
        try:
            return _of_sane_size(rasterio.open(name, driver=driver), path)
        except RasterioIOError as error:
            if "not recognized" not in str(error):
                raise
    return _of_sane_size(rasterio.open(name, driver=last), path)


def check_size(shape: tuple[int, ...], where: str, *, most: float = np.inf) -> None:
    """Refuse a grid with a side that no raster has, or with more pixels than `most`."""
    if not all(0 < n <= MAX_SIDE for n in shape) or math.prod(shape) > most:
        msg = f"{where} claims {tuple(shape)} pixels: no raster has; it is not read"
        raise ValueError(msg)


def check_bands(file: Any, count: int, path: str) -> None:
    """Refuse a file whose bands are not those that are known of it: the first might be any.

    Raises
    ------
    ValueError
    """
    from rasterio.enums import ColorInterp

    colors = [*file.colorinterp]
    while len(colors) > 1 and colors[-1] == ColorInterp.alpha:
        # the last, which says where there are pixels at all, is mostly not spoken of
        colors.pop()
    if count not in (file.count, len(colors)):
        named = count if count > 1 else "none"
        msg = (
            f"{public(path)} has {file.count} bands, its item names {named} of them: "
            "list all, with their names, in `bands` of the asset"
        )
        raise ValueError(msg)
    if file.subdatasets:
        msg = (
            f"{public(path)} has {len(file.subdatasets)} pages, of which an item cannot name one: "
            "make each an asset"
        )
        raise ValueError(msg)
    if any(dtype.startswith("complex") for dtype in file.dtypes):
        msg = f"{public(path)} holds {file.dtypes[0]}, not real numbers: correct the asset"
        raise ValueError(msg)


def _of_sane_size(file: Any, path: str) -> Any:
    name, blocks = public(path), file.block_shapes[0]
    try:
        check_size(file.shape, name)
        check_size(blocks, f"each block of {name}", most=MAX_BLOCK)
    except ValueError:
        file.close()
        raise
    return file


@contextmanager
def _named_errors(path: str) -> Iterator[None]:
    from rasterio.errors import RasterioIOError

    try:
        yield
    except RasterioIOError as error:
        # GDAL says "HTTP response code: 404", but of what; or it says all, secrets included
        message = f"{error} {error.__cause__ or ''}".strip().replace(path, public(path))
        msg = f"{public(path)} could not be read: {without_secrets(message, path)}"
        raise RasterioIOError(msg) from None
