"""``.fusion`` on Dataset and DataArray: another spelling of the functions, no state."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import xarray as xr
from numpy.typing import ArrayLike

from .cog.write import to_cog
from .datamodel.building import exclude, from_samples, usable
from .datamodel.flags import Exclusion
from .datamodel.times import Time
from .datamodel.validation import Retrieval
from .fusion.combine import SIGMA_FLOOR, fuse, gaussian
from .fusion.conflict import flag_conflict
from .fusion.merged_masks import How, merge_mask
from .fusion.probability import exceedance
from .fusion.rules import Inflate, NonfiniteSigma, Rule, RuleName
from .masks.advisory import attach_gfm_mask
from .masks.attach import attach_s2_mask
from .masks.exclusion import (
    NDVI_MAX,
    gfm_exclusion,
    gfm_validity,
    ndvi,
    s2_exclusion,
    s2_validity,
    scl_validity,
)
from .masks.mosaic import OnReadError
from .masks.observed import completeness
from .products import SensorProduct
from .raster.file import FilePath
from .run.memory import compute
from .stac.items import Items
from .stac.profiles import CatalogLike, Offset
from .store.place import StoreLike
from .store.write import to_zarr
from .warp.coregistration import Chunks, Resampling, coregister


@xr.register_dataset_accessor("fusion")
class DatasetFusion:
    """Operations on a retrieval, or on a Dataset of bands."""

    def __init__(self, obj: xr.Dataset) -> None:
        self._obj = obj

    @property
    def usable(self) -> xr.DataArray:
        """Call :func:`xfusion.usable` with this retrieval."""
        return usable(self._obj)

    @property
    def product(self) -> SensorProduct:
        """The retrieval as a :class:`xfusion.SensorProduct`."""
        return SensorProduct(dataset=self._obj)

    def compute(self) -> xr.Dataset:
        """Call :func:`xfusion.compute` with this Dataset."""
        return compute(self._obj)

    def to_cog(
        self,
        folder: FilePath,
        *,
        prefix: str = "",
        overwrite: bool = False,
        item: bool = True,
        progress: bool = True,
    ) -> dict[str, Path]:
        """Call :func:`xfusion.to_cog` with this retrieval."""
        return to_cog(
            self._obj,
            folder,
            prefix=prefix,
            overwrite=overwrite,
            item=item,
            progress=progress,
        )

    def to_zarr(
        self, store: StoreLike, *, resume: bool = True, progress: bool = True
    ) -> xr.Dataset:
        """Call :func:`xfusion.to_zarr` with this retrieval."""
        return to_zarr(self._obj, store, resume=resume, progress=progress)

    def coregister(
        self,
        like: Any,
        *,
        resampling: Resampling = "bilinear",
        error_correlation: float = 1.0,
        chunks: Chunks = None,
    ) -> xr.Dataset:
        """Call :func:`xfusion.coregister` with this retrieval."""
        return coregister(
            self._obj,
            like,
            resampling=resampling,
            error_correlation=error_correlation,
            chunks=chunks,
        )

    def exclude(self, excluded: xr.DataArray, *, flag: Exclusion = Exclusion.USER) -> xr.Dataset:
        """Call :func:`xfusion.exclude` with this retrieval."""
        return exclude(self._obj, excluded, flag=flag)

    def attach_gfm_mask(
        self,
        *,
        catalog: CatalogLike | None = None,
        items: Items | None = None,
        datetime: Time | None = None,
        advisory_flags: bool = False,
        on_read_error: OnReadError = "raise",
        allow_local: bool = False,
    ) -> xr.Dataset:
        """Call :func:`xfusion.attach_gfm_mask` with this retrieval."""
        return attach_gfm_mask(
            self._obj,
            catalog=catalog,
            items=items,
            datetime=datetime,
            advisory_flags=advisory_flags,
            on_read_error=on_read_error,
            allow_local=allow_local,
        )

    def attach_s2_mask(
        self,
        *,
        ndvi_max: float = NDVI_MAX,
        catalog: CatalogLike | None = None,
        items: Items | None = None,
        datetime: Time | None = None,
        offset: Offset | None = None,
        on_read_error: OnReadError = "raise",
        allow_local: bool = False,
    ) -> xr.Dataset:
        """Call :func:`xfusion.attach_s2_mask` with this retrieval."""
        return attach_s2_mask(
            self._obj,
            ndvi_max=ndvi_max,
            catalog=catalog,
            items=items,
            datetime=datetime,
            offset=offset,
            on_read_error=on_read_error,
            allow_local=allow_local,
        )

    def completeness(self) -> xr.Dataset:
        """Call :func:`xfusion.completeness` with this retrieval."""
        return completeness(self._obj)

    def gaussian(
        self,
        *others: Retrieval,
        dim: Hashable | None = None,
        correlation: ArrayLike = 0.0,
        sigma_floor: float = SIGMA_FLOOR,
        nonfinite_sigma: NonfiniteSigma = "exclude",
        use_mask: bool = True,
        diagnostics: bool = False,
        inflate: Inflate | None = None,
        bounded: tuple[float, float] | None = None,
    ) -> xr.Dataset:
        """Call :func:`xfusion.gaussian` with this retrieval first."""
        return gaussian(
            self._obj,
            *others,
            dim=dim,
            correlation=correlation,
            sigma_floor=sigma_floor,
            nonfinite_sigma=nonfinite_sigma,
            use_mask=use_mask,
            diagnostics=diagnostics,
            inflate=inflate,
            bounded=bounded,
        )

    def fuse(
        self,
        *others: Retrieval,
        rule: RuleName | Rule = "gaussian",
        dim: Hashable | None = None,
        sigma_floor: float = SIGMA_FLOOR,
        nonfinite_sigma: NonfiniteSigma = "exclude",
        use_mask: bool = True,
        diagnostics: bool = False,
        bounded: tuple[float, float] | None = None,
        **parameters: Any,
    ) -> xr.Dataset:
        """Call :func:`xfusion.fuse` with this retrieval first."""
        return fuse(
            self._obj,
            *others,
            rule=rule,
            dim=dim,
            sigma_floor=sigma_floor,
            nonfinite_sigma=nonfinite_sigma,
            use_mask=use_mask,
            diagnostics=diagnostics,
            bounded=bounded,
            **parameters,
        )

    def flag_conflict(self, *, level: float = 0.01) -> xr.Dataset:
        """Call :func:`xfusion.flag_conflict` with this fused retrieval."""
        return flag_conflict(self._obj, level=level)

    def exceedance(
        self, threshold: float, *, bounded: tuple[float, float] | None = None
    ) -> xr.DataArray:
        """Call :func:`xfusion.exceedance` with this retrieval."""
        return exceedance(self._obj, threshold, bounded=bounded)

    def ndvi(self) -> xr.DataArray:
        """Call :func:`xfusion.ndvi` with these bands."""
        return ndvi(self._obj)

    def s2_exclusion(self, *, ndvi_max: float = NDVI_MAX) -> xr.DataArray:
        """Call :func:`xfusion.s2_exclusion` with these bands."""
        return s2_exclusion(self._obj, ndvi_max=ndvi_max)

    def s2_validity(self, *, ndvi_max: float = NDVI_MAX) -> xr.DataArray:
        """Call :func:`xfusion.s2_validity` with these bands."""
        return s2_validity(self._obj, ndvi_max=ndvi_max)


@xr.register_dataarray_accessor("fusion")
class DataArrayFusion:
    """Operations on Monte-Carlo samples, mask layers and masks."""

    def __init__(self, obj: xr.DataArray) -> None:
        self._obj = obj

    def from_samples(
        self,
        dim: str = "sample",
        *,
        sensor: str | None = None,
        time: Time | None = None,
    ) -> xr.Dataset:
        """Call :func:`xfusion.from_samples` with these samples."""
        return from_samples(self._obj, dim, sensor=sensor, time=time)

    def scl_validity(self) -> xr.DataArray:
        """Call :func:`xfusion.scl_validity` with this Scene Classification."""
        return scl_validity(self._obj)

    def gfm_exclusion(self) -> xr.DataArray:
        """Call :func:`xfusion.gfm_exclusion` with this GFM exclusion mask."""
        return gfm_exclusion(self._obj)

    def gfm_validity(self) -> xr.DataArray:
        """Call :func:`xfusion.gfm_validity` with this GFM exclusion mask."""
        return gfm_validity(self._obj)

    def merge_mask(self, *others: xr.DataArray, how: How = "any") -> xr.DataArray:
        """Call :func:`xfusion.merge_mask` with this mask first."""
        return merge_mask(self._obj, *others, how=how)
