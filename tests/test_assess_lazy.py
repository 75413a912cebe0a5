"""Lazy scores: the same bits for any blocks, nothing computed before, one task for each block."""

import pickle
from typing import Any

import dask
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import xfusion as xf
from tests.fuzzing import on
from tests.laziness import nothing_computes
from tests.test_assess import GRIDS, water
from tests.test_assess_continuous import soil_moisture

OPTIONS: list[dict[str, Any]] = [
    {},
    {"weights": "equal", "excluded": "wet", "threshold": 0.3},
    {"by": "mask", "excluded": "dry"},
    {"bootstrap": 7, "block": 13},
    {"bootstrap": 3, "by": "zones", "block": "zones"},
    {"weights": "array"},
]


def with_arrays(
    options: dict[str, Any], grid: Any, chunks: dict[str, int] | None
) -> dict[str, Any]:
    """Options with arrays in the place of their names."""
    rng = np.random.default_rng(8)
    arrays = {
        "zones": on(grid, rng.integers(0, 4, grid.shape.yx)).assign_attrs(flag_values=range(4)),
        "array": on(grid, rng.random(grid.shape.yx) + 0.1),
    }
    if chunks is not None:
        arrays = {name: array.chunk(chunks) for name, array in arrays.items()}
    return {k: arrays.get(v, v) if isinstance(v, str) else v for k, v in options.items()}


@settings(max_examples=8)
@given(data=st.data())
def test_scores_are_the_same_bit_for_bit_for_any_blocks(data: st.DataObject) -> None:
    grid = GRIDS[data.draw(st.sampled_from(sorted(GRIDS)))]
    options = data.draw(st.sampled_from(OPTIONS))
    quantity = data.draw(st.booleans()) and "excluded" not in options
    if quantity:
        retrieval, reference = soil_moisture()
        grid = GRIDS["degrees"]
    else:
        dtype = data.draw(st.sampled_from(["float32", "float64"]))
        retrieval, reference = water(grid, dtype=dtype)
    expected = xf.assess(retrieval, reference, **with_arrays(options, grid, None))
    sides = [st.integers(7, 140)] * 2
    names = [str(dim) for dim in reference.dims]
    blocks = [dict(zip(names, data.draw(st.tuples(*sides)), strict=True)) for _ in range(3)]
    which = data.draw(st.sampled_from(["both", "retrieval", "reference"]))
    some = retrieval if which == "reference" else retrieval.chunk(blocks[0])
    truth = reference if which == "retrieval" else reference.chunk(blocks[1])
    with nothing_computes():
        scores = xf.assess(some, truth, **with_arrays(options, grid, blocks[2]))
    assert all(v.chunks is not None for v in scores.data_vars.values())
    xr.testing.assert_identical(scores.compute(), expected)


def test_arrays_of_several_ranges_are_counted_as_those_of_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    retrieval, reference = water(GRIDS["UTM"])
    turned = retrieval.transpose("x", "y")  # whose rows are not contiguous
    expected = xf.assess(retrieval, reference, by="mask", bootstrap=4)
    monkeypatch.setattr("xfusion.assessment.tallying.RANGE", 1000)
    xr.testing.assert_identical(xf.assess(retrieval, reference, by="mask", bootstrap=4), expected)
    xr.testing.assert_equal(xf.assess(turned, reference, by="mask", bootstrap=4), expected)


def test_there_is_one_task_for_each_block_and_few_more() -> None:
    retrieval, reference = water(GRIDS["UTM"])
    sizes = {}
    for side in (45, 15):
        lazy = retrieval.chunk(y=side, x=side), reference.chunk(y=side, x=side)
        scores = xf.assess(*lazy)
        name = next(
            n for n in scores.iou.data.dask.layers if n.startswith("assess-") and "scores" not in n
        )
        sizes[side] = len(scores.iou.data.dask.layers[name])
    blocks = {side: -(-90 // side) * -(-130 // side) for side in sizes}
    assert all(blocks[side] < sizes[side] <= blocks[side] * 8 / 7 + 4 for side in sizes)


def test_all_scores_are_of_one_pass_over_the_pixels() -> None:
    retrieval, reference = water(GRIDS["UTM"])
    read = []

    def reading(block: xr.Dataset) -> xr.Dataset:
        read.append(block.sizes)
        return block

    lazy = retrieval.chunk(y=30).map_blocks(reading, template=retrieval.chunk(y=30))
    xf.assess(lazy, reference.chunk(y=30), bootstrap=3, by="mask").compute(scheduler="sync")
    assert len(read) == 3


def test_a_graph_can_be_sent_to_another_process() -> None:
    retrieval, reference = water(GRIDS["UTM"])
    scores = xf.assess(retrieval.chunk(y=30), reference.chunk(), bootstrap=3)
    again = pickle.loads(pickle.dumps(scores))
    xr.testing.assert_identical(again.compute(), scores.compute())
    other = xf.assess(retrieval.chunk(y=30), reference.chunk(), bootstrap=3, seed=1)
    assert dask.base.tokenize(other) != dask.base.tokenize(scores)


def test_lazy_weights_may_say_which_is_the_largest() -> None:
    retrieval, reference = water(GRIDS["UTM"])
    weights = on(GRIDS["UTM"], np.random.default_rng(1).random(reference.shape))
    said = weights.chunk(x=40).assign_attrs(valid_max=1.0)
    scores = xf.assess(retrieval.chunk(), reference, weights=said)
    np.testing.assert_allclose(
        scores.brier, xf.assess(retrieval, reference, weights=weights).brier, rtol=1e-12
    )
    wrong = xf.assess(retrieval.chunk(), reference, weights=said.assign_attrs(valid_max=0.5))
    with pytest.raises(ValueError, match=r"weights has the value 0\..*valid_max"):
        wrong.compute()
