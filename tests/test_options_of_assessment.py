"""Options of the functions that judge: what is none is refused by its name, before pixels."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import xarray as xr
from odc.geo.geobox import GeoBox
from odc.geo.xr import xr_zeros

import xfusion as xf
from tests.laziness import nothing_computes

RNG = np.random.default_rng(0)
GRID = xr_zeros(GeoBox.from_bbox((0, 0, 160, 160), "EPSG:3035", resolution=10), dtype="float64")
MU = GRID + RNG.random(GRID.shape)
TRUTH = MU.copy(data=(RNG.random(MU.shape) < MU).astype(float))
WATER = xf.retrieval(MU, 0.1, sensor="radar").chunk(y=8)
DEPTH = xf.retrieval((MU * 10).assign_attrs(units="m"), 1.0).chunk(y=8)
SOIL = [xr.DataArray(RNG.normal(20, 3, 40), dims="time", name=n).chunk() for n in "abcd"]
MODEL = xf.calibrate(
    WATER.compute(), TRUTH, groups=TRUTH.copy(data=np.indices(TRUTH.shape)[0] // 8)
)

TEXT, ARRAY, ENDLESS = "0.5", np.array([0.1, 0.2]), 10**400
NO_NUMBER = ["x", TEXT, True, np.True_, np.nan, [1, 2], {}, 1j, ENDLESS, ARRAY]
NO_CHOICE = ["x", True, 1, np.nan, ["wet"], {}, ARRAY]
CALLS: dict[str, tuple[Callable[[Any], Any], list[Any]]] = {
    "threshold of assess": (
        lambda v: xf.assess(WATER, TRUTH, threshold=v),
        [*NO_NUMBER, None, -1, 1.1, np.inf],
    ),
    "sigma_floor": (
        lambda v: xf.assess(WATER, TRUTH, sigma_floor=v),
        [*NO_NUMBER, None, -1, np.inf],
    ),
    "bootstrap": (lambda v: xf.assess(WATER, TRUTH, bootstrap=v), [*NO_NUMBER, None, -1, 0.5]),
    "block": (
        lambda v: xf.assess(WATER, TRUTH, bootstrap=5, block=v),
        [*NO_NUMBER, -1, 0, 0.5, np.inf],
    ),
    "seed": (lambda v: xf.assess(WATER, TRUTH, seed=v), ["x", True, np.nan, -1, 0.5, None, ARRAY]),
    "excluded": (lambda v: xf.assess(WATER, TRUTH, excluded=v), [*NO_CHOICE, None]),
    "kind": (lambda v: xf.assess(WATER, TRUTH, kind=v), NO_CHOICE),
    "weights": (lambda v: xf.assess(WATER, TRUTH, weights=v), NO_CHOICE),
    "method": (lambda v: xf.calibrate(WATER, TRUTH, method=v), [*NO_CHOICE, None]),
    "sigma": (lambda v: xf.apply_calibration(WATER, MODEL, sigma=v), [*NO_CHOICE, None]),
    "passes": (lambda v: xf.add_aleatoric(WATER, v), [*NO_NUMBER, 0, -1, np.inf]),
    "threshold of area": (lambda v: xf.area(DEPTH, threshold=v), NO_NUMBER),
    "correlation": (lambda v: xf.area(WATER, correlation=v), [*NO_NUMBER, 0, -1, {1, 2}]),
    "zones": (lambda v: xf.area(WATER, zones=v), [{}, {"type": "FeatureCollection"}, [{}]]),
    "threshold of error_correlation": (
        lambda v: xf.error_correlation(DEPTH, DEPTH.mu, threshold=v),
        NO_NUMBER,
    ),
    "correlated": (
        lambda v: xf.collocation(*SOIL, correlated=v),
        [*NO_NUMBER, 1, ("a",), ("a", "a"), ("a", "x"), "ab", ("a", ["b"])],
    ),
    "dim": (lambda v: xf.collocation(*SOIL, dim=v), [*NO_NUMBER, ()]),
}
CASES = [(name, value) for name, (_, values) in CALLS.items() for value in values]


@pytest.mark.parametrize(("name", "value"), CASES)
def test_an_option_that_is_none_is_refused_by_its_name_before_pixels_are_read(
    name: str, value: Any
) -> None:
    call, _ = CALLS[name]
    said = name.partition(" of ")[0]
    with nothing_computes(), pytest.raises(ValueError, match=rf"^{said}\b"):
        call(value)


@pytest.mark.parametrize("name", ["zones", "reference"])
def test_a_map_along_rows_alone_is_told_the_call_that_spreads_it(name: str) -> None:
    rows = TRUTH[:, 0].drop_vars("x").astype(int)
    calls: dict[str, Callable[[xr.DataArray], xr.Dataset]] = {
        "zones": lambda v: xf.area(WATER, zones=v),
        "reference": lambda v: xf.assess(WATER, v),
    }
    call = calls[name]
    with pytest.raises(ValueError, match=rf"{name}.broadcast_like\(retrieval.mu\)"):
        call(rows)
    assert call(rows.broadcast_like(TRUTH)).sizes


def test_more_draws_than_memory_has_room_for_are_refused() -> None:
    with pytest.raises(ValueError, match="bootstrap=1000000: must be at most 100000 draws"):
        xf.assess(WATER, TRUTH, bootstrap=1_000_000)
