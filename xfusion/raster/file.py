"""A band of a raster file as an array that is read window by window."""

from __future__ import annotations

import functools
import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from xfusion.datamodel.comparison import same_crs, same_geobox
from xfusion.datamodel.graph import InGraph
from xfusion.datamodel.grid import crs_name
from xfusion.datamodel.redaction import public

from .asset import READ_ERRORS, check_bands, opened
from .band_pixels import pixels_of
from .patience import MUCH_LOST, WAITS, options_in_time, read_in_time, read_with_retries

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox

T = TypeVar("T")
FilePath: TypeAlias = str | os.PathLike[str]
Area: TypeAlias = tuple[slice, slice]
"""Rows and columns of a file."""
Sides: TypeAlias = tuple[int, int]
"""Rows and columns of the blocks of a file."""


@dataclass(frozen=True)
class RasterFile(InGraph):
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
    any_format: bool = False
    """Whether an asset may be of a format that can name other files, as a VRT does."""
    grid: GeoBox | None = None
    """Where a catalogue says that the pixels lie; checked against the file."""
    nodata: float | None = None
    """Means no data besides what the file declares."""
    scale: float | None = None
    """Instead of what the file declares, and so the offset."""
    offset: float | None = None
    declares: bool = False
    """Whether what the file declares to be no data is, where that is not turned into NaN; it may be
    a class of its own."""
    missing: float | None = None
    """What these, and pixels that a mask in the file excludes, become where they are not NaN."""
    band: int = 1
    """Which band of the file it is, from 1."""
    bands: int = 1
    """How many bands a catalogue says that the file has."""
    signer: Callable[[str], str] | None = None
    """Turns the path into what is opened, at each read: signatures expire."""
    layer: str = field(default="", compare=False)
    """Of a retrieval, if it was opened as one; for people."""

    ndim = 2

    def __repr__(self) -> str:
        """Without what only its owner may know."""
        return f"{type(self).__name__}({public(self.path)!r}, {self.shape}, {self.dtype})"

    def described(self) -> dict[str, Any]:
        """Return what it is besides its path, which may hold a secret, and what it is called."""
        untold = ("path", "layer")
        return {name: value for name, value in super().described().items() if name not in untold}

    def __getitem__(self, index: tuple[Any, Any]) -> NDArray[Any]:
        """Read a window, or what dask selects of a block: single rows, every second column."""
        window, within = [], []
        for part, n in zip(index, self.shape, strict=True):
            of_slice = isinstance(part, slice)
            positions = np.arange(*part.indices(n)) if of_slice else np.asarray(part) % n
            first = int(np.min(positions, initial=max(self.shape)))
            stop = int(np.max(positions, initial=first - 1)) + 1
            window.append(slice(first, stop))
            within.append(positions - first)
        pixels = self.read(window[0], window[1])
        # what is a whole window comes as it was read
        if all(np.array_equal(w, np.arange(n)) for w, n in zip(within, pixels.shape, strict=True)):
            return pixels
        selected: NDArray[Any] = pixels[within[0]][..., within[1]]
        return selected

    def read(self, rows: slice, columns: slice, seconds: float = np.inf) -> NDArray[Any]:
        """Read a window, shape (rows, columns); on the web not anew after so many seconds."""
        read = functools.partial(self._read, rows, columns)
        return read_with_retries(self.path, read, seconds)

    def read_some(
        self, take: Callable[[Sides, Callable[..., NDArray[Any]]], T], seconds: float
    ) -> T:
        """Return what a function takes from the file while it is open.

        Parameters
        ----------
        take : callable
            Takes rows and columns of the blocks of the file, and what reads a window of it, given
            by rows and columns; called anew by each attempt.
        seconds : float
            On the web after which there is no further attempt.
        """

        def read(options: dict[str, str]) -> T:
            with self.checked(options) as file:
                return take(self._sides(file), functools.partial(self._pixels, file))

        return read_with_retries(self.path, read, seconds)

    def read_what_can_be(
        self, rows: slice, columns: slice, *, fill: float
    ) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
        """Read a window, block by block of the file where reading it whole fails.

        Returns
        -------
        pixels : array, shape (rows, columns)
            `fill` where they could not be read.
        failed : array of bool, or None
            Where that is; None where all could be read.
        """
        pixels = self.in_time(functools.partial(self.read, rows, columns))
        return (
            self.read_block_by_block(rows, columns, fill=fill) if pixels is None else (pixels, None)
        )

    def in_time(self, read: Callable[[float], T]) -> T | None:
        """Return what a read of the file brings in its time, None where it fails or is too late.

        Parameters
        ----------
        read : callable
            Takes the seconds after which it makes no further attempt.
        """
        if WAITS.is_given_up(self.path) or WAITS.lost(self.path) >= MUCH_LOST:
            return None
        try:
            return read_in_time(self.path, functools.partial(read, WAITS.share(self.path)))
        except READ_ERRORS:
            if WAITS.is_given_up(self.path):
                # other files are waited for before the next block is, and as long
                WAITS.give_up(self.path)
            return None

    def read_block_by_block(
        self, rows: slice, columns: slice, *, fill: float
    ) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
        """Read what can be read of a window, as :meth:`read_what_can_be`, each block once."""
        shape = rows.stop - rows.start, columns.stop - columns.start
        pixels = np.full(shape, fill, self.dtype)
        failed = np.ones(shape, np.bool_)
        # not anew: the server was asked often enough
        for part in self._blocks(rows, columns):
            if WAITS.is_given_up(self.path):
                break
            place = part[0].start - rows.start, part[1].start - columns.start
            region = tuple(slice(p, p + s.stop - s.start) for p, s in zip(place, part, strict=True))
            try:
                read = functools.partial(self._read, *part, options_in_time())
                with WAITS.noted(self.path):
                    pixels[region] = read_in_time(self.path, read)
                failed[region] = False
            except READ_ERRORS:
                continue
        return pixels, failed if failed.any() else None

    def _blocks(self, rows: slice, columns: slice) -> list[tuple[slice, slice]]:
        """Return the parts of a window by the file's own blocks; none if it does not open."""
        if WAITS.is_given_up(self.path):
            return []
        try:
            sides = read_in_time(self.path, self._known_sides)
        except READ_ERRORS:
            # it was asked often enough before, and not of this window alone
            WAITS.give_up(self.path)
            return []
        cuts = [
            sorted({part.start, part.stop, *range(-(-part.start // n) * n, part.stop, n)})
            for part, n in zip((rows, columns), sides, strict=True)
        ]
        parts = [[slice(a, b) for a, b in itertools.pairwise(cut)] for cut in cuts]
        return [(down, across) for down in parts[0] for across in parts[1]]

    def _known_sides(self) -> Sides:
        with self.checked(options_in_time()) as file:
            return self._sides(file)

    def _sides(self, file: Any) -> Sides:
        rows, columns = file.block_shapes[self.band - 1]
        return rows, columns

    def _read(self, rows: slice, columns: slice, options: dict[str, str]) -> NDArray[Any]:
        with self.checked(options) as file:
            return self._pixels(file, rows, columns)

    def _pixels(self, file: Any, rows: slice, columns: slice) -> NDArray[Any]:
        return pixels_of(self, file, rows, columns)

    @contextmanager
    def checked(self, options: dict[str, str] | None = None) -> Iterator[Any]:
        """Open the file, once, if it is what was said of it."""
        ways = {"trusted": self.trusted, "any_format": self.any_format}
        with opened(self.path, self.signer, **ways, options=options) as file:
            self._check(file)
            yield file

    def _check(self, file: Any) -> None:
        """Refuse a file that is not as its item or its opening says, before its pixels are read."""
        if file.shape != self.shape:
            msg = (
                f"{public(self.path)} has {file.shape} pixels, not {self.shape} as "
                "it or its catalogue said: open it anew, or correct the item"
            )
            raise ValueError(msg)
        if not self.trusted:
            check_bands(file, self.bands, self.path)
        if self.grid is None:
            return
        from odc.geo.crs import CRS
        from odc.geo.geobox import GeoBox

        if file.crs is not None and not _one_crs(file.crs.to_wkt(), str(self.grid.crs)):
            msg = (
                f"{public(self.path)} is in {crs_name(CRS(file.crs.to_wkt()))}, "
                f"not in {crs_name(self.grid.crs)} as its item says: "
                "correct the item, or delete its proj: fields and the file's own are read"
            )
            raise ValueError(msg)
        if not same_geobox(GeoBox(file.shape, file.transform, self.grid.crs), self.grid):
            msg = (
                f"{public(self.path)} has the transform {tuple(file.transform)[:6]}, not "
                f"{tuple(self.grid.transform)[:6]} as its item says: "
                "correct the item, or delete its proj: fields and the file's own are read"
            )
            raise ValueError(msg)


@functools.lru_cache(maxsize=64)
def _one_crs(of_file: str, of_item: str) -> bool:
    from odc.geo.crs import CRS

    return same_crs(CRS(of_file), CRS(of_item))
