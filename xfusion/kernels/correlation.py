"""Errors that are correlated between sensors: best weights, chi-square, difference of a pixel."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .compile import compiled

NEGATIVE = -1e-12  # a weight, or a gradient, below it is more than a rounding error
RIDGE = 1e-8  # the smallest eigenvalue that a correlation matrix is given


class Correlation(NamedTuple):
    """Correlations of the errors of sensors, with what fusion needs of them."""

    matrix: NDArray[np.float64]
    """Shape (n, n)."""
    inverses: NDArray[np.float64]
    """Shape (2^n, n, n): for each set of sensors (bit i: sensor i) the inverse of its part of
    the matrix, 0 elsewhere. Of shape (0, 0, 0) where the errors are independent."""
    common: float
    """The correlation of any two sensors; NaN where pairs differ, or the errors are independent."""


@compiled
def convex(z: Any, usable: int, n: int, matrix: Any, inverses: Any, u: Any) -> None:
    """Minimise u'Ru / 2 - z'u over u >= 0: scaled, these are the best convex weights.

    Principal pivoting with the rule of Murty (1974): of the sensors on the wrong side the last
    one changes sides. It ends for every positive definite matrix.
    """
    active = usable
    for _ in range(4 << n):
        wrong = -1
        for i in range(n):
            u[i] = 0.0
            if (active >> i) & 1:
                for j in range(n):
                    u[i] += inverses[active, i, j] * z[j]
                if u[i] < NEGATIVE:
                    wrong = i
        for i in range(n):
            if (usable >> i) & 1 and not (active >> i) & 1:
                gradient = -z[i]
                for j in range(n):
                    if (active >> j) & 1:
                        gradient += matrix[i, j] * u[j]
                if gradient < NEGATIVE:
                    wrong = max(wrong, i)
        if wrong < 0:
            break
        active ^= 1 << wrong
    for i in range(n):
        u[i] = max(u[i], 0.0)


@compiled
def chi_square(x: Any, z: Any, usable: int, n: int, inverses: Any) -> float:
    """Return chi-square of residuals x = (m - any mean) / s about their own best mean.

    The part of x'R^-1 x that no mean explains. z are the reciprocals of s, in any unit.
    """
    total = along = norm = 0.0
    for i in range(n):
        if math.isinf(x[i]):
            return math.inf
        xi, zi = x[i], z[i]
        if inverses.size > 0:
            xi = zi = 0.0
            for j in range(n):
                xi += inverses[usable, i, j] * x[j]
                zi += inverses[usable, i, j] * z[j]
        total += x[i] * xi
        along += x[i] * zi
        norm += z[i] * zi
    return max(0.0, total - along * along / norm)


@compiled
def normalised(apart: float, s: float, t: float, rho: float) -> float:
    """Return a difference of two means in standard deviations, of correlated errors."""
    high = max(s, t)
    if apart == 0.0 or high == 0.0:
        return 0.0 if apart == 0.0 else math.copysign(math.inf, apart)
    a, b = s / high, t / high
    return apart / (high * math.sqrt(a * a + b * b - 2.0 * rho * a * b))


def correlated(matrix: NDArray[np.float64]) -> Correlation:
    """Prepare a correlation matrix for :func:`xfusion.kernels.rules.fuse`.

    Parameters
    ----------
    matrix : array, shape (n, n)
        Symmetric, positive semi-definite, 1 on the diagonal; n up to 8 unless it is the identity.

    Notes
    -----
    A singular matrix, as of a sensor that is given twice, is taken 1e-8 nearer to the identity:
    equal sensors then share their weight.
    """
    n = len(matrix)
    if not np.any(matrix - np.eye(n)):
        return Correlation(np.eye(0), np.empty((0, 0, 0)), math.nan)
    lacking = max(0.0, RIDGE - float(np.linalg.eigvalsh(matrix)[0]))
    regular = (matrix + lacking * np.eye(n)) / (1.0 + lacking)
    inverses = np.zeros((1 << n, n, n))
    for sensors in range(1, 1 << n):
        some = [i for i in range(n) if (sensors >> i) & 1]
        inverses[np.ix_([sensors], some, some)] = np.linalg.inv(regular[np.ix_(some, some)])
    pairs = regular[~np.eye(n, dtype=bool)]
    common = float(pairs[0]) if (pairs == pairs[0]).all() else math.nan
    return Correlation(regular, inverses, common)
