"""``.fusion`` on Dataset and DataArray: another spelling of the functions, no state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import xarray as xr

from .assessment.aleatoric import add_aleatoric
from .assessment.applying import apply_calibration
from .assessment.assessing import assess
from .assessment.calibrating import calibrate
from .assessment.water_area import area
from .cog.write import to_cog
from .datamodel.building import usable
from .datamodel.samples import from_samples
from .fusion.combine import fuse, gaussian
from .fusion.conflict import flag_conflict
from .fusion.merged_masks import merge_mask
from .fusion.probability import exceedance
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
from .masks.sentinel import attach_gfm_mask, attach_s2_mask
from .masks.shares import completeness
from .methods import of_object, refuse_unknown
from .products import SensorProduct
from .run.memory import compute
from .series.crossing import duration, onset
from .series.state import filter, smooth  # noqa: A004  # what the field calls it
from .series.updating import update
from .store.write import to_zarr
from .view.explaining import explain
from .warp.coregistration import coregister


@xr.register_dataset_accessor("fusion")
class DatasetFusion:
    """Operations on a retrieval, or on a Dataset of bands."""

    def __init__(self, obj: xr.Dataset) -> None:
        self._obj = obj

    @property
    def product(self) -> SensorProduct:
        """The retrieval as a :class:`xfusion.SensorProduct`."""
        return SensorProduct(dataset=self._obj)

    @property
    def usable(self) -> xr.DataArray:
        """Where the retrieval can be used, see :func:`xfusion.usable`."""
        return usable(self._obj)

    if not TYPE_CHECKING:  # type checkers know what is there, and flag the rest

        def __getattr__(self, name: str) -> Any:
            others = {"da.fusion": DataArrayFusion, "ds.fusion.product": SensorProduct}
            refuse_unknown(self, name, "Dataset.fusion", others)

    assess = of_object(assess)
    compute = of_object(compute)
    explain = of_object(explain)
    to_cog = of_object(to_cog)
    to_zarr = of_object(to_zarr)
    coregister = of_object(coregister)
    exclude = of_object(exclude)
    attach_gfm_mask = of_object(attach_gfm_mask)
    attach_s2_mask = of_object(attach_s2_mask)
    load_bands = of_object(load_bands)
    completeness = of_object(completeness)
    add_aleatoric = of_object(add_aleatoric)
    gaussian = of_object(gaussian)
    fuse = of_object(fuse)
    filter = of_object(filter)
    smooth = of_object(smooth)
    update = of_object(update)
    onset = of_object(onset)
    duration = of_object(duration)
    flag_conflict = of_object(flag_conflict)
    exceedance = of_object(exceedance)
    calibrate = of_object(calibrate)
    apply_calibration = of_object(apply_calibration)
    area = of_object(area)
    ndvi = of_object(ndvi)
    s2_exclusion = of_object(s2_exclusion)
    s2_validity = of_object(s2_validity)


@xr.register_dataarray_accessor("fusion")
class DataArrayFusion:
    """Operations on Monte-Carlo samples, mask layers and masks."""

    def __init__(self, obj: xr.DataArray) -> None:
        self._obj = obj

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            refuse_unknown(self, name, "DataArray.fusion", {"ds.fusion": DatasetFusion})

    from_samples = of_object(from_samples)
    scl_validity = of_object(scl_validity)
    flags = of_object(flags)
    gfm_exclusion = of_object(gfm_exclusion)
    gfm_validity = of_object(gfm_validity)
    merge_mask = of_object(merge_mask)
