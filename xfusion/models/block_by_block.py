"""Predict block by block, at once or lazily."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xfusion.datamodel.chunks import Blocks
from xfusion.kernels import parallel
from xfusion.run.allocation import keep_freed_memory

from .band_layers import Bands
from .on_tiles import Prediction
from .tile_grid import Block


def predicted(prediction: Prediction, bands: Bands) -> list[Any]:
    """Return the layers of a prediction: arrays of numpy, or of dask where a band is lazy."""
    return _lazily(prediction, bands) if bands.is_lazy else _in_memory(prediction, bands)


def _in_memory(prediction: Prediction, bands: Bands) -> list[NDArray[Any]]:
    arrays = [array.to_numpy() for array in bands.arrays]
    blocks = prediction.grid.blocks
    outputs = [np.empty(bands.shape, dtype) for dtype in prediction.layers.values()]
    edges = [[0, *itertools.accumulate(sizes)] for sizes in blocks]

    def on_block(place: tuple[int, int]) -> None:
        block = prediction.grid.block(*place)
        region = _stacked([array[(..., *block.seen)] for array in arrays], prediction.dtype)
        kept = tuple(slice(e[k], e[k + 1]) for e, k in zip(edges, place, strict=True))
        for output, layer in zip(outputs, prediction.on(region, block), strict=True):
            output[kept] = layer

    places = [*itertools.product(*(range(len(sizes)) for sizes in blocks))]
    with ThreadPoolExecutor(min(parallel.core_count(), len(places))) as pool:
        list(pool.map(on_block, places))
    return outputs


def _lazily(prediction: Prediction, bands: Bands) -> list[Any]:
    import dask.array as da
    from dask.base import tokenize
    from dask.highlevelgraph import HighLevelGraph

    sources = [da.asarray(array.data) for array in bands.arrays]
    blocks = prediction.grid.blocks
    token = tokenize(prediction, [source.name for source in sources])
    name, model = f"predict-{token}", f"model-{token}"
    # of its own: a task for each block would bring the model to a worker as often
    tasks: dict[Any, Any] = {model: prediction}
    edges = [[np.concatenate([[0], np.cumsum(c)]) for c in s.chunks[-2:]] for s in sources]
    for i, j in itertools.product(*(range(len(sizes)) for sizes in blocks)):
        block = prediction.grid.block(i, j)
        parts, windows = [], []
        for source, of in zip(sources, edges, strict=True):
            touched = [_touched(e, part) for e, part in zip(of, block.seen, strict=True)]
            origin = [int(e[t[0]]) for e, t in zip(of, touched, strict=True)]
            windows.append(
                [(p.start - o, p.stop - o) for p, o in zip(block.seen, origin, strict=True)]
            )
            planes = [
                [[(source.name, *band, a, b) for b in touched[1]] for a in touched[0]]
                for band in np.ndindex(source.numblocks[:-2])
            ]
            parts.append(planes)
        tasks[(name, i, j)] = (_on_block, model, parts, windows, i, j)
    graph = HighLevelGraph.from_collections(name, tasks, dependencies=sources)
    return [
        _layer(graph, name, k, blocks, dtype) for k, dtype in enumerate(prediction.layers.values())
    ]


def _layer(graph: Any, name: str, k: int, blocks: Blocks, dtype: np.dtype[Any]) -> Any:
    """Return layer k of what the tasks return as a dask array."""
    import dask.array as da
    from dask.highlevelgraph import HighLevelGraph, MaterializedLayer

    from xfusion.run.placing import placed

    part = f"{name}-{k}"
    places = itertools.product(*(range(len(sizes)) for sizes in blocks))
    picks = MaterializedLayer({(part, *at): (_pick, (name, *at), k) for at in places})
    layers = {**graph.layers, part: picks}
    picked = HighLevelGraph(layers, {**graph.dependencies, part: {name}})
    return placed(da.Array(picked, part, blocks, dtype=dtype))


def _on_block(
    prediction: Prediction,
    parts: list[list[list[list[NDArray[Any]]]]],
    windows: list[list[tuple[int, int]]],
    i: int,
    j: int,
) -> tuple[NDArray[Any], ...]:
    keep_freed_memory()
    block: Block = prediction.grid.block(i, j)
    return prediction.on(_cut(parts, windows, prediction.dtype), block)


def _cut(
    parts: list[list[list[list[NDArray[Any]]]]],
    windows: list[list[tuple[int, int]]],
    dtype: np.dtype[Any],
) -> NDArray[Any]:
    """Return bands (band, y, x) of the blocks that a window touches, each pixel copied once."""
    planes = [(plane, window) for of, window in zip(parts, windows, strict=True) for plane in of]
    counts = [math.prod(plane[0][0].shape[:-2]) for plane, _ in planes]
    (top, bottom), (left, right) = windows[0]
    region = np.empty((sum(counts), bottom - top, right - left), dtype)
    band = 0
    for (plane, window), count in zip(planes, counts, strict=True):
        bands = region[band : band + count]
        band += count
        (first, _), (before, _) = window
        row = -first
        for blocks in plane:
            column = -before
            for block in blocks:
                height, width = block.shape[-2:]
                down, across = max(-row, 0), max(-column, 0)
                kept = bands[:, row + down : row + height, column + across : column + width]
                kept[...] = block[..., down : down + kept.shape[1], across : across + kept.shape[2]]
                column += width
            row += height
    return region


def _pick(layers: tuple[NDArray[Any], ...], k: int) -> NDArray[Any]:
    return layers[k]


def _stacked(layers: Sequence[NDArray[Any]], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return bands (band, y, x) of layers that are bands, or several of them."""
    if len(layers) == 1 and layers[0].ndim > 2:  # noqa: PLR2004  # bands, rows and columns
        return layers[0].astype(dtype, copy=False)
    return np.stack(layers, dtype=dtype)


def _touched(edges: NDArray[np.int64], part: slice) -> range:
    start = int(np.searchsorted(edges, part.start, side="right")) - 1
    return range(start, int(np.searchsorted(edges, part.stop, side="left")))
