"""The workflow from the files of several sensors to one fused product."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .assessment.applying import apply_calibration
from .assessment.calibration import Calibration
from .datamodel.grid import geobox_of
from .datamodel.names import THRESHOLD
from .datamodel.provenance import FILES
from .datamodel.redaction import public
from .datamodel.times import Time
from .fusion.probability import exceedance
from .fusion.rules import Inflate, RuleName
from .masks.exclusion import NDVI_MAX
from .products import SensorProduct, Sentinel1Product, Sentinel2Product
from .raster.file import FilePath
from .raster.opening import open_raster, open_retrieval
from .raster.sample import range_of, warn_of_ranges, warn_of_sigmas
from .stac.profiles import CatalogLike
from .warp.box import part_in_box
from .warp.target import common_grid
from .wording import of_sensor

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox

S1, S2 = "s1", "s2"
RANGE = "fusion_range_"  # attributes: what numbers of mu each sensor has, by a sample of them
FEWEST = 2  # one sensor has nothing to be fused with
PRODUCTS: Mapping[str, type[SensorProduct]] = {S1: Sentinel1Product, S2: Sentinel2Product}


@dataclass(frozen=True, kw_only=True)
class SensorFiles:
    """The files of one sensor."""

    name: str
    """"s1" and "s2" get the masks of their catalogues; any other has no mask but its own."""
    mu: FilePath
    sigma: FilePath
    mask: FilePath | None = None
    catalog: CatalogLike | None = None
    """Where to look for mask layers, instead of the sensor's own catalogue."""
    nodata: float | None = None
    """A value that means no data, besides what the files declare."""
    scale: float | None = None
    """What the numbers of mu and sigma are multiplied by, instead of what the files declare."""
    calibration: Calibration | None = None
    """Applied on the grid of the result, before the fusion."""


def fuse_files(
    sensors: Sequence[SensorFiles],
    *,
    date: Time | None = None,
    grid: str | None = None,
    bbox: Sequence[float] | None = None,
    ndvi_max: float = NDVI_MAX,
    rule: RuleName = "gaussian",
    correlation: float = 0.0,
    inflate: Inflate | None = None,
    prior: float | str | None = None,
    threshold: float | None = None,
) -> SensorProduct:
    """Open the retrievals of several sensors, attach their masks and fuse them, lazily.

    Parameters
    ----------
    sensors : sequence of SensorFiles
        At least two.
    date : str, datetime64 or datetime, optional
        Day or moment of acquisition, UTC; needed for the masks of "s1" and "s2" unless the files
        say it. A moment is that of each: of a day with acquisitions hours apart give the day, or
        let the files say theirs.
    grid : str, optional
        The grid of the result: the name of a sensor, a raster file, or ``"CRS,resolution"`` such
        as ``"EPSG:4326,0.0001"``, over what any sensor covers. By default that of "s2", or of
        the first sensor.
    bbox : (west, south, east, north), degrees, optional
        The part of the grid to be fused: the whole pixels that cover it.
    ndvi_max : float
        A Sentinel-2 pixel with a larger NDVI is excluded.
    rule : str
        As in :func:`xfusion.fuse`.
    correlation : float
        Of the errors of the sensors, for the rule "gaussian".
    inflate : {"birge"}, optional
        As in :func:`xfusion.gaussian`, for the rule "gaussian".
    prior : float or "calibration", optional
        Probability before any evidence, for the rule "log_odds".
    threshold : float, in units of mu, optional
        Add the layer `exceedance`, the probability that the quantity is above this, NaN where no
        sensor is usable.

    Returns
    -------
    SensorProduct

    Raises
    ------
    ValueError
        If there are fewer than two sensors, two of one name, an unknown grid, or files that do
        not fit each other, a box beside the grid, or a calibration of another sensor.
    LookupError
        If a catalogue has no items of the day, or of a moment none within 90 minutes.
    """
    names = [sensor.name for sensor in sensors]
    if len(sensors) < FEWEST:
        msg = f"{len(sensors)} sensors, there is nothing to fuse: give at least two"
        raise ValueError(msg)
    check_names(names)
    opened = {sensor.name: opened_files(sensor, date) for sensor in sensors}
    ranges = {name: range_of(product.mu) for name, product in opened.items()}
    warn_of_ranges(ranges)
    warn_of_sigmas({n: range_of(p.sigma, above=0) for n, p in opened.items()}, ranges)
    target = grid_of(grid, opened)
    if bbox is not None:
        target = part_in_box(target, bbox)
    products = [
        calibrated(sensor, masked(sensor, opened[sensor.name].coregister(target), ndvi_max))
        for sensor in sensors
    ]
    parameters: dict[str, Any] = {} if prior is None else {"prior": prior}
    if rule == "gaussian":
        parameters |= {"correlation": correlation, "inflate": inflate}
    fused = products[0].fuse(*products[1:], rule=rule, **parameters)
    told = {f"{FILES}{sensor.name}": names_of_files(sensor) for sensor in sensors}
    told |= {f"{RANGE}{name}": str(found) for name, found in ranges.items()}
    dataset = fused.dataset.assign_attrs(told)
    if threshold is not None:
        dataset = dataset.assign(exceedance=exceedance(dataset, threshold))
        dataset = dataset.assign_attrs({THRESHOLD: threshold})
    return SensorProduct(dataset=dataset)


