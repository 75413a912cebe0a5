"""A model over tiles of a scene, against the same model on the whole of it."""

from typing import Any

import numpy as np
import xarray as xr

import xfusion as xf
from benchmarks.tables import Table, timed
from benchmarks.timing import best_of

SIDE = 2048
BANDS, CHANNELS = 4, 16


def model(pixels: Any, seed: int = 0) -> Any:
    """Mix bands into channels and back, as a network without neighbours does."""
    rng = np.random.default_rng(seed)
    mixed, out = (
        rng.standard_normal(shape, np.float32) for shape in ((CHANNELS, BANDS), (1, CHANNELS))
    )
    batch, _, rows, columns = pixels.shape
    flat = pixels.reshape(batch, BANDS, rows * columns)
    hidden = np.tanh(mixed @ flat)
    return (1 / (1 + np.exp(-(out @ hidden)))).reshape(batch, rows, columns)


def main() -> list[Table]:
    rng = np.random.default_rng(0)
    bands = xr.DataArray(rng.random((BANDS, SIDE, SIDE), np.float32), dims=("band", "y", "x"))
    whole = bands.to_numpy()[None]
    lazy = bands.chunk(y=512, x=512)
    options: dict[str, Any] = {"sigma": 0.1, "seed": 0}
    times = best_of(
        {
            "the model alone": lambda: model(whole),
            "xf.predict, tiles that do not overlap": lambda: xf.predict(
                lazy, model, overlap=0, **options
            ).compute(scheduler="sync"),
            "xf.predict, tiles of 2048, overlap 64": lambda: xf.predict(
                lazy, model, tile=2048, batch=1, **options
            ).compute(scheduler="sync"),
            "xf.predict, tiles of 512, overlap 64": lambda: xf.predict(
                lazy, model, **options
            ).compute(scheduler="sync"),
            "the model alone, 8 times": lambda: [model(whole, k) for k in range(8)],
            "xf.predict, 8 passes, no overlap": lambda: xf.predict(
                lazy, model, overlap=0, passes=8, seed=0
            ).compute(scheduler="sync"),
        },
        rounds=3,
    )
    title = f"A model of {CHANNELS} channels on {BANDS} bands, {SIDE} x {SIDE} pixels, one thread"
    return [timed("predict", title, times, against="the model alone", pixels=SIDE * SIDE)]
