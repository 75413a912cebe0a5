"""Catalogues of the layers that masks are made of: search them, load bands lazily."""

from __future__ import annotations

import dataclasses
import datetime as dt
import ipaddress
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias
from urllib.parse import urlsplit

import numpy as np
import xarray as xr

from .grid import geobox_of, grid_coords, spatial_dims
from .retrieval import Time, as_time

if TYPE_CHECKING:
    import pystac
    from odc.geo.geobox import GeoBox
    from pystac_client import Client

PAGE_SIZE = 100  # items a page: EODC takes a minute over its default of ten
PASS_GAP = dt.timedelta(minutes=10)  # frames of one pass follow within seconds


@dataclasses.dataclass(frozen=True, kw_only=True)
class Catalog:
    """Where a sensor's mask layers are, and how that service describes them.

    Examples
    --------
    A profile, pointed at another server:

    >>> import dataclasses, xfusion as xf
    >>> dataclasses.replace(xf.stac.EODC, url="http://127.0.0.1:7822").collection
    'GFM'
    """

    url: str
    """URL of the STAC API, or path of a local item collection."""

    collection: str
    """The collection to search."""

    assets: Mapping[str, str]
    """Band, as the exclusion rules call it, to the key of its asset."""

    nodata: int | Mapping[str, int] = 0
    """Value that means "not observed", of all bands or band by band; it overrides what
    items and files say, or do not say."""

    offset: float | Literal["auto"] = 0.0
    """What to add to the digital numbers of reflectance bands. "auto" asks each item: its
    ``raster:offset``, or -1000 from processing baseline 04.00 on."""

    signer: Callable[[str], str] | None = None
    """Turns an asset's href into one that may be read."""

    def nodata_of(self, band: str) -> int:
        """Return the nodata value of a band."""
        return self.nodata if isinstance(self.nodata, int) else self.nodata[band]


def sign_planetary_computer(href: str) -> str:
    """Sign an href of the Planetary Computer, anonymously."""
    try:
        import planetary_computer
    except ModuleNotFoundError as error:
        msg = 'the Planetary Computer needs: pip install "xfusion[planetary-computer]"'
        raise ModuleNotFoundError(msg) from error
    return str(planetary_computer.sign(href))


S2_NODATA = {"red": 0, "nir": 0, "scl": 255}  # SCL 0 is a class of its own, "no data"

EODC = Catalog(
    url="https://stac.eodc.eu/api/v1",
    collection="GFM",
    assets={"exclusion_mask": "exclusion_mask"},
    nodata=255,
)
EARTH_SEARCH = Catalog(
    url="https://earth-search.aws.element84.com/v1",
    collection="sentinel-2-l2a",
    assets={"red": "red", "nir": "nir", "scl": "scl"},
    nodata=S2_NODATA,
    offset=0.0,  # the items declare -0.1, the pixels have it applied
)
PLANETARY_COMPUTER = Catalog(
    url="https://planetarycomputer.microsoft.com/api/stac/v1",
    collection="sentinel-2-l2a",
    assets={"red": "B04", "nir": "B08", "scl": "SCL"},
    nodata=S2_NODATA,
    offset="auto",
    signer=sign_planetary_computer,
)
CDSE = Catalog(
    url="https://stac.dataspace.copernicus.eu/v1",
    collection="sentinel-2-l2a",
    assets={"red": "B04_10m", "nir": "B08_10m", "scl": "SCL_20m"},
    nodata=S2_NODATA,
    offset="auto",
)

CatalogLike: TypeAlias = "Catalog | str | Client"
Items: TypeAlias = "Iterable[pystac.Item | Mapping[str, Any]]"


def search(catalog: CatalogLike, geobox: GeoBox, datetime: Time, *, default: Catalog) -> list[Any]:
    """Find the items of one day, or of a given interval, that touch a grid.

    Parameters
    ----------
    catalog : Catalog, URL or pystac_client.Client
        Where to search. A URL or Client is searched as `default` would be.
    geobox : GeoBox
        Its bounds, in longitude and latitude, are searched.
    datetime : str, datetime64 or datetime
        A day, or a moment, which stands for its day (UTC); an interval ``"start/end"`` is
        searched as it is.
    default : Catalog
        Collection and assets for a bare URL or Client.

    Returns
    -------
    list of pystac.Item

    Raises
    ------
    LookupError
        If there is no item; the message has collection, bounds, dates and catalogue.
    """
    profile, client = open_catalog(catalog, default)
    start, end = day_interval(datetime)
    bbox = tuple(geobox.geographic_extent.boundingbox)
    found = client.search(
        collections=[profile.collection],
        bbox=bbox,
        datetime=f"{start}/{end}",
        limit=PAGE_SIZE,
        method="POST" if _posts(client) else "GET",
    )
    # all pages now: one that fails must not be met half-way through a load
    items = sorted(found.items(), key=lambda item: (_moment(item), item.id))
    if not items:
        msg = (
            f"no items of {profile.collection!r} in {profile.url} from {start} to {end} within "
            f"{tuple(round(b, 5) for b in bbox)}: check the date, or pass items= or catalog="
        )
        raise LookupError(msg)
    return items


