"""The bands that a retrieval of water is made of: checked by their metadata, on one grid."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfusion.datamodel.building import unwrapped
from xfusion.datamodel.flags import Exclusion
from xfusion.datamodel.names import MU, READ_FAILED, SIGMA
from xfusion.datamodel.nodata import declared_nodata, without_nodata
from xfusion.datamodel.reference import on_grid
from xfusion.datamodel.units import same_units, units_of
from xfusion.datamodel.validation import as_retrieval, decoded

from .measured import GREEN, NIR, OTHER, SWIR16, Backscatter, Measured, Reflectance
from .water_parameters import MNDWI, NDWI, VH, VV

PowerUnits: TypeAlias = Literal["dB", "linear"]

NOISE = (0.005, 0.05)  # of a surface reflectance: a number, and a share of it
DB = {"db", "decibel", "decibels"}
LINEAR = {"1", "linear", "power", "linear power", "dimensionless", "m2/m2", "m2 m-2"}
REFLECTANCE = {"1", "dimensionless", "reflectance"}
DEGREES = "degree"


@dataclass(frozen=True)
class Bands:
    """Bands on one grid."""

    names: tuple[str, ...]
    layers: tuple[xr.DataArray, ...]
    features: tuple[str, ...]
    measured: Measured
    failed: tuple[xr.DataArray, ...] = ()
    """Where they could not be read, of those of which it is known."""

    @property
    def grid(self) -> xr.Dataset:
        """A retrieval on their grid, the first of them as its mu."""
        return _grid_of(self.layers[0])

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of what is made of them."""
        found = np.result_type(np.float32, *(layer.dtype for layer in self.layers))
        return np.dtype(np.float32 if found == np.float32 else np.float64)


def backscatter_of(
    vv: xr.DataArray, vh: xr.DataArray | None, *, units: str | None, looks: float
) -> Bands:
    """Return the bands of a radar.

    Raises
    ------
    ValueError
        If it is not said whether one is in dB or linear, or grids differ.
    """
    if units is not None and units not in get_args(PowerUnits):
        msg = f"{units=}: must be one of {', '.join(get_args(PowerUnits))}"
        raise ValueError(msg)
    if not (np.ndim(looks) == 0 and looks > 0):
        msg = f"{looks=}: must be a number above 0, infinite for no noise"
        raise ValueError(msg)
    given = {VV: vv} if vh is None else {VV: vv, VH: vh}
    plain = {name: _plain(band, name) for name, band in given.items()}
    linear = tuple(is_linear(name, band, units) for name, band in plain.items())
    names, layers = tuple(given), _on_one_grid(plain)
    measured = Backscatter(names, linear, float(looks))
    return Bands(names, layers, names, measured, _failed(given))


def reflectance_of(
    green: xr.DataArray,
    swir16: xr.DataArray | None,
    nir: xr.DataArray | None,
    *,
    noise: tuple[float, float],
    scale: float | None,
    offset: float,
) -> Bands:
    """Return the bands of an optical sensor.

    Raises
    ------
    ValueError
        If no scale is known, a band is missing, or grids differ.
    """
    others = {SWIR16: swir16, NIR: nir}
    given = {GREEN: green} | {name: band for name, band in others.items() if band is not None}
    if len(given) == 1:
        msg = "green alone tells no water: give swir16=, for MNDWI, nir=, for NDWI, or both"
        raise ValueError(msg)
    if np.shape(noise) != (2,) or not all(0 <= part < math.inf for part in noise):
        msg = f"{noise=}: two numbers of 0 or above, of a reflectance r noise[0] + noise[1] r"
        raise ValueError(msg)
    if not math.isfinite(offset):
        msg = f"{offset=}: must be a number, what is added before the scale multiplies"
        raise ValueError(msg)
    plain = {name: _plain(band, name) for name, band in given.items()}
    factor = _scale_of(plain, scale)
    # integers without a nodata have 0, as those of Sentinel-2
    nodata = tuple(
        0.0 if band.dtype.kind in "iu" and not declared_nodata(band) else None
        for band in given.values()
    )
    names, layers = tuple(given), _on_one_grid(plain)
    indices = tuple(index for index in (MNDWI, NDWI) if OTHER[index] in given)
    measured = Reflectance(
        names, indices, factor, float(offset), nodata, (float(noise[0]), float(noise[1]))
    )
    return Bands(names, layers, indices, measured, _failed(given))


