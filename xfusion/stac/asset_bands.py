"""Which band of which asset of an item is meant, and what the item says of it."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pystac

LISTS = ("bands", "eo:bands", "raster:bands")  # of STAC 1.1, and of the extensions before it
NAMES = ("name", "eo:common_name", "common_name")
CLASSES = ("classification:classes", "classification:bitfields")
# dtypes as STAC calls them, that a band of classes can have
DTYPES = {f"{kind}{size}" for kind in ("int", "uint") for size in (8, 16, 32, 64)} | {
    "float32",
    "float64",
}


@dataclass(frozen=True)
class AssetBand:
    """A band of an asset, as an item says it is."""

    number: int
    """Its place in the file, from 1."""
    count: int
    """How many bands the file has."""
    fields: Mapping[str, Any]
    """What is said of it: of the band before the asset."""

    @property
    def dtype(self) -> np.dtype[Any] | None:
        """The dtype of its pixels, None if nothing says."""
        stated = self.fields.get("data_type")
        return np.dtype(stated) if isinstance(stated, str) and stated in DTYPES else None

    @property
    def holds_classes(self) -> bool:
        """Whether its numbers stand for classes or bits, which have no mean."""
        return any(self.fields.get(name) for name in CLASSES)


def has_asset(item: pystac.Item, key: str) -> bool:
    """Whether an item has the asset of a key, or the asset of bands that it names one of."""
    of_bands = item.assets.get(key.rpartition(".")[0]) if "." in key else None
    return key in item.assets or (of_bands is not None and bool(_bands(of_bands)))


def asset_of(item: pystac.Item, key: str) -> pystac.Asset:
    """Return the asset of a key: "image" of "image.B04", unless there is one of that name."""
    return item.assets[key if key in item.assets else key.rpartition(".")[0]]


def asset_band(item: pystac.Item, key: str, band: str) -> AssetBand:
    """Return which band of an asset is meant.

    Parameters
    ----------
    item : pystac.Item
    key : str
        Of an asset; or of an asset and, after a dot, the name of a band in it.
    band : str
        As the exclusion rule calls it: the name of the band, unless the key has one.

    Raises
    ------
    ValueError
        If the asset has several bands, and not exactly one of that name.
    """
    asset, wanted = asset_of(item, key), band
    if key not in item.assets:
        key, _, wanted = key.rpartition(".")
    bands = _bands(asset) or [{}]
    place = 0 if len(bands) == 1 and wanted == band else _place(bands, wanted)
    if place is None:
        names = [each.get("name") or each.get("eo:common_name", "?") for each in bands]
        msg = (
            f"asset {key!r} of item {item.id!r} has the bands {names}, and not exactly one is "
            f"{wanted!r}: say which, assets={{{band!r}: '{key}.NAME'}}, or correct the item"
        )
        raise ValueError(msg)
    return AssetBand(place + 1, len(bands), {**asset.extra_fields, **bands[place]})


def _bands(asset: pystac.Asset) -> list[dict[str, Any]]:
    """Return what is said of each band, of all lists that say something."""
    stated = [asset.extra_fields.get(name) for name in LISTS]
    lists = [each for each in stated if isinstance(each, list)]
    together = itertools.zip_longest(*lists)
    known = [[each for each in band if isinstance(each, Mapping)] for band in together]
    # what is newer comes first
    return [{k: v for each in reversed(band) for k, v in each.items()} for band in known]


def _place(bands: list[dict[str, Any]], wanted: str) -> int | None:
    """Return which band has a name, None unless there is exactly one."""
    for field in NAMES:
        names = [str(band.get(field)) for band in bands]
        for same in (str.__eq__, _same_but_for_case):
            places = [place for place, name in enumerate(names) if same(name, wanted)]
            if places:
                return places[0] if len(places) == 1 else None
    return None


def _same_but_for_case(name: str, wanted: str) -> bool:
    return name.casefold() == wanted.casefold()
