"""Write results as cloud-optimised GeoTIFFs, block by block, with a STAC item beside them."""

from __future__ import annotations

import errno
import itertools
import os
import re
import shutil
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeAlias

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from .compute import shares_memory
from .conventions import MU, PACKING, SOURCE, Retrieval, as_retrieval
from .grid import geobox_of, grid_coords, spatial_dims
from .stac_item import band_names, colours, nodata_of, stac_item, write_item

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox

BLOCK = 1536  # pixels a side of what is written at once of an array in memory
TILE = 512
CACHE = 64 * 2**20  # bytes: GDAL's own choice, a share of the memory, fills with the file
ITEM = "item"
UNPACKED = ("_FillValue", *PACKING)
OF_ALL = re.compile("sensor|Conventions|(fusion|mask|time_coverage)_.*")  # tags of the Dataset

FilePath: TypeAlias = str | os.PathLike[str]


def to_cog(
    dataset: Retrieval,
    folder: FilePath,
    *,
    prefix: str = "",
    overwrite: bool = False,
    item: bool = True,
) -> dict[str, Path]:
    """Write each variable of a retrieval as a cloud-optimised GeoTIFF, and a STAC item.

    Memory is bounded by the size of the blocks and the number of workers, not by the area.

    Parameters
    ----------
    dataset : Dataset or product
        A retrieval, dims (y, x) or (latitude, longitude); a lazy one is computed, by the
        scheduler of dask that is set. A variable with a dim more, such as `weight`, becomes a
        file of several bands.
    folder : path
        Made if it is missing. While it is written, it also holds the pixels uncompressed.
    prefix : str
        Begins each file's name: ``<prefix><variable>.tif`` and ``<prefix>item.json``.
    overwrite : bool
        Replace files of these names, once all new ones are whole.
    item : bool
        Write the STAC item. Its id is `prefix`, or the name of the folder without one.

    Returns
    -------
    dict
        Variable -> file, and "item" -> item.

    Raises
    ------
    ValueError
        If the retrieval has dims besides the spatial ones, no CRS or no regular grid; if there
        is no time for the item, or its grid has no outline on the earth.
    FileExistsError
        If a file of these names exists, unless `overwrite`. Nothing is computed before.
    OSError
        If the folder cannot be written, or is full. What was there stays as it was.

    Notes
    -----
    Overviews are means; of integers and flags, which have no mean, the nearest pixel. For `sigma`
    this is the standard deviation of the mean of the pixels below if their errors are fully
    correlated, as :func:`~xfusion.coregister` assumes by default: an overview never looks surer
    than its pixels.

    Examples
    --------
    >>> import tempfile, xfusion as xf
    >>> from odc.geo.geobox import GeoBox
    >>> from odc.geo.xr import xr_zeros
    >>> mu = xr_zeros(GeoBox.from_bbox((16, 48, 17, 49), "EPSG:4326", resolution=0.1), dtype="f4")
    >>> water = xf.retrieval(mu, mu + 0.1, sensor="sentinel-1", time="2023-06-20")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     sorted(path.name for path in water.fusion.to_cog(folder, prefix="water_").values())
    ['water_item.json', 'water_mu.tif', 'water_sigma.tif']
    """
    dataset = as_retrieval(dataset)
    _check(dataset, prefix)
    geobox = geobox_of(dataset)
    folder = Path(folder)
    rasters = {str(name): folder / f"{prefix}{name}.tif" for name in dataset.data_vars}
    files = rasters | ({ITEM: folder / f"{prefix}item.json"} if item else {})
    _refuse_existing(files, overwrite=overwrite)
    item_id = prefix.strip("._- ") or folder.resolve().name or "result"
    described = stac_item(dataset, rasters, item_id=item_id) if item else None
    with _aside(folder) as aside, _small_cache():
        _check_space(dataset, folder)
        parts = _write_blocks(dataset, geobox, aside, rasters)
        for name, part in parts.items():
            with _named_errors(rasters[name]):
                _write_cog(part, aside / rasters[name].name, dataset[name].dtype)
            part.unlink()
        if described is not None:
            write_item(described, aside / files[ITEM].name)
        for path in files.values():
            (aside / path.name).replace(path)
    return files


