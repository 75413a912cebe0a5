"""Find items safely: profiles of catalogues, search, deadlines, and what is not trusted."""

from .interval import day_interval
from .items import Items, as_items, complete_items
from .place_and_date import load
from .profiles import (
    CDSE,
    EARTH_SEARCH,
    EODC,
    PLANETARY_COMPUTER,
    PLANETARY_COMPUTER_RTC,
    Catalog,
    CatalogLike,
    Offset,
    catalog_profile,
)
from .searching import search, with_offset

__all__ = [
    "CDSE",
    "EARTH_SEARCH",
    "EODC",
    "PLANETARY_COMPUTER",
    "PLANETARY_COMPUTER_RTC",
    "Catalog",
    "CatalogLike",
    "Items",
    "Offset",
    "as_items",
    "catalog_profile",
    "complete_items",
    "day_interval",
    "load",
    "search",
    "with_offset",
]
