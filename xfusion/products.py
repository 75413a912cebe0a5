"""Products: a retrieval together with what its sensor knows."""

from __future__ import annotations

import functools
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import xarray as xr
from numpy.typing import ArrayLike

from .cog.write import to_cog
from .datamodel.building import exclude, usable
from .datamodel.cf import annotate
from .datamodel.flags import Exclusion
from .datamodel.grid import geobox_of
from .datamodel.names import MASK, MU, SIGMA
from .datamodel.times import Time
from .datamodel.validation import Retrieval, as_retrieval
from .fusion.combine import SIGMA_FLOOR, fuse, gaussian
from .fusion.conflict import flag_conflict
from .fusion.probability import exceedance
from .fusion.rules import Inflate, NonfiniteSigma, Rule, RuleName
from .masks.advisory import attach_gfm_layers
from .masks.attach import Combine, ExclusionRule, attach_mask
from .masks.exclusion import NDVI_MAX, gfm_exclusion, s2_exclusion
from .masks.loading import GFM_BANDS, S2_BANDS
from .masks.mosaic import OnReadError
from .masks.observed import completeness
from .raster.file import FilePath
from .raster.opening import CHUNK, open_retrieval
from .run.memory import compute
from .stac.items import Items
from .stac.profiles import EARTH_SEARCH, EODC, Catalog, CatalogLike, Offset
from .store.place import StoreLike
from .store.write import to_zarr
from .warp.coregistration import Chunks, Resampling, coregister

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox


