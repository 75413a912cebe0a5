"""Mean and spread of samples that come one after the other."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LENGTH = 1 << 14  # values at a time: what is between a sample and its moments stays in the cache


class RunningMoments:
    """Mean and sum of squared deviations of the samples so far, of each pixel.

    In double precision, by Welford (1962): equal samples have a deviation of exactly 0, and those
    of a large mean lose none of theirs.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.count = 0
        self.mean: NDArray[np.float64] = np.empty(shape)
        self._squares: NDArray[np.float64] | None = None
        rows = max(1, LENGTH // max(1, int(np.prod(shape[1:]))))
        self._parts = [slice(k, k + rows) for k in range(0, shape[0], rows)]
        self._from_before: NDArray[np.float64] = np.empty((rows, *shape[1:]))
        self._from_now: NDArray[np.float64] = np.empty((rows, *shape[1:]))

    def add(self, sample: NDArray[np.floating]) -> None:
        """Add a sample of all pixels."""
        self.count += 1
        if self.count == 1:
            np.add(sample, 0.0, out=self.mean)
            return
        if self._squares is None:
            self._squares = np.zeros(self.mean.shape)
        for part in self._parts:
            each, mean, squares = sample[part], self.mean[part], self._squares[part]
            before, now = self._from_before[: len(each)], self._from_now[: len(each)]
            np.subtract(each, mean, out=before)
            np.divide(before, self.count, out=now)
            mean += now
            np.subtract(each, mean, out=now)
            before *= now
            squares += before

    @property
    def deviation(self) -> NDArray[np.float64]:
        """The sample standard deviation, of two samples or more."""
        assert self._squares is not None  # noqa: S101  # of one there is none
        return np.sqrt(self._squares / (self.count - 1))
