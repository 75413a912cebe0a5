"""Fusion of two masked 36 Mpx sensors in memory, against the plain xarray expression."""

import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import xarray as xr

import xfusion as xf
from benchmarks.tables import Table, timed
from benchmarks.timing import best_of

SIDE = 6000
FLOOR = 1e-6


def sensor(seed: int) -> xr.Dataset:
    rng = np.random.default_rng(seed)
    shape = (SIDE, SIDE)
    mu = rng.random(shape, np.float32)
    mu[rng.random(shape, np.float32) < 0.05] = np.nan
    sigma = rng.random(shape, np.float32) * np.float32(0.3)
    flags = (rng.random(shape, np.float32) < 0.2).astype(np.uint8) * np.uint8(xf.Exclusion.CLOUD)
    return xf.retrieval(mu, sigma, flags, sensor=f"sensor-{seed}")


def plain(s1: xr.Dataset, s2: xr.Dataset) -> xr.Dataset:
    """DESIGN section 2, step 5, as one would write it in a notebook."""
    mu1, mu2 = s1.mu.where(s1["mask"] == 0), s2.mu.where(s2["mask"] == 0)
    sigma1 = s1.sigma.where(s1["mask"] == 0)
    sigma2 = s2.sigma.where(s2["mask"] == 0)
    sigma1 = xr.where(sigma1 <= FLOOR, np.float32(FLOOR), sigma1)
    sigma2 = xr.where(sigma2 <= FLOOR, np.float32(FLOOR), sigma2)
    usable1 = np.isfinite(mu1) & np.isfinite(sigma1)
    usable2 = np.isfinite(mu2) & np.isfinite(sigma2)
    var1, var2 = sigma1**2, sigma2**2
    both = usable1 & usable2
    mu = (var2 * mu1 + var1 * mu2) / (var1 + var2)
    var = var1 * var2 / (var1 + var2)
    mu = xr.where(both, mu, xr.where(usable1, mu1, xr.where(usable2, mu2, np.nan)))
    var = xr.where(both, var, xr.where(usable1, var1, xr.where(usable2, var2, np.nan)))
    return xr.Dataset({"mu": mu, "sigma": np.sqrt(var)})


def plain_with_flags(s1: xr.Dataset, s2: xr.Dataset) -> xr.Dataset:
    """The same, with who contributed and why nobody did, as xfusion returns them."""
    fused = plain(s1, s2)
    usable1 = (s1["mask"] == 0) & np.isfinite(s1.mu) & np.isfinite(s1.sigma)
    usable2 = (s2["mask"] == 0) & np.isfinite(s2.mu) & np.isfinite(s2.sigma)
    reasons = s1["mask"] | s2["mask"]
    reasons = xr.where(reasons == 0, np.uint8(xf.Exclusion.UNKNOWN), reasons)
    mask = xr.where(usable1 | usable2, np.uint8(0), reasons)
    source = usable1.astype(np.uint8) | (usable2.astype(np.uint8) << np.uint8(1))
    return fused.assign(mask=mask, source=source)


def copy_bytes(s1: xr.Dataset, s2: xr.Dataset) -> list[np.ndarray]:
    """Read the inputs and write the outputs' bytes: what memory allows."""
    inputs = [r[v].to_numpy().reshape(-1) for r in (s1, s2) for v in ("mu", "sigma", "mask")]
    outputs = [np.empty_like(a) for a in (inputs[0], inputs[1], inputs[2], inputs[2])]
    block = 1 << 20

    def on_block(start: int) -> None:
        part = slice(start, start + block)
        for source, target in zip(inputs[:3], outputs, strict=False):
            np.copyto(target[part], source[part])
        np.copyto(outputs[3][part], inputs[5][part])
        for source in inputs[3:5]:
            source[part].max()

    with ThreadPoolExecutor() as pool:
        list(pool.map(on_block, range(0, inputs[0].size, block)))
    return outputs


def extra_memory(sensors: list[xr.Dataset], correlation: float) -> float:
    """Return the peak memory of a fusion beyond its result, as a share of that."""
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    fused = xf.gaussian(*sensors, correlation=correlation)
    peak = tracemalloc.get_traced_memory()[1] - before
    tracemalloc.stop()
    result = sum(v.nbytes for v in fused.data_vars.values())
    return peak / result - 1


def main() -> list[Table]:
    sensors = [sensor(i) for i in range(4)]
    s1, s2 = sensors[:2]
    times = best_of(
        {
            "plain xarray, mu and sigma only": lambda: plain(s1, s2),
            "plain xarray, the same result": lambda: plain_with_flags(s1, s2),
            "xfusion, 2 sensors": lambda: xf.gaussian(s1, s2),
            "copying the bytes of 2 sensors": lambda: copy_bytes(s1, s2),
            "xfusion, 4 sensors": lambda: xf.gaussian(*sensors),
            "xfusion, 4 sensors, correlation=0.3": lambda: xf.gaussian(*sensors, correlation=0.3),
        },
        rounds=5,
    )
    title = f"Fusing masked float32 sensors of {SIDE} x {SIDE} pixels, in memory"
    against = "plain xarray, mu and sigma only"
    speeds = timed("fusion", title, times, against=against, pixels=SIDE**2)
    extra = [
        {"what": f"4 sensors, {correlation=:g}", "extra": extra_memory(sensors, correlation)}
        for correlation in (0.0, 0.3)
    ]
    beyond = "Memory of fusing beyond that of the result, as a share of it"
    fused, expected = xf.gaussian(s1, s2), plain_with_flags(s1, s2)
    np.testing.assert_array_equal(fused["mask"], expected["mask"])
    np.testing.assert_array_equal(fused.source, expected.source)
    np.testing.assert_allclose(fused.mu, expected.mu, rtol=1e-5)
    np.testing.assert_allclose(fused.sigma, expected.sigma, rtol=1e-5)
    return [speeds, Table("fusion, memory", beyond, ("extra",), extra)]
