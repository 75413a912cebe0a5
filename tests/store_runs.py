"""Runs to Zarr: their inputs, what they leave, and runs that break off."""

import hashlib
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
import rasterio
import rasterio.shutil
import xarray as xr
from affine import Affine

import xfusion as xf
from xfusion.store import workers

SIDE, BLOCK = 96, 16


def write_inputs(folder: Path, *, side: int = SIDE, seed: int = 0) -> Path:
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(seed)
    for sensor in ("a", "b"):
        for name in ("mu", "sigma"):
            pixels = rng.random((side, side), np.float32) + 0.1
            pixels[:10, :30] = np.nan
            with rasterio.open(
                folder / f"{sensor}_{name}.tif",
                "w",
                driver="GTiff",
                width=side,
                height=side,
                count=1,
                dtype="float32",
                crs="EPSG:32633",
                transform=Affine(10, 0, 500000, 0, -10, 5300000),
                nodata=np.nan,
                tiled=True,
                blockxsize=16,
                blockysize=16,
            ) as file:
                file.write(pixels, 1)
    return folder


def fused(folder: Path, *, correlation: float = 0.0, block: int = BLOCK) -> xr.Dataset:
    a, b = (
        xf.SensorProduct.open(
            folder / f"{s}_mu.tif", folder / f"{s}_sigma.tif", time="2023-06-20", chunks=block
        )
        for s in "ab"
    )
    b = b.exclude(b.mu > 1)
    return a.gaussian(b, correlation=correlation).dataset


def contents(store: Path) -> dict[str, str]:
    return {
        str(path.relative_to(store)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(store.rglob("*"))
        if path.is_file()
    }


class KilledError(Exception):
    pass


def break_off(dataset: xr.Dataset, store: Path, *, resume: bool = True) -> None:
    """Leave an unfinished run of a Dataset: its last batch is never written."""
    from xfusion.store import tasks as module

    written = iter(range(10**6))

    def write(target: Any, region: Any, block: Any) -> None:
        if next(written) > 10:
            raise KilledError
        target[region] = block

    with pytest.MonkeyPatch.context() as patch, dask.config.set(scheduler="sync"):
        patch.setattr(module, "_write", write)
        patch.setattr(workers, "BLOCKS_A_WORKER", 1)
        with pytest.raises(KilledError):
            xf.to_zarr(dataset, store, resume=resume, progress=False)
