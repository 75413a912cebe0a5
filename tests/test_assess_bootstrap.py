"""Intervals: what is drawn, that they are the same each time, and that they hold what they say."""

import tracemalloc
from typing import Any

import numpy as np
import pytest
import xarray as xr
from numpy.typing import NDArray
from scipy import ndimage

import xfusion as xf
from tests.fuzzing import on
from tests.test_assess import GRIDS, water
from xfusion.assessment import binary_scores
from xfusion.assessment.bootstrap_blocks import MOST, BootstrapBlocks, blocks_of_side

GRID = GRIDS["UTM"]


def test_draws_are_those_of_blocks_drawn_by_hand() -> None:
    retrieval, reference = water(GRID)
    side, draws = 30, 50
    scores = xf.assess(retrieval, reference, weights=None, bootstrap=draws, block=side, seed=4)
    rows, columns = (np.arange(n) // side for n in GRID.shape.yx)
    block = rows[:, None] * 5 + columns
    counts = np.random.default_rng(4).multinomial(15, np.full(15, 1 / 15), size=draws)
    drawn = [
        xf.assess(retrieval, reference, weights=on(GRID, count[block].astype(float)))
        for count in counts
    ]
    for name in ("iou", "roc_auc", "log_loss", "ece", "z2", "bias", "best_threshold"):
        values = np.stack([each[name].values for each in drawn])
        lower, upper = np.percentile(values, [2.5, 97.5], axis=0)
        np.testing.assert_allclose(scores[f"{name}_lower"], lower, rtol=1e-9, err_msg=name)
        np.testing.assert_allclose(scores[f"{name}_upper"], upper, rtol=1e-9, err_msg=name)
    assert scores.attrs["bootstrap_block"] == side


@pytest.mark.parametrize("threshold", [0.5, 0.0305, 1.0])
def test_draws_of_scattered_groups_are_those_of_blocks_drawn_by_hand(threshold: float) -> None:
    retrieval, reference = water(GRID)
    side, draws = 30, 12
    zones = on(GRID, np.random.default_rng(5).integers(0, 3, GRID.shape.yx))
    options: dict[str, Any] = {"by": zones, "threshold": threshold}
    scores = xf.assess(retrieval, reference, weights=None, bootstrap=draws, block=side, **options)
    rows, columns = (np.arange(n) // side for n in GRID.shape.yx)
    block = rows[:, None] * 5 + columns
    counts = np.random.default_rng(0).multinomial(15, np.full(15, 1 / 15), size=draws)
    drawn = [
        xf.assess(retrieval, reference, weights=on(GRID, count[block].astype(float)), **options)
        for count in counts
    ]
    for name in binary_scores.NAMES:
        values = np.stack([each[name].values for each in drawn])
        for percent, end in ((2.5, "lower"), (97.5, "upper")):
            found = scores[f"{name}_{end}"]
            # precision where nothing is predicted is NaN in all draws, and known in all else
            limit = np.percentile(values, percent, axis=0)
            np.testing.assert_allclose(found, limit, rtol=1e-9, atol=1e-12, err_msg=name)


def test_pairs_of_groups_and_blocks_take_the_memory_of_their_pixels() -> None:
    shape = (300, 300)
    rng = np.random.default_rng(2)
    mu, zones = rng.random(shape, np.float32), rng.integers(0, 60, shape)
    retrieval = xf.retrieval(mu, np.full_like(mu, 0.2))
    reference = retrieval.mu.copy(data=rng.random(shape) < mu)
    options: dict[str, Any] = {"by": retrieval.mu.copy(data=zones), "bootstrap": 3}
    xf.assess(retrieval, reference, **options)
    tracemalloc.start()
    try:
        scores = xf.assess(retrieval, reference, **options)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert scores.sizes["group"] == 60
    # all bins of 60 groups in 64 blocks take half a gigabyte
    assert most < 60e6


@pytest.mark.parametrize("most", [0, 1 << 40])
def test_all_bins_and_those_that_are_not_empty_give_the_same(
    most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    retrieval, reference = water(GRID)
    zones = on(GRID, np.arange(130) // 50 + np.zeros((90, 1), int))
    options: dict[str, Any] = {"by": zones, "bootstrap": 20, "block": 30}
    expected = xf.assess(retrieval, reference, **options)
    # of several ranges, each of which has a few of the groups
    monkeypatch.setattr("xfusion.assessment.tallying.RANGE", 1000)
    monkeypatch.setattr("xfusion.assessment.group_counts.MOST_DENSE", most)
    xr.testing.assert_allclose(xf.assess(retrieval, reference, **options), expected, rtol=1e-10)


def test_scenes_can_be_drawn() -> None:
    retrieval, reference = water(GRID)
    scene = on(GRID, np.arange(130) // 10 + np.zeros((90, 1), int))
    scores = xf.assess(retrieval, reference, bootstrap=40, block=scene)
    by_columns = xf.assess(retrieval, reference, bootstrap=40, block=scene.astype(str))
    assert (scores.iou_lower < scores.iou).all()
    assert (scores.iou < scores.iou_upper).all()
    # texts are in another order than numbers, so the draws are others
    widths = [each.brier_upper - each.brier_lower for each in (scores, by_columns)]
    np.testing.assert_allclose(widths[0], widths[1], rtol=0.5)
    # of one scene nothing is known of others
    each = xf.assess(retrieval, reference, by=scene, bootstrap=40, block=scene)
    assert each.iou_lower.isnull().all()
    assert each.iou.notnull().all()


def test_quantities_have_intervals_and_counts_have_none() -> None:
    retrieval, reference = water(GRID)
    scores = xf.assess(retrieval, reference * 3, bootstrap=40)
    for name in ("bias", "rmse", "mae", "crps", "z2", "coverage", "pit"):
        assert (scores[f"{name}_lower"] <= scores[name]).all()
        assert (scores[name] <= scores[f"{name}_upper"]).all()
    assert "count_lower" not in scores
    assert "wet_lower" not in xf.assess(retrieval, reference, bootstrap=2)


def test_a_grid_of_one_block_has_nothing_to_draw_from() -> None:
    retrieval, reference = water(GRID)
    with pytest.raises(ValueError, match="one block"):
        xf.assess(retrieval, reference, bootstrap=10, block=200)
    with pytest.raises(ValueError, match="number of pixels"):
        xf.assess(retrieval, reference, bootstrap=10, block=0)


@pytest.mark.parametrize("shape", [(5, 7), (90, 130), (512, 512), (3000, 40), (20000, 20000)])
def test_blocks_are_as_many_as_draws_need_and_memory_has_room_for(shape: tuple[int, int]) -> None:
    blocks = blocks_of_side(None, shape)
    assert min(30, shape[0] * shape[1] // 2) <= blocks.parts <= MOST
    assert shape[0] * shape[1] < 512**2 or blocks.side >= 64


def test_many_small_blocks_are_scattered_among_parts_of_one_size() -> None:
    blocks = BootstrapBlocks(2, (2000, 2400))
    part = blocks.of_block(slice(0, 2000), slice(0, 2400))
    assert part.shape == (1000, 1200)
    assert blocks.parts == MOST
    sizes = np.bincount(part.ravel(), minlength=MOST)
    expected = part.size / MOST
    assert (np.abs(sizes - expected) < 6 * np.sqrt(expected)).all()
    # and each from everywhere
    assert (np.bincount(part[:500].ravel(), minlength=MOST) > 0.8 * expected / 2).all()
    np.testing.assert_array_equal(
        blocks.of_block(slice(301, 500), slice(7, 11)), part[150:250, 3:6]
    )


def rough(rng: np.random.Generator, length: float) -> NDArray[np.float64]:
    """A field of errors that are correlated over some pixels, of variance 1."""
    field = ndimage.gaussian_filter(rng.standard_normal((144, 144)), length, mode="wrap")
    return np.asarray(field / field.std())


@pytest.mark.thorough
def test_intervals_hold_the_expected_score_of_correlated_pixels() -> None:
    """Of 95 % of scenes, if blocks are longer than errors are correlated; of far fewer, if not."""
    rng = np.random.default_rng(20)
    scenes = []
    for _ in range(60):
        truth = rough(rng, 1.5) > 0.6
        mu = 1 / (1 + np.exp(-(2 * truth - 1 + 1.2 * rough(rng, 1.5))))
        scenes.append((mu, truth))
    whole = xf.retrieval(np.concatenate([mu for mu, _ in scenes]), 0.3)
    expected = xf.assess(whole, whole.mu.copy(data=np.concatenate([t for _, t in scenes])))
    covered = {}
    for side, count in ((16, 60), (1, 8)):
        inside = []
        for mu, truth in scenes[:count]:
            scene = xf.retrieval(mu, 0.3)
            scores = xf.assess(scene, scene.mu.copy(data=truth), bootstrap=60, block=side)
            inside += [
                bool((scores[f"{name}_lower"] <= expected[name])[0])
                and bool((expected[name] <= scores[f"{name}_upper"])[0])
                for name in ("iou", "brier", "recall")
            ]
        covered[side] = np.mean(inside)
    # 60 scenes tell 95 % to 2.8 %, and 81 blocks and 60 draws make intervals a little short
    assert 0.88 < covered[16] < 0.99
    assert covered[1] < 0.7
