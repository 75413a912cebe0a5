"""Dates that are added to a store, and a program whose runs are killed at each of their steps."""

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import xarray as xr
import zarr

import xfusion as xf
from xfusion.store import tasks, workers
from xfusion.store.place import Place

# of the steps of a run each so-many-th is a moment to be killed at; 1 for all of them
EVERY = int(os.environ.get("XFUSION_KILLED_EVERY", "2"))
STEPS = ("write", "move", "delete", "delete_folder")


def scene(day: int, *, value: float = 0.0) -> xr.Dataset:
    """Return a retrieval of one day, a scalar."""
    rng = np.random.default_rng(day)
    y, x = -10.0 * np.arange(4), 10.0 * np.arange(4)
    mu = xr.DataArray(rng.random((4, 4), np.float32) + value, {"y": y, "x": x}, ("y", "x"))
    made = xf.retrieval(mu, mu / 10, mu > 0.9, sensor="s1", time=f"2023-06-{day:02}T05:00")
    return made.chunk(x=2)


def days(*which: int) -> xr.Dataset:
    return xf.stack([scene(day) for day in which])


def add(dataset: xr.Dataset, store: Any, **options: Any) -> xr.Dataset:
    return xf.to_zarr(dataset, store, append_dim="time", progress=False, **options)


def as_readers_see(store: Path) -> dict[str, xr.Dataset]:
    """Return a store as it is opened by those who look at the metadata of all of it."""
    group = zarr.open_group(store, mode="r")
    arrays: list[Any] = [*group.arrays()]
    by_zarr = {name: (array.metadata.dimension_names, array[:]) for name, array in arrays}
    return {
        "xarray": xr.open_zarr(store).load(),
        "zarr": xr.Dataset({f"{n}_": v for n, v in by_zarr.items()}),
    }


def as_each_array_is(store: Path) -> dict[str, Any]:
    """Return arrays of a store as they are for those who open one alone."""
    names = ["mu", "sigma", "mask", "time", "x", "y"]
    alone = {name: zarr.open_array(store, path=name, mode="r")[:] for name in names}
    by_dask = {f"dask {n}": np.asarray(da.from_zarr(store / n)) for n in ("mu", "mask")}
    return alone | by_dask


def count_steps(act: Callable[[int], None]) -> None:
    """Call something before each step of a run, and before each block, with its number."""
    count = 0

    def before(step: Any) -> Any:
        def counted(*arguments: Any) -> Any:
            nonlocal count
            act(count)
            count += 1
            return step(*arguments)

        return counted

    for name in STEPS:
        setattr(Place, name, before(getattr(Place, name)))
    tasks._write = before(tasks._write)


def kill_at(moment: int, step: int) -> None:
    if step == moment:
        os.kill(os.getpid(), signal.SIGKILL)


def main(folder: Path) -> None:
    """Add a date to copies of a store, each run killed some steps later, until one ends."""
    # once here, so that no copy of this process has to import what a run needs
    shutil.copytree(folder / "before.zarr", folder / "whole.zarr")
    with dask.config.set(scheduler="sync"):
        add(days(7), folder / "whole.zarr")
    for moment in range(0, 1000, EVERY):
        shutil.copytree(folder / "before.zarr", folder / f"{moment}.zarr")
        process = os.fork()
        if process == 0:
            count_steps(partial(kill_at, moment))
            setattr(workers, "BLOCKS_A_WORKER", 1)  # noqa: B010  # it is not exported
            with dask.config.set(scheduler="sync"):
                add(days(7), folder / f"{moment}.zarr")
            os._exit(0)
        _, status = os.waitpid(process, 0)
        if not os.WIFSIGNALED(status):
            assert status == 0
            print(json.dumps([*range(0, moment, EVERY)]))
            return


if __name__ == "__main__":
    main(Path(sys.argv[1]))
