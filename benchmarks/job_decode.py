"""The floor of the whole job: decode every input file once, on all cores, and drop the pixels."""

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import rasterio
from rasterio.windows import Window

from benchmarks.scenes import FILES, Scene

ROWS = 1024  # two rows of tiles


def run(scene: Scene, *, unmasked: bool) -> tuple[Any, Any]:
    del unmasked  # the same files
    parts = []
    for name in FILES:
        with rasterio.open(scene.path(name)) as file:
            parts += [
                (scene.path(name), Window(0, row, file.width, min(ROWS, file.height - row)))
                for row in range(0, file.height, ROWS)
            ]

    def decode(part: tuple[Any, Window]) -> None:
        path, window = part
        with rasterio.open(path) as file:
            file.read(1, window=window)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(decode, parts))
    return (), ()
