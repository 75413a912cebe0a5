"""Mean and spread of samples that come one after the other."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class RunningMoments:
    """Mean and sum of squared deviations of the samples so far, of each pixel.

    In double precision, by Welford (1962): equal samples have a deviation of exactly 0, and those
    of a large mean lose none of theirs.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.count = 0
        self.mean: NDArray[np.float64] = np.zeros(shape)
        self._squares: NDArray[np.float64] = np.zeros(shape)
        self._from_before: NDArray[np.float64] = np.empty(shape)
        self._from_now: NDArray[np.float64] = np.empty(shape)

    def add(self, sample: NDArray[np.floating]) -> None:
        """Add a sample of all pixels."""
        self.count += 1
        before, now = self._from_before, self._from_now
        np.subtract(sample, self.mean, out=before)
        np.divide(before, self.count, out=now)
        self.mean += now
        np.subtract(sample, self.mean, out=now)
        before *= now
        self._squares += before

    @property
    def deviation(self) -> NDArray[np.float64]:
        """The sample standard deviation, of two samples or more."""
        return np.sqrt(self._squares / (self.count - 1))
