"""From a place and a date to a map of water: scenes of both sensors, retrievals, masks, fusion."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from .assessment.aleatoric import add_aleatoric
from .assessment.applying import apply_calibration
from .datamodel.provenance import SCENE, retrieval_attrs, scene_attrs
from .datamodel.times import Time, as_time
from .fusion.rules import Inflate, RuleName
from .masks.decisions import each_warned_of_once
from .masks.exclusion import NDVI_MAX
from .masks.mosaic import OnReadError
from .products import SensorProduct, Sentinel1Product, Sentinel2Product
from .scene_retrieval import retrieved, tells_sigma
from .scenes import (
    BANDS,
    BESIDE,
    ENOUGH_BANDS,
    FULL_NAMES,
    bands_of_sensor,
    day_of,
    has_bands,
    interval_of,
    when,
)
from .stac.items import item_time
from .stac.place import grid_of_place
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

SEARCHED = 30  # days before and after, for the dates that are told where there is nothing
TOLD = 3  # such dates
LEAST = "it is the least that a probability has, sqrt(mu (1 - mu))"


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
    on_read_error: OnReadError = "raise",
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
        Day or moment, UTC. Of each sensor one pass is taken: of those whose footprints cover at
        least nine tenths of what the best does, the one nearest to the moment, or to noon of the
        day. One of Sentinel-1 of VV alone is as good, but for a model, which needs VH as well.
    days : int
        How many days before and after the date are searched as well.
    resolution : float
        Metres of a pixel, of the grid of a box.
    models : mapping, optional
        "s1" or "s2" -> a model for :func:`xfusion.predict`. That of "s1" gets VV and VH in dB,
        that of "s2" the reflectances green, red, near infrared and short-wave infrared (1.6 um);
        a mean that is no probability is an error.
        Without, :func:`xfusion.water.from_backscatter` and :func:`xfusion.water.from_reflectance`.
    calibrations : mapping, optional
        "s1" or "s2" -> what its retrieval is calibrated with, before the fusion.
    catalogs : Catalogs, optional
    on_read_error : {"raise", "flag"}
        When pixels of bands or masks cannot be read: raise, or exclude them as READ_FAILED.
    ndvi_max, rule, correlation, inflate, prior
        As of :func:`~xfusion.workflow.fuse_files`; of one sensor there is nothing to fuse.

    Returns
    -------
    WaterMap
        Its product has `mu`, the probability of water. With scenes of one sensor alone it is that
        sensor's. Its attributes say what it was made of: ``fusion_scene_items_<sensor>``, when and
        from which catalogue, what was added to reflectances; ``fusion_retrieval_<sensor>``,
        how; and ``fusion_scene_found`` and ``fusion_scene_missing``.

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
    interval_of(date, days)  # what is none is refused before a search
    grid: GeoBox = grid_of_place(place, resolution)  # one, whatever is found
    found: list[str] = []
    missing: list[str] = []
    products: list[SensorProduct] = []
    told: dict[str, Any] = {}
    for name in (S1, S2):
        with of_sensor(name), each_warned_of_once():
            model = (models or {}).get(name)
            needed = _needed(name, model)
            try:
                scene, sentence = bands_of_sensor(
                    name, catalogs.of_bands(name), grid, date, days, needed, on_read_error
                )
            except LookupError as error:
                whole = " with all bands" if "has the assets" in str(error) else ""
                scene_of = f"scene of {FULL_NAMES[name]}{whole}"
                missing.append(f"No {scene_of} was found {when(date, days)}.")
                continue
            found.append(sentence)
            alone = model is not None and not tells_sigma(model)
            dataset = retrieved(name, scene, model, sigma=0.0 if alone else None)
            sensor = str(dataset.attrs["sensor"])
            if calibrations and name in calibrations:
                dataset = apply_calibration(dataset, calibrations[name])
            if alone:
                dataset = add_aleatoric(dataset)
                found.append(f"One network tells no sigma of {FULL_NAMES[name]}: {LEAST}.")
            told |= scene_attrs(sensor, scene) | retrieval_attrs(sensor, dataset)
            ways: dict[str, Any] = {"ndvi_max": ndvi_max, "on_read_error": on_read_error}
            products.append(_masked(name, dataset, catalogs, missing, **ways))
    if not products:
        raise LookupError(_nothing(catalogs, grid, date, days, models or {}))
    for sentence in missing:
        warnings.warn(sentence, stacklevel=2)
    parameters: dict[str, Any] = {} if prior is None else {"prior": prior}
    if rule == "gaussian":
        parameters |= {"correlation": correlation, "inflate": inflate}
    if len(products) == 1:
        if rule != "gaussian" or any(parameters.values()):
            found.append(f"There is one sensor, so nothing was fused: {rule} was not used.")
        product = products[0]
    else:
        product = products[0].fuse(*products[1:], rule=rule, **parameters)
    sentences = {f"{SCENE}found": " ".join(found), f"{SCENE}missing": " ".join(missing)}
    told |= {name: said for name, said in sentences.items() if said}
    with_origin = dataclasses.replace(product, dataset=product.dataset.assign_attrs(told))
    return WaterMap(product=with_origin, found=(*found,), missing=(*missing,))


def _needed(name: str, model: Any) -> tuple[str, ...]:
    """Return the bands that a scene must have."""
    return ENOUGH_BANDS[name] if model is None else BANDS[name]


def _masked(
    name: str,
    dataset: xr.Dataset,
    catalogs: Catalogs,
    missing: list[str],
    *,
    ndvi_max: float,
    on_read_error: OnReadError,
) -> SensorProduct:
    try:
        if name == S1:
            return Sentinel1Product(dataset=dataset).attach_mask(
                catalog=catalogs.s1, on_read_error=on_read_error
            )
        return Sentinel2Product(dataset=dataset).attach_mask(
            catalog=catalogs.s2, ndvi_max=ndvi_max, on_read_error=on_read_error
        )
    except LookupError:
        missing.append(f"No mask of the pass of {FULL_NAMES[name]} was found: nothing is excluded.")
    return (Sentinel1Product if name == S1 else Sentinel2Product)(dataset=dataset)


def _nothing(
    catalogs: Catalogs, geobox: Any, date: Time, days: int, models: Mapping[str, Any]
) -> str:
    """Say that there is nothing, and when there is."""
    told, away = [], []
    for name in (S1, S2):
        catalog = catalogs.of_bands(name)
        try:
            items = search(catalog, geobox, interval_of(date, SEARCHED), default=catalog)
        except LookupError:
            told.append(f"none of {FULL_NAMES[name]} within {SEARCHED} days")
            continue
        needed = _needed(name, models.get(name))
        whole = [item for item in items if has_bands(item, (*needed, *BESIDE[name]), catalog)]
        if not whole:
            bands = f"with the band{'s' if len(needed) > 1 else ''} {', '.join(needed)}"
            told.append(f"none of {FULL_NAMES[name]} {bands} within {SEARCHED} days")
            continue
        apart = {
            day_of(item_time(item)): abs(as_time(item_time(item)) - as_time(date)) for item in whole
        }
        nearest = sorted(apart, key=lambda day: apart[day])[:TOLD]
        away.append(int(np.ceil(apart[nearest[0]] / np.timedelta64(1, "D"))))
        told.append(f"of {FULL_NAMES[name]} there are {', '.join(sorted(nearest))}")
    more = f"; search farther, days={min(away)}" if away and min(away) > days else ""
    return f"no scene of either sensor was found {when(date, days)}: {'; '.join(told)}{more}"