def open_catalog(catalog: CatalogLike, default: Catalog) -> tuple[Catalog, Client]:
    """Return the profile and an open client of a Catalog, URL or Client."""
    from pystac_client import Client

    if isinstance(catalog, Client):
        href = str(catalog.get_self_href())
        return dataclasses.replace(default, url=href), catalog
    profile = catalog_profile(catalog, default)
    return profile, Client.open(profile.url)


def catalog_profile(catalog: CatalogLike | None, default: Catalog) -> Catalog:
    """Return the profile behind a `catalog` argument, without opening anything."""
    if catalog is None:
        return default
    if isinstance(catalog, Catalog):
        return catalog
    if isinstance(catalog, str):
        return dataclasses.replace(default, url=catalog)
    return dataclasses.replace(default, url=str(catalog.get_self_href()))


def day_interval(datetime: Time) -> tuple[str, str]:
    """Return the first and the last moment of a day; an interval "a/b" as it is.

    A day is closed with its own last microsecond: pystac-client takes "D/D+1" to the end
    of the next day.
    """
    if isinstance(datetime, str) and "/" in datetime:
        start, _, end = datetime.partition("/")
        return start, end
    day = np.datetime_as_string(as_time(datetime), unit="D")
    return f"{day}T00:00:00Z", f"{day}T23:59:59.999999Z"


def planes(items: Iterable[pystac.Item], catalog: Catalog) -> list[list[pystac.Item]]:
    """Group items into planes, each of one pass of the satellite and one offset.

    Frames and tiles of a pass show one acquisition and are mosaicked; acquisitions are
    told apart by a gap of more than ten minutes, so that each is judged by itself.
    """
    grouped: dict[tuple[int, float], list[pystac.Item]] = {}
    number, last = 0, None
    for item in sorted(items, key=lambda item: (_moment(item), item.id)):
        moment = _moment(item)
        if last is not None and moment - last > PASS_GAP:
            number += 1
        last = moment
        # two processings of one scene may differ in offset: never in one plane
        grouped.setdefault((number, _offset(item, catalog)), []).append(item)
    return list(grouped.values())


def load_bands(
    items: Sequence[pystac.Item],
    like: xr.Dataset,
    catalog: Catalog,
    resampling: Mapping[str, str],
) -> xr.Dataset:
    """Load the bands of one plane on the grid of a retrieval.

    Parameters
    ----------
    items : sequence of pystac.Item
        Of one pass and one offset, see :func:`planes`, with all assets of `catalog`.
    like : Dataset
        A retrieval; its grid and blocks. Lazy where its `mu` is.
    catalog : Catalog
        Which asset is which band, their nodata and offset.
    resampling : mapping
        Band to "nearest" (loaded as uint8) or "bilinear" (as float32, nodata as NaN).

    Returns
    -------
    Dataset
        The bands, with the spatial dims of `like`; nodata outside every footprint.
    """
    import odc.stac

    from .reader import OVERLAP, NodataDriver

    geobox = geobox_of(like)
    dims, coords = grid_coords(like)
    names = {key: band for band, key in catalog.assets.items()}
    dtypes = {b: "uint8" if how == "nearest" else "float32" for b, how in resampling.items()}
    config = {
        key: {"data_type": dtypes[band], "nodata": catalog.nodata_of(band)}
        for key, band in names.items()
    }
    loaded: xr.Dataset = odc.stac.load(
        [_bare(item, catalog) for item in items],
        bands=list(names),
        geobox=geobox,
        groupby=lambda *_: 0,
        resampling={key: resampling[band] for key, band in names.items()},
        dtype={key: dtypes[band] for key, band in names.items()},
        chunks=_odc_chunks(like, geobox),
        stac_cfg={"*": {"assets": config}},
        driver=NodataDriver(),
        fuse_func={key: OVERLAP.get(band) for key, band in names.items()},
        patch_url=catalog.signer,
        # an overview of classes is a mixture of classes
        use_overviews=False,
    )
    bands = loaded.isel(time=0, drop=True).rename(names)
    if geobox.dimensions != dims:
        bands = bands.rename(dict(zip(geobox.dimensions, dims, strict=True)))
    bands = bands.drop_vars(list(bands.coords)).assign_coords(coords)
    for band in [b for b in bands.data_vars if resampling[str(b)] != "nearest"]:
        observed = bands[band] != catalog.nodata_of(str(band))
        shifted = bands[band] + np.float32(_offset(items[0], catalog))
        bands[band] = shifted.where(observed).drop_attrs(deep=False)
    return bands


