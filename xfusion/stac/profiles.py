"""Catalogue profiles: where the layers of a mask are, and how each service describes them."""

from __future__ import annotations

import dataclasses
import math
import numbers
import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from pystac_client import Client


OFFSETS = ("auto", "metadata")
Offset: TypeAlias = 'float | Literal["auto", "metadata"]'


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
    """URL of the STAC API, or path of an item collection (a JSON file) on this machine."""

    collection: str | Sequence[str]
    """The collection to search, or several that are searched as one."""

    assets: Mapping[str, str | Mapping[str, str]]
    """Band, as the exclusion rules call it, to the key of its asset; or to the key in each
    collection, where these differ."""

    nodata: float | Mapping[str, float | None] | None = 0
    """Value that means "not observed", of all bands or band by band; it overrides what items and
    files say, or do not say. Of bands that it does not name it is what these say; a mask wants it
    of all of its own. None is what each file declares, NaN is NaN alone, of files of floats,
    so that every other number is an observation."""

    offset: Offset = 0.0
    """What to add to the digital numbers of reflectance bands: a number for all items, or how
    it is found for each, "auto" or "metadata"; see :func:`xfusion.masks.offset.offset_of`."""

    signer: Callable[[str], str] | None = None
    """Turns an asset's href into one that may be read; called at each read, from a thread of its
    own, which is given up after 30 s."""

    units: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """What the numbers of a band are in, such as "linear" of the power of a radar, or "dB": of
    those of which a service always serves the same. :func:`xfusion.stac.load` hands it on."""

    def __post_init__(self) -> None:
        """Refuse fields of other kinds, which would be misread where they are used."""
        # as people write it, not as they should
        url: object = self.url
        if isinstance(url, os.PathLike):
            object.__setattr__(self, "url", os.fspath(url))
        self._check_place()
        self._check_assets()
        is_way = self.offset in OFFSETS
        if not is_way and (isinstance(self.offset, str) or not math.isfinite(self.offset)):
            msg = f"offset={self.offset!r}: a number, or one of {OFFSETS}"
            raise ValueError(msg)
        self._check_nodata()

    def _check_place(self) -> None:
        url: object = self.url
        if not isinstance(url, str) or not url:
            raise ValueError(_no_url(url))
        collection: object = self.collection
        ids = [collection] if isinstance(collection, str) else collection
        if (
            not isinstance(ids, Sequence)
            or not ids
            or not all(isinstance(i, str) and i for i in ids)
        ):
            msg = f"collection={self.collection!r}: give its id, or a list of several"
            raise ValueError(msg)

    def _check_assets(self) -> None:
        assets: object = self.assets
        if not isinstance(assets, Mapping) or not all(
            isinstance(band, str) and isinstance(key, str | Mapping) for band, key in assets.items()
        ):
            msg = f"assets={assets!r}: give a mapping of bands to the keys of their assets"
            raise ValueError(msg)
        for band, key in self.assets.items():
            by_collection = {} if isinstance(key, str) else key
            if not all(isinstance(each, str) for each in by_collection.values()):
                msg = f"assets={assets!r}: the keys of {band!r} are texts, one for each collection"
                raise ValueError(msg)
            lacking = [name for name in self.collections if name not in by_collection]
            if not isinstance(key, str) and lacking:
                msg = f"assets has for {band!r} no key in the collections {lacking}: add them"
                raise ValueError(msg)

    def _check_nodata(self) -> None:
        by_band = self.nodata if isinstance(self.nodata, Mapping) else None
        for value in (self.nodata,) if by_band is None else by_band.values():
            if value is None or (isinstance(value, numbers.Real) and math.isnan(value)):
                continue
            if not (isinstance(value, numbers.Real) and float(value).is_integer()):
                msg = f"nodata={value!r} is no whole number: give one, or one for each band"
                raise ValueError(msg)

    def nodata_of(self, band: str) -> int | None:
        """Return the nodata value of a band; None if it has none, or only NaN.

        Examples
        --------
        >>> import xfusion as xf
        >>> xf.stac.EARTH_SEARCH.nodata_of("red"), xf.stac.EARTH_SEARCH.nodata_of("scl")
        (0, 255)
        """
        value = self.nodata.get(band) if isinstance(self.nodata, Mapping) else self.nodata
        return None if value is None or math.isnan(value) else int(value)

    def leaves_nodata_to_file(self, band: str) -> bool:
        """Whether that of a band is what its file declares.

        Examples
        --------
        >>> import dataclasses, xfusion as xf
        >>> as_declared = dataclasses.replace(xf.stac.EODC, nodata=None)
        >>> as_declared.leaves_nodata_to_file("exclusion_mask")
        True
        """
        nodata = self.nodata
        return (nodata.get(band) if isinstance(nodata, Mapping) else nodata) is None

    @property
    def collections(self) -> tuple[str, ...]:
        """The ids of all its collections.

        Examples
        --------
        >>> import xfusion as xf
        >>> xf.stac.EODC.collections
        ('GFM',)
        """
        one = isinstance(self.collection, str)
        return (str(self.collection),) if one else tuple(self.collection)

    def keys_of(self, collection: str | None) -> dict[str, str]:
        """Return the key of the asset of each band, in items of a collection.

        Raises
        ------
        ValueError
            If keys differ from collection to collection, and it is none of these.

        Examples
        --------
        >>> import xfusion as xf
        >>> keys = xf.stac.PLANETARY_COMPUTER.keys_of("sentinel-2-l2a")
        >>> keys["green"], keys["swir16"], keys["scl"]
        ('B03', 'B11', 'SCL')
        """
        keys = {}
        for band, key in self.assets.items():
            if not isinstance(key, str) and collection not in key:
                msg = (
                    f"an item is of the collection {collection!r}, in which assets has no key for "
                    f"{band!r}, but in {[*key]}: add it, or leave the item out"
                )
                raise ValueError(msg)
            keys[band] = key if isinstance(key, str) else key[str(collection)]
        return keys


