"""Try functions on many random inputs, the extreme ones among them: make fuzz.

Each case is compared block by block with the same in memory, bit for bit; and what must hold of
any result is checked. It says how many cases were tried of each function, and the seed of one that
fails. Kernels check their indices, `NUMBA_BOUNDSCHECK=1`, and are compiled anew for it.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr
from affine import Affine
from odc.geo.geobox import GeoBox
from odc.geo.xr import xr_coords

import xfusion as xf

Case = Callable[[np.random.Generator], None]

NUMBERS = np.array([0, -0.0, 5e-324, 1e-310, 1e-45, 1e-40, 0.1, 0.5, 1, -1, 1e10, -1e30, 3e38])
LARGE = np.array([1e150, -1e300, 1.7e308, -1.7e308, np.nan, np.inf, -np.inf])
SIGMAS = np.array([0, 5e-324, 1e-300, 1e-160, 1e-40, 1e-6, 0.1, 0.1, 1, 1e10, 1e38, 1e150, 1e300])
FLAGS = np.array([0, 0, 0, 0, 1, 2, 4, 16, 32, 33, 64, 128, 255], np.uint8)
RULES = ["gaussian", "mixture", "random_effects", "minimum_sigma", "log_odds"]
CRSS = {
    "EPSG:32633": (500_000.0, 5_000_000.0, 10.0),
    "EPSG:4326": (15.0, 45.15, 1e-4),
    "EPSG:3857": (1_669_792.0, 5_640_000.0, 14.0),
    "EPSG:3035": (4_718_000.0, 2_450_000.0, 10.0),
}


def some_grid(rng: np.random.Generator) -> GeoBox:
    """A small grid near 15 E, 45 N, of another size, resolution and turn each time."""
    crs = str(rng.choice([*CRSS]))
    x, y, pixel = CRSS[crs]
    pixel *= float(rng.choice([0.3, 1, 1, 1.7, 5, 40]))
    turn = float(rng.choice([0, 0, 0, 0.4]))
    cos, sin = np.cos(turn) * pixel, np.sin(turn) * pixel
    x, y = x + rng.uniform(-20, 20) * pixel, y + rng.uniform(-20, 20) * pixel
    up = float(rng.choice([-1, 1]))
    shape = int(rng.integers(1, 40)), int(rng.integers(1, 40))
    return GeoBox(shape, Affine(cos, -sin * up, x, sin, cos * up, y), crs)


def on(grid: GeoBox, values: Any) -> xr.DataArray:
    coords = xr_coords(grid, "spatial_ref")
    if grid.transform.b or grid.transform.d:
        coords = {"spatial_ref": coords["spatial_ref"]}  # of a turned grid labels count pixels
    return xr.DataArray(values, coords, grid.dimensions)


def some_retrieval(rng: np.random.Generator, grid: GeoBox) -> xr.Dataset:
    mu, sigma = (
        rng.choice(np.concatenate([some, LARGE]) if rng.random() < 0.3 else some, grid.shape)
        for some in (NUMBERS, SIGMAS)
    )
    dtypes = rng.choice(["float32", "float64"], 2)
    with np.errstate(over="ignore"):
        mu, sigma = mu.astype(dtypes[0]), sigma.astype(dtypes[1])
    mask = on(grid, rng.choice(FLAGS, grid.shape)) if rng.random() < 0.6 else None
    return xf.retrieval(on(grid, mu), on(grid, sigma), mask)


def in_blocks(rng: np.random.Generator, obj: Any) -> Any:
    return obj.chunk({dim: int(rng.integers(1, size + 1)) for dim, size in obj.sizes.items()})


def assert_same(eager: Any, lazy: Any) -> None:
    """Every bit is the same, but for those of NaN."""
    if isinstance(eager, xr.Dataset):
        assert list(eager.data_vars) == list(lazy.data_vars)
        for name in eager.data_vars:
            assert_same(eager[name], lazy[name])
        return
    a, b = eager.to_numpy(), lazy.to_numpy()
    assert a.dtype == b.dtype == lazy.dtype
    if a.dtype.kind == "f":
        a, b = (np.where(np.isnan(each), np.nan, each).astype(each.dtype) for each in (a, b))
    assert a.tobytes() == b.tobytes(), f"{eager.name}: {(a != b).sum()} pixels differ"


def assert_sound(result: xr.Dataset, *, fused: bool) -> None:
    """What seems usable is a number; what is not is none of a fused result."""
    usable = result["mask"].to_numpy() == 0
    mu, sigma = result["mu"].to_numpy(), result["sigma"].to_numpy()
    if fused:
        assert np.isfinite(mu[usable]).all()
        assert np.isfinite(sigma[usable]).all()
        assert (sigma[usable] >= 0).all()
        assert not np.isfinite(mu[~usable]).any()


def fuse(rng: np.random.Generator) -> None:
    """Sensors of any numbers, by any rule."""
    grid = some_grid(rng)
    sensors = [some_retrieval(rng, grid) for _ in range(int(rng.integers(1, 5)))]
    options: dict[str, Any] = {
        "rule": str(rng.choice(RULES)),
        "sigma_floor": float(rng.choice([0, 1e-320, 1e-300, 1e-6, 1, 1e30])),
        "nonfinite_sigma": str(rng.choice(["exclude", "floor"])),
        "diagnostics": bool(rng.random() < 0.3),
        "use_mask": bool(rng.random() < 0.8),
    }
    bounds = [(0, 1), (-1e300, 1e300), (0.0, np.inf), (-np.inf, 0), (1e-310, 1e-300)]
    if rng.random() < 0.4:
        options["bounded"] = bounds[int(rng.integers(len(bounds)))]
    if options["rule"] == "log_odds":
        options |= {
            "prior": float(rng.choice([1e-9, 0.2, 0.5])),
            "alpha": float(rng.choice([0.5, 1])),
        }
        with np.errstate(invalid="ignore"):
            sensors = [s.assign(mu=np.abs(s["mu"]) % 1) for s in sensors]
    if options["rule"] == "gaussian" and rng.random() < 0.4:
        options["correlation"] = float(rng.choice([0.3, 0.999999, 1]))
    eager = xf.fuse(*sensors, **options)
    assert_same(eager, xf.fuse(*(in_blocks(rng, each) for each in sensors), **options))
    assert_sound(eager, fused=True)


def coregister(rng: np.random.Generator) -> None:
    """One retrieval onto any grid, apart or not."""
    source, target = some_retrieval(rng, some_grid(rng)), some_grid(rng)
    options: dict[str, Any] = {
        "resampling": str(rng.choice(["bilinear", "nearest"])),
        "error_correlation": float(rng.choice([0, 0.5, 1])),
    }
    eager = xf.coregister(source, target, **options)
    chunks: dict[str, Any] = {"chunks": (int(rng.integers(1, 40)), int(rng.integers(1, 40)))}
    assert_same(eager, xf.coregister(in_blocks(rng, source), target, **options, **chunks))
    flags = {*np.unique(source["mask"])} if "mask" in source else set()
    if "mask" in eager:
        assert {*np.unique(eager["mask"])} <= flags | {np.uint8(32)}
    numbers = eager["mu"].to_numpy()
    numbers = numbers[np.isfinite(numbers)]
    known = source["mu"].to_numpy()
    known = known[np.isfinite(known)]
    if numbers.size:
        # weights are convex, but for rounding
        slack = 1e-6 * np.abs(known).max()
        assert known.min() - slack <= numbers.min()
        assert numbers.max() <= known.max() + slack


def merge_mask(rng: np.random.Generator) -> None:
    """Masks of all kinds, against the rule written pixel by pixel."""
    grid = some_grid(rng)
    how: Any = str(rng.choice(["any", "all", "majority"]))
    masks, votes = [], []
    for _ in range(int(rng.integers(1, 6))):
        kind = str(rng.choice(["bool", "float", "uint8", "flags"]))
        values = rng.choice([0, 0, 1, 2, 32, 255], grid.shape)
        array = on(grid, values.astype({"bool": bool, "float": np.float32}.get(kind, np.uint8)))
        unseen = np.zeros(grid.shape, bool)
        if kind == "float":
            unseen = values == 255
            array = array.where(~unseen)
        elif kind == "uint8":
            array.attrs["nodata"] = 255
            unseen = values == 255
        elif kind == "flags":
            array.attrs = dict(xf.retrieval(array * 1.0, array * 1.0, array)["mask"].attrs)
            unseen = values == 32
        masks.append(array)
        votes.append(np.where(unseen, np.nan, values != 0))
    eager = xf.merge_mask(*masks, how=how)
    assert_same(eager, xf.merge_mask(*(in_blocks(rng, mask) for mask in masks), how=how))
    for place in np.ndindex(*grid.shape):
        seen = [vote[place] for vote in votes if not np.isnan(vote[place])]
        value = eager.to_numpy()[place]
        is_of_flags = eager.dtype == np.uint8
        if not seen:
            assert value == 32 if is_of_flags else np.isnan(value)
            continue
        least = {"any": 1, "all": len(seen), "majority": len(seen) / 2}[how]
        assert (value != 0) == (sum(seen) >= least)


def exclude(rng: np.random.Generator) -> None:
    """A mask of any meaning on any grid, with and without what lies around."""
    here = some_retrieval(rng, some_grid(rng))
    grid = here.fusion.product.geobox if rng.random() < 0.4 else some_grid(rng)
    kind = str(rng.choice(["bool", "flags", "limit", "classes"]))
    options: dict[str, Any] = {}
    if kind == "bool":
        mask = on(grid, rng.random(grid.shape) < 0.1)
    elif kind == "flags":
        mask = on(grid, rng.choice(FLAGS, grid.shape))
    elif kind == "limit":
        mask = on(grid, rng.choice(np.concatenate([NUMBERS, LARGE]), grid.shape))
        options = {str(rng.choice(["above", "below"])): float(rng.choice(NUMBERS))}
    else:
        mask = on(grid, rng.choice([0, 1, 2, 9, 255], grid.shape).astype(rng.choice(["u1", "i4"])))
        options = {"classes": {0: "usable", 1: "cloud", 2: 2}, "nodata": 255}
    if rng.random() < 0.6:
        options["buffer"] = float(rng.choice([1e-3, 10, 35, 100, 400]))
    eager = xf.exclude(here, mask, **options)
    assert_same(eager, xf.exclude(in_blocks(rng, here), in_blocks(rng, mask), **options))
    before = here["mask"].to_numpy() if "mask" in here else np.uint8(0)
    assert (eager["mask"].to_numpy() & before == before).all()
    if "buffer" in options:
        without = xf.exclude(here, mask, **{**options, "buffer": 0.0})["mask"].to_numpy()
        # a buffer only adds
        assert (eager["mask"].to_numpy() & without == without).all()


def assess(rng: np.random.Generator) -> None:
    """Probabilities and quantities of any size, by groups or not, with and without draws."""
    grid = some_grid(rng)
    retrieval = some_retrieval(rng, grid)
    options: dict[str, Any] = {
        "weights": rng.choice(np.array(["area", "equal"])),
        "bootstrap": int(rng.choice([0, 0, 3])) if grid.shape[0] * grid.shape[1] > 3 else 0,
        "sigma_floor": float(rng.choice([0, 1e-300, 1e-6, 1])),
        "by": str(rng.choice(["mask", "zones", "none"])),
    }
    zones = on(grid, rng.choice([-1, 3, 200], grid.shape).astype("int16"))
    zones = zones.assign_attrs(flag_values=[200, 3], nodata=-1)
    kind: Any = str(rng.choice(["binary", "continuous"]))
    if kind == "binary":
        mu = retrieval.mu.clip(0, 1)
        retrieval = retrieval.assign(mu=mu.where(np.isfinite(mu)).assign_attrs(retrieval.mu.attrs))
        reference = on(grid, rng.choice([0, 1, 255], grid.shape).astype("uint8"))
        reference.attrs["nodata"] = 255
        options |= {
            "threshold": float(rng.choice([0, 1e-9, 0.1, 0.5, 1])),
            "excluded": str(rng.choice(["score", "wet", "dry"])),
        }
    else:
        reference = on(grid, rng.choice(np.concatenate([NUMBERS, LARGE]), grid.shape))
    own = {"mask": "mask", "zones": zones, "none": None}
    eager = xf.assess(retrieval, reference, kind=kind, **options | {"by": own[options["by"]]})
    own["zones"] = in_blocks(rng, zones)
    blocks = in_blocks(rng, retrieval), in_blocks(rng, reference)
    lazy = xf.assess(*blocks, kind=kind, **options | {"by": own[options["by"]]})
    assert_same(eager, lazy)
    known = eager["count"] + eager.unscored
    assert (known.sel(pixels="all") == known.sel(pixels="usable")).all()
    if kind == "binary":
        shares = ["iou", "precision", "recall", "accuracy", "brier", "roc_auc", "average_precision"]
        for name in (*shares, "ece", "brier_reliability", "brier_resolution", "best_iou"):
            values = eager[name].to_numpy()
            assert ((values > -1e-9) & (values < 1 + 1e-9) | np.isnan(values)).all(), name


CASES: list[Case] = [fuse, coregister, merge_mask, exclude, assess]


def run(case: Case, count: int, seed: int, seconds: float) -> int:
    """Try a function some times, or for some seconds; return how many cases there were."""
    until = time.monotonic() + seconds
    for k in range(count):
        if time.monotonic() > until:
            return k
        rng = np.random.default_rng([seed, k])
        try:
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                case(rng)
        except Exception as error:
            error.add_note(f"{case.__name__}, seed={seed}, case {k}")
            raise
    return count


def main(arguments: list[str]) -> None:
    """Try all functions and print their counts."""
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=2000, help="cases of each function")
    parser.add_argument("--seconds", type=float, default=600, help="at most, for each function")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--only", choices=[case.__name__ for case in CASES])
    options = parser.parse_args(arguments)
    # numba looks at it once
    assert "numba" not in sys.modules
    os.environ["NUMBA_BOUNDSCHECK"] = "1"
    print(f"seed {options.seed}, NUMBA_BOUNDSCHECK=1", flush=True)
    total = 0
    # what it keeps on disk does not say whether indices are checked
    with tempfile.TemporaryDirectory() as folder:
        os.environ["NUMBA_CACHE_DIR"] = folder
        for case in CASES:
            if options.only in (None, case.__name__):
                count = run(case, options.count, options.seed, options.seconds)
                print(f"{case.__name__:<12} {count} cases", flush=True)
                total += count
    print(f"{total} cases, none failed")


if __name__ == "__main__":
    main(sys.argv[1:])