def flags_of_slope(dataset: xr.Dataset, slope: Any, slope_max: float) -> xr.DataArray:
    """Return SHADOW where terrain is steep, and UNKNOWN where it is not known."""
    slope = unwrapped(slope) if isinstance(slope, xr.DataArray) else slope
    units = units_of(slope) if isinstance(slope, xr.DataArray) else None
    if units is not None and not same_units(units, DEGREES):
        msg = f"slope is in {units!r}: give it in degrees, with the units 'degree' or none"
        raise ValueError(msg)
    if not slope_max > 0:
        msg = f"{slope_max=}: must be above 0 degrees"
        raise ValueError(msg)
    located = on_grid(dataset, slope, name="slope")
    flags: xr.DataArray = xr.apply_ufunc(
        _steep, located, kwargs={"limit": slope_max}, dask="parallelized", output_dtypes=[np.uint8]
    )
    return flags


def _steep(slope: NDArray[Any], *, limit: float) -> NDArray[np.uint8]:
    known = np.isfinite(slope) & (slope >= 0)
    steep = np.where(slope > limit, np.uint8(Exclusion.SHADOW), np.uint8(0))
    return np.where(known, steep, np.uint8(Exclusion.UNKNOWN)).astype(np.uint8)


def _plain(band: Any, name: str) -> xr.DataArray:
    """Return a band without pint, packing and nodata."""
    if not isinstance(band, xr.DataArray):
        msg = (
            f"{name} is a {type(band).__name__}, not a DataArray: it needs a place, "
            f"xr.DataArray({name}, dims=('y', 'x'))"
        )
        raise TypeError(msg)
    if band.dtype.kind not in "iuf":
        msg = f"{name} is of {band.dtype}, not of real numbers: give what it measures"
        raise ValueError(msg)
    band = band.drop_vars(READ_FAILED, errors="ignore")
    return decoded(without_nodata(unwrapped(band)).rename(name))


def _failed(bands: dict[str, xr.DataArray]) -> tuple[xr.DataArray, ...]:
    """Return where bands could not be read, once of those that were loaded together."""
    said = [band.coords[READ_FAILED] for band in bands.values() if READ_FAILED in band.coords]
    different = {getattr(each.data, "name", id(each.data)): each for each in said}
    return tuple(each.reset_coords(drop=True) for each in different.values())


def _on_one_grid(bands: dict[str, xr.DataArray]) -> tuple[xr.DataArray, ...]:
    (_, first), *others = bands.items()
    grid = _grid_of(first)
    return (grid.mu, *(on_grid(grid, band, name=name) for name, band in others))


def _grid_of(band: xr.DataArray) -> xr.Dataset:
    """Return a band as the mu of a retrieval, which is what grids are compared with."""
    mean = band.drop_attrs(deep=False).rename(MU)
    named = mean.to_dataset().assign({SIGMA: mean})
    if mean.dtype.kind != "f":
        return named
    return as_retrieval(named)


def is_linear(name: str, band: Any, units: str | None) -> bool:
    """Return whether backscatter is power; else it is in dB.

    Raises
    ------
    ValueError
        If neither it nor `units` says that, or both and not the same.
    """
    said = units_of(band) if isinstance(band, xr.DataArray) else None
    known = None if said is None else said.strip().lower()
    if known in DB | LINEAR:
        linear = known in LINEAR
        if units is not None and linear != (units == "linear"):
            msg = (
                f"{name} says that it is in {said!r}, units={units!r} says otherwise: correct "
                f"either, {name}.attrs['units']"
            )
            raise ValueError(msg)
        return linear
    if said is not None:
        msg = (
            f"{name} is in {said!r}: give backscatter in dB or as power, {name}.attrs['units'] = "
            "'dB' or 'linear'; of an amplitude its square"
        )
        raise ValueError(msg)
    if units is None:
        msg = (
            f"{name} does not say whether it is in dB or linear: pass units='dB' or "
            f"units='linear', or set {name}.attrs['units']"
        )
        raise ValueError(msg)
    return units == "linear"


def _scale_of(bands: dict[str, Any], scale: float | None) -> float:
    if scale is not None:
        if not (np.ndim(scale) == 0 and 0 < scale < math.inf):
            msg = f"{scale=}: must be a number above 0, such as 0.0001 of Sentinel-2"
            raise ValueError(msg)
        for name, band in bands.items():
            said = units_of(band) if isinstance(band, xr.DataArray) else None
            if said in REFLECTANCE and scale != 1:
                msg = (
                    f"{name} says by its units {said!r} that it holds reflectances, {scale=} says "
                    f"otherwise: leave scale out, or correct {name}.attrs['units']"
                )
                raise ValueError(msg)
        return float(scale)
    for name, band in bands.items():
        said = units_of(band) if isinstance(band, xr.DataArray) else None
        if said not in REFLECTANCE:
            msg = (
                f"{name} does not say whether it holds reflectances or digital numbers, its units "
                f"are {said!r}: pass scale=0.0001 of numbers of Sentinel-2, or scale=1 of "
                f"reflectances, or set {name}.attrs['units'] = '1'"
            )
            raise ValueError(msg)
    return 1.0
