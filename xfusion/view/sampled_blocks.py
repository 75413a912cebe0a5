"""Every n-th block of lazy layers: what is computed for a picture of more than can be."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

Places = Mapping[Hashable, NDArray[np.intp]]
GOLDEN = 0.618  # of n from one row of blocks to the next: neighbours are spread evenly


@dataclass(frozen=True)
class Sample:
    """Layers of which only every n-th block is computed."""

    layers: Mapping[Hashable, xr.Variable]
    places: Places
    """Which rows and columns are shown."""
    every: int
    areas: Sequence[tuple[slice, slice]]
    """Rows and columns of the picture that are computed."""

    @property
    def names(self) -> list[Hashable]:
        """The layers."""
        return list(self.layers)

    @property
    def parts(self) -> list[xr.Variable]:
        """What is to be computed, lazily: of each layer each area, along dims of its own."""
        rows, columns = self.places
        parts = []
        for variable in self.layers.values():
            for k, (down, across) in enumerate(self.areas):
                chosen = {rows: _slice(self.places[rows][down])}
                chosen[columns] = _slice(self.places[columns][across])
                own = [f"_{d}_{k}" if d in self.places else d for d in variable.dims]
                parts.append(xr.Variable(own, variable.isel(chosen).data))
        return parts

    def put(
        self,
        computed: Sequence[xr.Variable],
        unknown: Callable[[Hashable, np.dtype[Any]], Any],
    ) -> dict[Hashable, xr.Variable]:
        """Return the layers in memory, of what was computed of `parts`, each at its place."""
        parts = iter(computed)
        rows, columns = self.places
        found = {}
        for name, variable in self.layers.items():
            sizes = {**variable.sizes, **{d: p.size for d, p in self.places.items()}}
            shape = [sizes[d] for d in variable.dims]
            pixels = np.full(shape, unknown(name, variable.dtype), variable.dtype)
            attrs = {**variable.attrs, "look_every": self.every}
            whole = xr.Variable(variable.dims, pixels, attrs)
            for down, across in self.areas:
                part = next(parts)
                whole[{rows: down, columns: across}] = part.to_numpy()
            found[name] = whole
        return found

    def looked(self) -> NDArray[np.bool_]:
        """Return which pixels of the picture are computed."""
        seen = np.zeros([p.size for p in self.places.values()], np.bool_)
        for area in self.areas:
            seen[area] = True
        return seen


def sample_of(layers: Mapping[Hashable, xr.Variable], places: Places, *, most: float) -> Sample:
    """Return which blocks are computed of lazy layers that have more than `most` pixels to compute.

    Parameters
    ----------
    layers : mapping of name to Variable
        On dask.
    places : mapping of dim to array
        Which rows and columns are shown.
    most : float
        Pixels of a layer.
    """
    large = {n: v for n, v in layers.items() if _computed(v, places) > most}
    if not large:
        return Sample({}, places, 1, [])
    # of one choice of blocks, as layers share what they are made of
    largest = max(large.values(), key=lambda v: _computed(v, places))
    down, across = (_shown(largest, dim, p) for dim, p in places.items())
    blocks = len(down) * len(across)
    allowed = max(1, int(most / _computed(largest, places) * blocks))
    every = -(-blocks // allowed)
    if every == 1:
        return Sample({}, places, 1, [])
    stride = _coprime(every)
    grid = itertools.product(enumerate(down), enumerate(across))
    # with the middle one, where there is more to see than at a corner
    middle = len(down) // 2 + stride * (len(across) // 2)
    areas = [(r, c) for (i, r), (j, c) in grid if (i + stride * j - middle) % every == 0]
    return Sample(large, places, every, areas)


def _computed(variable: xr.Variable, places: Places) -> float:
    """Return how many pixels are computed for those that are shown: whole blocks."""
    others = [n for dim, n in variable.sizes.items() if dim not in places]
    sides = [
        sum(b - a for a, b in _cuts(variable, dim) if _within(p, a, b)) for dim, p in places.items()
    ]
    return float(math.prod(others) * math.prod(sides))


def _shown(variable: xr.Variable, dim: Hashable, places: NDArray[np.intp]) -> list[slice]:
    """Return the blocks of a dim as slices of what is shown of them, without those of nothing."""
    edges = [np.searchsorted(places, cut) for cut in _cuts(variable, dim)]
    return [slice(int(a), int(b)) for a, b in edges if b > a]


def _cuts(variable: xr.Variable, dim: Hashable) -> list[tuple[int, int]]:
    ends = [0, *itertools.accumulate(variable.chunksizes[dim])]
    return list(itertools.pairwise(ends))


def _within(places: NDArray[np.intp], start: int, stop: int) -> bool:
    return bool(np.searchsorted(places, start) < np.searchsorted(places, stop))


def _slice(places: NDArray[np.intp]) -> slice:
    step = int(places[1] - places[0]) if places.size > 1 else 1
    return slice(int(places[0]), int(places[-1]) + 1, step)


def _coprime(number: int) -> int:
    """Return a stride near the golden ratio of a number, through which it comes to every rest."""
    near = range(max(1, round(number * GOLDEN)), number + 1)
    return next((k for k in near if math.gcd(k, number) == 1), 1)
