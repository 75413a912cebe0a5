"""Scenes of a place and a date: which pass of a sensor is taken, and what is said of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from .datamodel.times import Time, as_time
from .masks.footprints import COVERED, covered_shares
from .masks.grouping import grouped_by_pass
from .masks.mosaic import OnReadError
from .stac.interval import day_interval
from .stac.items import item_time
from .stac.place_and_date import load as bands_of_place
from .stac.profiles import Catalog
from .stac.searching import search
from .wording import by_catalog
from .workflow import S1, S2

if TYPE_CHECKING:
    import pystac
    from odc.geo.geobox import GeoBox

BANDS: Mapping[str, tuple[str, ...]] = {
    S1: ("vv", "vh"),
    S2: ("green", "red", "nir", "swir16"),
}
# what is enough for thresholds; a network takes what it was trained with
ENOUGH_BANDS: Mapping[str, tuple[str, ...]] = {**BANDS, S1: ("vv",)}
# by the classes it is seen whether the offset was applied to the pixels
BESIDE: Mapping[str, tuple[str, ...]] = {S1: (), S2: ("scl",)}
FULL_NAMES = {S1: "Sentinel-1", S2: "Sentinel-2"}
ENOUGH = 0.9  # of the share that the pass covers which covers most
WHOLE = 0.995  # share of a place that is written as all of it
HALF_A_DAY = np.timedelta64(12, "h")


def interval_of(date: Time, days: int) -> str:
    """Return the interval of a date and some days before and after."""
    if days < 0:
        msg = f"{days=}: give 0 or more"
        raise ValueError(msg)
    if isinstance(date, str) and "/" in date:
        msg = f"{date=} is an interval: give the day in its middle, and days=2 before and after"
        raise ValueError(msg)
    start, end = (as_time(moment) for moment in day_interval(date))
    more = np.timedelta64(days, "D")
    return f"{start - more}/{end + more}"


def when(date: Time, days: int) -> str:
    """Return the words for it."""
    return f"on {day_of(date)}" + (f", nor within {days} days of it" if days else "")


def day_of(date: Time) -> str:
    """Return its day."""
    return str(np.datetime_as_string(as_time(date), unit="D"))


def bands_of_sensor(
    name: str,
    catalog: Catalog,
    grid: GeoBox,
    date: Time,
    days: int,
    needed: Sequence[str],
    on_read_error: OnReadError,
) -> tuple[xr.Dataset, str]:
    """Load the bands of the pass of a sensor that is taken, and say which that is.

    Of `BANDS` those are loaded that are `needed`, and all if each item of the pass has them.
    """
    bands = [*needed, *BESIDE[name]]
    taken: Time = interval_of(date, days)
    with by_catalog("rtc" if name == S1 else name):
        items = search(catalog, grid, taken, default=catalog)
        passes = grouped_by_pass(item for item in items if has_bands(item, bands, catalog))
        nearer = None
        if passes:
            # chosen before it is loaded: of others nothing is to be opened
            known = _described(passes, grid)
            chosen, nearest = chosen_pass(known, date), nearest_pass(known, date)
            taken = chosen.time.to_numpy()[()]
            nearer = None if nearest.time == chosen.time else nearest
            its_items = passes[int(np.flatnonzero(known.time == chosen.time)[0])]
            every = [*BANDS[name], *BESIDE[name]]
            bands = every if all(has_bands(i, every, catalog) for i in its_items) else bands
        loaded = bands_of_place(catalog, grid, taken, bands, on_read_error=on_read_error)
    # frames beyond midnight are of it, too
    scene = chosen_pass(loaded, date)
    return scene, sentence_of(name, scene, nearer)


def has_bands(item: pystac.Item, bands: Sequence[str], catalog: Catalog) -> bool:
    """Whether an item has some bands."""
    keys = catalog.keys_of(item.collection_id)
    return all(keys[band] in item.assets for band in bands)


def _described(passes: Sequence[Sequence[pystac.Item]], grid: GeoBox) -> xr.Dataset:
    """Return what passes say of themselves: when they are from, and what they cover."""
    times = [as_time(min(map(item_time, items))) for items in passes]
    time = np.array(times, "datetime64[ns]")
    covered = "time", covered_shares(passes, grid)
    return xr.Dataset(coords={"time": time, COVERED: covered})


def chosen_pass(bands: xr.Dataset, date: Time) -> xr.Dataset:
    """Return the nearest of the passes that cover nearly as much as the one that covers most."""
    covered = bands.covered.to_numpy()
    return nearest_pass(bands.isel(time=np.flatnonzero(covered >= ENOUGH * covered.max())), date)


def nearest_pass(bands: xr.Dataset, date: Time) -> xr.Dataset:
    """Return the pass that is nearest to a moment, or to noon of a day."""
    moment = as_time(date)
    # a day of numpy or of datetime is no text
    is_day = moment == moment.astype("datetime64[D]")
    if isinstance(date, str):
        is_day = "T" not in date and ":" not in date
    moment = moment + (HALF_A_DAY if is_day else np.timedelta64(0, "h"))
    apart = np.abs(bands.time.to_numpy() - moment)
    return bands.isel(time=int(np.argmin(apart)))


def sentence_of(name: str, scene: xr.Dataset, nearer: xr.Dataset | None) -> str:
    """Return what is said of the pass that is taken, and of one that is nearer."""
    orbit = f", orbit {int(scene.orbit)}" if "orbit" in scene.coords else ""
    state = f" {scene.orbit_state.item()}" if "orbit_state" in scene.coords else ""
    share = f",{_covers(scene)}" if scene.covered < WHOLE else ""
    there = [band for band in BANDS[name] if band in scene]
    alone = "" if len(there) == len(BANDS[name]) else f", of {' and '.join(there).upper()} alone"
    rather = ""
    if nearer is not None:
        rather = f" Nearer is that of {_minute(nearer)} UTC,{_covers(nearer)}."
    return (
        f"{FULL_NAMES[name]}: the pass of {_minute(scene)} UTC{orbit}{state}{alone}{share}.{rather}"
    )


def _minute(scene: xr.Dataset) -> str:
    return str(np.datetime_as_string(scene.time.to_numpy(), unit="m")).replace("T", " ")


def _covers(scene: xr.Dataset) -> str:
    return f" which covers {100 * float(scene.covered):.0f} % of the place"
