"""The retrieval of water of a scene: by thresholds or by a model, in the units that it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from .datamodel.building import with_flags
from .datamodel.grid import geobox_of
from .datamodel.names import MU, SIGMA
from .datamodel.pixel_area import PixelArea
from .models import water
from .models.bands_of_water import is_linear
from .models.equivalent_looks import looks_at
from .models.lacking import flags_of_lacking
from .models.predicting import predict
from .models.returned import as_returning
from .scenes import BANDS
from .workflow import S1, S2

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox

DIGITAL_NUMBER = 1e-4  # reflectance of one, of Sentinel-2 L2A
TRUE = 0.01  # share by which metres of a map may be off


def tells_sigma(model: Any) -> bool:
    """Whether a model tells how unsure it is."""
    returning = as_returning(model)
    return returning.has_variance or returning.count > 1


def retrieved(name: str, scene: xr.Dataset, model: Any, sigma: float | None) -> xr.Dataset:
    """Return the retrieval of a pass, with a mask.

    Parameters
    ----------
    name : {"s1", "s2"}
    scene : Dataset
        Its bands.
    model : callable, optional
        As of :func:`xfusion.predict`; without, by thresholds.
    sigma : float, optional
        Of a model that tells none.
    """
    moment = scene.time.to_numpy()
    scene = scene.drop_vars(["orbit", "orbit_state", "covered"], errors="ignore")
    sensor = "sentinel-1" if name == S1 else "sentinel-2"
    if model is not None:
        bands = scene[[*BANDS[name]]].drop_vars("time")
        ways: dict[str, Any] = {"bounded": (0, 1), "sensor": sensor, "time": moment}
        found = predict(_in_units(name, bands), model, sigma=sigma, **ways)
        # as those of the other sensor, which may have no model
        return found.assign({n: found[n].assign_attrs(units="1") for n in (MU, SIGMA)})
    if name == S1:
        looks = looks_at(side_of_pixel(geobox_of(scene)))
        made = water.from_backscatter(scene["vv"], scene.get("vh"), looks=looks, sensor=sensor)
    else:
        bands_of_water = (scene[band] for band in ("green", "swir16", "nir"))
        made = water.from_reflectance(*bands_of_water, scale=DIGITAL_NUMBER, sensor=sensor)
    # beside the swath nothing is known, whether or not there is a mask of the pass
    return with_flags(made, flags_of_lacking(made[MU]))


def side_of_pixel(grid: GeoBox) -> float:
    """Return how long the side of a pixel in the middle of a grid is, in metres of the ground.

    Of a map whose metres are nearly those of the ground, as of UTM, in metres of the map: scenes
    have the same.
    """
    row, column = (np.array([n // 2]) for n in grid.shape)
    area = PixelArea(grid).exact(row, column)
    on_ground, on_map = 1000 * float(np.sqrt(area[0])), abs(grid.transform.determinant) ** 0.5
    return on_map if abs(on_ground / on_map - 1) <= TRUE else on_ground


def _in_units(name: str, bands: xr.Dataset) -> xr.Dataset:
    """Return backscatter in dB and reflectances as such, float32, what is missing as NaN."""
    if name == S2:
        return bands.map(lambda band: (band * np.float32(DIGITAL_NUMBER)).astype(np.float32))
    in_db = {
        str(band): (10 * np.log10(power.where(power > 0))).astype(np.float32)
        for band, power in bands.data_vars.items()
        if is_linear(str(band), power, None)
    }
    return bands.assign(in_db)