def write_cogs(dataset: Retrieval, folder: FilePath, *, prefix: str = "") -> dict[str, Path]:
    """Write COGs without an item, in place of any that are there.

    The older name of :func:`~xfusion.to_cog` with ``overwrite=True, item=False``.
    """
    return to_cog(dataset, folder, prefix=prefix, overwrite=True, item=False)


def _check(dataset: xr.Dataset, prefix: str) -> None:
    """Refuse by metadata what does not go into files."""
    spatial = spatial_dims(dataset) or ()
    extra = [d for d in dataset[MU].dims if d not in spatial]
    if extra:
        msg = (
            f"mu has the dims {extra} besides the spatial ones, a GeoTIFF has none: select one, "
            f"e.g. .isel({extra[0]}=0)"
        )
        raise ValueError(msg)
    for name, array in dataset.data_vars.items():
        others = [d for d in array.dims if d not in spatial]
        if len(array.dims) - len(others) < len(spatial) or len(others) > 1:
            msg = (
                f"{name} has the dims {array.dims}, a file has {spatial} and one more at most: "
                f"leave it out, .drop_vars({name!r})"
            )
            raise ValueError(msg)
        if array.dtype.kind not in "fiub":
            msg = (
                f"{name} is {array.dtype}, which no GeoTIFF holds: convert it, or leave it out, "
                f".drop_vars({name!r})"
            )
            raise ValueError(msg)
    if Path(prefix).name != prefix and prefix:
        msg = f"{prefix=} begins the name of a file, it has no folder: put that into `folder`"
        raise ValueError(msg)
    if ITEM in dataset.data_vars:
        msg = f"a variable is called {ITEM!r}, as the STAC item is: .rename({ITEM}=...)"
        raise ValueError(msg)


def _refuse_existing(files: Mapping[str, Path], *, overwrite: bool) -> None:
    for path in files.values():
        if path.is_dir() or (path.exists() and not overwrite):
            msg = f"{path} exists: pass overwrite=True to replace it, or another folder or prefix"
            raise FileExistsError(errno.EEXIST, msg)


