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
from xfusion.store import tasks, workers
from xfusion.store.draft import Draft
from xfusion.store.place import StoreLike

SIDE, BLOCK = 96, 16
# Paths, and what Windows takes for devices, streams or patterns, or shortens
NO_FILES = [
    "../victim", "/abs/victim", "..", ".", "", "a/b", "a\0b", "a\\b", "con", "NUL.tif", "com1",
    "aux.mu", "a:b", "C:", "a*", "mu?", "a|b", "<a>", 'a"', "mu.", "mu ", "mu\n", "\udc80",
    "a" * 201,
]  # fmt: skip


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


def break_off(
    dataset: xr.Dataset,
    store: StoreLike,
    *,
    shards: bool = True,
    resume: bool = True,
    after: int = 10,
) -> None:
    """Leave an unfinished run of a Dataset, that ends after some blocks of its variables."""
    written = iter(range(10**6))

    def write(target: Any, region: Any, block: Any) -> None:
        if next(written) > after:
            raise KilledError
        target[region] = block

    with pytest.MonkeyPatch.context() as patch, dask.config.set(scheduler="sync"):
        patch.setattr(tasks, "_write", write)
        patch.setattr(workers, "BLOCKS_A_WORKER", 1)
        with pytest.raises(KilledError):
            xf.to_zarr(dataset, store, shards=shards, resume=resume, progress=False)


def small(side: int = 8, block: int = 4) -> xr.Dataset:
    y, x = (np.arange(side) * step for step in (-10.0, 10.0))
    mu = xr.DataArray(
        np.arange(1.0, side * side + 1, dtype=np.float32).reshape(side, side),
        {"y": y, "x": x},
        ("y", "x"),
    )
    return xf.retrieval(mu, mu / 10, mask=(mu == 9).astype(np.uint8) * 128).chunk(block)


def read(store: Path) -> xr.Dataset:
    found: xr.Dataset = xr.open_zarr(store).load().drop_attrs()
    return found


def killed_in_publishing(dataset: xr.Dataset, store: Path, patch: pytest.MonkeyPatch) -> None:
    def publish(self: Draft, lease: Any) -> None:
        folder = self.path("")
        self.publish_blocks([k.removeprefix(folder) for k in self.place.listed(folder)], lease)
        raise KilledError

    with patch.context() as patched:
        patched.setattr(Draft, "publish", publish)
        with pytest.raises(KilledError):
            xf.to_zarr(dataset, store, progress=False)
