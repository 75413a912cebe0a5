"""From a place and a date to a map of water: scenes of both sensors, retrievals, masks, fusion."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from .assessment.applying import apply_calibration
from .datamodel.names import MU, SIGMA
from .datamodel.times import Time, as_time
from .fusion.rules import Inflate, RuleName
from .masks.exclusion import NDVI_MAX
from .models import water
from .models.predicting import predict
from .products import SensorProduct, Sentinel1Product, Sentinel2Product
from .stac.interval import day_interval
from .stac.items import item_time
from .stac.place_and_date import grid_of_place
from .stac.place_and_date import load as bands_of_place
from .stac.profiles import (
    EARTH_SEARCH,
    PLANETARY_COMPUTER_RTC,
    Catalog,
    CatalogLike,
    catalog_profile,
)
from .stac.searching import search
from .wording import of_sensor
from .workflow import S1, S2

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox

    from .assessment.calibration import Calibration

BANDS: Mapping[str, tuple[str, ...]] = {
    S1: ("vv", "vh"),
    S2: ("green", "red", "nir", "swir16"),
}
DIGITAL_NUMBER = 1e-4  # reflectance of one, of Sentinel-2 L2A
S2_NODATA = {**dict.fromkeys(BANDS[S2], 0), "scl": 255}
FULL_NAMES = {S1: "Sentinel-1", S2: "Sentinel-2"}
SEARCHED = 30  # days before and after, for the dates that are told where there is nothing
TOLD = 3  # such dates
HALF_A_DAY = np.timedelta64(12, "h")


@dataclass(frozen=True, kw_only=True)
class Catalogs:
    """Where scenes and masks are looked for."""

    rtc: CatalogLike | None = None
    """Backscatter of Sentinel-1, by default of the Planetary Computer."""
    s1: CatalogLike | None = None
    """Masks of Sentinel-1, by default those of EODC."""
    s2: CatalogLike | None = None
    """Bands of Sentinel-2 and its masks, by default of Earth Search."""

    def of_bands(self, name: str) -> Catalog:
        """Return the profile of the bands of a sensor; what is not ours has no signer of ours."""
        if name == S2:
            return catalog_profile(self.s2, EARTH_SEARCH)
        profile = catalog_profile(self.rtc, PLANETARY_COMPUTER_RTC)
        is_default = profile.url == PLANETARY_COMPUTER_RTC.url or isinstance(self.rtc, Catalog)
        return profile if is_default else dataclasses.replace(profile, signer=None)


@dataclass(frozen=True, kw_only=True)
class WaterMap:
    """A map of water, and of what it was made."""

    product: SensorProduct
    found: tuple[str, ...]
    """A sentence for each scene."""
    missing: tuple[str, ...]
    """A sentence for each scene or mask that was looked for and is not there."""


def map_water(
    place: tuple[float, float, float, float] | GeoBox,
    date: Time,
    *,
    days: int = 0,
    resolution: float = 10.0,
    models: Mapping[str, Any] | None = None,
    calibrations: Mapping[str, Calibration] | None = None,
    catalogs: Catalogs | None = None,
    ndvi_max: float = NDVI_MAX,
    rule: RuleName = "gaussian",
    correlation: float = 0.0,
    inflate: Inflate | None = None,
    prior: float | str | None = None,
) -> WaterMap:
    """Find scenes of a place and a date, retrieve water from them, and fuse it, lazily.

    Parameters
    ----------
    place : (west, south, east, north) or GeoBox
        A box in degrees, which gets a grid of its UTM zone; or the grid itself.
    date : str, datetime64 or datetime
        Day or moment, UTC. Of each sensor the pass is taken that is nearest to the moment, or to
        noon of the day.
    days : int
        How many days before and after the date are searched as well.
    resolution : float
        Metres of a pixel, of the grid of a box.
    models : mapping, optional
        "s1" or "s2" -> a model for :func:`xfusion.predict`. That of "s1" gets VV and VH in dB,
        that of "s2" the reflectances green, red, near infrared and short-wave infrared (1.6 um).
        Without, :func:`xfusion.water.from_backscatter` and :func:`xfusion.water.from_reflectance`.
    calibrations : mapping, optional
        "s1" or "s2" -> what its retrieval is calibrated with, before the fusion.
    catalogs : Catalogs, optional
    ndvi_max, rule, correlation, inflate, prior
        As of :func:`~xfusion.workflow.fuse_files`.

    Returns
    -------
    WaterMap
        Its product has `mu`, the probability of water. With scenes of one sensor alone it is that
        sensor's.

    Raises
    ------
    LookupError
        If there is no scene of either sensor; the message has the nearest dates that have one.
    ValueError, ConnectionError
        As of :func:`xfusion.load_bands`.

    Warns
    -----
    UserWarning
        If there is no scene of one of the sensors, or no mask of a scene.
    """
    catalogs = catalogs or Catalogs()
    interval = _interval(date, days)
    found: list[str] = []
    missing: list[str] = []
    products: list[SensorProduct] = []
    for name in (S1, S2):
        with of_sensor(name):
            try:
                bands = _bands(name, catalogs.of_bands(name), place, interval, resolution)
            except LookupError:
                missing.append(f"No scene of {FULL_NAMES[name]} was found {_when(date, days)}.")
                continue
            scene = _nearest(bands, date)
            found.append(_sentence(name, scene))
            dataset = _retrieved(name, scene, (models or {}).get(name))
            if calibrations and name in calibrations:
                dataset = apply_calibration(dataset, calibrations[name])
            products.append(_masked(name, dataset, catalogs, ndvi_max, missing))
            place = products[-1].geobox  # one grid, however a box would be cut for the other
    if not products:
        raise LookupError(_nothing(catalogs, place, date, days, resolution))
    for sentence in missing:
        warnings.warn(sentence, stacklevel=2)
    if len(products) == 1:
        return WaterMap(product=products[0], found=(*found,), missing=(*missing,))
    parameters: dict[str, Any] = {} if prior is None else {"prior": prior}
    if rule == "gaussian":
        parameters |= {"correlation": correlation, "inflate": inflate}
    fused = products[0].fuse(*products[1:], rule=rule, **parameters)
    return WaterMap(product=fused, found=(*found,), missing=(*missing,))


def _interval(date: Time, days: int) -> str:
    if days < 0:
        msg = f"{days=}: give 0 or more"
        raise ValueError(msg)
    start, end = (as_time(moment) for moment in day_interval(date))
    more = np.timedelta64(days, "D")
    return f"{start - more}/{end + more}"


def _when(date: Time, days: int) -> str:
    return f"on {_day(date)}" + (f", nor within {days} days of it" if days else "")


def _day(date: Time) -> str:
    return str(np.datetime_as_string(as_time(date), unit="D"))


def _bands(name: str, catalog: Catalog, place: Any, interval: str, resolution: float) -> xr.Dataset:
    """Load the bands of a sensor, of all passes of an interval."""
    if name == S1:
        return bands_of_place(catalog, place, interval, BANDS[S1], resolution=resolution)
    # by the classes it is seen whether the offset was applied to the pixels
    bands = [*BANDS[S2], "scl"]
    return bands_of_place(catalog, place, interval, bands, resolution=resolution, nodata=S2_NODATA)


def _nearest(bands: xr.Dataset, date: Time) -> xr.Dataset:
    """Return the pass that is nearest to a moment, or to noon of a day."""
    is_day = isinstance(date, str) and "T" not in date and ":" not in date
    moment = as_time(date) + (HALF_A_DAY if is_day else np.timedelta64(0, "h"))
    apart = np.abs(bands.time.to_numpy() - moment)
    return bands.isel(time=int(np.argmin(apart)))


def _sentence(name: str, scene: xr.Dataset) -> str:
    minute = np.datetime_as_string(scene.time.to_numpy(), unit="m").replace("T", " ")
    orbit = f", orbit {int(scene.orbit)}" if "orbit" in scene.coords else ""
    state = f" {scene.orbit_state.item()}" if "orbit_state" in scene.coords else ""
    return f"{FULL_NAMES[name]}: the pass of {minute} UTC{orbit}{state}."


def _retrieved(name: str, scene: xr.Dataset, model: Any) -> xr.Dataset:
    """Make the retrieval of a pass."""
    moment = scene.time.to_numpy()
    scene = scene.drop_vars(["orbit", "orbit_state"], errors="ignore")
    sensor = "sentinel-1" if name == S1 else "sentinel-2"
    if model is not None:
        bands = scene[[*BANDS[name]]].drop_vars("time")
        found = predict(_in_units(name, bands), model, sensor=sensor, time=moment)
        # as those of the other sensor, which may have no model
        return found.assign({n: found[n].assign_attrs(units="1") for n in (MU, SIGMA)})
    if name == S1:
        return water.from_backscatter(scene["vv"], scene["vh"], sensor=sensor)
    return water.from_reflectance(
        scene["green"], scene["swir16"], scene["nir"], scale=DIGITAL_NUMBER, sensor=sensor
    )


def _in_units(name: str, bands: xr.Dataset) -> xr.Dataset:
    """Return backscatter in dB and reflectances as such, float32, what is missing as NaN."""
    if name == S2:
        return bands.map(lambda band: (band * np.float32(DIGITAL_NUMBER)).astype(np.float32))
    in_db = {
        str(band): (10 * np.log10(power.where(power > 0))).astype(np.float32)
        for band, power in bands.data_vars.items()
        if power.attrs.get("units") != "dB"
    }
    return bands.assign(in_db)


def _masked(
    name: str, dataset: xr.Dataset, catalogs: Catalogs, ndvi_max: float, missing: list[str]
) -> SensorProduct:
    try:
        if name == S1:
            return Sentinel1Product(dataset=dataset).attach_mask(catalog=catalogs.s1)
        return Sentinel2Product(dataset=dataset).attach_mask(catalog=catalogs.s2, ndvi_max=ndvi_max)
    except LookupError:
        missing.append(f"No mask of the pass of {FULL_NAMES[name]} was found: nothing is excluded.")
    return (Sentinel1Product if name == S1 else Sentinel2Product)(dataset=dataset)


def _nothing(catalogs: Catalogs, place: Any, date: Time, days: int, resolution: float) -> str:
    """Say that there is nothing, and when there is."""
    geobox = grid_of_place(place, resolution)
    told = []
    for name in (S1, S2):
        catalog = catalogs.of_bands(name)
        try:
            items = search(catalog, geobox, _interval(date, SEARCHED), default=catalog)
        except LookupError:
            told.append(f"none of {FULL_NAMES[name]} within {SEARCHED} days")
            continue
        apart = {
            _day(item_time(item)): abs(as_time(item_time(item)) - as_time(date)) for item in items
        }
        nearest = sorted(apart, key=lambda day: apart[day])[:TOLD]
        told.append(f"of {FULL_NAMES[name]} there are {', '.join(sorted(nearest))}")
    return f"no scene of either sensor was found {_when(date, days)}: {'; '.join(told)}"
