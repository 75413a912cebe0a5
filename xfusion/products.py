"""Products: a retrieval together with what its sensor knows."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
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
from .datamodel.selection import isel, sel
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
from .methods import OnDask, of_dataset, of_product, of_recipe, of_sensors, refuse_unknown
from .raster.file import FilePath
from .raster.opening import CHUNK, open_retrieval
from .run.memory import compute
from .series.crossing import duration, onset
from .series.opening import Files, MaskFiles, open_series
from .series.state import filter, smooth  # noqa: A004  # what the field calls it
from .series.updating import update
from .store.write import to_zarr
from .view.explaining import explain
from .view.pictures import plot
from .view.product_page import page_of, text_of
from .view.reporting import report
from .view.series_plots import plot_history, plot_weights
from .warp.coregistration import coregister

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox


@dataclass(frozen=True, kw_only=True, eq=False)
class SensorProduct(OnDask):
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

    What it holds is at hand:

    >>> product.mu.shape, product.sigma.dtype, product.mask, bool(product.usable.all())
    ((2, 2), dtype('float32'), None, True)
    >>> from odc.geo.geobox import GeoBox
    >>> from odc.geo.xr import xr_zeros
    >>> grid = GeoBox.from_bbox((0, 0, 2, 2), "EPSG:4326", resolution=1)
    >>> mu = xr_zeros(grid, dtype="float32")
    >>> xf.SensorProduct(dataset=xf.retrieval(mu, mu + 1)).geobox == grid
    True
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
        sensor: str | None = None,
        time: Time | None = None,
        chunks: Chunks = CHUNK,
        nodata: float | None = None,
        scale: float | None = None,
        offset: float | None = None,
    ) -> Self:
        """Open the rasters of a retrieval lazily, see :func:`xfusion.raster.open_retrieval`.

        Examples
        --------
        >>> import tempfile, xfusion as xf
        >>> from xfusion.demo import write_scene
        >>> scene = write_scene(tempfile.mkdtemp(), size=0.2)
        >>> s1 = xf.Sentinel1Product.open(scene.s1_mu, scene.s1_sigma, time=scene.date)
        >>> s1.dataset.attrs["sensor"], s1.mu.chunks is None
        ('sentinel-1', False)
        """
        stored: dict[str, Any] = {"nodata": nodata, "scale": scale, "offset": offset}
        dataset = open_retrieval(
            mu, sigma, mask, sensor=sensor or cls.sensor, time=time, chunks=chunks, **stored
        )
        return cls(dataset=dataset)

    @classmethod
    def open_series(
        cls,
        mu: Files,
        sigma: Files,
        mask: MaskFiles | None = None,
        *,
        sensor: str | None = None,
        times: Sequence[Time] | None = None,
        like: Any = None,
        chunks: Chunks = CHUNK,
        nodata: float | None = None,
        scale: float | None = None,
        offset: float | None = None,
    ) -> Self:
        """Open the rasters of many times lazily as a cube, see :func:`xfusion.open_series`.

        Examples
        --------
        >>> import tempfile, xfusion as xf
        >>> from xfusion.demo import write_scene
        >>> scene = write_scene(tempfile.mkdtemp(), size=0.2)
        >>> mus, sigmas = [scene.s1_mu] * 2, [scene.s1_sigma] * 2
        >>> days = ["2023-06-20", "2023-06-21"]
        >>> xf.Sentinel1Product.open_series(mus, sigmas, times=days).mu.dims
        ('time', 'y', 'x')
        """
        how: dict[str, Any] = {"chunks": chunks, "nodata": nodata, "scale": scale, "offset": offset}
        dataset = open_series(
            mu, sigma, mask, sensor=sensor or cls.sensor, times=times, like=like, **how
        )
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

    isel = of_product(isel)
    sel = of_product(sel)
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
    report = of_dataset(report)
    assess = of_dataset(assess)
    compute = of_product(compute)
    explain = of_dataset(explain)
    plot = of_dataset(plot)
    plot_history = of_dataset(plot_history)
    plot_weights = of_dataset(plot_weights)
    to_cog = of_dataset(to_cog)
    to_zarr = of_product(to_zarr)

    def __repr__(self) -> str:
        return text_of(type(self).__name__, self.dataset)

    def _repr_html_(self) -> str:
        """Show the retrieval in Jupyter, without computing or reading any pixel."""
        return page_of(type(self).__name__, self.dataset)


# out of the classes: there mypy would expect the arguments of the method they override
_attach_gfm_mask = of_recipe(attach_gfm_mask)
_attach_s2_mask = of_recipe(attach_s2_mask)


class Sentinel1Product(SensorProduct):
    """A Sentinel-1 retrieval; masked by the Copernicus GFM exclusion mask from EODC.

    Examples
    --------
    >>> import tempfile, xfusion as xf
    >>> from xfusion.demo import write_scene
    >>> scene = write_scene(tempfile.mkdtemp(), size=0.2)
    >>> s1 = xf.Sentinel1Product.open(scene.s1_mu, scene.s1_sigma, time=scene.date)
    >>> s1.attach_mask(catalog=scene.items).dataset.attrs["mask_collection"]
    'GFM'
    """

    sensor = "sentinel-1"
    recipe = GFM_MASK
    attach_mask = _attach_gfm_mask  # type: ignore[assignment]  # a mask of classes has no offset


class Sentinel2Product(SensorProduct):
    """A Sentinel-2 retrieval; masked by Scene Classification and NDVI from Earth Search.

    Examples
    --------
    >>> import tempfile, xfusion as xf
    >>> from xfusion.demo import write_scene
    >>> scene = write_scene(tempfile.mkdtemp(), size=0.2)
    >>> s2 = xf.Sentinel2Product.open(scene.s2_mu, scene.s2_sigma, time=scene.date)
    >>> s2.attach_mask(catalog=scene.items, offset=0.0).mask.dtype
    dtype('uint8')
    """

    sensor = "sentinel-2"
    recipe = S2_MASK
    attach_mask = _attach_s2_mask  # type: ignore[assignment]  # it has no advisory flags
