"""Fuse independent, uncertain retrievals of one quantity into one better estimate.

A retrieval is a Dataset of `mu`, `sigma` and `mask`. Importing xfusion registers the
accessor ``.fusion`` on Dataset and DataArray; every method there is a function here.
"""

from . import models, raster, stac
from .accessor import DataArrayFusion, DatasetFusion
from .assessment.aleatoric import add_aleatoric
from .assessment.applying import apply_calibration
from .assessment.assessing import assess
from .assessment.calibrating import calibrate
from .assessment.calibration import Calibration
from .assessment.correlation_of_errors import error_correlation
from .assessment.correlation_of_sensors import estimate_correlation
from .assessment.triple_collocation import collocation
from .assessment.water_area import area
from .cog.write import to_cog
from .datamodel.building import retrieval, usable
from .datamodel.flags import Exclusion
from .datamodel.samples import from_samples
from .datamodel.version import __version__
from .fusion.combine import fuse, gaussian
from .fusion.conflict import flag_conflict
from .fusion.merged_masks import merge_mask
from .fusion.probability import exceedance
from .fusion.stacking import stack
from .masks.attach import attach_mask
from .masks.bands import load_bands
from .masks.bits import flags
from .masks.exclusion import (
    gfm_exclusion,
    gfm_validity,
    ndvi,
    s2_exclusion,
    s2_validity,
    scl_validity,
)
from .masks.own_mask import exclude
from .masks.recipe import AdvisoryFlags, MaskRecipe
from .masks.sentinel import attach_gfm_mask, attach_s2_mask
from .masks.shares import completeness
from .models import water
from .models.predicting import predict
from .products import SensorProduct, Sentinel1Product, Sentinel2Product
from .run.memory import compute
from .series.crossing import duration, onset
from .series.opening import open_series
from .series.state import filter, smooth  # noqa: A004  # what the field calls it
from .series.updating import update
from .stac.profiles import Catalog
from .store.overviews import add_overviews
from .store.soundness import verify
from .store.write import to_zarr
from .view.explaining import explain
from .view.pictures import plot
from .view.reporting import report
from .view.results import open_result
from .view.score_plots import plot_pit, plot_reliability
from .view.series_plots import plot_area, plot_history, plot_weights
from .warming import warm
from .warp.coregistration import coregister
from .warp.target import common_grid

__all__ = [
    "AdvisoryFlags",
    "Calibration",
    "Catalog",
    "DataArrayFusion",
    "DatasetFusion",
    "Exclusion",
    "MaskRecipe",
    "SensorProduct",
    "Sentinel1Product",
    "Sentinel2Product",
    "__version__",
    "add_aleatoric",
    "add_overviews",
    "apply_calibration",
    "area",
    "assess",
    "attach_gfm_mask",
    "attach_mask",
    "attach_s2_mask",
    "calibrate",
    "collocation",
    "common_grid",
    "completeness",
    "compute",
    "coregister",
    "duration",
    "error_correlation",
    "estimate_correlation",
    "exceedance",
    "exclude",
    "explain",
    "filter",
    "flag_conflict",
    "flags",
    "from_samples",
    "fuse",
    "gaussian",
    "gfm_exclusion",
    "gfm_validity",
    "load_bands",
    "merge_mask",
    "models",
    "ndvi",
    "onset",
    "open_result",
    "open_series",
    "plot",
    "plot_area",
    "plot_history",
    "plot_pit",
    "plot_reliability",
    "plot_weights",
    "predict",
    "raster",
    "report",
    "retrieval",
    "s2_exclusion",
    "s2_validity",
    "scl_validity",
    "smooth",
    "stac",
    "stack",
    "to_cog",
    "to_zarr",
    "update",
    "usable",
    "verify",
    "warm",
    "water",
]
