"""Files that take the blocks of variables in any order, while they are computed."""

from __future__ import annotations

import errno
import itertools
import shutil
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfusion.datamodel.grid import grid_coords
from xfusion.datamodel.names import MU
from xfusion.datamodel.provenance import lasting
from xfusion.datamodel.tags import OF_ALL, UNPACKED
from xfusion.datamodel.times import as_text, as_time, moment_of, stated_span
from xfusion.run.progress import Advance, progress_of
from xfusion.run.scheduler import scheduler_of, shares_memory, worker_count

from .flag_colours import class_names, colours, is_coloured
from .item import band_names, nodata_of
from .statistics import Counted

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox

BLOCK = 1536  # pixels a side of what is written at once of an array in memory
TILE = 512


def write_blocks(
    dataset: xr.Dataset,
    geobox: GeoBox,
    aside: Path,
    files: Mapping[str, Path],
    *,
    progress: bool,
) -> tuple[dict[str, Path], dict[str, list[Counted]]]:
    """Compute the pixels, and write each block as soon as it is there.

    Returns
    -------
    dict
        Variable -> file of its pixels.
    dict
        Variable -> what is known of the pixels of each band.
    """
    (rows, columns), _ = grid_coords(dataset)
    arrays = {str(k): v.transpose(..., rows, columns) for k, v in dataset.data_vars.items()}
    lazy = {
        name: array.chunk({rows: BLOCK, columns: BLOCK}) if array.chunks is None else array
        for name, array in arrays.items()
    }
    parts = {name: aside / f"{name}.blocks.tif" for name in lazy}
    pixels = sum(array.size for array in lazy.values())
    blocks = lazy[MU].data.npartitions
    with ExitStack() as stack:
        what = f"writing {files[MU].parent}"
        advance = stack.enter_context(progress_of(blocks, what, show=progress))
        # as a store counts them, though here each layer of a block is written on its own
        advance = advance.of_parts(pixels, blocks)
        targets = [
            stack.enter_context(
                BlockFile(
                    parts[name],
                    array,
                    geobox,
                    _tags(dataset, array),
                    becomes=files[name],
                    advance=advance,
                )
            )
            for name, array in lazy.items()
        ]
        if shares_memory([array.variable for array in lazy.values()]):
            import dask.array as da

            sources = [array.data for array in lazy.values()]
            da.store(sources, targets, lock=False)  # type: ignore[arg-type]  # takes what has __setitem__
        else:
            _gather(lazy, targets)
    return parts, {name: target.counted for name, target in zip(lazy, targets, strict=True)}


def _gather(arrays: Mapping[str, xr.DataArray], targets: list[BlockFile]) -> None:
    """Fetch blocks from workers that share no memory with us, some for each of them at a time."""
    import dask

    first = arrays[MU]
    edges = [[0, *itertools.accumulate(first.chunksizes[dim])] for dim in first.dims]
    slices = [[slice(a, b) for a, b in itertools.pairwise(edge)] for edge in edges]
    regions = itertools.product(*slices)
    _, client = scheduler_of([first.variable])
    step = 2 * worker_count(client)
    while batch := list(itertools.islice(regions, step)):
        blocks = [[a[..., rows, columns] for a in arrays.values()] for rows, columns in batch]
        for region, computed in zip(batch, dask.compute(*blocks), strict=True):
            for target, block in zip(targets, computed, strict=True):
                target[..., *region] = block.to_numpy()