@contextmanager
def _aside(folder: Path) -> Iterator[Path]:
    """Make the folder, and one in it that is gone afterwards with all that was left in it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        aside = tempfile.TemporaryDirectory(prefix=".xfusion-", dir=folder)
    except OSError as error:
        msg = f"{folder} cannot be written, {error.strerror}: choose another folder"
        raise OSError(error.errno, msg) from error
    with aside as name:
        yield Path(name)


@contextmanager
def _small_cache() -> Iterator[None]:
    """Let GDAL keep few pixels: the limit is one of the process, not of a file."""
    import rasterio
    from rasterio.env import get_gdal_config, set_gdal_config

    with rasterio.Env():
        before = get_gdal_config("GDAL_CACHEMAX")
        set_gdal_config("GDAL_CACHEMAX", min(before, CACHE))
        try:
            yield
        finally:
            set_gdal_config("GDAL_CACHEMAX", before)


def _check_space(dataset: xr.Dataset, folder: Path) -> None:
    needed, free = sum(v.nbytes for v in dataset.data_vars.values()), _free(folder)
    if needed > free:
        msg = (
            f"{folder} has {free / 1e6:.0f} MB free, the pixels take {needed / 1e6:.0f} MB until "
            "they are compressed: choose another folder, or write a part, .isel(...)"
        )
        raise OSError(errno.ENOSPC, msg)


def _free(folder: Path) -> int:
    return shutil.disk_usage(folder).free


def _write_blocks(
    dataset: xr.Dataset, geobox: GeoBox, aside: Path, files: Mapping[str, Path]
) -> dict[str, Path]:
    """Compute the pixels, and write each block as soon as it is there."""
    (rows, columns), _ = grid_coords(dataset)
    arrays = {str(k): v.transpose(..., rows, columns) for k, v in dataset.data_vars.items()}
    lazy = {
        name: array.chunk({rows: BLOCK, columns: BLOCK}) if array.chunks is None else array
        for name, array in arrays.items()
    }
    parts = {name: aside / f"{name}.blocks.tif" for name in lazy}
    with ExitStack() as stack:
        targets = [
            stack.enter_context(
                _Blocks(parts[name], array, geobox, _tags(dataset, array), becomes=files[name])
            )
            for name, array in lazy.items()
        ]
        if shares_memory([array.variable for array in lazy.values()]):
            import dask.array as da

            sources = [array.data for array in lazy.values()]
            da.store(sources, targets, lock=False)  # type: ignore[arg-type]  # takes what has __setitem__
        else:
            _gather(lazy, targets)
    return parts


def _gather(arrays: Mapping[str, xr.DataArray], targets: list[_Blocks]) -> None:
    """Fetch blocks from workers that share no memory with us, some for each of them at a time."""
    import dask

    first = arrays[MU]
    edges = [[0, *itertools.accumulate(first.chunksizes[dim])] for dim in first.dims]
    slices = [[slice(a, b) for a, b in itertools.pairwise(edge)] for edge in edges]
    regions = itertools.product(*slices)
    step = 2 * _workers(first)
    while batch := list(itertools.islice(regions, step)):
        blocks = [[a[..., rows, columns] for a in arrays.values()] for rows, columns in batch]
        for region, computed in zip(batch, dask.compute(*blocks), strict=True):
            for target, block in zip(targets, computed, strict=True):
                target[..., *region] = block.to_numpy()


def _workers(array: xr.DataArray) -> int:
    import dask
    from dask.base import get_scheduler
    from dask.system import CPU_COUNT

    client: Any = getattr(get_scheduler(collections=[array.data]), "__self__", None)
    if hasattr(client, "nthreads"):
        return max(1, sum(map(int, client.nthreads().values())))
    return int(dask.config.get("num_workers", None) or CPU_COUNT)


class _Blocks:
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
    ) -> None:
        import rasterio

        self._path, self._becomes = path, becomes
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
        if array.name == SOURCE:
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
        with self._lock, _named_errors(self._becomes):
            self._file.write(layers, indexes, window=Window.from_slices(rows, columns))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        # after an error, threads may still be at work on other blocks
        with self._lock:
            self._file.close()
        if error[0] is None:
            with _named_errors(self._becomes):
                _check_whole(self._path)

    def __dask_tokenize__(self) -> int:
        return id(self)


def _write_cog(part: Path, path: Path, dtype: np.dtype[Any]) -> None:
    import rasterio.shutil

    rasterio.shutil.copy(
        part,
        path,
        driver="COG",
        compress="deflate",
        predictor="yes",
        blocksize=TILE,
        overview_resampling="average" if dtype.kind == "f" else "nearest",
        num_threads="all_cpus",
        bigtiff="if_safer",
    )
    _check_whole(path)


def _check_whole(path: Path) -> None:
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
def _named_errors(path: Path) -> Iterator[None]:
    """Say of an error of GDAL, which may be none of Python's, which file it is and what is left."""
    try:
        yield
    except Exception as error:
        free = _free(path.parent) / 1e6
        msg = f"{path} could not be written, {free:.0f} MB are free there: {error}"
        raise OSError(errno.EIO, msg) from error


def _tags(dataset: xr.Dataset, array: xr.DataArray) -> dict[str, str]:
    attrs = {k: v for k, v in dataset.attrs.items() if OF_ALL.fullmatch(str(k))}
    attrs |= {k: v for k, v in array.attrs.items() if k not in UNPACKED}
    time = dataset.coords.get("time")
    if time is not None and time.ndim == 0 and time.dtype.kind == "M" and time.notnull():
        attrs["time"] = f"{time.values.astype('datetime64[us]').item().isoformat()}Z"
    return {str(k): " ".join(map(str, np.ravel(v))) for k, v in attrs.items()}
