"""What layers of dropout drop in a pass, from seeds of its own and not from torch's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

OF_CHANNELS = ("Dropout1d", "Dropout2d", "Dropout3d")
OF_VALUES = "Dropout"
FLAT = 2  # dims of what has no pixels: batch and channel


def dropouts(module: Module) -> Iterator[tuple[Module, bool]]:
    """Yield the layers of dropout, and whether each drops whole channels."""
    from torch.nn.modules.dropout import _DropoutNd

    for name, layer in module.named_modules():
        if isinstance(layer, _DropoutNd):
            kind = type(layer).__name__
            if kind not in (*OF_CHANNELS, OF_VALUES):
                msg = (
                    f"the layer {name!r} is {kind}, whose noise is not known: of dropout there are "
                    f"{[OF_VALUES, *OF_CHANNELS]}; put one of these in its place, or dropout=False"
                )
                raise ValueError(msg)
            yield layer, kind in OF_CHANNELS


@contextmanager
def dropping(module: Module, seed: int, tile_seeds: Sequence[int]) -> Iterator[None]:
    """Let layers of dropout drop, which in evaluation mode return what they get."""
    noise = _Noise(seed, tile_seeds)
    hooks = [
        layer.register_forward_hook(noise.of_channels if channels else noise.of_values)
        for layer, channels in dropouts(module)
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


class _Noise:
    """What a pass drops: of channels the same in all tiles, of values of each its own."""

    def __init__(self, seed: int, tile_seeds: Sequence[int]) -> None:
        self._seeds = seed, *tile_seeds
        self._generators: list[Any] = []

    def of_channels(self, layer: Any, _: Any, output: Tensor) -> Tensor:
        """Drop whole channels."""
        shape = (1, output.shape[1], *(1,) * (output.ndim - FLAT))
        return output * self._kept(layer, shape, output, 0)

    def of_values(self, layer: Any, _: Any, output: Tensor) -> Tensor:
        """Drop values, or channels where there are no pixels."""
        if output.ndim <= FLAT:
            return self.of_channels(layer, None, output)
        import torch as library

        tiles = len(self._seeds) - 1
        if len(output) % tiles:
            msg = (
                f"{layer} is given {len(output)} items of {tiles} tiles: which are of which is "
                "not known; batch=1 lets the network see one tile at a time"
            )
            raise ValueError(msg)
        # of each tile one, or as many as windows or tokens were made of it
        shape = (len(output) // tiles, *output.shape[1:])
        each = [self._kept(layer, shape, output, 1 + k) for k in range(tiles)]
        return output * library.cat(each)

    def _kept(self, layer: Any, shape: tuple[int, ...], like: Tensor, number: int) -> Tensor:
        """Return 0 for what is dropped, and what makes up for it for the rest."""
        import torch as library

        if layer.p >= 1:
            return library.zeros(shape, dtype=like.dtype, device=like.device)
        if not self._generators:
            for seed in self._seeds:
                self._generators.append(library.Generator(like.device).manual_seed(seed))
        drawn = library.rand(shape, generator=self._generators[number], device=like.device)
        return (drawn >= layer.p).to(like.dtype) / (1 - layer.p)
