"""Filter and smoother through a season of two sensors, against plain numpy and statsmodels."""

from typing import Any

import numpy as np
import xarray as xr

import xfusion as xf
from benchmarks.tables import Table, timed
from benchmarks.timing import best_of

SIDE = 1000
Q = 0.002
START = np.datetime64("2023-03-01", "ns")
DAYS = {"sentinel-1": np.arange(0, 180, 6), "sentinel-2": np.arange(2, 180, 5)}
CLOUDY = 0.4
SAMPLE = 40  # pixels for what goes through them one by one


def series() -> list[xr.Dataset]:
    """A walk through half a year, as two sensors saw it, one of them through clouds."""
    rng = np.random.default_rng(0)
    shape = SIDE, SIDE
    steps = np.sqrt(np.float32(Q)) * rng.standard_normal((180, *shape), np.float32)
    truth = np.cumsum(steps, axis=0, dtype=np.float32)
    cubes = []
    for (name, days), noise in zip(DAYS.items(), (0.15, 0.08), strict=True):
        sigma = np.full((days.size, *shape), noise, np.float32)
        mu = truth[days] + sigma * rng.standard_normal(sigma.shape, np.float32)
        cloud = rng.random(sigma.shape, np.float32) < (CLOUDY if name == "sentinel-2" else 0.0)
        times = START + days * np.timedelta64(1, "D")
        arrays = [xr.DataArray(a, {"time": times}, ("time", "y", "x")) for a in (mu, sigma, cloud)]
        cubes.append(xf.retrieval(*arrays, sensor=name))
    return cubes


def looks(cubes: list[xr.Dataset]) -> tuple[Any, Any, Any]:
    """Return mu and sigma of all dates, NaN where a mask excludes; and days between them."""
    usable = [c[["mu", "sigma"]].where(c["mask"] == 0) for c in cubes]
    merged = xr.concat(usable, "time", join="exact", combine_attrs="drop").sortby("time")
    days = np.diff(merged.time.to_numpy(), prepend=merged.time.to_numpy()[:1])
    return merged.mu.to_numpy(), merged.sigma.to_numpy(), days / np.timedelta64(1, "D")


def with_numpy(mu: Any, sigma: Any, days: Any) -> tuple[Any, Any]:
    """Filter all pixels at once, date by date, and smooth them back."""
    variance = sigma**2
    means, variances = np.empty_like(mu), np.empty_like(variance)
    m, p = np.full_like(mu[0], np.nan), np.full_like(mu[0], np.nan)
    for k, day in enumerate(days):
        p = p + np.float32(Q * day)
        seen, known = np.isfinite(mu[k]), np.isfinite(m)
        gain = p / (p + variance[k])
        both = seen & known
        m = np.where(both, m + gain * (mu[k] - m), np.where(seen, mu[k], m))
        p = np.where(both, (1 - gain) * p, np.where(seen, variance[k], p))
        means[k], variances[k] = m, p
    for k in range(len(days) - 2, -1, -1):
        ahead = variances[k] + np.float32(Q * days[k + 1])
        back = variances[k] / ahead
        known = np.isfinite(means[k])
        m = np.where(known, means[k] + back * (m - means[k]), m)
        reached = variances[k] + back * back * (p - ahead)
        p = np.where(known, reached, p + np.float32(Q * days[k + 1]))
        means[k], variances[k] = m, p
    return means, np.sqrt(variances)


def with_statsmodels(mu: Any, sigma: Any, days: Any) -> tuple[Any, Any]:
    """Smooth pixels one by one, with variances that change from date to date."""
    from statsmodels.tsa.statespace.kalman_smoother import KalmanSmoother

    means, deviations = [], []
    dates = len(days)
    for pixel in range(mu.shape[1]):
        seen = mu[:, pixel].astype(np.float64)
        model = KalmanSmoother(k_endog=1, k_states=1)
        model.bind(seen[:, None].copy())
        model["design"] = np.ones((1, 1))
        model["transition"] = np.ones((1, 1))
        model["selection"] = np.ones((1, 1))
        noise = np.nan_to_num(sigma[:, pixel].astype(np.float64) ** 2, nan=1.0)
        model["obs_cov"] = noise.reshape(1, 1, dates)
        model["state_cov"] = (Q * np.append(days[1:], 0.0)).reshape(1, 1, dates)
        model.initialize_approximate_diffuse(1e6)
        found = model.smooth()
        means.append(found.smoothed_state[0])
        deviations.append(np.sqrt(found.smoothed_state_cov[0, 0]))
    return np.array(means).T, np.array(deviations).T


def main() -> list[Table]:
    cubes = series()
    mu, sigma, days = looks(cubes)
    chunked = [c.chunk({"time": -1, "y": 250, "x": 250}) for c in cubes]
    wet = [
        c.assign(mu=(1 / (1 + np.exp(-4 * c.mu))).assign_attrs(c.mu.attrs), sigma=c.sigma)
        for c in cubes
    ]
    rows, columns = mu.shape[1:]
    pixels = rows * columns * len(days)
    times = best_of(
        {
            "plain numpy, filter and smoother": lambda: with_numpy(mu, sigma, days),
            "xfusion, filter": lambda: xf.filter(*cubes, q=Q),
            "xfusion, filter and smoother": lambda: xf.smooth(*cubes, q=Q),
            "the same in dask": lambda: xf.smooth(*chunked, q=Q).compute(),
            "xfusion, two states": lambda: xf.smooth(*wet, model="two_state", rates=(0.01, 0.1)),
        },
        rounds=3,
    )
    title = (
        f"A season of {len(days)} dates of two sensors, masked float32, {SIDE} x {SIDE} pixels, in "
        "memory;\nper pixel and date"
    )
    against = "plain numpy, filter and smoother"
    season = timed("time", title, times, against=against, pixels=pixels)

    some = slice(0, SAMPLE)
    part = [c.isel(y=slice(1), x=some) for c in cubes]
    flat = mu[:, 0, some], sigma[:, 0, some], days
    others = best_of(
        {
            "statsmodels, smoother": lambda: with_statsmodels(*flat),
            "xfusion, filter and smoother": lambda: xf.smooth(*part, q=Q),
        },
        rounds=3,
    )
    beside = timed(
        "time, others",
        f"The same of {SAMPLE} pixels",
        others,
        against="statsmodels, smoother",
        pixels=SAMPLE * len(days),
    )
    ours = xf.smooth(*part, q=Q)
    for name, (mean, deviation) in {
        "plain numpy": with_numpy(*flat),
        "statsmodels": with_statsmodels(*flat),
    }.items():
        # of the last of what was seen on one day
        last = np.append(days[1:] > 0, True)
        off = float(np.abs(ours.mu.to_numpy()[:, 0] - mean[last]).max())
        wide = float(np.abs(ours.sigma.to_numpy()[:, 0] / deviation[last] - 1).max())
        print(f"  {name:<14} largest difference of mu {off:.1e}, of sigma {wide:.1e} of it")
        assert off < 1e-3
        assert wide < 1e-3
    return [season, beside]
