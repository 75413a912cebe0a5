"""Fuse independent, uncertain retrievals of one quantity into one better estimate.

A retrieval is a Dataset of `mu`, `sigma` and `mask`. Importing xfusion registers the
accessor ``.fusion`` on Dataset and DataArray; every method there is a function here.
"""

from . import raster, stac
from .accessor import DataArrayFusion, DatasetFusion
from .attach import attach_mask, attach_s2_mask
from .attach_gfm import attach_gfm_mask
from .cog import to_cog
from .completeness import completeness
from .compute import compute
from .conflict import flag_conflict
from .conventions import Exclusion
from .coregister import coregister
from .exclusion import (
    gfm_exclusion,
    gfm_validity,
    ndvi,
    s2_exclusion,
    s2_validity,
    scl_validity,
)
from .fusion import fuse, gaussian
from .merge_mask import merge_mask
from .probability import exceedance
from .products import SensorProduct, Sentinel1Product, Sentinel2Product
from .retrieval import exclude, from_samples, retrieval, usable
from .stac import Catalog
from .store import to_zarr

__version__ = "0.1.0"

__all__ = [
    "Catalog",
    "DataArrayFusion",
    "DatasetFusion",
    "Exclusion",
    "SensorProduct",
    "Sentinel1Product",
    "Sentinel2Product",
    "attach_gfm_mask",
    "attach_mask",
    "attach_s2_mask",
    "completeness",
    "compute",
    "coregister",
    "exceedance",
    "exclude",
    "flag_conflict",
    "from_samples",
    "fuse",
    "gaussian",
    "gfm_exclusion",
    "gfm_validity",
    "merge_mask",
    "ndvi",
    "raster",
    "retrieval",
    "s2_exclusion",
    "s2_validity",
    "scl_validity",
    "stac",
    "to_cog",
    "to_zarr",
    "usable",
]
