"""What happens between two looks at a pixel: the models of time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from xfusion.datamodel.graph import InGraph

ModelName: TypeAlias = Literal["random_walk", "two_state"]
Row: TypeAlias = NDArray[Any]
Rows: TypeAlias = tuple[Row, Row]  # mean, and standard deviation or variance


@runtime_checkable
class StateModel(Protocol):
    """A model of one's own: what becomes of a state in time, and what a look adds to it.

    Rows are arrays of float64, shape (pixels,). Both methods are called for pixels that are known:
    what a pixel is before its first look, and what is not seen, they need not care about. For runs
    on clusters, and stores that are resumed, it can be pickled, and has a ``repr`` that says all.

    Examples
    --------
    A level whose sigma grows by so much a day:

    >>> import numpy as np, xfusion as xf
    >>> from dataclasses import dataclass
    >>> @dataclass
    ... class Level:
    ...     growth: float
    ...
    ...     def predict(self, mu, sigma, days):
    ...         return mu, sigma + self.growth * abs(days)
    ...
    ...     def update(self, mu, sigma, seen, seen_sigma):
    ...         share = sigma**2 / (sigma**2 + seen_sigma**2)
    ...         return mu + share * (seen - mu), sigma * np.sqrt(1 - share)
    >>> days = np.array(["2023-06-20", "2023-06-22"], "datetime64[ns]")
    >>> ones = np.ones((2, 1, 1))
    >>> cube = xf.retrieval(ones * [[[1]], [[3]]], ones).assign_coords(time=days)
    >>> xf.filter(cube, model=Level(0.5)).mu.values.ravel().round(2)
    array([1. , 2.6])
    """

    def predict(self, mu: Row, sigma: Row, days: float) -> tuple[Row, Row]:
        """Return mean and standard deviation `days` later."""

    def update(self, mu: Row, sigma: Row, seen: Row, seen_sigma: Row) -> tuple[Row, Row]:
        """Return mean and standard deviation with one more look."""


@runtime_checkable
class ReversibleModel(StateModel, Protocol):
    """A model of one's own that can look back as well, as far as the first look at a pixel.

    Examples
    --------
    A level that is steady until it is seen again is at any time as it is known then:

    >>> import numpy as np, xfusion as xf
    >>> from dataclasses import dataclass
    >>> @dataclass
    ... class Steady:
    ...     def predict(self, mu, sigma, days):
    ...         return mu, sigma
    ...
    ...     def update(self, mu, sigma, seen, seen_sigma):
    ...         share = sigma**2 / (sigma**2 + seen_sigma**2)
    ...         return mu + share * (seen - mu), sigma * np.sqrt(1 - share)
    ...
    ...     def smooth(self, mu, sigma, days, next_mu, next_sigma, ahead):
    ...         return next_mu, next_sigma
    >>> days = np.array(["2023-06-20", "2023-06-22"], "datetime64[ns]")
    >>> ones = np.ones((2, 1, 1))
    >>> cube = xf.retrieval(ones * [[[1]], [[3]]], ones).assign_coords(time=days)
    >>> xf.smooth(cube, model=Steady()).mu.values.ravel()
    array([2., 2.])
    """

    def smooth(
        self, mu: Row, sigma: Row, days: float, next_mu: Row, next_sigma: Row, ahead: float
    ) -> tuple[Row, Row]:
        """Return what is known of a time by all looks, before and after it.

        Parameters
        ----------
        mu, sigma : arrays
            As filtered, at the last date before that time.
        days : float
            From that date to the time.
        next_mu, next_sigma : arrays
            As smoothed, at the next date.
        ahead : float
            From the time to the next date.
        """


@runtime_checkable
class HindcastModel(ReversibleModel, Protocol):
    """A model of one's own that knows what a pixel was before its first look, too.

    Examples
    --------
    A level that is steady was the same before it was seen:

    >>> import numpy as np, xfusion as xf
    >>> from dataclasses import dataclass
    >>> @dataclass
    ... class Steady:
    ...     def predict(self, mu, sigma, days):
    ...         return mu, sigma
    ...
    ...     def update(self, mu, sigma, seen, seen_sigma):
    ...         share = sigma**2 / (sigma**2 + seen_sigma**2)
    ...         return mu + share * (seen - mu), sigma * np.sqrt(1 - share)
    ...
    ...     def smooth(self, mu, sigma, days, next_mu, next_sigma, ahead):
    ...         return next_mu, next_sigma
    ...
    ...     def hindcast(self, mu, sigma, days):
    ...         return mu, sigma
    >>> days = np.array(["2023-06-20", "2023-06-22"], "datetime64[ns]")
    >>> ones = np.ones((2, 1, 1))
    >>> cube = xf.retrieval(ones * [[[1]], [[3]]], ones).assign_coords(time=days)
    >>> before = np.array(["2023-06-19"], "datetime64[ns]")
    >>> xf.smooth(cube, model=Steady(), times=before).mu.item()
    2.0
    """

    def hindcast(self, mu: Row, sigma: Row, days: float) -> tuple[Row, Row]:
        """Return mean and standard deviation `days` earlier, when nothing was seen yet."""


class RowModel(Protocol):
    """What goes on in a row of pixels, see :mod:`xfusion.kernels.random_walk`."""

    def learn(self, seen: Rows, state: Rows, days: float, out: Rows) -> None:
        """Carry a state to a date and add what was seen."""

    def foresee(self, state: Rows, days: float, out: Rows) -> None:
        """Carry a state to a time at which nothing was seen."""

    def hindcast(self, state: Rows, days: float, out: Rows) -> None:
        """Carry a state to a time before anything was seen."""

    def reach_back(self, state: Rows, since: float, days: float, after: Rows, out: Rows) -> None:
        """Return what is known by what was seen before and after."""


@dataclass(frozen=True)
class RandomWalk(InGraph):
    """A quantity whose variance grows by `q` each day, for a row of pixels."""

    q: Row

    def learn(self, seen: Rows, state: Rows, days: float, out: Rows) -> None:
        """Carry a row to a date, and add what was seen."""
        from xfusion.kernels import random_walk

        random_walk.learn(*seen, state[0], state[1], days, self.q, *out)

    def foresee(self, state: Rows, days: float, out: Rows) -> None:
        """Carry a row to a time at which nothing was seen."""
        from xfusion.kernels import random_walk

        random_walk.foresee(state[0], state[1], days, self.q, *out)

    def hindcast(self, state: Rows, days: float, out: Rows) -> None:
        """Carry a row to a time before anything was seen: its steps are as large that way."""
        self.foresee(state, days, out)

    def reach_back(self, state: Rows, since: float, days: float, after: Rows, out: Rows) -> None:
        """Return what is known of a row by what was seen before and after."""
        from xfusion.kernels import random_walk

        random_walk.reach_back(*state, since, days, self.q, *after, *out)


@dataclass(frozen=True)
class TwoStates(InGraph):
    """Wet or dry, with a rate from either to the other, for a row of pixels."""

    share: Row
    pace: Row
    prior: Row

    def learn(self, seen: Rows, state: Rows, days: float, out: Rows) -> None:
        """Carry a row to a date, and add what was seen."""
        from xfusion.kernels import two_state

        two_state.learn(seen[0], state[0], days, self.share, self.pace, self.prior, *out)

    def foresee(self, state: Rows, days: float, out: Rows) -> None:
        """Carry a row to a time at which nothing was seen."""
        from xfusion.kernels import two_state

        two_state.foresee(state[0], days, self.share, self.pace, *out)

    def hindcast(self, state: Rows, days: float, out: Rows) -> None:
        """Carry a row to a time before anything was seen: a chain in its long run has no arrow."""
        self.foresee(state, days, out)

    def reach_back(self, state: Rows, since: float, days: float, after: Rows, out: Rows) -> None:
        """Return what is known of a row by what was seen before and after."""
        from xfusion.kernels import two_state

        two_state.reach_back(state[0], since, days, self.share, self.pace, after[0], *out)


@dataclass(frozen=True)
class OwnModel:
    """A model of the caller's, for a row of pixels."""

    model: StateModel

    def learn(self, seen: Rows, state: Rows, days: float, out: Rows) -> None:
        """Carry a row to a date, and add what was seen."""
        y, r = (row.astype(np.float64) for row in seen)
        mu, sigma = self._later(state, days)
        known, new = np.isfinite(mu), np.isfinite(y)
        first, both = new & ~known, new & known
        mu[first], sigma[first] = y[first], r[first]
        if both.any():
            mu[both], sigma[both] = self.model.update(mu[both], sigma[both], y[both], r[both])
        out[0][:], out[1][:] = mu, sigma

    def foresee(self, state: Rows, days: float, out: Rows) -> None:
        """Carry a row to a time at which nothing was seen."""
        out[0][:], out[1][:] = self._later(state, days)

    def hindcast(self, state: Rows, days: float, out: Rows) -> None:
        """Carry a row to a time before anything was seen, if the model says how."""
        mu, sigma = (row.astype(np.float64) for row in state)
        known = np.isfinite(mu)
        mu[known], sigma[known] = self._earlier(mu[known], sigma[known], days)
        out[0][:], out[1][:] = mu, sigma

    def _later(self, state: Rows, days: float) -> tuple[Row, Row]:
        mu, sigma = (row.astype(np.float64) for row in state)
        known = np.isfinite(mu)
        if days and known.any():
            mu[known], sigma[known] = self.model.predict(mu[known], sigma[known], days)
        return mu, sigma

    def reach_back(self, state: Rows, since: float, days: float, after: Rows, out: Rows) -> None:
        """Return what is known of a row by what was seen before and after."""
        assert isinstance(self.model, ReversibleModel)  # noqa: S101  # check_model saw that it is
        mu, sigma = (row.astype(np.float64) for row in state)
        mean, deviation = after[0].copy(), np.sqrt(after[1])
        known = np.isfinite(mu)
        if known.any():
            mean[known], deviation[known] = self.model.smooth(
                mu[known], sigma[known], since, mean[known], deviation[known], days - since
            )
        first = ~known & np.isfinite(mean)
        if days > since and first.any():
            mean[first], deviation[first] = self._earlier(
                mean[first], deviation[first], days - since
            )
        out[0][:], out[1][:] = mean, deviation**2

    def _earlier(self, mu: Row, sigma: Row, days: float) -> Rows:
        """Return what the model says of the time before; nothing if it does not say."""
        if isinstance(self.model, HindcastModel):
            return self.model.hindcast(mu, sigma, days)
        nothing = np.full_like(mu, np.nan)
        return nothing, nothing
