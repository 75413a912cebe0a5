"""Products: a retrieval together with what its sensor knows."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import xarray as xr

from .assessment.aleatoric import add_aleatoric
from .assessment.applying import apply_calibration
from .assessment.assessing import assess
from .assessment.calibrating import calibrate
from .assessment.water_area import area
from .cog.write import to_cog
from .datamodel.building import usable
from .datamodel.cf import annotate
from .datamodel.chunks import Chunks
from .datamodel.grid import geobox_of
from .datamodel.names import MASK, MU, SIGMA
from .datamodel.times import Time
from .datamodel.validation import as_retrieval
from .fusion.combine import fuse, gaussian
from .fusion.conflict import flag_conflict
from .fusion.probability import exceedance
from .masks.attach import attach_mask
from .masks.bands import load_bands
from .masks.own_mask import exclude
from .masks.recipe import MaskRecipe
from .masks.sentinel import GFM_MASK, S2_MASK, attach_gfm_mask, attach_s2_mask
from .masks.shares import completeness
from .methods import of_dataset, of_product, of_recipe, of_sensors, refuse_unknown
from .raster.file import FilePath
from .raster.opening import CHUNK, open_retrieval
from .run.memory import compute
from .series.crossing import duration, onset
from .series.opening import Files, MaskFiles, open_series
from .series.state import filter, smooth  # noqa: A004  # what the field calls it
from .series.updating import update
from .store.write import to_zarr
from .view.explaining import explain
from .warp.coregistration import coregister

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox


@dataclass(frozen=True, kw_only=True, eq=False)
class SensorProduct:
    """The retrieval of one sensor, or of several fused, on one grid.

    Methods return a new product and leave this one as it is. A new sensor is a subclass
    with its name and the recipe of its mask, :class:`xfusion.MaskRecipe`.

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

    recipe: ClassVar[MaskRecipe | None] = None
    """What its mask is made of."""

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
        chunks: Chunks = CHUNK,
        nodata: float | None = None,
        scale: float | None = None,
        offset: float | None = None,
    ) -> Self:
        """Open the rasters of a retrieval lazily, see :func:`xfusion.raster.open_retrieval`."""
        stored: dict[str, Any] = {"nodata": nodata, "scale": scale, "offset": offset}
        dataset = open_retrieval(
            mu, sigma, mask, sensor=cls.sensor, time=time, chunks=chunks, **stored
        )
        return cls(dataset=dataset)

    @classmethod
    def open_series(
        cls,
        mu: Files,
        sigma: Files,
        mask: MaskFiles | None = None,
        *,
        times: Sequence[Time] | None = None,
        like: Any = None,
        chunks: Chunks = CHUNK,
        nodata: float | None = None,
        scale: float | None = None,
        offset: float | None = None,
    ) -> Self:
        """Open the rasters of many times lazily as a cube, see :func:`xfusion.open_series`."""
        how: dict[str, Any] = {"chunks": chunks, "nodata": nodata, "scale": scale, "offset": offset}
        dataset = open_series(mu, sigma, mask, sensor=cls.sensor, times=times, like=like, **how)
        return cls(dataset=dataset)

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

    def isel(self, indexers: Mapping[Any, Any] | None = None, /, **more: Any) -> Self:
        """Select by positions, as :meth:`xarray.Dataset.isel` does.

        Parameters
        ----------
        indexers : mapping, optional
            Dim -> positions; a dim may also be given as a keyword.
        **more
            Further dims, and the options of :meth:`xarray.Dataset.isel`.

        Returns
        -------
        product of the same class

        Examples
        --------
        >>> import numpy as np, xfusion as xf
        >>> ones = np.ones((4, 6), np.float32)
        >>> product = xf.SensorProduct(dataset=xf.retrieval(ones, ones))
        >>> dict(product.isel(x=slice(2)).dataset.sizes), product["mu"].shape
        ({'y': 4, 'x': 2}, (4, 6))
        """
        return type(self)(dataset=self.dataset.isel(indexers, **more))

    def sel(self, indexers: Mapping[Any, Any] | None = None, /, **more: Any) -> Self:
        """Select by labels, as :meth:`xarray.Dataset.sel` does.

        Parameters
        ----------
        indexers : mapping, optional
            Dim -> labels; a dim may also be given as a keyword.
        **more
            Further dims, and the options of :meth:`xarray.Dataset.sel`.

        Returns
        -------
        product of the same class

        Examples
        --------
        >>> import numpy as np, xfusion as xf
        >>> ones = np.ones((2, 4, 6), np.float32)
        >>> series = xf.retrieval(ones, ones).assign_coords(time=[2020, 2021])
        >>> xf.SensorProduct(dataset=series).sel(time=2021).mu.dims
        ('y', 'x')
        """
        return type(self)(dataset=self.dataset.sel(indexers, **more))

    def __getitem__(self, key: Any) -> Any:
        """Return a variable by its name; of several names, or of ``{dim: positions}``, a product.

        As :class:`xarray.Dataset` does.
        """
        found = self.dataset[key]
        return type(self)(dataset=found) if isinstance(found, xr.Dataset) else found

    def __contains__(self, name: object) -> bool:
        return name in self.dataset

    def __iter__(self) -> Iterator[Hashable]:
        return iter(self.dataset)

    if not TYPE_CHECKING:  # type checkers know what is there, and flag the rest

        def __getattr__(self, name: str) -> Any:
            others = {"product.dataset.fusion": xr.Dataset.fusion, "product.dataset": xr.Dataset}
            refuse_unknown(self, name, type(self).__name__, others)

    coregister = of_product(coregister)
    attach_mask = of_recipe(attach_mask)
    load_bands = of_dataset(load_bands)
    completeness = of_dataset(completeness)
    exclude = of_product(exclude)
    add_aleatoric = of_product(add_aleatoric)
    gaussian = of_sensors(gaussian)
    fuse = of_sensors(fuse)
    filter = of_sensors(filter)
    smooth = of_sensors(smooth)
    update = of_sensors(update)
    onset = of_dataset(onset)
    duration = of_dataset(duration)
    flag_conflict = of_product(flag_conflict)
    exceedance = of_dataset(exceedance)
    calibrate = of_dataset(calibrate)
    apply_calibration = of_product(apply_calibration)
    area = of_dataset(area)
    assess = of_dataset(assess)
    compute = of_product(compute)
    explain = of_dataset(explain)
    to_cog = of_dataset(to_cog)
    to_zarr = of_product(to_zarr)

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

    def _repr_html_(self) -> str:
        """Show the retrieval in Jupyter."""
        return f"<b>{type(self).__name__}</b>{self.dataset._repr_html_()}"


# out of the classes: there mypy would expect the arguments of the method they override
_attach_gfm_mask = of_recipe(attach_gfm_mask)
_attach_s2_mask = of_recipe(attach_s2_mask)


class Sentinel1Product(SensorProduct):
    """A Sentinel-1 retrieval; masked by the Copernicus GFM exclusion mask from EODC."""

    sensor = "sentinel-1"
    recipe = GFM_MASK
    attach_mask = _attach_gfm_mask  # type: ignore[assignment]  # a mask of classes has no offset


class Sentinel2Product(SensorProduct):
    """A Sentinel-2 retrieval; masked by Scene Classification and NDVI from Earth Search."""

    sensor = "sentinel-2"
    recipe = S2_MASK
    attach_mask = _attach_s2_mask  # type: ignore[assignment]  # it has no advisory flags
