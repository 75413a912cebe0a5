"""The kernel of binary scores against numpy, pixel by pixel: sums of whole numbers are equal."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from xfusion.kernels import exact_sums
from xfusion.kernels.binary_tally import (
    BRIER,
    BROKEN_WEIGHT,
    CELLS,
    COUNT,
    UNSCORED,
    Z2,
    Z_UNIT,
    tally,
)
from xfusion.kernels.buffers import STRIP
from xfusion.kernels.probability_bins import bin_of
from xfusion.kernels.weight_lines import WeightLines

COLUMNS = 100
FLOOR = 1e-3
LARGE = 2.0**14


def strips(size: int, dtype: str, seed: int, *, broken: bool) -> dict[str, NDArray[Any]]:
    """Pixels that are as they should be, or every other strip of them with all that is not."""
    rng = np.random.default_rng(seed)
    mu = rng.beta(0.2, 0.3, size).astype(dtype)
    sigma = rng.uniform(0.05, 1, size).astype(dtype)
    truth = (rng.random(size) < mu).astype(dtype)
    mask = (rng.random(size) < 0.2).astype(np.uint8) * np.uint8(128)
    odd = (np.arange(size) // STRIP % 2 == 1) & broken
    for array, values in (
        (mu, [np.nan, np.inf, -np.inf, -5e-7, 1.0]),
        (sigma, [np.nan, np.inf, -1.0, 0.0, 1e-9]),
        (truth, [np.nan]),
    ):
        here = odd & (rng.random(size) < 0.2)
        array[here] = rng.choice(np.array(values, dtype), here.sum())
    return {"mu": mu, "sigma": sigma, "mask": mask, "truth": truth}


def counted_plainly(
    mu: NDArray[Any],
    sigma: NDArray[Any],
    mask: NDArray[Any],
    truth: NDArray[Any],
    slots: NDArray[Any],
    weight: NDArray[np.float64],
    number: int,
    stand_in: float | None,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Count what :func:`tally` does; truth is NaN where there is none."""
    kind = mu.dtype.type
    known = np.isin(truth, (0, 1)) & (slots >= 0) & (weight > 0)
    sound = np.isfinite(mu) & np.isfinite(sigma) & (sigma >= 0)
    usable = known & sound & (mask == 0)
    told = mu if stand_in is None else np.where(usable, mu, kind(stand_in))
    scored = known & np.isfinite(told)
    cells = np.zeros((number, 2, 2, CELLS, 2), np.int64)
    sums, large = np.zeros((number, 2, 5), np.int64), np.zeros((number, 2))
    for i in np.flatnonzero(known):
        row, whole = sums[slots[i], int(usable[i])], int(np.rint(weight[i]))
        if not scored[i]:
            row[UNSCORED] += 1
            continue
        p, wet = told[i], int(truth[i])
        cell = cells[slots[i], int(usable[i]), wet, bin_of(p) + int(p > 0.5)]
        cell += whole, int(np.rint(weight[i] * np.float64(min(p, kind(1) - p))))
        d = kind(1) - p if wet else p
        row[COUNT] += 1
        row[BRIER] += int(np.rint(weight[i] * np.float64(d) ** 2))
        row[BROKEN_WEIGHT] += 0 if sound[i] else whole
        if sound[i] and (usable[i] or stand_in is None):
            z2 = (d / max(kind(FLOOR), sigma[i])) ** 2
            if z2 >= LARGE:
                large[slots[i], int(usable[i])] += weight[i] * np.float64(z2)
            else:
                row[Z2] += int(np.rint(weight[i] * np.float64(z2) / Z_UNIT))
    return cells, sums, large


