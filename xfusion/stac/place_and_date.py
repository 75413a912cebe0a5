"""Bands of a place and a date."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import xarray as xr

from xfusion.datamodel.times import Time
from xfusion.datamodel.validation import HasDataset

from .place import Box, grid_of_place
from .profiles import EARTH_SEARCH, CatalogLike, Offset, catalog_profile

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox
    from odc.geo.geom import BoundingBox


def load(
    catalog: CatalogLike,
    place: Box | BoundingBox | GeoBox | xr.Dataset | xr.DataArray | HasDataset,
    date: Time,
    bands: str | Sequence[str] | Mapping[str, Literal["nearest", "bilinear"]],
    *,
    resolution: float = 10.0,
    nodata: float | Mapping[str, float | None] | None = None,
    offset: Offset | None = None,
    scale: float | Literal["metadata"] | None = None,
    chunks: Any = None,
    on_read_error: Literal["raise", "flag"] = "raise",
    allow_local: bool = False,
    loader: Literal["xfusion", "odc"] = "xfusion",
) -> xr.Dataset:
    """Load bands of a place and a date from a catalogue, pass by pass, lazily.

    Parameters
    ----------
    catalog : Catalog, URL, path or pystac_client.Client
        Where to search, such as :data:`PLANETARY_COMPUTER_RTC` or :data:`EARTH_SEARCH`. What is no
        Catalog is searched as Earth Search is.
    place : (west, south, east, north), BoundingBox, GeoBox, Dataset, DataArray or product
        A box in degrees, of which east is above 180 if it lies across the antimeridian, or one of
        odc-geo in its CRS; or a grid. A box gets a grid of its UTM zone, beyond 84 degrees north
        and 80 south one of Universal Polar Stereographic.
    date : str, datetime64 or datetime
        Day, moment or interval, UTC. Of a moment the pass nearest to it is loaded, else all.
    bands : str, sequence or mapping of str
        Bands as the catalogue names them, or keys of assets; or band to "nearest" or "bilinear".
    resolution : float
        Metres of a pixel, of the grid of a box.
    nodata, offset, scale, chunks, on_read_error, allow_local, loader
        As of :func:`xfusion.load_bands`, which does the work: what is said there of passes,
        offsets, faults and time-outs holds here.

    Returns
    -------
    Dataset, dims (time, y, x)
        The bands, lazy, one time for each pass of a satellite, with the share of the grid that it
        has `covered`, by its footprints; its `orbit`, the number of the relative orbit, and
        `orbit_state`, "ascending" or "descending", where all items say these.
        Bands have the `units` that the catalogue says they always have.

    Raises
    ------
    ValueError
        If `place` is no box and no grid, or a box in which metres of its zone are off by more than
        1 %: it takes a grid of a CRS that fits it. Else as :func:`xfusion.load_bands`.
    LookupError, ConnectionError, OSError
        As :func:`xfusion.load_bands`.

    Examples
    --------
    >>> import xfusion as xf
    >>> from tempfile import TemporaryDirectory
    >>> from xfusion.demo import write_scene
    >>> with TemporaryDirectory() as folder:
    ...     scene = write_scene(folder, size=0.2)
    ...     box = (18.0, 47.74, 18.01, 47.75)
    ...     bands = xf.stac.load(scene.items, box, scene.date, ["red", "nir"], offset=0)
    >>> bands.red.dims, float(bands.x[1] - bands.x[0])
    (('time', 'y', 'x'), 10.0)
    """
    from xfusion.masks.bands import load_bands

    loaded = load_bands(
        grid_of_place(place, resolution),
        bands,
        catalog=catalog,
        datetime=date,
        nodata=nodata,
        offset=offset,
        scale=scale,
        chunks=chunks,
        on_read_error=on_read_error,
        allow_local=allow_local,
        loader=loader,
    )
    # a scale of the caller makes something else of them
    units = catalog_profile(catalog, EARTH_SEARCH).units if scale is None else {}
    return loaded.assign(
        {n: loaded[n].assign_attrs(units=unit) for n, unit in units.items() if n in loaded}
    )
