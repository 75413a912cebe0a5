"""Maps that are fitted to counts: of means to probabilities, and of sigmas to sigmas."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Method: TypeAlias = Literal["isotonic", "beta", "platt", "sigma"]

STEPS = 100  # of Newton's method; it takes about 10
EXACT = 1e-10  # step of a coefficient, relative, that is none
FEWEST = 50  # residuals that tell a sigma, to a tenth


class Curve(NamedTuple):
    """A monotone map: through knots, or of three coefficients."""

    knots: tuple[tuple[float, float, int], ...] = ()
    """Where, what it becomes there, and how many pixels say so; rising."""
    coefficients: tuple[float, float, float] = (1.0, 1.0, 0.0)
    """Without knots, a, b and c of ``logit f = a log(mu) - b log(1 - mu) + c``."""

    def array(self) -> Floats:
        """Return the knots as an array of shape (knots, 3)."""
        return np.array(self.knots, float).reshape(-1, 3)

    def at(self, mu: Floats) -> Floats:
        """Return what means become."""
        from xfusion.kernels.calibrated import calibrate_means  # numba takes half a second

        knots, zeros = self.array(), np.zeros_like(mu)
        how: dict[str, Any] = {"coefficients": self.coefficients, "pixels": 1}
        how |= {"constant_sigma": None, "threads": 1}
        return calibrate_means(mu, zeros, None, knots=knots, **how)[0]

    def at_sigma(self, sigma: Floats) -> Floats:
        """Return what sigmas become."""
        from xfusion.kernels.calibrated import scale_sigma  # as above

        return scale_sigma(sigma, knots=self.array(), threads=1)


class Pairs(NamedTuple):
    """How many pixels of each mean are dry and wet."""

    mu: Floats
    dry: Floats
    wet: Floats


class Squares(NamedTuple):
    """How many pixels of each sigma there are, and the sum of their squared residuals."""

    sigma: Floats
    number: Floats
    squares: Floats
    """In the units of sigma, squared."""


def fitted(method: Method, pairs: Pairs) -> Curve:
    """Return the map of means to probabilities by a method."""
    return _isotonic(pairs) if method == "isotonic" else _logistic(pairs, beta=method == "beta")


def fitted_sigma(squares: Squares) -> Curve:
    """Return the rising map of sigmas to those that the residuals have.

    Sigmas are put together until there are FEWEST of them, then pooled where the mean square does
    not rise (isotonic regression, with the number of pixels as weights).
    """
    table = np.array(squares)
    ends = _ends(squares.number)
    sigma_sum = _added(squares.sigma * squares.number, ends)
    number, total = _added(table[1], ends), _added(table[2], ends)
    blocks = _isotonic_blocks(total / number, number)
    number, total, sigma_sum = (_added(a, blocks) for a in (number, total, sigma_sum))
    if total[0] == 0.0 and len(total) > 1:
        # a few residuals of 0 do not make any sigma 0
        first = np.concatenate([[0], np.arange(2, len(total))])
        number, total, sigma_sum = (_added(a, first) for a in (number, total, sigma_sum))
    sigma, fits = sigma_sum / number, np.sqrt(total / number)
    return Curve(tuple(zip(*_listed(sigma, fits, number), strict=True)))


def _isotonic(pairs: Pairs) -> Curve:
    """Return the map through the centres of the blocks of isotonic regression.

    Where all the n pixels of the lowest block are dry, they say 1 / (n + 2) and not 0, as Laplace's
    rule of succession does; of the highest block accordingly. If the neighbour then says less,
    the two are one block.
    """
    from xfusion.kernels.calibrated import NEAREST  # numba takes half a second to import

    number = pairs.dry + pairs.wet
    blocks = _isotonic_blocks(pairs.wet / number, number)
    wet, total, centre = (_added(a, blocks) for a in (pairs.wet, number, pairs.mu * number))
    while True:
        p = wet / total
        p[0] = 1.0 / (total[0] + 2.0) if wet[0] == 0.0 else p[0]
        p[-1] = 1.0 - 1.0 / (total[-1] + 2.0) if wet[-1] == total[-1] else p[-1]
        p = np.clip(p, NEAREST, 1.0 - NEAREST)
        falls = np.flatnonzero(np.diff(p) <= 0.0)
        if not falls.size:
            break
        joined = np.delete(np.arange(len(p)), falls[0] + 1)
        wet, total, centre = (_added(a, joined) for a in (wet, total, centre))
    return Curve(tuple(zip(*_listed(centre / total, p, total), strict=True)))


def _isotonic_blocks(values: Floats, weights: Floats) -> NDArray[np.int64]:
    """Return where the blocks of a rising regression begin."""
    from scipy.optimize import isotonic_regression

    starts: NDArray[np.int64] = isotonic_regression(values, weights=weights).blocks[:-1]
    return starts


def _logistic(pairs: Pairs, *, beta: bool) -> Curve:
    """Return the logistic regression on the logarithms of the mean and of its complement.

    With the targets of Platt (1999), so that classes that do not overlap have coefficients as well.
    A coefficient that would be negative is 0 (Kull, Silva Filho and Flach 2017).
    """
    from xfusion.kernels.calibrated import NEAREST  # as above

    near = np.clip(pairs.mu, NEAREST, 1.0 - NEAREST)
    of_mu, of_rest = np.log(near), -np.log1p(-near)
    dry, wet = pairs.dry.sum(), pairs.wet.sum()
    number = pairs.dry + pairs.wet
    is_wet = (pairs.wet * (wet + 1.0) / (wet + 2.0) + pairs.dry / (dry + 2.0)) / number
    columns = [of_mu, of_rest] if beta else [of_mu + of_rest]
    slopes = np.zeros(len(columns))
    positive = list(range(len(columns)))
    while True:
        design = np.column_stack([*(columns[i] for i in positive), np.ones_like(near)])
        *found, c = _newton(design, is_wet, number)
        slopes[:] = 0.0
        slopes[positive] = found
        if not (slopes < 0.0).any():
            break
        positive.remove(int(np.argmin(slopes)))
    return Curve(coefficients=(float(slopes[0]), float(slopes[-1]), float(c)))


def _newton(columns: Floats, share: Floats, weights: Floats) -> Floats:
    """Return the coefficients of a weighted logistic regression on columns."""
    from scipy.special import expit

    def loss(coefficients: Floats) -> float:
        t = columns @ coefficients
        return float(weights @ (np.logaddexp(0.0, t) - share * t))

    found = np.zeros(columns.shape[1])
    for _ in range(STEPS):
        p = expit(columns @ found)
        gradient = columns.T @ (weights * (p - share))
        hessian = columns.T @ (columns * (weights * p * (1.0 - p))[:, None])
        # of columns that are one, as with a single mean, the shortest step
        step = np.linalg.lstsq(hessian, gradient, rcond=1e-13)[0]
        before, size = loss(found), 1.0
        while size > EXACT and loss(found - size * step) > before:
            size /= 2.0
        found = found - size * step
        if np.abs(size * step).max() <= EXACT * max(1.0, np.abs(found).max()):
            break
    return found


def _ends(number: Floats) -> NDArray[np.int64]:
    """Return where parts of at least FEWEST pixels begin."""
    starts, left = [0], 0.0
    for i, n in enumerate(number):
        if left >= FEWEST:
            starts.append(i)
            left = 0.0
        left += n
    if left < FEWEST and len(starts) > 1:
        starts.pop()
    return np.array(starts)


def _added(values: Floats, starts: NDArray[np.int64]) -> Floats:
    added: Floats = np.add.reduceat(values, starts)
    return added


def _listed(where: Floats, what: Floats, number: Floats) -> Any:
    return where.tolist(), what.tolist(), [int(n) for n in number]
