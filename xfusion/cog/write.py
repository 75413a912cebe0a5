"""Write results as cloud-optimised GeoTIFFs, block by block, with a STAC item beside them."""

from __future__ import annotations

import errno
import functools
import os
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from xfusion.datamodel.earth import check_is_on_earth
from xfusion.datamodel.grid import geobox_of
from xfusion.datamodel.validation import Retrieval, as_retrieval
from xfusion.raster.file import FilePath
from xfusion.run.objects import folder_of, is_address

from .acquisitions import planned
from .block_file import TILE, check_whole, free_bytes, named_errors, write_blocks
from .collection import Look, contents_of
from .facts import add_facts
from .item import write_item
from .moving import finish_moving, move_in
from .objects import Write, to_objects
from .scratch import aside, refuse_others
from .statistics import Counted

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox

CACHE = 64 * 2**20  # bytes: GDAL's own choice, a share of the memory, fills with the file


def to_cog(
    dataset: Retrieval,
    /,
    folder: FilePath,
    *,
    prefix: str = "",
    overwrite: bool = False,
    item: bool | None = None,
    progress: bool = True,
) -> dict[str, Any]:
    """Write each variable of a retrieval as a cloud-optimised GeoTIFF, and a STAC item.

    Of a cube with a dim `time`, files and an item for each time, and a STAC collection of all.

    Memory is bounded by the size of the blocks and the number of workers, not by the area.

    Parameters
    ----------
    dataset : Dataset or product
        A retrieval, dims (y, x) or (latitude, longitude), and `time` of a cube; a lazy one is
        computed, by the scheduler of dask that is set, time by time, best in blocks of one. A
        variable with a dim more, such as `weight`, becomes a file of several bands.
    folder : path or URL
        Made if it is missing. While it is written, it also holds the pixels uncompressed. To an
        address such as ``s3://bucket/water``, for which ``xfusion[cloud]`` is needed, files are
        sent once they are whole, the item last; until then they are in the folder of this machine
        for temporary files. Credentials come from the environment.
    prefix : str
        Begins each file's name: ``<prefix><variable>.tif`` and ``<prefix>item.json``; of a cube
        ``<prefix><time>_<variable>.tif``, where the time is as in ``20230620T050000``, and
        ``<prefix>collection.json``.
    overwrite : bool
        Replace files of these names, once all new ones are whole.
    item : bool, optional
        Write the STAC item, and of a cube the collection. Its id is `prefix`, or the name of the
        folder without one, with the time of a cube behind it. By default it is left out, with a
        warning, where a retrieval has no time or no outline on the earth.
    progress : bool
        Show how far it is, with the time that is left.

    Returns
    -------
    dict
        Variable -> file, and "item" -> item; of a cube with the time before both, such as
        "20230620T050000_mu", and "collection" -> collection. Of an address, the addresses.

    Raises
    ------
    ValueError
        If the retrieval has dims besides `time` and the spatial ones, no CRS or no regular grid;
        if times of a cube are no dates, or are the same to the second; with `item`, if there is
        no time for it, or the grid has no outline on the earth.
    FileExistsError
        If a file of these names exists, unless `overwrite`. Nothing is computed before. The
        collection may: it gets longer.
    RuntimeError
        If another run on this machine writes files of these names, unless `overwrite`. Of two that
        both replace them, those of the one that ends last are there, all of them.
    OSError
        If the folder cannot be written, or is full. What was there stays as it was.

    Notes
    -----
    A collection holds the items of its prefix that are in the folder, those of other times that
    were written as cubes before too; a title, a license or providers that it was given since stay.

    Overviews are means; of integers and flags, which have no mean, the nearest pixel. For `sigma`
    this is the standard deviation of the mean of the pixels below if their errors are fully
    correlated, as :func:`~xfusion.coregister` assumes by default: an overview never looks surer
    than its pixels.

    Minimum, maximum, mean and standard deviation of each band, and names and colours of the values
    of `source`, `mask` and `conflict`, are in the file and in the item. They are counted while the
    blocks are written.

    Examples
    --------
    >>> import tempfile, xfusion as xf
    >>> from odc.geo.geobox import GeoBox
    >>> from odc.geo.xr import xr_zeros
    >>> mu = xr_zeros(GeoBox.from_bbox((16, 48, 17, 49), "EPSG:4326", resolution=0.1), dtype="f4")
    >>> water = xf.retrieval(mu, mu + 0.1, sensor="sentinel-1", time="2023-06-20")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     files = water.fusion.to_cog(folder, prefix="water_", progress=False)
    ...     sorted(path.name for path in files.values())
    ['water_item.json', 'water_mu.tif', 'water_sigma.tif']
    """
    dataset = as_retrieval(dataset)
    check_is_on_earth(geobox_of(dataset))
    text = os.fspath(folder)

    def writing(called: str) -> Write:
        return functools.partial(
            _write,
            dataset,
            prefix=prefix,
            overwrite=overwrite,
            called=called,
            item=item,
            progress=progress,
        )

    if is_address(text):
        return {
            **to_objects(text, writing(text.rstrip("/").rpartition("/")[2]), overwrite=overwrite)
        }
    local = folder_of(text)
    return {
        **writing(local.resolve().name)(
            local,
            functools.partial(_refuse_existing, overwrite=overwrite),
            functools.partial(contents_of, local),
        )
    }


