"""The masks of Sentinel-1 and Sentinel-2: their recipes, and how they are attached."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfusion.datamodel.times import Time
from xfusion.datamodel.validation import Retrieval
from xfusion.stac.items import Items
from xfusion.stac.profiles import EARTH_SEARCH, EODC, CatalogLike, Offset

from .attach import attached
from .exclusion import (
    CLASSES,
    GFM,
    GFM_NODATA,
    NDVI_MAX,
    NIR,
    RED,
    SCL,
    gfm_exclusion,
    s2_exclusion,
)
from .loading import Loader
from .mosaic import ALL, NOTHING, PART, Bands, OnReadError
from .passes import Search
from .recipe import AdvisoryFlags, MaskRecipe


def _s2_observed(bands: Bands) -> NDArray[np.uint8]:
    """Where Sentinel-2 tiles overlap, the one that has a class, red and near infrared wins."""
    # whatever the catalogue says is none
    has_class = (bands[SCL] >= 0) & (bands[SCL] < CLASSES)
    seen = (bands[SCL] != 0) & np.isfinite(bands[RED]) & np.isfinite(bands[NIR])
    return np.where(has_class, np.where(seen, ALL, PART), NOTHING).astype(np.uint8)


#: of Sentinel-1: the Copernicus GFM exclusion mask, from EODC
GFM_MASK = MaskRecipe(
    exclusion=gfm_exclusion,
    bands={GFM: "nearest"},
    catalog=EODC,
    combine="excluded",
    dtypes={GFM: "uint8"},
    advisory=AdvisoryFlags(
        band="advisory_flags",
        long_name="GFM advisory flags",
        meanings={"low_regional_backscatter": 1, "rough_water": 2},
        nodata=GFM_NODATA,
    ),
)

#: of Sentinel-2: Scene Classification and NDVI, from Earth Search
S2_MASK = MaskRecipe(
    exclusion=s2_exclusion,
    bands={RED: "bilinear", NIR: "bilinear", SCL: "nearest"},
    catalog=EARTH_SEARCH,
    observed=_s2_observed,
    dtypes={SCL: "uint8"},
)


def attach_gfm_mask(
    dataset: Retrieval,
    recipe: MaskRecipe | None = None,
    /,
    *,
    catalog: CatalogLike | None = None,
    items: Items | None = None,
    datetime: Time | None = None,
    advisory_flags: bool = False,
    on_read_error: OnReadError = "raise",
    allow_local: bool = False,
    loader: Loader = "xfusion",
) -> xr.Dataset:
    """Attach the Copernicus GFM exclusion mask of the day to a Sentinel-1 retrieval.

    Parameters
    ----------
    recipe : MaskRecipe, optional
        By default the GFM exclusion mask, from EODC.
    advisory_flags : bool
        Also add the variable `advisory_flags`: uint8, 1 low regional backscatter (snow, ice,
        dryness), 2 rough water (wind), 3 both, 255 not observed. They exclude nothing. With
        `on_read_error` "flag" also `advisory_read_failed`, bool: where not all of them could be
        read.
    dataset, catalog, items, datetime, on_read_error, allow_local, loader
        As in :func:`attach_mask`.

    Returns
    -------
    Dataset
        The retrieval with the flags GFM and UNKNOWN added, see
        :func:`~xfusion.gfm_exclusion`. Where frames of one pass overlap, excluded wins; UNKNOWN is
        what none of those that have a mask observed. Of several passes the one nearest to the time
        of the retrieval is used, all of the day if only that is known.

    Raises
    ------
    LookupError
        If there are no items, or none within 90 minutes of the time of the retrieval: they are
        of another acquisition.

    Examples
    --------
    >>> import xfusion as xf
    >>> from tempfile import TemporaryDirectory
    >>> from xfusion.demo import write_scene
    >>> with TemporaryDirectory() as folder:
    ...     scene = write_scene(folder, size=0.2)
    ...     s1 = xf.raster.open_retrieval(scene.s1_mu, scene.s1_sigma, time=scene.date)
    ...     s1.fusion.attach_gfm_mask(catalog=scene.items).attrs["mask_items_found"]
    2
    """
    search = Search(catalog, items, datetime, allow_local=allow_local)
    return attached(
        dataset,
        recipe or GFM_MASK,
        search,
        advisory_flags=advisory_flags,
        on_read_error=on_read_error,
        loader=loader,
    )


def attach_s2_mask(
    dataset: Retrieval,
    recipe: MaskRecipe | None = None,
    /,
    *,
    ndvi_max: float = NDVI_MAX,
    catalog: CatalogLike | None = None,
    items: Items | None = None,
    datetime: Time | None = None,
    offset: Offset | None = None,
    on_read_error: OnReadError = "raise",
    allow_local: bool = False,
    loader: Loader = "xfusion",
) -> xr.Dataset:
    """Attach the exclusion flags of the day's Sentinel-2 acquisitions to a retrieval.

    Parameters
    ----------
    recipe : MaskRecipe, optional
        By default the Scene Classification and NDVI, from Earth Search.
    ndvi_max : float
        A pixel with a larger NDVI is excluded as vegetation; of the rule
        :func:`~xfusion.s2_exclusion`, not of another that a recipe has.
    dataset, catalog, items, datetime, offset, on_read_error, allow_local, loader
        As in :func:`attach_mask`.

    Returns
    -------
    Dataset
        The retrieval with the flags of :func:`~xfusion.s2_exclusion` added. Of several passes
        the one nearest to the time of the retrieval is used; if only its day is known all of that,
        and usable wins where they overlap. Of two processings the newer is used where it observed
        the pixel.

    Raises
    ------
    LookupError
        If there are no items, or none within 90 minutes of the time of the retrieval: they are
        of another acquisition.

    Warns
    -----
    UserWarning
        If what an item says of its offset is contradictory, and what was decided.

    Examples
    --------
    >>> import xfusion as xf
    >>> from tempfile import TemporaryDirectory
    >>> from xfusion.demo import write_scene
    >>> with TemporaryDirectory() as folder:
    ...     scene = write_scene(folder, size=0.2)
    ...     s2 = xf.raster.open_retrieval(scene.s2_mu, scene.s2_sigma, time=scene.date)
    ...     s2.fusion.attach_s2_mask(catalog=scene.items, offset=0).attrs["mask_items"]
    'S2B_34TBT_20230620_0_L2A'
    """
    search = Search(catalog, items, datetime, allow_local=allow_local)
    recipe = recipe or S2_MASK
    if recipe.exclusion is s2_exclusion:
        limited = functools.partial(s2_exclusion, ndvi_max=ndvi_max)
        recipe = dataclasses.replace(recipe, exclusion=limited)
    elif ndvi_max != NDVI_MAX:
        msg = (
            f"{ndvi_max=}: the recipe has a rule of its own, to which it does not belong: make it "
            "part of the rule, functools.partial(xf.s2_exclusion, ndvi_max=...)"
        )
        raise ValueError(msg)
    return attached(
        dataset, recipe, search, offset=offset, on_read_error=on_read_error, loader=loader
    )