@pytest.mark.some(one_in=12)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("labels", ["uint8", "float"])
@pytest.mark.parametrize("nodata", [None, 7, 1])
@pytest.mark.parametrize("grouped", [None, "runs", "mixed"])
def test_strips_that_are_clean_and_those_beside_them_count_as_their_pixels_do(
    dtype: str, labels: str, nodata: int | None, grouped: str | None
) -> None:
    # of a whole number of strips, of one and a part, and of less than one
    for size in (4 * STRIP, 3 * STRIP + 50, STRIP + 1, 60, 1):
        for broken, stand_in, step in ((False, None, 0), (True, None, 1), (True, 0.0, 64)):
            given = strips(size, dtype, size, broken=broken)
            rng = np.random.default_rng(size)
            number = 1 if grouped is None else 3
            slots = np.zeros(size, np.int32)
            if grouped == "runs":
                slots = (np.arange(size) // (2 * STRIP) - 1).astype(np.int32)
            elif grouped == "mixed":
                slots = rng.integers(-1, number, size).astype(np.int32)
            start, rows = 30, -(-(size + 30) // COLUMNS)
            lines = {
                0: np.full((rows, 1), 1.37 * 2**20),
                1: rng.choice([0.0, np.nan, 1.1, 2.0**30], (rows, COLUMNS)),
                64: 2.0**30 * (1 + np.arange(rows * 3).reshape(rows, 3)),
            }[step]
            weight = np.repeat(lines, COLUMNS // lines.shape[1], axis=1)
            down, above = 1, 0
            if step == 64:
                share = np.arange(COLUMNS) % 64 / 64
                place = np.arange(COLUMNS) // 64
                weight = lines[:, place] * (1 - share) + lines[:, place + 1] * share
                if number > 1 or dtype == "float64":  # some rows alone, from the second of four on
                    down, above = 4, 1
                    row = above + np.arange(rows)[:, None]
                    lines, weight = (np.vstack([a, a[:1] * 1.5]) for a in (lines, weight))
                    part = row % down / down
                    row = row[:, 0] // down
                    weight = weight[row] * (1 - part) + weight[row + 1] * part
            weight = weight.reshape(-1)[start : start + size]
            truth = given["truth"]
            if nodata is not None:
                truth = np.where(rng.random(size) < 0.1, nodata, truth).astype(dtype)
            if labels == "uint8":
                none = 7 if nodata is None else nodata
                truth = np.where(np.isnan(truth), none, truth).astype(np.uint8)
                declared: int | None = none if np.isnan(given["truth"]).any() else nodata
            else:
                declared = nodata
            plain = truth.astype(dtype)
            if declared is not None:
                plain[plain == declared] = np.nan
            counts, neither, outside = tally(
                given["mu"],
                given["sigma"],
                given["mask"],
                truth,
                None if grouped is None else slots,
                number=number,
                nodata=declared,
                lines=WeightLines(lines, rows, down, above, step),
                columns=COLUMNS,
                start=start,
                threshold=0.5,
                sigma_floor=FLOOR,
                stand_in=stand_in,
            )
            assert not neither
            assert not outside
            cells, sums, large = counted_plainly(
                given["mu"],
                given["sigma"],
                given["mask"],
                plain,
                slots,
                weight,
                number,
                stand_in,
            )
            np.testing.assert_array_equal(counts.cells, cells)
            np.testing.assert_array_equal(counts.sums, sums)
            np.testing.assert_allclose(exact_sums.total(counts.words), large, rtol=1e-9)


@pytest.mark.parametrize("place", [0, STRIP - 1, STRIP + 20])
@pytest.mark.parametrize("labels", ["uint8", "float32"])
def test_one_pixel_that_cannot_be_scored_is_found_wherever_it_is(place: int, labels: str) -> None:
    given = strips(STRIP + 21, "float32", 1, broken=False)

    def found(mu: NDArray[Any], truth: NDArray[Any]) -> tuple[bool, bool]:
        options: dict[str, Any] = {"lines": WeightLines(np.ones((1, 1)), 1), "start": 0}
        options |= {"columns": COLUMNS, "threshold": 0.5, "sigma_floor": FLOOR, "stand_in": None}
        _, neither, outside = tally(
            mu, given["sigma"], given["mask"], truth, None, number=1, nodata=7.0, **options
        )
        return neither, outside

    mu, truth = given["mu"], given["truth"].astype(labels)
    assert found(mu, truth) == (False, False)
    wrong = truth.copy()
    wrong[place] = 2
    assert found(mu, wrong) == (True, False)
    wrong[place] = 7
    assert found(mu, wrong) == (False, False)
    for value in (-0.1, 1.1):
        decibels = mu.copy()
        decibels[place] = value
        assert found(decibels, truth) == (False, True)
        assert found(decibels, wrong) == (False, False)