def _write(
    dataset: xr.Dataset,
    folder: Path,
    refuse: Callable[[Collection[Path]], None],
    look: Look,
    *,
    prefix: str,
    overwrite: bool,
    called: str,
    item: bool | None,
    progress: bool,
) -> dict[str, Path]:
    """Write files and items to a folder of this machine, or nothing if some are refused."""
    geobox = geobox_of(dataset)
    plan = planned(dataset, folder, look, prefix=prefix, called=called, item=item)
    paths, shared = plan.in_order(), plan.collections

    def refuse_all() -> None:
        refuse(paths)
        for collection in shared:
            collection.refuse_another(overwrite=overwrite)

    def prepare(whole: Path) -> None:
        # another run may have ended meanwhile
        refuse_all()
        for collection in shared:
            collection.write(whole)

    every = [*paths, *(collection.path for collection in shared)]
    with aside(folder, [path.name for path in every]) as beside, _small_cache():
        finish_moving(folder)
        refuse_all()
        if not overwrite:
            refuse_others(beside, [collection.path.name for collection in shared])
        known: dict[str, list[Counted]] = {}
        for label, scene in plan.scenes.items():
            known |= _write_scene(scene, geobox, beside, plan.rasters[label], progress=progress)
        for path, described in plan.items.items():
            add_facts(described, beside, known)
            write_item(described, beside / path.name)
        prepare(beside)
        move_in(beside, every, prepare)
    return plan.files


def _write_scene(
    scene: xr.Dataset, geobox: GeoBox, beside: Path, rasters: Mapping[str, Path], *, progress: bool
) -> dict[str, list[Counted]]:
    """Write the files of one time, beside where they will be; return what is in each."""
    _check_space(scene, next(iter(rasters.values())).parent)
    parts, counted = write_blocks(scene, geobox, beside, rasters, progress=progress)
    for name, part in parts.items():
        with named_errors(rasters[name]):
            _write_cog(part, beside / rasters[name].name, scene[name].dtype)
        part.unlink()
    return {rasters[name].name: bands for name, bands in counted.items()}


def _refuse_existing(paths: Collection[Path], *, overwrite: bool) -> None:
    for path in paths:
        if path.is_dir() or (path.exists() and not overwrite):
            msg = f"{path} exists: pass overwrite=True to replace it, or another folder or prefix"
            raise FileExistsError(errno.EEXIST, msg)


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
    needed, free = sum(v.nbytes for v in dataset.data_vars.values()), free_bytes(folder)
    if needed > free:
        msg = (
            f"{folder} has {free / 1e6:.0f} MB free, the pixels take {needed / 1e6:.0f} MB until "
            "they are compressed: choose another folder, or write a part, .isel(...)"
        )
        raise OSError(errno.ENOSPC, msg)


def _write_cog(part: Path, path: Path, dtype: np.dtype[np.generic]) -> None:
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
    check_whole(path)