def complete_items(items: Iterable[pystac.Item], catalog: Catalog) -> list[pystac.Item]:
    """Return the items that have every asset of a catalogue, warning of the others."""
    complete = []
    for item in items:
        missing = [key for key in catalog.assets.values() if key not in item.assets]
        if missing:
            warnings.warn(
                f"item {item.id!r} of {catalog.collection!r} lacks the assets {missing}; "
                "its pixels are UNKNOWN unless another item has them",
                stacklevel=2,
            )
        else:
            complete.append(item)
    return complete


def as_items(items: Items) -> list[pystac.Item]:
    """Return pystac Items from Items or their dictionaries."""
    import pystac

    return [i if isinstance(i, pystac.Item) else pystac.Item.from_dict(dict(i)) for i in items]


def is_local(url: str) -> bool:
    """Whether a catalogue is on this machine: a file, or a server on a loopback address."""
    parts = urlsplit(url)
    if parts.scheme in ("", "file"):
        return True
    host = parts.hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_hrefs(items: Iterable[pystac.Item], catalog: Catalog, *, allow_local: bool) -> None:
    """Refuse assets that an untrusted item must not make us read.

    Parameters
    ----------
    items : iterable of pystac.Item
    catalog : Catalog
        Its assets are checked.
    allow_local : bool
        Whether files of this machine may be read: the catalogue is local, or the caller
        said so.

    Raises
    ------
    ValueError
        If an href is not http(s) or s3, or a local file without leave, or a GDAL prefix
        such as ``/vsicurl/``.
    """
    for item in items:
        for key in catalog.assets.values():
            href = item.assets[key].href
            parts = urlsplit(href)
            where = f"asset {key!r} of item {item.id!r}"
            if "/vsi" in href.lower() or (parts.scheme not in ("", "file", "http", "https", "s3")):
                msg = f"{where}: href {_public(href)!r} is not http(s) or s3 and is never opened"
                raise ValueError(msg)
            if parts.scheme in ("", "file") and not allow_local:
                msg = (
                    f"{where}: href {href!r} is a file of this machine, the catalogue is not: "
                    "pass allow_local=True if you trust it"
                )
                raise ValueError(msg)


def _public(href: str) -> str:
    return href.partition("?")[0]


def _bare(item: pystac.Item, catalog: Catalog) -> pystac.Item:
    """Copy an item with only the assets to be read, without what they say of nodata."""
    item = item.clone()
    item.assets = {key: item.assets[key] for key in catalog.assets.values()}
    for asset in item.assets.values():
        for said in ("raster:bands", "bands", "nodata", "data_type"):
            asset.extra_fields.pop(said, None)
    return item


def _moment(item: pystac.Item) -> dt.datetime:
    moment = item.datetime or item.common_metadata.start_datetime
    if moment is None:
        msg = f"item {item.id!r} has no datetime: leave it out of items="
        raise ValueError(msg)
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)


def _offset(item: pystac.Item, catalog: Catalog) -> float:
    """Return what to add to the reflectance numbers of an item."""
    if catalog.offset != "auto":
        return float(catalog.offset)
    if item.properties.get("earthsearch:boa_offset_applied"):
        return 0.0
    asset = item.assets[next(iter(catalog.assets.values()))]
    declared = [asset.extra_fields, *asset.extra_fields.get("raster:bands", [])]
    for said in declared:
        scale = said.get("raster:scale", said.get("scale"))
        offset = said.get("raster:offset", said.get("offset"))
        if scale and offset is not None:
            return round(float(offset) / float(scale), 6)
    baseline = str(item.properties.get("s2:processing_baseline", "0"))
    return -1000.0 if float(baseline) >= 4 else 0.0  # noqa: PLR2004  # baseline 04.00


def _odc_chunks(like: xr.Dataset, geobox: GeoBox) -> dict[str, int | Literal["auto"]] | None:
    dims = spatial_dims(like)
    sizes = like["mu"].chunksizes
    if not sizes or dims is None:
        return None
    return {a: max(sizes[b]) for a, b in zip(geobox.dimensions, dims, strict=True)}


def _posts(client: Client) -> bool:
    # EODC answers GET searches that have parameters with nothing
    links = client.get_links("search")
    return any(link.extra_fields.get("method", "GET").upper() == "POST" for link in links)
