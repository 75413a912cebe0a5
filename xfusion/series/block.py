"""One filter or smoother with all its arguments, checked, and its work on a block of pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from xfusion.datamodel.graph import InGraph
from xfusion.fusion.block import FusionTask, refuse_what_is_no_probability
from xfusion.kernels.parallel import map_ranges

from .models import OwnModel, RandomWalk, RowModel, StateModel, TwoStates
from .timeline import NONE, Step

LENGTH = 1 << 16  # pixels whose looks are fused together
STRIP = 1 << 13  # pixels whose states at all dates fit a cache
DTYPES: dict[str, Any] = {  # of what goes with mu and sigma
    "mask": np.uint8,
    "source": np.uint8,
    "conflict": np.bool_,
    "age": np.float32,
    "count": np.uint16,
}


Planes: TypeAlias = Sequence[NDArray[Any]] | NDArray[Any]  # of a cube, one at each time


class Look(NamedTuple):
    """What one retrieval saw at one date."""

    cube: int
    """Which of the cubes it is in."""
    at: int
    """At which of its times."""
    bit: int
    """Which sensor it is of."""


class State(NamedTuple):
    """What is known of some pixels at one time; arrays of shape (pixels,)."""

    mean: NDArray[Any]
    deviation: NDArray[Any]
    conflict: NDArray[np.bool_]
    age: NDArray[np.float32]
    looks: NDArray[np.uint16]


class Seen(NamedTuple):
    """What was seen of some pixels, fused at each date; arrays of shape (dates, pixels)."""

    mean: NDArray[Any]
    deviation: NDArray[Any]
    sensors: NDArray[np.uint8]
    looks: NDArray[np.uint8]
    conflict: NDArray[np.bool_]


@dataclass(frozen=True)
class SeriesTask(InGraph):
    """A model with all its arguments, to be carried through the time of any block; picklable."""

    steps: tuple[Step, ...]
    looks: tuple[tuple[Look, ...], ...]
    """Of each date."""
    fusions: tuple[FusionTask, ...]
    """Of the looks at each date."""
    model: str | StateModel
    smooth: bool
    unknown: int
    """Flag of a pixel of which nothing is known."""

    @property
    def time_count(self) -> int:
        """How many times the result has."""
        return 1 + max(step.result for step in self.steps)

    def on_block(
        self,
        mus: Sequence[Planes],
        sigmas: Sequence[Planes],
        masks: Sequence[Planes | None],
        conflicts: Sequence[Planes | None],
        *,
        parameters: Sequence[NDArray[np.float64]],
        start: State | None,
        dtype: np.dtype[Any],
        threads: int | None,
    ) -> dict[str, NDArray[Any]]:
        """Filter, or smooth, one block.

        Parameters
        ----------
        mus, sigmas, masks, conflicts : sequences of sequences of arrays, shape (...)
            Of each cube, at each of its times.
        parameters : sequence of arrays, shape (...) or (1,)
            Of the model: `q`; or long-run share, sum of rates and prior.
        start : State, optional
            What is known before the first date; arrays of shape (...).
        dtype : dtype
            Of the result.
        threads : int or None
            1 to stay in the calling thread, None for one thread per core.

        Returns
        -------
        dict of arrays
            The layers of the result by name, shape (times of the result, ...).
        """
        shape = mus[0][0].shape
        if start is not None:
            self._check(start.mean, start.looks > 0)
        pixels = int(np.prod(shape))
        times = self.time_count
        dtypes: dict[str, Any] = {"mu": dtype, "sigma": dtype, **DTYPES}
        layers = {name: np.empty((times, pixels), kind) for name, kind in dtypes.items()}
        mus, sigmas = ([_flat(cube) for cube in cubes] for cubes in (mus, sigmas))
        masks, conflicts = (
            [None if planes is None else _flat(planes) for planes in cubes]
            for cubes in (masks, conflicts)
        )

        def on_range(first: int, stop: int) -> None:
            seen = self.seen(mus, sigmas, masks, conflicts, first, stop, dtype)
            for here in range(first, stop, STRIP):
                part = slice(here, min(stop, here + STRIP))
                rows = Seen._make(row[:, part.start - first : part.stop - first] for row in seen)
                model = self._model(
                    [p.reshape(-1) if p.size == 1 else _strip(p, part) for p in parameters]
                )
                state = None if start is None else State._make(_strip(a, part) for a in start)
                out = {name: layer[:, part] for name, layer in layers.items()}
                self._through_time(model, rows, state, out)

        map_ranges(on_range, pixels, threads=threads, length=LENGTH)
        return {name: layer.reshape(times, *shape) for name, layer in layers.items()}

    def _model(self, parameters: Sequence[NDArray[np.float64]]) -> RowModel:
        if self.model == "random_walk":
            return RandomWalk(*parameters)
        if self.model == "two_state":
            return TwoStates(*parameters)
        assert isinstance(self.model, StateModel)  # noqa: S101  # there is no other name
        return OwnModel(self.model)

    def seen(
        self,
        mus: Sequence[Planes],
        sigmas: Sequence[Planes],
        masks: Sequence[Planes | None],
        conflicts: Sequence[Planes | None],
        first: int,
        stop: int,
        dtype: np.dtype[Any],
    ) -> Seen:
        """Return what all looks at each date saw, fused as :func:`xfusion.gaussian` does."""
        shape = (len(self.looks), stop - first)
        kinds = dtype, dtype, np.uint8, np.uint8, np.bool_
        seen = Seen._make(np.empty(shape, kind) for kind in kinds)
        for date, looks in enumerate(self.looks):
            fused = self.fusions[date].fuse_block(
                tuple(mus[look.cube][look.at][first:stop] for look in looks),
                tuple(sigmas[look.cube][look.at][first:stop] for look in looks),
                tuple(_some(masks[look.cube], look.at, first, stop) for look in looks),
                threads=1,
            )
            who = fused["source"]
            sensors = np.zeros_like(who)
            for place, look in enumerate(looks):
                has_part = (who >> np.uint8(place)) & np.uint8(1)
                sensors |= has_part << np.uint8(look.bit)
                # one by one: a mean of several may be a probability where they are none
                self._check(mus[look.cube][look.at][first:stop], has_part)
                before = _some(conflicts[look.cube], look.at, first, stop)
                if before is not None:
                    fused["conflict"] |= before & (has_part > 0)
            seen.mean[date], seen.deviation[date] = fused["mu"], fused["sigma"]
            seen.sensors[date], seen.looks[date] = sensors, np.bitwise_count(who)
            seen.conflict[date] = fused["conflict"]
        return seen

    def _check(self, mu: NDArray[Any], counts: NDArray[Any]) -> None:
        """Refuse what counts and is no probability, if the model takes these alone."""
        if self.model != "two_state":
            return
        from xfusion.kernels.pair_counts import SLACK

        strange = ((mu < -SLACK) | (mu > 1.0 + SLACK)) & (counts != 0)
        if strange.any():
            refuse_what_is_no_probability(float(mu[strange][0]))

    def _through_time(
        self,
        model: RowModel,
        seen: Seen,
        start: State | None,
        out: dict[str, NDArray[Any]],
    ) -> None:
        """Carry a strip of pixels forward, and back if it is to be smoothed."""
        from xfusion.kernels import looks

        dates, pixels = seen.mean.shape
        # of all dates, and of what was known before the first
        means, deviations = (np.empty((dates + 1, pixels), out["mu"].dtype) for _ in range(2))
        age, count = np.empty(pixels, np.float32), np.empty(pixels, np.uint16)
        conflict = np.empty(pixels, np.bool_)
        known: Any = (np.nan, np.nan, False, np.nan, 0) if start is None else start
        means[0], deviations[0], conflict[:], age[:], count[:] = known
        for step in self.steps:
            before = means[step.date + 1 - step.is_date], deviations[step.date + 1 - step.is_date]
            if step.is_date:
                here = step.date
                after = means[here + 1], deviations[here + 1]
                looked = seen.mean[here], seen.deviation[here]
                model.learn(looked, before, step.days, after)
                looks.tally(seen.looks[here], step.days, age, count, age, count)
                # that of the last looks, as what they saw is most of what is known
                np.copyto(conflict, seen.conflict[here], where=seen.looks[here] > 0)
            if step.result == NONE:
                continue
            layers = {name: layer[step.result] for name, layer in out.items()}
            layers["source"][:] = seen.sensors[step.date] if step.is_date else 0
            layers["conflict"][:] = conflict
            layers["age"][:] = age if step.is_date else age + np.float32(step.days)
            layers["count"][:] = count
            if step.is_date:
                layers["mu"][:], layers["sigma"][:] = after
            elif step.days < 0:
                model.hindcast(before, -step.days, (layers["mu"], layers["sigma"]))
            else:
                model.foresee(before, step.days, (layers["mu"], layers["sigma"]))
        if self.smooth:
            out["count"][:] = count
            self._back(model, means, deviations, out)
        unknown = np.uint8(self.unknown)
        np.multiply(~np.isfinite(out["mu"]), unknown, out=out["mask"], dtype=np.uint8)

    def _back(
        self,
        model: RowModel,
        means: NDArray[Any],
        deviations: NDArray[Any],
        out: dict[str, NDArray[Any]],
    ) -> None:
        """Replace what was filtered by what is known of it later."""
        last = len(means) - 1
        after = means[last].astype(np.float64), deviations[last].astype(np.float64) ** 2
        nothing = np.full_like(means[0], np.nan)
        for step in reversed(self.steps):
            row = step.date + 1
            if row == last:  # nothing was seen later
                continue
            since = 0.0 if step.is_date else max(0.0, step.days)
            # what was known on the first date says no more of the time before than that date does
            state = (nothing, nothing) if step.days < 0 else (means[row], deviations[row])
            now = after if step.is_date else (np.empty_like(after[0]), np.empty_like(after[1]))
            model.reach_back(state, since, since + step.ahead, after, now)
            if step.result != NONE:
                out["mu"][step.result] = now[0]
                out["sigma"][step.result] = np.sqrt(now[1])


def _flat(planes: Planes) -> list[NDArray[Any]]:
    return [plane.reshape(-1) for plane in planes]


def _some(planes: Planes | None, at: int, first: int, stop: int) -> NDArray[Any] | None:
    return None if planes is None else planes[at][first:stop]


def _strip(values: NDArray[Any], part: slice) -> NDArray[Any]:
    """Return some pixels of a map, in an array of their own: kernels are compiled for one kind."""
    return np.array(values.reshape(-1)[part])
