"""One prediction with all its arguments, and its work on a block of tiles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xfusion.datamodel.flags import Exclusion
from xfusion.datamodel.graph import InGraph
from xfusion.datamodel.names import ALEATORIC_PART, EPISTEMIC_PART, MASK, MU, SIGMA
from xfusion.kernels.running_moments import RunningMoments

from .returned import Ensemble, Returning, Seeds, derived
from .tile_grid import Block, Tile, TileGrid


@dataclass(frozen=True)
class Prediction(InGraph):
    """A model with all that is to be done with what it returns; picklable where the model is."""

    model: Returning | Ensemble
    grid: TileGrid
    passes: int
    seed: int
    fill: float
    sigma: float | None
    """Of a model of which nothing else tells it."""
    factor: float
    """What a spread of so few samples is multiplied with."""
    bounded: tuple[float, float] | None
    dtype: np.dtype[Any]

    @property
    def count(self) -> int:
        """How many samples of each pixel."""
        return self.passes * self.model.count

    @property
    def has_parts(self) -> bool:
        """Whether both the spread of samples and a variance are known."""
        return self.model.has_variance and self.count > 1

    @property
    def layers(self) -> dict[str, np.dtype[Any]]:
        """The layers of the result, by name."""
        parts = (EPISTEMIC_PART, ALEATORIC_PART) if self.has_parts else ()
        return {MU: self.dtype, SIGMA: self.dtype, MASK: np.dtype(np.uint8)} | dict.fromkeys(
            parts, self.dtype
        )

    def on(self, region: NDArray[Any], block: Block) -> tuple[NDArray[Any], ...]:
        """Return the layers of a block.

        Parameters
        ----------
        region : array, shape (band, rows, columns)
            What the tiles of the block see of the scene.
        block : Block
        """
        out = {name: np.empty(block.shape, dtype) for name, dtype in self.layers.items()}
        valid = np.isfinite(region[0])
        for band in region[1:]:
            valid &= np.isfinite(band)
        if not valid.all():
            region = np.where(valid, region, region.dtype.type(self.fill))
        region, known = self._as_tall_as_a_tile(region, valid)
        tiles = []
        for tile in block.tiles:
            if known[tile.seen][tile.middle].any():
                tiles.append(tile)
                continue
            for name, layer in out.items():
                layer[tile.kept] = Exclusion.UNKNOWN if name == MASK else np.nan
        if tiles:
            pixels = _of_tiles(region, tiles)
            pixels.flags.writeable = False  # the next pass is given the same
            seen = [known[tile.seen][tile.middle] for tile in tiles]
            for tile, own, moments in zip(
                tiles, seen, self._predicted(pixels, tiles, seen), strict=True
            ):
                kept = {name: layer[tile.kept] for name, layer in out.items()}
                self._write(kept, own, *moments)
        return tuple(out.values())

    def _as_tall_as_a_tile(
        self, region: NDArray[Any], valid: NDArray[np.bool_]
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Return pixels that are mirrored where a scene is smaller than a tile: no model sees less.

        Networks halve their pixels several times, and files of them can be for one size.
        """
        lacking = [(0, max(0, self.grid.tile - length)) for length in valid.shape]
        if not np.any(lacking):
            return region, valid
        region = np.pad(region, [(0, 0), *lacking], mode="symmetric")
        return region, np.pad(valid, lacking)

    def _predicted(
        self, pixels: NDArray[Any], tiles: Sequence[Tile], valid: Sequence[NDArray[np.bool_]]
    ) -> list[tuple[RunningMoments, RunningMoments | None]]:
        """Return the moments of means and variances in the middles of tiles."""
        means = [RunningMoments(known.shape) for known in valid]
        variances = [RunningMoments(known.shape) for known in valid] if self.has_variance else []
        for number in range(self.passes):
            # of the number of a tile, not of its place in a batch
            each = [derived(self.seed, number, tile.number) for tile in tiles]
            for draw in self.model.draws(pixels, Seeds(derived(self.seed, number), each)):
                for k, (tile, known) in enumerate(zip(tiles, valid, strict=True)):
                    mean = draw.mean[k][tile.middle]
                    self._check_bounds(mean, known)
                    means[k].add(mean)
                    if draw.variance is not None:
                        variances[k].add(draw.variance[k][tile.middle])
        if not variances:
            return [(each, None) for each in means]
        return list(zip(means, variances, strict=True))

    @property
    def has_variance(self) -> bool:
        """Whether the model knows a variance."""
        return self.model.has_variance

    def _write(
        self,
        layers: dict[str, NDArray[Any]],
        known: NDArray[np.bool_],
        moments: RunningMoments,
        variances: RunningMoments | None,
    ) -> None:
        """Write the layers of the middle of a tile."""
        layers[MU][...] = moments.mean
        sigma = layers[SIGMA]
        if variances is not None:
            with np.errstate(invalid="ignore"):  # a negative one is told below
                aleatoric = np.sqrt(variances.mean)
            sigma[...] = aleatoric
            if self.has_parts:
                epistemic = moments.deviation * self.factor
                layers[EPISTEMIC_PART][...], layers[ALEATORIC_PART][...] = epistemic, aleatoric
                sigma[...] = np.hypot(epistemic, aleatoric)
        elif self.count > 1:
            sigma[...] = moments.deviation * self.factor
        else:
            sigma[...] = self.sigma
        self._check_finite(layers, known)
        np.multiply(~known, np.uint8(Exclusion.UNKNOWN), out=layers[MASK])
        if not known.all():
            for name, layer in layers.items():
                if name != MASK:
                    layer[~known] = np.nan

    def _check_bounds(self, mean: NDArray[Any], known: NDArray[np.bool_]) -> None:
        if self.bounded is None:
            return
        lower, upper = self.bounded
        wrong = known & ((mean < lower) | (mean > upper))
        if wrong.any():
            msg = (
                f"the model {self.model.name} returned {mean[wrong][0]}, bounded={self.bounded}: "
                "end it with what keeps within, such as a sigmoid, or leave bounded out"
            )
            raise ValueError(msg)

    def _check_finite(self, layers: dict[str, NDArray[Any]], known: NDArray[np.bool_]) -> None:
        for name, what in ((MU, "mean"), (SIGMA, "standard deviation")):
            wrong = known & ~np.isfinite(layers[name])
            if wrong.any():
                msg = (
                    f"what the model {self.model.name} returned has the {what} "
                    f"{layers[name][wrong][0]} in {int(wrong.sum())} pixels of a tile where all "
                    "bands have numbers: it must return a number there, and no negative variance"
                )
                raise ValueError(msg)


def _of_tiles(region: NDArray[Any], tiles: Sequence[Tile]) -> NDArray[Any]:
    """Return the pixels (batch, band, y, x) of tiles."""
    one, *others = (region[(slice(None), *tile.seen)] for tile in tiles)
    if others or one.shape != region.shape:
        return np.stack([one, *others])
    # all that there is, which need not be copied, but not be made read-only for others either
    return region.view()[None]
