"""Areas of zones, and how sure they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from xfusion.datamodel.caller import warn
from xfusion.datamodel.describing import titled
from xfusion.datamodel.earth import check_is_on_earth
from xfusion.datamodel.grid import geobox_of
from xfusion.datamodel.ground_distance import GroundDistance
from xfusion.datamodel.names import ALEATORIC, SPATIAL_REF
from xfusion.datamodel.validation import Retrieval, as_retrieval

from .aleatoric import RMS_OR_DELTA
from .area_of_block import AREA, UNUSABLE, VARIANCE, AreaTask
from .block_sums import summed_over_blocks
from .correlation_range import (
    LAG,
    Z2,
    Correlation,
    Exponential,
    as_exponentials,
    check_measured,
)
from .pixel_errors import check_is_share, expected
from .polygons import on_geobox
from .zones import on_pixels

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox

WHOLE = "all"
OF_PROBABILITY = "sqrt(p (1 - p)) of the probability p to exceed the threshold"
ZONE = "zone"
KM2 = "km2"
LAYERS = (
    ("area", AREA, "area"),
    ("area_sigma", VARIANCE, "standard deviation of area"),
    ("unusable", UNUSABLE, "area of pixels that are not usable"),
)
TOO_SURE = "none between pixels: area_sigma is too small where errors of neighbours are alike"


def area(
    dataset: Retrieval,
    /,
    *,
    zones: Any = None,
    threshold: float | None = None,
    correlation: Correlation = None,
) -> xr.Dataset:
    """Return the area that a retrieval finds, and its standard uncertainty, for each zone.

    Parameters
    ----------
    dataset : Dataset or product
        A retrieval of a probability, such as that of water, or of a share of each pixel: mu
        without a unit, or "1". Of another quantity, with `threshold`.
    zones : DataArray, GeoDataFrame or other polygons, optional
        Zones on pixels, integers or names on the grid of the retrieval: each number is a zone,
        also 0; NaN, "" and declared nodata are of none. Or polygons, with the extra
        ``xfusion[zones]``: a GeoDataFrame, a GeoSeries, GeoJSON as a dict, or geometries of
        shapely or odc.geo. A pixel at an edge counts by the share that is inside. GeoJSON is in
        longitude and latitude unless its member `crs` says otherwise; other polygons that name no
        CRS are in that of the grid.
    threshold : float, in units of mu, or pint quantity, optional
        Sum up the probability that the quantity exceeds this, :func:`xfusion.exceedance`, instead
        of mu. Not for a mu that is itself a probability: ``exceedance(0.5)`` is how sure it is to
        be above a half, not the probability of water.
    correlation : float, sequence of (float, float), or DataArray, optional
        Of the errors of two pixels, by their distance h. A length L in metres is ``exp(-h / L)``,
        ``np.inf`` where all pixels err alike; pairs of a share and a length are a sum of such
        terms, and what shares lack of 1 is without correlation; a DataArray is what
        :func:`xfusion.error_correlation` returns. None is without correlation, which is far too
        sure of maps: by 8 to 27 times on a real one.

    Returns
    -------
    Dataset
        float64, along `zone`, "all" where there are no zones, and the dims of mu that are not
        spatial: `area`, km2, of usable pixels; `area_sigma`, its standard deviation, km2; and
        `unusable`, km2 of the zone whose pixels are not usable, and of which `area` knows
        nothing. Pixels are as large as they are on the ellipsoid. A measured correlation may be
        that of no errors: NaN where a variance comes out negative. Lazy where the input is.

    Raises
    ------
    ValueError
        If mu is no share, by its units, and there is no threshold; if grid, zones or correlation
        are not what they should be, or nobody knows where they are. With the pixels, if without a
        threshold a usable mu is not from 0 to 1.
    ImportError
        If zones are polygons, and exactextract is not installed.

    Notes
    -----
    ``A = sum_i a_i mu_i`` and ``var A = sum_i sum_j a_i s_i a_j s_j r(h_ij)``, the law of
    propagation (JCGM 100:2008, 13). s is sigma, which has to be the whole error: of a probability
    call :func:`xfusion.add_aleatoric` first, as what is true is 0 or 1. With a threshold it is
    ``sqrt(p (1 - p))``. With a measured correlation it is multiplied by the root of the mean
    squared error over sigma squared that was measured beside it, its coordinate `z2`.

    Double sums are taken by Fourier transform, block by block with as many pixels around it as
    the correlation reaches, 8 lengths. What reaches farther than 512 pixels is summed over cells
    of an eighth of its length first. Labels of a lazy raster of zones are read at once, unless
    its attribute `flag_values` has them. ``docs/area.md`` has more.

    Examples
    --------
    >>> import numpy as np, xfusion as xf
    >>> from odc.geo.geobox import GeoBox
    >>> from odc.geo.xr import xr_zeros
    >>> grid = GeoBox.from_bbox((0, 0, 4000, 4000), "EPSG:3035", resolution=10)
    >>> water = xf.retrieval(xr_zeros(grid) + 0.25, 0.1)
    >>> total = water.fusion.area(correlation=100.0)
    >>> float(total.area[0].round(2)), float(total.area_sigma[0].round(3))
    (4.0, 0.097)
    """
    dataset = as_retrieval(dataset)
    if threshold is None:
        check_is_share(dataset)
    value, deviation = expected(dataset, threshold)
    labels: Any = np.array([WHOLE])
    around, polygons, geobox = [deviation], None, geobox_of(dataset)
    check_is_on_earth(geobox)
    if isinstance(zones, xr.DataArray):
        labels, numbers = on_pixels(zones, dataset)
        around.append(numbers.transpose(..., *value.dims[-2:]))
    elif zones is not None:
        labels, polygons = on_geobox(zones, geobox)
    known, exponentials, lags = np.zeros(0), as_exponentials(correlation), None
    _warn_of_short(exponentials, geobox)
    if isinstance(correlation, xr.DataArray):
        check_measured(correlation)
        known, lags = _known(correlation), tuple(correlation.coords[LAG].to_numpy().tolist())
    shares = threshold is None
    task = AreaTask(geobox, len(labels), polygons, exponentials, lags, shares)
    sums = summed_over_blocks(task, [value], around, known, (len(labels), 3))
    dims = value.dims[:-2]
    kept = {
        k: v.variable for k, v in value.coords.items() if {*v.dims} <= {*dims} and k != SPATIAL_REF
    }
    layers = {
        name: ((*dims, ZONE), sums[..., position], {"long_name": said, "units": KM2})
        for name, position, said in LAYERS
    }
    counted = "sum of mu" if threshold is None else f"probability of exceeding {threshold}"
    attrs = {
        "area_of": counted,
        "area_errors": OF_PROBABILITY if threshold is not None else _errors_of(dataset),
        "area_correlation": _said(correlation, exponentials),
    }
    attrs |= {k: v for k, v in dataset.attrs.items() if k == "sensor"}
    return titled(xr.Dataset(layers, kept | {ZONE: labels}, attrs), "area", of=dataset)


def _errors_of(dataset: xr.Dataset) -> str:
    """Return what sigma is said to hold."""
    if ALEATORIC in dataset.attrs:
        return f"sigma, which holds the aleatoric part: {dataset.attrs[ALEATORIC]}"
    if dataset.attrs.get(RMS_OR_DELTA) == "rms":
        return "sigma, the root mean square error of a calibration"
    return "sigma as it is: of a probability it must hold the aleatoric part, add_aleatoric()"


def _known(correlation: xr.DataArray) -> Any:
    """Return the mean squared error over squared sigma, and the correlation at each lag."""
    z2 = xr.DataArray(correlation.coords.get(Z2, 1.0)).variable.set_dims({LAG: 1})
    return xr.Variable.concat([z2, correlation.variable], LAG).astype(np.float64).data


def _warn_of_short(exponentials: tuple[Exponential, ...], geobox: GeoBox) -> None:
    pixel = min(GroundDistance(geobox).smallest_sides) if exponentials else 0.0
    for part in exponentials:
        if part.length < pixel:
            warn(
                f"correlation over {part.length:g} m, and a pixel is {pixel:.3g} m: errors are as "
                "good as independent; the length is in metres, np.inf where all pixels err alike"
            )


def _said(correlation: Correlation, exponentials: tuple[Exponential, ...]) -> str:
    if correlation is None:
        return TOO_SURE
    if isinstance(correlation, xr.DataArray):
        return "measured against a reference, and sigma by the mean squared error found there"
    terms = [
        f"{'' if part.share == 1 else f'{part.share:g} '}exp(-h / {part.length:g} m)"
        for part in exponentials
    ]
    return " + ".join(terms) or TOO_SURE
