"""A model over tiles of a scene, against the same model on all of it, and on the same tiles."""

import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

import xfusion as xf
from benchmarks.tables import Table, with_ratios
from benchmarks.timing import best_of
from xfusion.models.tile_grid import TileGrid

BANDS = 4
# channels -> side of the scene: a model that costs little, and one that costs as networks do
SIDES = {64: 2048, 256: 1024}
STRIP = 2048  # pixels: of a scene and of tiles the model computes arrays of one size
# both as one run: what is added is a twentieth of what is measured, and machines waver by as much
ROUNDS = {64: 7, 256: 3}
PASSES = 5
WHOLE = "the model alone, on all the scene"
# what is said of each -> tile, overlap, batch, passes
CUTS = {
    "tiles of 512 that do not overlap": (512, 0, 8, 1),
    f"the same, {PASSES} passes": (512, 0, 8, PASSES),
    "tiles of 512, overlap 64": (512, 64, 8, 1),
    "tiles of 1024, overlap 64": (1024, 64, 2, 1),
    # which of a scene of powers of two keep 512: what a small network depends on
    "tiles of 528, overlap 8": (528, 8, 8, 1),
}


def model(pixels: Any, seed: int, channels: int) -> Any:
    """Three layers without neighbours, a strip at a time: its own memory costs it nothing."""
    rng = np.random.default_rng(seed)
    first, second, last = (
        rng.standard_normal(shape, np.float32) / np.float32(shape[1] ** 0.5)
        for shape in ((channels, BANDS), (channels, channels), (1, channels))
    )
    batch, _, rows, columns = pixels.shape
    found = np.empty((batch, rows, columns), np.float32)
    step = max(1, STRIP // columns)
    for k, top in product(range(batch), range(0, rows, step)):
        strip = pixels[k, :, top : top + step].reshape(BANDS, -1)
        hidden = np.maximum(second @ np.maximum(first @ strip, 0), 0)
        found[k, top : top + step] = np.tanh(last @ hidden).reshape(-1, columns)
    return found


def steady(pixels: Any, channels: int) -> Any:
    """The same without noise."""
    return model(pixels, 0, channels)


def first_band(pixels: Any) -> Any:
    """A model that costs nothing."""
    return pixels[:, 0]


def any_band(pixels: Any, seed: int) -> Any:
    """The same, another band in each pass."""
    return pixels[:, seed % BANDS]


def batches(whole: NDArray[Any], grid: TileGrid) -> list[NDArray[Any]]:
    """Return what a model is given of a scene, one batch after the other."""
    found = []
    for i, j in product(*(range(len(sizes)) for sizes in grid.blocks)):
        block = grid.block(i, j)
        region = whole[(slice(None), *block.seen)]
        found.append(np.stack([region[(slice(None), *tile.seen)] for tile in block.tiles]))
    return found


def main() -> Iterator[Table]:
    yield table_of_nothing()
    for channels, side in SIDES.items():
        yield table_of(channels, side)


def table_of_nothing() -> Table:
    """Return what all but the model costs."""
    side = SIDES[64]
    lazy = scene(side).chunk(y=512, x=512)
    alternatives = {}
    for what, cut in CUTS.items():
        made = predicted(lazy, first_band if cut[-1] == 1 else any_band, cut)
        alternatives[f"xf.predict, {what}"] = partial(made.compute, scheduler="sync")
    times = best_of(alternatives, rounds=15, clock=time.process_time)
    rows = [{"what": what, "seconds": s, "pixels": side * side} for what, s in times.items()]
    title = f"A model that costs nothing on {BANDS} bands, {side} x {side} pixels: CPU time"
    return Table("predict nothing", title, ("seconds", "ns/pixel"), rows)


def scene(side: int) -> xr.DataArray:
    pixels = np.random.default_rng(0).random((BANDS, side, side), np.float32)
    return xr.DataArray(pixels, dims=("band", "y", "x"))


def predicted(lazy: xr.DataArray, of: Any, cut: tuple[int, int, int, int]) -> xr.Dataset:
    tile, overlap, batch, passes = cut
    options: dict[str, Any] = {"tile": tile, "overlap": overlap, "batch": batch, "seed": 0}
    if passes == 1:
        return xf.predict(lazy, of, sigma=0.1, **options)
    return xf.predict(lazy, of, passes=passes, **options)


def table_of(channels: int, side: int) -> Table:
    bands = scene(side)
    whole = bands.to_numpy()
    lazy = bands.chunk(y=512, x=512)
    noisy, certain = partial(model, channels=channels), partial(steady, channels=channels)

    def alone(cut: tuple[int, int, int, int]) -> Callable[[], Any]:
        tile, overlap, batch, passes = cut
        given = batches(whole, TileGrid((side, side), tile, overlap, batch))
        return lambda: [[noisy(each, k) is None for each in given] for k in range(passes)]

    def by_us(cut: tuple[int, int, int, int]) -> Callable[[], Any]:
        made = predicted(lazy, certain if cut[-1] == 1 else noisy, cut)
        return partial(made.compute, scheduler="sync")

    alternatives: dict[str, Callable[[], Any]] = {WHOLE: lambda: noisy(whole[None], 0)}
    for what, cut in CUTS.items():
        alternatives |= {
            f"the model alone, {what}": alone(cut),
            f"xf.predict, {what}": by_us(cut),
        }
    with threadpool_limits(1):  # a product of matrices would else use threads, xf.predict does not
        times = best_of(alternatives, rounds=ROUNDS[channels], clock=time.process_time)
    rows: list[dict[str, Any]] = [
        {"what": what, "seconds": taken, "pixels": side * side} for what, taken in times.items()
    ]
    for row in rows:
        of_tiles = times.get(row["what"].replace("xf.predict", "the model alone"), row["seconds"])
        row["of_tiles"] = row["seconds"] / of_tiles
    title = (
        f"Three layers of {channels} channels on {BANDS} bands, {side} x {side} pixels: CPU time"
    )
    columns = ("seconds", "ns/pixel", "times", "same tiles")
    return Table(f"predict {channels}", title, columns, with_ratios(rows, against=WHOLE))
