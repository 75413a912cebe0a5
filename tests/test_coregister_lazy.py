"""Lazy co-registration: the same bits as in memory, nothing computed, few tasks."""

import itertools
import pickle
from typing import Any

import dask
import hypothesis.strategies as st
import numpy as np
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis.strategies import DrawFn
from odc.geo.geobox import GeoBox
from odc.geo.xr import xr_zeros

import xfusion as xf
from tests import resampling_oracle as oracle
from tests.laziness import nothing_computes
from tests.resampling_oracle import (
    UNKNOWN,
    assert_same,
    broken,
    exact_positions,
    flags,
    grid,
    inside,
    noise,
    on,
)
from xfusion.kernels.control import Window
from xfusion.warp.on_block import Warp
from xfusion.warp.pixel_mapping import PixelMapping

UTM = "EPSG:32633"
CENTRE = (500_003.7, 5_000_001.9)
CRSS = ["EPSG:32633", "EPSG:32632", "EPSG:4326"]


@st.composite
def situations(draw: DrawFn) -> dict[str, Any]:
    """A retrieval, a target that overlaps it somehow, and options."""
    seed = draw(st.integers(0, 2**16))
    shape = draw(st.tuples(st.integers(1, 45), st.integers(1, 45)))
    turned = draw(st.sampled_from([0.0, 0.0, 17.0, 90.0]))
    north = draw(st.sampled_from([-10.0, 10.0]))
    source = grid(UTM, CENTRE, (10.0, north), shape, turned)
    crs = draw(st.sampled_from(CRSS))
    home = grid(crs, (0.0, 0.0), 1.0, (1, 1))
    u, v = exact_positions(home, source[shape[0] // 2 : shape[0] // 2 + 1, : shape[1]])
    x, y = oracle.apply(home.affine, float(u.mean()), float(v.mean()))
    pixel = 10.0 * draw(st.sampled_from([0.25, 0.9, 1.0, 1.03, 1.5, 3.0, 8.0]))
    pixel = pixel / 111_320.0 if crs == "EPSG:4326" else pixel
    off = draw(st.tuples(*[st.sampled_from([0.0, 7.3, 40.0, 400.0])] * 2))
    size = draw(st.tuples(st.integers(1, 160), st.integers(1, 160)))
    target = grid(crs, (x + off[0] * pixel, y - off[1] * pixel), pixel, size)
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    leading = draw(st.sampled_from([(), (), (2,), (2, 3)]))
    mu, sigma = noise((*leading, *shape), dtype, seed)
    if draw(st.booleans()):
        mu, sigma = broken(mu, seed), broken(sigma, seed + 1, -9999.0)
    mask = flags(mu.shape, seed) if draw(st.booleans()) else None
    dataset = on(source, mu, sigma, mask)
    return {
        "dataset": dataset,
        "source": source,  # odc-geo reads a single rotated pixel as one of 100 m
        "target": target,
        "chunks": {d: draw(st.integers(1 + n // 6, n)) for d, n in dataset.sizes.items()},
        "blocks": tuple(draw(st.integers(1 + n // 6, n + 9)) for n in size),
        "rho": draw(st.sampled_from([0.0, 0.3, 1.0])),
        "how": draw(st.sampled_from(["bilinear", "bilinear", "nearest"])),
    }


@settings(max_examples=20)
@given(situations())
def test_eager_equals_lazy_bit_for_bit_in_any_blocks(case: dict[str, Any]) -> None:
    dataset, source, target = case["dataset"], case["source"], case["target"]
    options = {"resampling": case["how"], "error_correlation": case["rho"]}
    eager = xf.coregister(dataset, target, **options)
    with nothing_computes():
        lazy = xf.coregister(
            dataset.chunk(case["chunks"]), target, chunks=case["blocks"], **options
        )
    assert all(v.chunks is not None for v in lazy.data_vars.values())
    assert_same(lazy.compute(scheduler="sync"), eager)
    u, v = exact_positions(source, target)
    near = np.min([abs(p - np.rint(p)) for p in (u, v)], axis=0) < 2e-3
    if "mask" in eager and not near.any():
        at = [
            np.clip(p.astype(int), 0, n - 1)
            for p, n in zip((v, u), dataset.mu.shape[-2:], strict=True)
        ]
        expected = dataset["mask"].values[..., at[0], at[1]]
        expected = np.where(inside(source, u, v), expected, UNKNOWN)
        np.testing.assert_array_equal(eager["mask"], expected)


def test_lazy_strips_of_a_large_target_equal_the_eager_ones() -> None:
    source = grid(UTM, CENTRE, 10.0, (300, 310))
    target = grid("EPSG:32632", (972_000.0, 5_018_000.0), 7.0, (700, 600))
    u, v = exact_positions(source, target)
    target = target.translate_pix(*(float(n / 2 - p.mean()) / 0.7 for p, n in ((u, 310), (v, 300))))
    dataset = on(source, *noise(source.shape), flags(source.shape))
    eager = xf.coregister(dataset, target, error_correlation=0.5)
    assert float(np.isfinite(eager.mu).mean()) > 0.4
    lazy = xf.coregister(
        dataset.chunk({"y": 77, "x": 91}), target, error_correlation=0.5, chunks=(190, 130)
    )
    assert_same(lazy.compute(scheduler="threads"), eager)


def test_whatever_is_lazy_stays_lazy() -> None:
    source = grid(UTM, CENTRE, 10.0, (20, 20))
    dataset = on(source, *noise(source.shape), flags(source.shape))
    target = grid(UTM, CENTRE, 7.0, (20, 20))
    eager = xf.coregister(dataset, target)
    for names in (["mu", "sigma", "mask"], ["mu"], ["sigma"], ["mask"]):
        mixed = dataset.assign({n: dataset[n].chunk({"y": 7}) for n in names})
        with nothing_computes():
            result = xf.coregister(mixed, target)
        assert_same(result.compute(), eager)


def test_graph_grows_with_the_blocks_of_the_result_only() -> None:
    def size(source_pixels: int, chunk: int, target_pixels: int) -> int:
        source = grid(UTM, CENTRE, 10.0, (source_pixels,) * 2)
        whole = xr_zeros(source, dtype="float32", chunks=(chunk, chunk))
        like = grid("EPSG:32632", (971_600.0, 5_020_000.0), 9.0, (target_pixels,) * 2)
        with nothing_computes():
            dataset = xf.retrieval(whole, whole + 1)
            result = xf.coregister(dataset, like, chunks=100)
        own = set(result.__dask_graph__()) - set(dataset.__dask_graph__())
        return len(own)

    few, more = size(1000, 250, 500), size(1000, 250, 1000)
    assert few <= 25 * 4
    assert more == 4 * few
    assert size(4000, 250, 500) == size(1000, 50, 500) == few


def test_a_block_asks_for_no_source_chunk_that_it_does_not_need() -> None:
    source = grid(UTM, CENTRE, 10.0, (1000, 1000))
    dataset = on(source, *noise(source.shape)).chunk({"y": 50, "x": 50})
    corner = xf.coregister(dataset, grid(UTM, CENTRE, 9.0, (60, 60)), chunks=60)
    (optimised,) = dask.optimize(corner.mu)
    from_source = [k for k in optimised.__dask_graph__() if "xarray" in str(k)]
    assert len(from_source) <= 2 * 4 * 4


def test_the_same_call_has_the_same_keys() -> None:
    source = grid(UTM, CENTRE, 10.0, (20, 20))
    dataset = on(source, *noise(source.shape)).chunk({"y": 7})
    first, second, other = (
        xf.coregister(dataset, grid(UTM, CENTRE, pixel, (20, 20))).mu.data.name
        for pixel in (7.0, 7.0, 8.0)
    )
    assert first == second != other


def test_blocks_are_as_asked_else_those_of_like_else_those_of_the_source() -> None:
    source, target = grid(UTM, CENTRE, 10.0, (20, 20)), grid(UTM, CENTRE, 7.0, (20, 20))
    dataset = on(source, *noise((20, 20))).chunk({"y": 8, "x": 9})
    like = xr_zeros(target, chunks=(5, 6))
    expected: list[tuple[Any, Any, tuple[int, int]]] = [
        (like, 7, (7, 7)),
        (like, (4, 3), (4, 3)),
        (like, {"x": 3, "y": 4}, (4, 3)),
        (like, {"y": 4}, (4, 20)),  # as xarray does, whole along the other
        (like, None, (5, 6)),
        (like.compute(), None, (8, 9)),
        (target, None, (8, 9)),
    ]
    for on_grid, chunks, blocks in expected:
        result = xf.coregister(dataset, on_grid, chunks=chunks)
        assert (result.mu.chunks[0][0], result.mu.chunks[1][0]) == blocks
        assert result.chunks == result.sigma.chunksizes
    for chunks in ({"y": 0}, {"rows": 4, "columns": 3}):
        with pytest.raises(ValueError, match="rows and columns of a block"):
            xf.coregister(dataset, target, chunks=chunks)


def test_small_sources_of_one_block_have_results_of_the_same_blocks() -> None:
    target = grid(UTM, CENTRE, 4.0, (60, 50))
    sources = [
        grid(UTM, CENTRE, pixel, shape) for pixel, shape in ((10.0, (20, 21)), (20.0, (9, 9)))
    ]
    results = [xf.coregister(on(s, *noise(s.shape)).chunk(), target) for s in sources]
    assert [result.mu.chunks for result in results] == [((60,), (50,))] * 2
    # a size that somebody chose stays
    strips = on(sources[0], *noise((20, 21))).chunk({"y": 7})
    assert xf.coregister(strips, target).mu.chunks[0][0] == 7


@pytest.mark.parametrize("chunks", [-1, 0, (0, 5), (-1, 5)])
def test_a_block_of_no_size_is_all_of_the_target_or_a_clear_error(chunks: Any) -> None:
    source, target = grid(UTM, CENTRE, 10.0, (20, 20)), grid(UTM, CENTRE, 7.0, (20, 20))
    dataset = on(source, *noise((20, 20)))
    try:
        result = xf.coregister(dataset.chunk(), target, chunks=chunks)
    except ValueError as error:
        assert "chunks=" in str(error)  # noqa: PT017  # either is fine
        return
    assert_same(result.compute(), xf.coregister(dataset, target))


def test_a_lazy_result_can_be_pickled() -> None:
    source, target = grid(UTM, CENTRE, 10.0, (20, 20)), grid(UTM, CENTRE, 7.0, (20, 20))
    dataset = on(source, *noise((20, 20)), flags((20, 20)))
    lazy = xf.coregister(dataset.chunk({"y": 7}), target, chunks=9)
    again = pickle.loads(pickle.dumps(lazy))
    assert_same(again.compute(scheduler="sync"), xf.coregister(dataset, target))


def test_blocks_at_the_rim_of_the_earth_read_all_that_their_footprints_touch() -> None:
    source = GeoBox((900, 1800), Affine(0.2, 0, -180, 0, -0.2, 90), "EPSG:4326")
    crs = "+proj=ortho +lat_0=50 +lon_0=10 +datum=WGS84"
    target = GeoBox((132, 132), Affine(1e5, 0, -66e5, 0, -1e5, 66e5), crs)
    mapping = PixelMapping.between(source, target)
    warp = Warp(mapping, "bilinear", 1.0, 32)
    rng = np.random.default_rng(0)
    mu, sigma = (rng.random(source.shape, np.float32) for _ in range(2))
    everything = Window((0, 0), source.shape.yx, source.shape.yx)
    wide = 0.0
    for row, column in itertools.product(range(40, 80, 4), [*range(0, 12, 4), *range(120, 132, 4)]):
        grid = mapping.control_grid(slice(row, row + 4), slice(column, column + 4))
        window = mapping.window(grid)
        if window is None:
            continue
        wide = max(wide, grid.exact_width.max(initial=0.0))
        cut, whole = np.empty((2, 2, 4, 4), np.float32)
        warp.on([mu[window.slices], sigma[window.slices]], window, grid, list(cut))
        warp.on([mu, sigma], everything, grid, list(whole))
        np.testing.assert_array_equal(cut, whole)
    assert wide > 10  # source pixels: there are such footprints
