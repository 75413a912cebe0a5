"""What a run would read, compute and write, as a record that says it in words."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

SHOWN = 30  # files of which the text has a line each
UNITS = ("B", "kB", "MB", "GB", "TB", "PB")
THOUSAND = 1000
OTHERS = "nothing of xfusion: pixels as they are, or what xarray and dask make of them"


@dataclass(frozen=True, kw_only=True)
class FileRead:
    """A file, or an array of another library, and what is read of it."""

    name: str
    """Path or address, without what is secret in it."""
    layer: str
    """What is in it, such as "mu" or "scl"; "" where that is not known."""
    windows: int
    """How many windows are read."""
    rows: tuple[int, int] | None
    """First row and the one after the last, of all windows; None where they are not known."""
    columns: tuple[int, int] | None
    shape: tuple[int, ...] | None
    """Of the whole."""
    pixels: int
    """Of all windows; one that is in two windows counts twice."""
    bytes: int | None
    """To be read; None where that is not known."""
    is_estimate: bool
    """True where `bytes` is the size of the pixels in memory, not that of what is stored."""
    is_there: bool
    """False of a file of this machine that does not open."""


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """What a run would read, compute and write; :func:`xfusion.explain` makes it.

    Bytes are decimal in its text: 1 MB is 1 000 000 bytes.

    Examples
    --------
    >>> import numpy as np, xfusion as xf
    >>> ones = np.ones((4, 4), np.float32)
    >>> lazy = xf.retrieval(ones, ones).chunk(2)
    >>> plan = lazy.fusion.gaussian(lazy).fusion.explain()
    >>> print(str(plan).partition("memory")[0].rstrip())
    to be computed: mu, sigma, mask, source, conflict (y 4, x 4)
      4 blocks of at most 2 x 2, ... tasks
    <BLANKLINE>
    read: no file
    <BLANKLINE>
    compute:
      fusion: gaussian of 2 retrievals
    """

    variables: Mapping[str, str]
    """Variable -> dtype, of what is to be computed."""
    sizes: Mapping[str, int]
    blocks: int
    """Of the result, each with all its variables."""
    block: tuple[int, ...]
    """Sizes of the largest of them."""
    tasks: int
    """As dask joins them for a run into memory."""
    files: tuple[FileRead, ...]
    items: tuple[str, ...]
    """Ids of the items of catalogues that masks are from."""
    catalogs: tuple[str, ...]
    steps: tuple[str, ...]
    """What is done, in words, inputs first."""
    workers: int
    """How many blocks are computed at a time."""
    bytes_of_block: int
    """In memory while one block is computed; an estimate."""
    bytes_of_result: int
    """In memory, and on disk before it is compressed."""
    blocks_in_store: int
    """How many files or objects of pixels :func:`xfusion.to_zarr` would write."""

    @property
    def bytes_read(self) -> int:
        """Of all files of which it is known, or estimated.

        Examples
        --------
        >>> import numpy as np, xfusion as xf
        >>> ones = np.ones((4, 4), np.float32)
        >>> xf.explain(xf.retrieval(ones, ones)).bytes_read
        0
        """
        return sum(file.bytes or 0 for file in self.files)

    @property
    def bytes_at_a_time(self) -> int:
        """In memory for the blocks that are computed at a time; an estimate.

        Examples
        --------
        >>> import numpy as np, xfusion as xf
        >>> ones = np.ones((4, 4), np.float32)
        >>> xf.explain(xf.retrieval(ones, ones)).bytes_at_a_time
        0
        """
        return self.bytes_of_block * min(self.workers, max(1, self.blocks))

    def __str__(self) -> str:
        """Say it in lines of text."""
        if not self.variables:
            size = in_bytes(self.bytes_of_result)
            return f"nothing is to be done: all pixels are in memory, {size}"
        lines = [self._head(), "", f"read: {self._summary_of_files()}"]
        lines += [f"  {line}" for line in self._lines_of_files()]
        if self.items:
            where = f" of {', '.join(self.catalogs)}" if self.catalogs else ""
            lines.append(f"  for the masks: {_listed(self.items)}{where}")
        lines += ["", "compute:", *(f"  {step}" for step in self.steps or (OTHERS,))]
        lines += ["", *self._lines_of_sizes()]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        """Show it in Jupyter."""
        return f"<pre>{html.escape(str(self))}</pre>"

    def _head(self) -> str:
        size = ", ".join(f"{dim} {n}" for dim, n in self.sizes.items())
        block = " x ".join(map(str, self.block))
        blocks = f"{self.blocks} block{'s' * (self.blocks != 1)} of at most {block}"
        return (
            f"to be computed: {', '.join(self.variables)} ({size})\n  {blocks}, {self.tasks} tasks"
        )

    def _summary_of_files(self) -> str:
        if not self.files:
            return "no file"
        about = "about " if any(file.is_estimate for file in self.files) else ""
        unknown = sum(file.bytes is None for file in self.files)
        rest = f", and {unknown} of which the size is not known" if unknown else ""
        return f"{_count(len(self.files), 'file')}, {about}{in_bytes(self.bytes_read)}{rest}"

    def _lines_of_files(self) -> list[str]:
        rows = [_row(file) for file in self.files[:SHOWN]]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in rows
        ]
        more = len(self.files) - SHOWN
        return [*lines, f"and {more} more, see .files"] if more > 0 else lines

    def _lines_of_sizes(self) -> list[str]:
        at_once = min(self.workers, self.blocks)
        whole, each = in_bytes(self.bytes_of_result), in_bytes(self.bytes_of_block)
        zarr, cog = _count(self.blocks_in_store, "file"), _count(len(self.variables), "file")
        at_a_time = f"{in_bytes(self.bytes_at_a_time)} at a time"
        return [
            f"memory: about {at_a_time}, {_count(at_once, 'block')} of about {each}",
            f"  and {whole} for the result, if it is brought into memory",
            f"write: nothing, unless it is told to: {whole} before it is compressed",
            f"  by to_zarr {zarr} of blocks, by to_cog {cog} for each time",
        ]


def in_bytes(number: float) -> str:
    """Return a number of bytes in the unit that suits it."""
    power = 0
    while round(number) >= THOUSAND and power < len(UNITS) - 1:
        number, power = number / THOUSAND, power + 1
    return f"{number:.3g} {UNITS[power]}"


def _row(file: FileRead) -> tuple[str, ...]:
    if file.rows is None or file.columns is None:
        window = "a part that only its reader knows"
    else:
        window = f"rows {_span(file.rows)}, columns {_span(file.columns)}"
    of = "" if file.shape is None else f"of {' x '.join(map(str, file.shape))}"
    size = "size not known" if file.bytes is None else in_bytes(file.bytes)
    about = "about " if file.is_estimate and file.bytes is not None else ""
    gone = "" if file.is_there else "; it does not open"
    windows = _count(file.windows, "window")
    return file.layer, f"{about}{size}", windows, window, of, f"{file.name}{gone}"


def _span(ends: tuple[int, int]) -> str:
    return f"{ends[0]} to {ends[1]}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


def _listed(words: Sequence[str], most: int = 6) -> str:
    shown = ", ".join(words[:most])
    more = len(words) - most
    return f"{_count(len(words), 'item')}, {shown}" + (f" and {more} more" if more > 0 else "")
