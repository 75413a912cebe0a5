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
from .models.predicting import predict
from .products import SensorProduct
from .run.memory import compute
from .series.crossing import duration, onset
from .series.state import filter, smooth  # noqa: A004  # what the field calls it
from .series.updating import update
from .store.write import to_zarr
from .view.explaining import explain
from .view.pictures import plot
from .view.reporting import report
from .view.score_plots import plot_pit, plot_reliability
from .view.series_plots import plot_area, plot_history, plot_weights
from .warp.coregistration import coregister


@xr.register_dataset_accessor("fusion")
class DatasetFusion:
    """Operations on a retrieval, or on a Dataset of bands.

    Examples
    --------
    >>> import numpy as np, xfusion as xf
    >>> ones = np.ones((2, 2), np.float32)
    >>> water = xf.retrieval(ones, ones)
    >>> water.fusion.gaussian(water).mu.values.tolist()
    [[1.0, 1.0], [1.0, 1.0]]
    """

    def __init__(self, obj: xr.Dataset) -> None:
        self._obj = obj

    @property
    def product(self) -> SensorProduct:
        """The retrieval as a :class:`xfusion.SensorProduct`.

        Examples
        --------
        >>> import numpy as np, xfusion as xf
        >>> ones = np.ones((2, 2), np.float32)
        >>> type(xf.retrieval(ones, ones).fusion.product).__name__
        'SensorProduct'
        """
        return SensorProduct(dataset=self._obj)

    @property
    def usable(self) -> xr.DataArray:
        """Where the retrieval can be used, see :func:`xfusion.usable`.

        Examples
        --------
        >>> import numpy as np, xfusion as xf
        >>> ones = np.ones((2, 2), np.float32)
        >>> xf.retrieval(ones, ones * [0.1, np.nan]).fusion.usable.values.tolist()
        [[True, False], [True, False]]
        """
        return usable(self._obj)

    if not TYPE_CHECKING:  # type checkers know what is there, and flag the rest

        def __getattr__(self, name: str) -> Any:
            others = {"da.fusion": DataArrayFusion, "ds.fusion.product": SensorProduct}
            refuse_unknown(self, name, "Dataset.fusion", others)

    assess = of_object(assess)
    compute = of_object(compute)
    explain = of_object(explain)
    plot = of_object(plot)
    plot_area = of_object(plot_area)
    plot_history = of_object(plot_history)
    plot_pit = of_object(plot_pit)
    plot_reliability = of_object(plot_reliability)
    plot_weights = of_object(plot_weights)
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
    report = of_object(report)
    predict = of_object(predict)
    ndvi = of_object(ndvi)
    s2_exclusion = of_object(s2_exclusion)
    s2_validity = of_object(s2_validity)


@xr.register_dataarray_accessor("fusion")
class DataArrayFusion:
    """Operations on Monte-Carlo samples, bands, mask layers and masks.

    Examples
    --------
    >>> import numpy as np, xarray as xr, xfusion as xf
    >>> passes = xr.DataArray(np.arange(40.0).reshape(20, 1, 2), dims=("sample", "y", "x"))
    >>> passes.fusion.from_samples("sample").mu.values.tolist()
    [[19.0, 20.0]]
    """

    def __init__(self, obj: xr.DataArray) -> None:
        self._obj = obj

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            refuse_unknown(self, name, "DataArray.fusion", {"ds.fusion": DatasetFusion})

    from_samples = of_object(from_samples)
    predict = of_object(predict)
    scl_validity = of_object(scl_validity)
    flags = of_object(flags)
    gfm_exclusion = of_object(gfm_exclusion)
    gfm_validity = of_object(gfm_validity)
    merge_mask = of_object(merge_mask)
