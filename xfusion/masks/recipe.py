"""What the mask of a sensor is made of: its rule, its bands, its catalogue."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, get_args

import xarray as xr

from xfusion.stac.profiles import Catalog

from .mosaic import Observed

BandResampling: TypeAlias = Literal["nearest", "bilinear"]
Combine: TypeAlias = Literal["usable", "excluded"]
INTEGERS = tuple(f"{kind}{size}" for kind in ("uint", "int") for size in (8, 16, 32, 64))
ExclusionRule: TypeAlias = Callable[..., xr.DataArray]


@dataclass(frozen=True, kw_only=True)
class AdvisoryFlags:
    """A band of bit flags beside a mask that exclude nothing.

    Examples
    --------
    >>> import xfusion as xf
    >>> haze = xf.AdvisoryFlags(
    ...     band="aerosol", long_name="haze", meanings={"smoke": 1, "dust": 2}, nodata=255
    ... )
    >>> haze.meanings["dust"], xf.Sentinel1Product.recipe.advisory.long_name
    (2, 'GFM advisory flags')
    """

    band: str
    """Its name in the catalogue's `assets`, or the key of its asset where it is not named."""

    long_name: str

    meanings: Mapping[str, int]
    """What each bit says -> the bit."""

    nodata: int
    """Value that means "not observed"."""


@dataclass(frozen=True, kw_only=True)
class MaskRecipe:
    """What the mask of a sensor is made of.

    Examples
    --------
    A sensor whose items have a band `quality` that is 0 where the ground is seen:

    >>> import numpy as np, xfusion as xf
    >>> def bad_quality(bands):
    ...     return (bands["quality"] != 0) * np.uint8(xf.Exclusion.DEFECTIVE)
    >>> class Landsat(xf.SensorProduct):
    ...     sensor = "landsat"
    ...     recipe = xf.MaskRecipe(
    ...         exclusion=bad_quality,
    ...         bands={"quality": "nearest"},
    ...         catalog=xf.Catalog(
    ...             url="https://stac.example.org",
    ...             collection="landsat",
    ...             assets={"quality": "qa"},
    ...             nodata=255,
    ...         ),
    ...     )
    >>> Landsat.recipe.combine
    'usable'
    """

    exclusion: ExclusionRule
    """Dataset of the bands on the grid of the retrieval -> uint8 flags of
    :class:`~xfusion.Exclusion`; pure. Called once for each pass of the satellite, or, where
    `combine` is "excluded", for each of its frames."""

    bands: Mapping[str, BandResampling]
    """Band to "nearest" (classes and bits, loaded in `dtypes`) or "bilinear" (as float32, nodata
    as NaN): how it is brought onto the grid."""

    catalog: Catalog
    """Where the bands are, unless the caller names another catalogue."""

    combine: Combine = "usable"
    """Several acquisitions of a day: "usable" where one is; or "excluded" where one excludes, and
    where one of the frames does that overlap in an acquisition. Of a retrieval whose time of day
    is known it is the acquisition nearest to it alone."""

    observed: Observed | None = None
    """How much of a pixel an item has observed, where items of a pass overlap: bands by name ->
    0 nothing, 1 part or 2 all of it. By default all where each band has a value. Where `combine`
    is "excluded", frames are judged by themselves, and this is of processings of one frame."""

    dtypes: Mapping[str, str] = field(default_factory=dict)
    """Dtypes in which "nearest" bands are loaded whose classes are known, such as "uint8", whatever
    their files store them as. Of the others it is that of the files, as items or files say."""

    advisory: AdvisoryFlags | None = None
    """Flags that can be had beside the mask."""

    def __post_init__(self) -> None:
        """Refuse what is none of the choices, and bands that the catalogue does not name."""
        if self.combine not in ("usable", "excluded"):
            msg = f"combine={self.combine!r}: must be 'usable' or 'excluded'"
            raise ValueError(msg)
        check_resampling(self.bands)
        for band, dtype in self.dtypes.items():
            if dtype not in INTEGERS or self.bands.get(band, "nearest") != "nearest":
                msg = f"dtypes[{band!r}]={dtype!r}: 'nearest' bands have one of {[*INTEGERS]}"
                raise ValueError(msg)
        check_assets(self.catalog, self.bands)


def check_resampling(bands: Mapping[str, str]) -> None:
    """Raise a ValueError unless there are bands, each "nearest" or "bilinear"."""
    if not bands or not {*bands.values()} <= {*get_args(BandResampling)}:
        msg = f"bands={dict(bands)}: each band must be 'nearest' or 'bilinear'"
        raise ValueError(msg)


def check_assets(catalog: Catalog, bands: Mapping[str, str]) -> None:
    """Raise a ValueError unless a catalogue says which assets the bands are, and their nodata."""
    missing = [band for band in bands if band not in catalog.assets]
    if missing:
        msg = (
            f"the catalogue {catalog.collection!r} names no asset for the bands {missing}, it has "
            f"{dict(catalog.assets)}: dataclasses.replace(catalog, assets=...)"
        )
        raise ValueError(msg)
    lacking = {*bands} - {*catalog.nodata} if isinstance(catalog.nodata, Mapping) else set()
    if lacking:
        msg = f"nodata has no value for the bands {sorted(lacking)}: add them, or give a number"
        raise ValueError(msg)