def sensor_name(name: str) -> str:
    """Return what a result calls a sensor, "sentinel-1" of "s1"."""
    return str(PRODUCTS[name].sensor) if name in PRODUCTS else name


def names_of_files(sensor: SensorFiles) -> str:
    """Return the names of the files of a sensor, and addresses without what is secret in them."""
    files = [str(file) for file in (sensor.mu, sensor.sigma, sensor.mask) if file is not None]
    return ", ".join(public(f) if "://" in f else Path(f).name for f in files)


def check_names(names: Sequence[str]) -> None:
    """Refuse two sensors of one name, of which the second would be taken for the first."""
    if len({*names}) < len(names):
        msg = f"two sensors of one name in {[*names]}: name each differently"
        raise ValueError(msg)


def opened_files(sensor: SensorFiles, date: Time | None) -> SensorProduct:
    """Open the files of a sensor lazily."""
    product, files = PRODUCTS.get(sensor.name), (sensor.mu, sensor.sigma, sensor.mask)
    stored: dict[str, Any] = {"nodata": sensor.nodata, "scale": sensor.scale}
    with of_sensor(sensor.name):
        if product is not None:
            return product.open(*files, time=date, **stored)
        dataset = open_retrieval(*files, sensor=sensor.name, time=date, **stored)
        return SensorProduct(dataset=dataset)


def masked(sensor: SensorFiles, product: SensorProduct, ndvi_max: float) -> SensorProduct:
    """Return what a sensor has seen with the mask of its catalogue, if it has one."""
    with of_sensor(sensor.name):
        if isinstance(product, Sentinel2Product):
            return product.attach_mask(catalog=sensor.catalog, ndvi_max=ndvi_max)
        if product.recipe is not None:
            return product.attach_mask(catalog=sensor.catalog)
    return product


def calibrated(sensor: SensorFiles, product: SensorProduct) -> SensorProduct:
    """Return what a sensor has seen, by its calibration if it has one."""
    if sensor.calibration is None:
        return product
    with of_sensor(sensor.name):
        return replace(product, dataset=apply_calibration(product.dataset, sensor.calibration))


def grid_of(grid: str | None, opened: Mapping[str, SensorProduct]) -> GeoBox:
    """Return the grid that a text names, see :func:`fuse_files`."""
    if grid is None:
        grid = S2 if S2 in opened else next(iter(opened))
    if grid in opened:
        return opened[grid].geobox
    crs, comma, resolution = grid.rpartition(",")
    if comma and _is_number(resolution):
        try:
            return common_grid(*opened.values(), crs=crs, resolution=float(resolution))
        except ValueError as error:
            msg = f"{grid=}: {error}"
            raise ValueError(msg) from error
    if "://" in grid or Path(grid).exists():
        return geobox_of(open_raster(grid).to_dataset(name="grid"))
    msg = (
        f"{grid=} is no sensor of {list(opened)}, no file, and no CRS and resolution such as "
        "'EPSG:4326,0.0001'"
    )
    raise ValueError(msg)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
