"""Sums without rounding, against fractions, in any order; and bins, against their edges."""

import math
from fractions import Fraction
from typing import Any

import numba
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from xfusion.kernels import exact_sums, weight_lines
from xfusion.kernels.binary_tally import CELLS, tally
from xfusion.kernels.probability_bins import BINS, bin_of, edges

FINITE = st.floats(allow_nan=False, allow_infinity=False)


@numba.njit
def add_all(words: Any, values: Any) -> None:
    for value in values:
        exact_sums.add(words, 0, value)


def summed(values: NDArray[np.float64]) -> NDArray[np.int64]:
    words = np.zeros((1, exact_sums.WORDS), np.int64)
    add_all(words, values)
    return exact_sums.carried(words)


@given(st.lists(FINITE, max_size=30))
@example([-1.7836486572466128e308])
def test_a_sum_is_that_of_fractions_but_for_the_bits_that_are_not_kept(values: list[float]) -> None:
    total = exact_sums.total(summed(np.array(values, np.float64)))[0]
    expected = sum(map(Fraction, values), Fraction())
    dropped = (
        sum(abs(Fraction(value)) for value in values) / 2**41 + len(values) * Fraction(2) ** -1063
    )
    if abs(expected) + dropped >= Fraction(2) ** 1024:
        return
    assert abs(Fraction(float(total)) - expected) <= dropped + abs(expected) / 2**52


@given(st.lists(FINITE, max_size=30), st.randoms())
def test_a_sum_is_the_same_in_any_order_and_in_parts(values: list[float], random: Any) -> None:
    array = np.array(values, np.float64)
    shuffled = random.sample(values, len(values))
    cut = len(values) // 3
    parts = summed(array[:cut]) + summed(array[cut:])
    np.testing.assert_array_equal(summed(np.array(shuffled, np.float64)), summed(array))
    np.testing.assert_array_equal(exact_sums.carried(parts), summed(array))


def test_a_million_numbers_have_room() -> None:
    values = np.full(exact_sums.MOST, 1.1 * 2.0**900)
    total = exact_sums.total(summed(values))[0]
    assert total == pytest.approx(1.1 * 2.0**920, rel=1e-12)
    assert exact_sums.total(summed(-values))[0] == -total
    assert math.isinf(exact_sums.total(summed(np.array([math.inf, 1.0])))[0])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_thousandths_are_edges_and_bins_are_as_narrow_as_is_said(dtype: Any) -> None:
    bounds = edges()
    assert len(bounds) == BINS + 1
    assert (np.diff(bounds) > 0).all()
    assert {k / 1000 for k in range(1001)} <= {*bounds.tolist()}
    width, nearest = np.diff(bounds), np.minimum(bounds[1:], 1 - bounds[:-1])
    assert (width <= 0.001 + 1e-12).all()
    assert (width[1:-1] <= (nearest / 32)[1:-1] * 33 / 32 + 1e-15).all()
    for k in range(1, 1000):
        below = bin_of(dtype(k / 1000))
        assert bounds[below + 1] == k / 1000
        assert bin_of(dtype(k / 1000 + 1e-6)) == below + 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_kernel_finds_the_bins_that_python_finds(dtype: Any) -> None:
    rng = np.random.default_rng(0)
    some = np.concatenate([rng.random(300), rng.beta(0.02, 0.02, 300), edges()[::7], [0, 1, 0.5]])
    for value in some.astype(dtype):
        for threshold in (0.5, float(value)):
            counts, *_ = tally(
                np.array([value]),
                np.array([0.1], dtype),
                None,
                np.array([1], np.uint8),
                None,
                number=1,
                nodata=None,
                lines=weight_lines.WeightLines(np.full((1, 1), 4.0), 1),
                columns=1,
                start=0,
                threshold=threshold,
                sigma_floor=0.0,
                stand_in=None,
            )
            assert isinstance(counts.cells, np.ndarray)
            cell = np.flatnonzero(counts.cells[0, 1, 1, :, 0])
            assert cell.tolist() == [bin_of(value) + int(value > dtype(threshold))]
            assert counts.cells.shape[-2] == CELLS
            # bins have their upper edges; numbers up to 2e-7 above one are taken for it
            place = int(np.searchsorted(edges()[1:], float(value) - 2e-7))
            assert place <= bin_of(value) <= int(np.searchsorted(edges()[1:], float(value)))


@pytest.mark.parametrize("step", [0, 1, 5, 64])
def test_weights_between_two_numbers_of_a_row_lie_on_a_line(step: int) -> None:
    rng = np.random.default_rng(step)
    rows, columns, first = 4, 37, 3 if step > 1 else 0
    count = 1 if step == 0 else columns if step == 1 else (first + columns) // step + 2
    values = rng.random((rows, count)) * 2**30
    lines = weight_lines.WeightLines(values, rows, step=step, first=first)
    if step == 1:
        values[1, :2] = -1, np.nan

    @numba.njit
    def filled(lines: Any, line: int, column: int, n: int) -> Any:
        out = np.empty(n)
        weight_lines.fill(lines, line, column, columns, out)
        return out

    place = np.arange(columns) + first
    expected = np.stack(
        [
            np.full(columns, row[0])
            if step == 0
            else row
            if step == 1
            else np.interp(place, np.arange(count) * step, row)
            for row in values
        ]
    )
    expected = np.where(expected > 0, expected, 0)
    for start, n in ((0, 4 * 37), (0, 10), (30, 20), (36, 1), (37, 80), (100, 48)):
        out = filled(lines, start // columns, start % columns, n)
        np.testing.assert_allclose(out, expected.ravel()[start : start + n], rtol=1e-12)
        again = filled(lines, 0, 0, start + n)
        np.testing.assert_array_equal(out, again[start:])
