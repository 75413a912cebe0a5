"""The sample by which q and rates are found: as large for any area, and not in vain."""

from typing import Any

import numpy as np
import pytest
import xarray as xr

import xfusion as xf
from tests.test_series import chain, cube, moments, walk
from xfusion.series import sample


@pytest.fixture
def sampled(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Of how many pixels something was found, at each call."""
    numbers: list[int] = []

    def noting(name: str) -> None:
        find = getattr(sample, name)

        def noted(observed: Any, *others: Any) -> Any:
            numbers.append(observed.shape[1])
            return find(observed, *others)

        monkeypatch.setattr(sample, name, noted)

    noting("likeliest_q")
    noting("likeliest_rates")
    return numbers


def reshaped(given: xr.Dataset, *shape: int) -> xr.Dataset:
    """Return a cube of one row of pixels as an area of another shape."""
    dims = ("time", "y", "x")[: 1 + len(shape)]
    coords = {"time": given.time.values}
    arrays = [
        xr.DataArray(given[v].values.reshape(-1, *shape), coords, dims) for v in ("mu", "sigma")
    ]
    return xf.retrieval(*arrays, sensor=given.attrs["sensor"])


def test_the_growth_of_variance_is_found(sampled: list[int]) -> None:
    _, cubes = walk(np.random.default_rng(1), 200_000, 12, 4e-4)
    state = xf.filter(*cubes, q="ml", times=cubes[0].time.values[-1:])
    assert state.attrs["series_q"] == pytest.approx(4e-4, rel=0.2)
    lazy = xf.filter(*(c.chunk({"x": 20_000}) for c in cubes), q="ml")
    assert lazy.attrs["series_q"] == state.attrs["series_q"]
    assert all(39_000 < number <= 41_000 for number in sampled)


@pytest.mark.parametrize(
    "shape",
    [(1, 200_000), (200_000, 1), (200_000,), (20, 10_000), (400, 500), (100, 400), (513, 389)],
)
def test_the_sample_is_as_large_whatever_the_shape_of_the_area(
    shape: tuple[int, ...], sampled: list[int]
) -> None:
    # of 6 dates a few hundred pixels leave a third of doubt
    rng, pixels = np.random.default_rng(0), int(np.prod(shape))
    truth = np.cumsum(rng.normal(size=(6, 1, pixels)) * 0.02, axis=0)
    mu = truth + 0.1 * rng.normal(size=truth.shape)
    given = reshaped(cube(np.arange(6), mu, np.full_like(mu, 0.1)), *shape)
    found = [
        xf.filter(c, q="ml", times=given.time.values[:1]).attrs["series_q"]
        for c in (given, given.chunk(dict(zip(given.mu.dims, (2, 777, 333), strict=False))))
    ]
    assert found[0] == found[1]
    assert found[0] == pytest.approx(4e-4, rel=0.1)
    assert 0.97 * 40_000 <= sampled[0] <= 1.03 * 40_000


def test_where_the_windows_of_the_sample_hold_nothing_it_looks_further(sampled: list[int]) -> None:
    rng = np.random.default_rng(0)
    mu = np.full((3, 1100, 1100), np.nan)
    truth = np.cumsum(rng.normal(size=(3, 280, 280)) * 0.1, axis=0)
    mu[:, 410:690, 10:290] = truth + 0.1 * rng.normal(size=truth.shape)
    given = cube(np.arange(3), mu, np.full_like(mu, 0.1))
    found = [
        xf.filter(c, q="ml", times=given.time.values[:1]).attrs["series_q"]
        for c in (given, given.chunk({"time": 1, "y": 300, "x": 1100}))
    ]
    assert found[0] == found[1] == pytest.approx(1e-2, rel=0.1)
    assert min(sampled) > 10_000


def test_a_large_area_without_data_is_not_read_as_a_whole_in_search_of_it() -> None:
    da = pytest.importorskip("dask.array")
    read = []

    def nothing(block: Any) -> Any:
        read.append(block.size)
        return block

    whole = da.full((2, 20_000, 20_000), np.nan, chunks=(2, 400, 400), dtype=np.float32)
    times = {"time": moments([0, 1])}
    unseen = xr.DataArray(whole.map_blocks(nothing, meta=whole._meta), times, ("time", "y", "x"))
    given = xf.retrieval(unseen, xr.zeros_like(unseen), sensor="a")
    read.clear()
    with pytest.raises(ValueError, match=r"no pixel of the sample was seen twice.*\.isel"):
        xf.filter(given, q="ml")
    assert sum(read) < 0.15 * whole.size


def test_rates_are_found(sampled: list[int]) -> None:
    _, cubes = chain(np.random.default_rng(1), 200_000, 0.008, 0.04)
    state = xf.filter(*cubes, model="two_state", rates="ml", times=cubes[0].time.values[-1:])
    np.testing.assert_allclose(state.attrs["series_rates"], (0.008, 0.04), rtol=0.2)
    assert 39_000 < sampled[0] <= 41_000


@pytest.mark.parametrize("how", [xf.filter, xf.smooth])
@pytest.mark.parametrize(
    ("mu", "prior", "said"),
    [
        (1.0, None, "are always wet"),
        (0.0, None, "are always dry"),
        (0.9, None, "are always wet"),
        (np.where(np.arange(20) < 10, 0.95, 0.05), None, "none turns wet, or none turns dry again"),
        (np.linspace(0.85, 0.95, 20 * 20 * 8).reshape(8, 20, 20), 0.5, "are always wet"),
        (np.linspace(0.05, 0.15, 20 * 20 * 8).reshape(8, 20, 20), 0.5, "are always dry"),
    ],
)
def test_rates_of_a_sample_that_never_changes_state_are_to_be_given(
    how: Any, mu: Any, prior: Any, said: str
) -> None:
    alike = np.broadcast_to(mu, (8, 20, 20))
    still = cube(np.arange(8), alike, np.full(alike.shape, 0.1))
    with pytest.raises(ValueError, match=f"never changes state: .* {said}.* give rates=") as error:
        how(still, model="two_state", rates="ml", prior=prior)
    assert "rates=0.0" not in str(error.value)
    given = how(still, model="two_state", rates=(0.01, 0.04), prior=prior)
    assert given.mu.notnull().all()