class BlockFile:
    """A file that takes the blocks of a variable in any order and from any thread.

    Not odc-geo's COG writer: it pads the grid to whole tiles, names no bands, writes no colours
    and no tags; added afterwards, these break the layout. GDAL's takes them from this file.
    """

    def __init__(
        self,
        path: Path,
        array: xr.DataArray,
        geobox: GeoBox,
        tags: Mapping[str, str],
        *,
        becomes: Path,
        advance: Advance,
    ) -> None:
        import rasterio

        self._path, self._becomes, self._advance = path, becomes, advance
        self._lock = threading.Lock()
        rows, columns = geobox.shape
        names = band_names(array)
        self._file: Any = rasterio.open(
            path,
            "w",
            driver="GTiff",
            width=columns,
            height=rows,
            count=len(names),
            dtype=np.uint8 if array.dtype == bool else array.dtype,
            crs=str(geobox.crs),
            transform=geobox.transform,
            nodata=nodata_of(array),
            tiled=True,
            blockxsize=TILE,
            blockysize=TILE,
            interleave="band",
            bigtiff="yes",
        )
        coloured = is_coloured(array)
        self._class_names = class_names(array) if coloured else {}
        self.counted = [Counted(nodata_of(array), codes=coloured) for _ in names]
        if coloured:
            self._file.write_colormap(1, {k: (*v, 255) for k, v in colours(array).items()})
        self._file.descriptions = names
        self._file.units = (tags.get("units"),) * len(names)
        self._file.scales = (float(array.attrs.get("scale_factor", 1)),) * len(names)
        self._file.offsets = (float(array.attrs.get("add_offset", 0)),) * len(names)
        self._file.update_tags(**tags)

    def __setitem__(self, region: tuple[Any, ...], block: NDArray[Any]) -> None:
        from rasterio.windows import Window

        *bands, rows, columns = region
        pixels = block.astype(self._file.dtypes[0], copy=False)
        first = bands[0].start if bands and isinstance(bands[0], slice) else 0
        layers = pixels if pixels.ndim > 2 else pixels[None]  # noqa: PLR2004  # bands lead
        indexes = [first + 1 + i for i in range(len(layers))]
        with self._lock, named_errors(self._becomes):
            self._file.write(layers, indexes, window=Window.from_slices(rows, columns))
            for index, layer in zip(indexes, layers, strict=True):
                self.counted[index - 1].add((rows.start or 0, columns.start or 0), layer)
            self._advance(block.size)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        # after an error, threads may still be at work on other blocks
        with self._lock:
            if error[0] is None:
                for index, counted in enumerate(self.counted, start=1):
                    self._file.update_tags(index, **counted.tags(self._class_names))
            self._file.close()
        if error[0] is None:
            with named_errors(self._becomes):
                check_whole(self._path)

    def __dask_tokenize__(self) -> int:
        return id(self)


def _tags(dataset: xr.Dataset, array: xr.DataArray) -> dict[str, str]:
    attrs = {k: v for k, v in lasting(dataset.attrs).items() if OF_ALL.fullmatch(str(k))}
    for end, stated in stated_span(dataset).items():
        attrs[end] = stated if isinstance(stated, str) else as_text(as_time(stated))
    attrs |= {k: v for k, v in array.attrs.items() if k not in (*UNPACKED, "flag_values")}
    moment = moment_of(dataset.coords.get("time"))
    if moment is not None:
        attrs["time"] = f"{moment.astype('datetime64[us]').item().isoformat()}Z"
    return {str(k): " ".join(map(str, np.ravel(v))) for k, v in attrs.items()}


def check_whole(path: Path) -> None:
    """Refuse a file that ends before its pixels do: GDAL does not tell what fails on closing."""
    import rasterio

    size = path.stat().st_size
    with rasterio.open(path) as file:
        down, across = (
            -(-n // side) for n, side in zip(file.shape, file.block_shapes[0], strict=True)
        )
        for band, row, column in itertools.product(file.indexes, range(down), range(across)):
            place = [
                file.get_tag_item(f"BLOCK_{what}_{column}_{row}", "TIFF", bidx=band)
                for what in ("OFFSET", "SIZE")
            ]
            if None in place or sum(map(int, place)) > size:
                msg = f"the pixels of tile {row}, {column} are not in it"
                raise OSError(errno.EIO, msg)


@contextmanager
def named_errors(path: Path) -> Iterator[None]:
    """Say of an error of GDAL, which may be none of Python's, which file it is and what is left."""
    try:
        yield
    except Exception as error:
        free = free_bytes(path.parent) / 1e6
        msg = f"{path} could not be written, {free:.0f} MB are free there: {error}"
        raise OSError(errno.EIO, msg) from error


def free_bytes(folder: Path) -> int:
    """Return how much room there is for files in a folder."""
    return shutil.disk_usage(folder).free
