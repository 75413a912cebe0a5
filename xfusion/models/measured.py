"""What a band measures: backscatter or reflectance, as features of water and with its noise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from xfusion.datamodel.caller import warn

from .water_parameters import MNDWI, NDWI

Floats = NDArray[np.float64]

GREEN, SWIR16, NIR = "green", "swir16", "nir"
OTHER = {MNDWI: SWIR16, NDWI: NIR}  # the band that an index compares with green
DECIBEL = 10.0 / math.log(10.0)  # of a relative change of power
ENOUGH = 100  # pixels of a block, that tell what they are in
HIGHEST = 2.0  # reflectance that half of the pixels of a block may have


class Measured(Protocol):
    """Bands of a block as features of :class:`WaterParameters`."""

    @property
    def described(self) -> dict[str, Any]:
        """What provenance says of them."""

    def check(self, bands: Sequence[NDArray[Any]]) -> None:
        """Warn of values, or refuse them, that are not what they were said to be."""

    def features(self, bands: Sequence[Floats]) -> list[Floats]:
        """Return the features, NaN where a band is missing."""

    def variance(self, bands: Sequence[Floats], slopes: Sequence[float]) -> Any:
        """Return the variance of the log odds by the noise of the pixels.

        Parameters
        ----------
        bands : sequence of arrays
        slopes : sequence of float
            The coefficient of each feature.
        """


@dataclass(frozen=True)
class Backscatter:
    """Backscatter of one or two polarisations."""

    names: tuple[str, ...]
    linear: tuple[bool, ...]
    """Whether each is power, else it is in dB."""
    looks: float
    """Equivalent number of looks; infinite without noise."""

    @property
    def described(self) -> dict[str, Any]:
        """The looks."""
        return {"looks": self.looks} if math.isfinite(self.looks) else {}

    def check(self, bands: Sequence[NDArray[Any]]) -> None:
        """Warn of dB that are all above 0, and of power that is all below."""
        for name, linear, band in zip(self.names, self.linear, bands, strict=True):
            known = band[np.isfinite(band)]
            if known.size < ENOUGH:
                continue
            if not linear and known.min() > 0:
                warn(
                    f"{name} was said to be in dB, and all of {known.size} pixels are above 0, "
                    f"{known.min():.3g} to {known.max():.3g}, as power is: if so, units='linear'"
                )
            elif linear and known.max() < 0:
                warn(
                    f"{name} was said to be linear, and all of {known.size} pixels are below 0, "
                    f"{known.min():.3g} to {known.max():.3g}, as dB are: if so, units='dB'"
                )

    def features(self, bands: Sequence[Floats]) -> list[Floats]:
        """Return all in dB."""
        return [
            _decibels(band) if linear else band
            for band, linear in zip(bands, self.linear, strict=True)
        ]

    def variance(self, bands: Sequence[Floats], slopes: Sequence[float]) -> float:
        """Return that of speckle, which is the same for all pixels in dB."""
        del bands  # speckle multiplies
        return variance_of_speckle(self.looks) * sum(slope**2 for slope in slopes)


@dataclass(frozen=True)
class Reflectance:
    """Reflectance of green, and of one or two bands that water absorbs."""

    names: tuple[str, ...]
    """Of the bands, green first."""
    indices: tuple[str, ...]
    """Of the features, in the order of the parameters."""
    scale: float
    offset: float
    nodata: tuple[float | None, ...]
    """What means no data in each."""
    noise: tuple[float, float]
    """Standard deviation of a reflectance: a number, and a share of it."""

    @property
    def described(self) -> dict[str, Any]:
        """The noise; in which numbers they came is nothing that a result is made with."""
        return {"noise": np.array(self.noise)}

    def check(self, bands: Sequence[NDArray[Any]]) -> None:
        """Refuse digital numbers that were said to be reflectances."""
        for name, band in zip(self.names, self._reflectances(bands), strict=True):
            known = band[np.isfinite(band)]
            too_high = int((known > HIGHEST).sum())
            if known.size and 2 * too_high > known.size:
                msg = (
                    f"{name} is above {HIGHEST:g} in {too_high} of {known.size} pixels, up to "
                    f"{known.max():.4g}, with scale={self.scale:g}: no reflectance is, digital "
                    "numbers are; give scale=0.0001 of Sentinel-2"
                )
                raise ValueError(msg)

    def features(self, bands: Sequence[Floats]) -> list[Floats]:
        """Return the normalised differences, from -1 to 1."""
        of = dict(zip(self.names, self._reflectances(bands), strict=True))
        return [_difference(of[GREEN], of[OTHER[index]]) for index in self.indices]

    def variance(self, bands: Sequence[Floats], slopes: Sequence[float]) -> Floats:
        """Return that of the noise of all bands, which have their own each."""
        of = dict(zip(self.names, self._reflectances(bands), strict=True))
        green, by_green, total = of[GREEN], np.zeros(of[GREEN].shape), np.zeros(of[GREEN].shape)
        for index, slope in zip(self.indices, slopes, strict=True):
            other = of[OTHER[index]]
            with np.errstate(divide="ignore", invalid="ignore"):
                square = (green + other) ** 2
                # derivatives of (g - o) / (g + o)
                by_green = by_green + slope * 2 * other / square
                by_other = -slope * 2 * green / square
            total = total + (by_other * self._noise_of(other)) ** 2
        return total + (by_green * self._noise_of(green)) ** 2

    def _noise_of(self, reflectance: Floats) -> Floats:
        return self.noise[0] + self.noise[1] * reflectance

    def _reflectances(self, bands: Sequence[NDArray[Any]]) -> list[Floats]:
        """Return reflectances, not below 0, NaN where there is no data."""
        result = []
        for band, nodata in zip(bands, self.nodata, strict=True):
            numbers = band.astype(np.float64)
            if nodata is not None:
                numbers[band == nodata] = np.nan
            # what an atmospheric correction takes below zero is dark
            result.append(np.maximum((numbers + self.offset) * self.scale, 0.0))
        return result


def variance_of_speckle(looks: float) -> float:
    """Return the variance in dB of the power of so many looks.

    That of the logarithm of a gamma distribution, ``psi_1(L)``, exactly; about ``1 / L`` for many
    looks.
    """
    from scipy.special import polygamma  # scipy takes a tenth of a second to import

    return 0.0 if math.isinf(looks) else DECIBEL**2 * float(polygamma(1, looks))


def _decibels(power: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        decibels: Floats = DECIBEL * np.log(power)
    # power that is not above 0 was taken for noise, and has no logarithm
    decibels[~(power > 0)] = np.nan
    return decibels


def _difference(green: Floats, other: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        difference: Floats = (green - other) / (green + other)
    return difference