@dataclass(frozen=True, kw_only=True, eq=False)
class SensorProduct:
    """The retrieval of one sensor, or of several fused, on one grid.

    Methods return a new product and leave this one as it is. A new sensor is a subclass
    with its constants and one pure function, :meth:`exclusion`.

    Parameters
    ----------
    dataset : Dataset
        A retrieval, see :func:`xfusion.retrieval`.

    Examples
    --------
    >>> import numpy as np, xfusion as xf
    >>> ones = np.ones((2, 2), np.float32)
    >>> product = xf.SensorProduct(dataset=xf.retrieval(ones, ones, sensor="radar"))
    >>> product.gaussian(product).mu.dtype
    dtype('float32')
    """

    dataset: xr.Dataset
    """The retrieval: `mu`, `sigma` and, where anything is excluded, `mask`."""

    sensor: ClassVar[str | None] = None
    """Name of the sensor, given to what is opened."""

    catalog: ClassVar[Catalog | None] = None
    """Where the sensor's mask layers are."""

    bands: ClassVar[Mapping[str, str]] = {}
    """Bands that `exclusion` needs, to "nearest" or "bilinear"."""

    combine: ClassVar[Combine] = "usable"
    """Several acquisitions of a day: "usable" where one is, "excluded" where one excludes."""

    def __post_init__(self) -> None:
        """Check the retrieval by its metadata."""
        dataset = annotate(as_retrieval(self.dataset))
        if self.sensor is not None:
            dataset = dataset.assign_attrs(sensor=dataset.attrs.get("sensor", self.sensor))
        object.__setattr__(self, "dataset", dataset)

    @classmethod
    def open(
        cls,
        mu: FilePath,
        sigma: FilePath,
        mask: FilePath | None = None,
        *,
        time: Time | None = None,
        chunks: int | None = CHUNK,
    ) -> Self:
        """Open the rasters of a retrieval lazily, see :func:`xfusion.raster.open_retrieval`."""
        dataset = open_retrieval(mu, sigma, mask, sensor=cls.sensor, time=time, chunks=chunks)
        return cls(dataset=dataset)

    @staticmethod
    def exclusion(bands: xr.Dataset) -> xr.DataArray:
        """Return flags of :class:`xfusion.Exclusion` from the sensor's bands; pure."""
        msg = f"no rule for {list(bands)}: a sensor's subclass defines exclusion(bands)"
        raise NotImplementedError(msg)

    @property
    def mu(self) -> xr.DataArray:
        """Best estimate."""
        return self.dataset[MU]

    @property
    def sigma(self) -> xr.DataArray:
        """One standard deviation, in the units of `mu`."""
        return self.dataset[SIGMA]

    @property
    def mask(self) -> xr.DataArray | None:
        """uint8 flags, 0 where usable; None where nothing is excluded."""
        return self.dataset.get(MASK)

    @property
    def usable(self) -> xr.DataArray:
        """Where the retrieval can be used, see :func:`xfusion.usable`."""
        return usable(self.dataset)

    @property
    def geobox(self) -> GeoBox:
        """The grid."""
        return geobox_of(self.dataset)

    def coregister(
        self,
        like: Any,
        *,
        resampling: Resampling = "bilinear",
        error_correlation: float = 1.0,
        chunks: Chunks = None,
    ) -> Self:
        """Bring the product onto another grid, see :func:`xfusion.coregister`."""
        dataset = coregister(
            self.dataset,
            like,
            resampling=resampling,
            error_correlation=error_correlation,
            chunks=chunks,
        )
        return type(self)(dataset=dataset)

    def attach_mask(
        self,
        *,
        catalog: CatalogLike | None = None,
        items: Items | None = None,
        datetime: Time | None = None,
        on_read_error: OnReadError = "raise",
        allow_local: bool = False,
    ) -> Self:
        """Attach the mask of the sensor's catalogue, see :func:`xfusion.attach_mask`."""
        return self._attach(
            self.exclusion,
            catalog=catalog,
            items=items,
            datetime=datetime,
            on_read_error=on_read_error,
            allow_local=allow_local,
        )

    def completeness(self) -> xr.Dataset:
        """Return how complete the mask is, see :func:`xfusion.completeness`."""
        return completeness(self.dataset)

    def exclude(
        self,
        excluded: xr.DataArray,
        *,
        flag: Exclusion = Exclusion.USER,
    ) -> Self:
        """Exclude pixels, see :func:`xfusion.exclude`."""
        return type(self)(dataset=exclude(self.dataset, excluded, flag=flag))

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
    ) -> SensorProduct:
        """Fuse with other products, see :func:`xfusion.gaussian`."""
        fused = gaussian(
            self.dataset,
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
        return SensorProduct(dataset=fused)

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
    ) -> SensorProduct:
        """Fuse with other products by a rule, see :func:`xfusion.fuse`."""
        fused = fuse(
            self.dataset,
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
        return SensorProduct(dataset=fused)

    def flag_conflict(self, *, level: float = 0.01) -> Self:
        """Mark pixels whose sensors disagree, see :func:`xfusion.flag_conflict`."""
        return type(self)(dataset=flag_conflict(self.dataset, level=level))

    def exceedance(
        self, threshold: float, *, bounded: tuple[float, float] | None = None
    ) -> xr.DataArray:
        """Return the probability to exceed a threshold, see :func:`xfusion.exceedance`."""
        return exceedance(self.dataset, threshold, bounded=bounded)

    def compute(self) -> Self:
        """Return the product with its pixels in memory, see :func:`xfusion.compute`."""
        return type(self)(dataset=compute(self.dataset))

    def to_cog(
        self,
        folder: FilePath,
        *,
        prefix: str = "",
        overwrite: bool = False,
        item: bool = True,
        progress: bool = True,
    ) -> dict[str, Path]:
        """Write COGs and a STAC item, see :func:`xfusion.to_cog`."""
        return to_cog(
            self.dataset,
            folder,
            prefix=prefix,
            overwrite=overwrite,
            item=item,
            progress=progress,
        )

    def to_zarr(self, store: StoreLike, *, resume: bool = True, progress: bool = True) -> Self:
        """Compute the product block by block into a Zarr store, see :func:`xfusion.to_zarr`."""
        return type(self)(dataset=to_zarr(self.dataset, store, resume=resume, progress=progress))

    def __dask_graph__(self) -> Any:
        return self.dataset.__dask_graph__()

    def __dask_keys__(self) -> Any:
        return self.dataset.__dask_keys__()

    def __dask_layers__(self) -> Any:
        return self.dataset.__dask_layers__()

    @property
    def __dask_optimize__(self) -> Any:
        return self.dataset.__dask_optimize__

    @property
    def __dask_scheduler__(self) -> Any:
        return self.dataset.__dask_scheduler__

    def __dask_postcompute__(self) -> Any:
        return self._rebuilt, self.dataset.__dask_postcompute__()

    def __dask_postpersist__(self) -> Any:
        return self._rebuilt, self.dataset.__dask_postpersist__()

    def __dask_tokenize__(self) -> Any:
        return type(self), self.dataset.__dask_tokenize__()

    def _rebuilt(self, results: Any, function: Any, arguments: Any) -> Self:
        return type(self)(dataset=function(results, *arguments))

    def _attach(self, exclusion: ExclusionRule, **where: Any) -> Self:
        if self.catalog is None:
            msg = f"{type(self).__name__} has no catalogue: use a sensor's own product class"
            raise TypeError(msg)
        dataset = attach_mask(
            self.dataset,
            exclusion,
            bands=self.bands,
            default=self.catalog,
            combine=self.combine,
            **where,
        )
        return type(self)(dataset=dataset)

    def _repr_html_(self) -> str:
        """Show the retrieval in Jupyter."""
        return f"<b>{type(self).__name__}</b>{self.dataset._repr_html_()}"


class Sentinel1Product(SensorProduct):
    """A Sentinel-1 retrieval; masked by the Copernicus GFM exclusion mask from EODC."""

    sensor = "sentinel-1"
    catalog = EODC
    bands = GFM_BANDS
    combine = "excluded"

    @staticmethod
    def exclusion(bands: xr.Dataset) -> xr.DataArray:
        """Return flags from the GFM exclusion mask, see :func:`xfusion.gfm_exclusion`."""
        return gfm_exclusion(bands)

    def attach_mask(
        self,
        *,
        catalog: CatalogLike | None = None,
        items: Items | None = None,
        datetime: Time | None = None,
        advisory_flags: bool = False,
        on_read_error: OnReadError = "raise",
        allow_local: bool = False,
    ) -> Self:
        """Attach the mask of the acquisition, see :func:`xfusion.attach_gfm_mask`."""
        dataset = attach_gfm_layers(
            self.dataset,
            self.exclusion,
            bands=self.bands,
            default=self.catalog,
            combine=self.combine,
            advisory_flags=advisory_flags,
            catalog=catalog,
            items=items,
            datetime=datetime,
            on_read_error=on_read_error,
            allow_local=allow_local,
        )
        return type(self)(dataset=dataset)


class Sentinel2Product(SensorProduct):
    """A Sentinel-2 retrieval; masked by Scene Classification and NDVI from Earth Search."""

    sensor = "sentinel-2"
    catalog = EARTH_SEARCH
    bands = S2_BANDS

    @staticmethod
    def exclusion(bands: xr.Dataset) -> xr.DataArray:
        """Return flags from SCL and NDVI, see :func:`xfusion.s2_exclusion`."""
        return s2_exclusion(bands)

    def attach_mask(
        self,
        *,
        ndvi_max: float = NDVI_MAX,
        catalog: CatalogLike | None = None,
        items: Items | None = None,
        datetime: Time | None = None,
        offset: Offset | None = None,
        on_read_error: OnReadError = "raise",
        allow_local: bool = False,
    ) -> Self:
        """Attach the mask of the day's scenes, see :func:`xfusion.attach_s2_mask`."""
        return self._attach(
            functools.partial(s2_exclusion, ndvi_max=ndvi_max),
            catalog=catalog,
            items=items,
            datetime=datetime,
            offset=offset,
            on_read_error=on_read_error,
            allow_local=allow_local,
        )
