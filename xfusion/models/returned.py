"""What a model returns: said before it is called, and checked when it is."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from xfusion.datamodel.graph import InGraph

Kind: TypeAlias = Literal["mean", "samples", "mean_and_variance"]
Model: TypeAlias = Callable[..., Any]

OTHERWISE = (
    "of samples say xf.models.samples(model, count), of mean and variance "
    "xf.models.mean_and_variance(model); of classes return the plane of one"
)


class Seeds(NamedTuple):
    """What a model may draw its noise from."""

    of_pass: int
    """The same in all tiles."""
    of_tiles: list[int]

    def of_member(self, number: int) -> Seeds:
        """Return those of a model of several: each draws noise of its own."""
        of_pass, *of_tiles = (derived(s, number) for s in (self.of_pass, *self.of_tiles))
        return Seeds(of_pass, of_tiles)


class Draw(NamedTuple):
    """One sample of each pixel of a batch, and the variance that a model knows of it."""

    mean: NDArray[Any]
    variance: NDArray[Any] | None


def derived(seed: int, *numbers: int) -> int:
    """Return a seed below 2^32, as all libraries take, that differs with each of the numbers."""
    return int(np.random.SeedSequence(seed, spawn_key=numbers).generate_state(1)[0])


@dataclass(frozen=True)
class Returning(InGraph):
    """A model, and what it returns of pixels (batch, band, y, x)."""

    model: Model
    kind: Kind = "mean"
    count: int = 1
    """How many samples of each pixel."""
    log: bool = False
    """Whether the variance is its logarithm."""

    def __post_init__(self) -> None:
        """Refuse what cannot be called, or says already what it returns."""
        given: Any = self.model
        if isinstance(given, Returning | Ensemble):
            msg = (
                f"the model is {type(given).__name__.lower()} already: say of each model "
                "itself what it returns, and put an ensemble around them"
            )
            raise TypeError(msg)
        if any(of.__module__.startswith("torch.nn.") for of in type(self.model).__mro__):
            msg = "the model is a torch module: xf.models.torch(module), which takes numpy arrays"
            raise TypeError(msg)
        if not callable(given):
            msg = (
                f"the model is {type(self.model).__name__}: give a callable of arrays (batch, "
                "band, y, x), xf.models.torch(module) or xf.models.onnx(path)"
            )
            raise TypeError(msg)

    def __call__(self, pixels: NDArray[Any], **seeds: Any) -> Any:
        """Return what the model returns."""
        return self.model(pixels, **seeds)

    @property
    def name(self) -> str:
        """What provenance calls it."""
        own = getattr(self.model, "name", None) or getattr(self.model, "__name__", None)
        return own if isinstance(own, str) else type(self.model).__name__

    @property
    def takes_seed(self) -> bool:
        """Whether it draws noise from a seed."""
        return bool({"seed", "tile_seeds"} & self._takes)

    @property
    def has_variance(self) -> bool:
        """Whether it knows the variance of what it returns."""
        return self.kind == "mean_and_variance"

    @property
    def _takes(self) -> set[str]:
        # an adapter of ours takes them, but may have nothing to draw
        if not getattr(self.model, "takes_seed", True):
            return set()
        try:
            return {*inspect.signature(self.model).parameters}
        except (TypeError, ValueError):  # of functions in C
            return set()

    def draws(self, pixels: NDArray[Any], seeds: Seeds) -> Iterator[Draw]:
        """Yield the samples of a batch that one call gives.

        Parameters
        ----------
        pixels : array, shape (batch, band, y, x)
        seeds : Seeds

        Raises
        ------
        ValueError
            If the model returns what it was not said to.
        """
        given = {"seed": seeds.of_pass, "tile_seeds": seeds.of_tiles}
        found = self.model(pixels, **{k: v for k, v in given.items() if k in self._takes})
        if self.has_variance:
            if not (isinstance(found, tuple | list) and len(found) == 2):  # noqa: PLR2004  # a pair
                msg = f"the model {self.name} returned {_what(found)}, not a mean and a variance"
                raise ValueError(msg)
            mean, variance = (self._planes(each, pixels) for each in found)
            yield Draw(mean, np.exp(variance) if self.log else variance)
        elif self.kind == "samples":
            yield from self._samples(found, pixels)
        else:
            yield Draw(self._planes(found, pixels), None)

    def _planes(self, found: Any, pixels: NDArray[Any]) -> NDArray[Any]:
        """Return planes (batch, y, x)."""
        batch, _, rows, columns = pixels.shape
        array = _array(found)
        if array is not None and array.shape == (batch, 1, rows, columns):
            array = array[:, 0]
        if array is None or array.shape != (batch, rows, columns):
            msg = (
                f"the model {self.name} returned {_what(found)} of pixels of shape {pixels.shape}, "
                f"not floats of shape {(batch, rows, columns)}; {OTHERWISE}"
            )
            raise ValueError(msg)
        return array

    def _samples(self, found: Any, pixels: NDArray[Any]) -> Iterator[Draw]:
        batch, _, rows, columns = pixels.shape
        array, expected = _array(found), (batch, self.count, rows, columns)
        if array is None or array.shape != expected:
            msg = (
                f"the model {self.name} returned {_what(found)} of pixels of shape {pixels.shape}, "
                f"not {self.count} samples of them, floats of shape {expected}"
            )
            raise ValueError(msg)
        for k in range(self.count):
            yield Draw(array[:, k], None)


@dataclass(frozen=True)
class Ensemble(InGraph):
    """Several models, each of which gives samples of the same pixels."""

    models: tuple[Returning, ...]

    @property
    def count(self) -> int:
        """How many samples of each pixel."""
        return sum(model.count for model in self.models)

    @property
    def name(self) -> str:
        """What provenance calls it."""
        names = dict.fromkeys(model.name for model in self.models)
        return f"ensemble of {len(self.models)}: {', '.join(names)}"

    @property
    def takes_seed(self) -> bool:
        """Whether each draws noise from a seed."""
        return all(model.takes_seed for model in self.models)

    @property
    def has_noise(self) -> bool:
        """Whether any of them draws noise."""
        return any(model.takes_seed for model in self.models)

    @property
    def has_variance(self) -> bool:
        """Whether they know the variance of what they return."""
        return self.models[0].has_variance

    def draws(self, pixels: NDArray[Any], seeds: Seeds) -> Iterator[Draw]:
        """Yield the samples of a batch, model by model; see :class:`Returning`."""
        for number, model in enumerate(self.models):
            yield from model.draws(pixels, seeds.of_member(number))


def as_returning(model: Model | Returning | Ensemble) -> Returning | Ensemble:
    """Return a model with what it returns: means, unless it says otherwise."""
    return model if isinstance(model, Returning | Ensemble) else Returning(model)


def _array(found: Any) -> NDArray[Any] | None:
    array = found if hasattr(found, "dtype") and hasattr(found, "shape") else None
    if array is None:
        return None
    array = np.asarray(array)
    return array if array.dtype.kind == "f" else None


def _what(found: Any) -> str:
    """Return what a model returned, for messages."""
    if isinstance(found, tuple | list):
        return f"{type(found).__name__} of {len(found)}"
    if hasattr(found, "shape"):
        return f"{getattr(found, 'dtype', type(found).__name__)} of shape {tuple(found.shape)}"
    return type(found).__name__