def _no_url(value: object) -> str:
    """Return the error of an address that is none."""
    if hasattr(value, "search"):
        return (
            f"url= of a Catalog is a {type(value).__name__}, not a text: pass the open Client "
            "itself as catalog=, or the URL that it was opened with"
        )
    return (
        f"url= of a Catalog is {value!r}, not a text: give the URL of a STAC API, or the path of "
        "an item collection"
    )


def sign_planetary_computer(href: str) -> str:
    """Sign an href of the Planetary Computer, anonymously."""
    try:
        import planetary_computer
    except ModuleNotFoundError as error:
        msg = 'the Planetary Computer needs: pip install "xfusion[planetary-computer]"'
        raise ModuleNotFoundError(msg) from error
    return str(planetary_computer.sign(href))


# band, as Earth Search calls its asset -> the instrument's, by metres of a pixel
S2_10M = {"blue": "B02", "green": "B03", "red": "B04", "nir": "B08"}
S2_20M = {"nir08": "B8A", "swir16": "B11", "swir22": "B12"}
S2_BANDS = S2_10M | S2_20M
S2_NODATA = {**dict.fromkeys(S2_BANDS, 0), "scl": 255}  # SCL 0 is a class of its own, "no data"

#: GFM exclusion mask of Sentinel-1, anonymous
EODC = Catalog(
    url="https://stac.eodc.eu/api/v1",
    collection="GFM",
    assets={"exclusion_mask": "exclusion_mask"},
    nodata=255,
)
#: Sentinel-2 L2A as COGs on AWS, anonymous
EARTH_SEARCH = Catalog(
    url="https://earth-search.aws.element84.com/v1",
    collection="sentinel-2-l2a",
    assets={band: band for band in (*S2_BANDS, "scl")},
    nodata=S2_NODATA,
    offset="auto",  # the items declare -0.1, the pixels mostly have it applied
)
#: Sentinel-2 L2A as COGs on Azure, signed anonymously by the extra planetary-computer
PLANETARY_COMPUTER = Catalog(
    url="https://planetarycomputer.microsoft.com/api/stac/v1",
    collection="sentinel-2-l2a",
    assets={**S2_BANDS, "scl": "SCL"},
    nodata=S2_NODATA,
    offset="auto",
    signer=sign_planetary_computer,
)
#: Sentinel-1 gamma nought, terrain corrected, as power: COGs on Azure, signed as the last
PLANETARY_COMPUTER_RTC = Catalog(
    url="https://planetarycomputer.microsoft.com/api/stac/v1",
    collection="sentinel-1-rtc",
    assets={"vv": "vv", "vh": "vh"},
    nodata=-32768,
    units={"vv": "linear", "vh": "linear"},
    signer=sign_planetary_computer,
)
#: Sentinel-2 L2A as JPEG 2000 at the Copernicus Data Space, with credentials for s3, or with a
#: token in GDAL_HTTP_BEARER for the https alternate
CDSE = Catalog(
    url="https://stac.dataspace.copernicus.eu/v1",
    collection="sentinel-2-l2a",
    assets={
        **{band: f"{number}_10m" for band, number in S2_10M.items()},
        **{band: f"{number}_20m" for band, number in (S2_20M | {"scl": "SCL"}).items()},
    },
    nodata=S2_NODATA,
    offset="auto",
)

CatalogLike: TypeAlias = "Catalog | str | os.PathLike[str] | Client"


def catalog_profile(catalog: CatalogLike | None, default: Catalog) -> Catalog:
    """Return the profile behind a `catalog` argument, without opening anything.

    Raises
    ------
    TypeError
        If it is neither a Catalog, a URL, a path nor a Client.
    ValueError
        If a Client was made without a URL: what is not known to be remote would be trusted.

    Examples
    --------
    >>> import xfusion as xf
    >>> mirror = xf.stac.catalog_profile("https://stac.example.org", xf.stac.EARTH_SEARCH)
    >>> mirror.url, mirror.collection
    ('https://stac.example.org', 'sentinel-2-l2a')
    """
    if catalog is None:
        return default
    if isinstance(catalog, Catalog):
        return catalog
    if isinstance(catalog, str | os.PathLike):
        return dataclasses.replace(default, url=os.fspath(catalog))
    if not hasattr(catalog, "search"):
        msg = (
            f"catalog= takes a Catalog, a URL, a path or an open pystac_client.Client, not a "
            f"{type(catalog).__name__}: pass items as items="
        )
        raise TypeError(msg)
    url = catalog.get_self_href()
    if url is None:
        msg = "the Client does not know its own URL: open it with pystac_client.Client.open(url)"
        raise ValueError(msg)
    return dataclasses.replace(default, url=url)
