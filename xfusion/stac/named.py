"""The catalogues that come with the package, by the names that a command takes."""

from __future__ import annotations

from collections.abc import Mapping

from .profiles import (
    CDSE,
    EARTH_SEARCH,
    EODC,
    PLANETARY_COMPUTER,
    PLANETARY_COMPUTER_RTC,
    Catalog,
)

#: of the exclusion mask of Sentinel-1
GFM_CATALOGS: Mapping[str, Catalog] = {"eodc": EODC}
#: of bands and masks of Sentinel-2
S2_CATALOGS: Mapping[str, Catalog] = {
    "earth-search": EARTH_SEARCH,
    "planetary-computer": PLANETARY_COMPUTER,
    "cdse": CDSE,
}
#: of backscatter of Sentinel-1
RTC_CATALOGS: Mapping[str, Catalog] = {"planetary-computer": PLANETARY_COMPUTER_RTC}


def catalog_of_name(text: str, known: Mapping[str, Catalog]) -> Catalog | str:
    """Return the catalogue of a name, or of the address of a known one; else the text itself.

    The address of the Planetary Computer alone would be searched for the keys of Earth Search.
    """
    for name, catalog in known.items():
        if text == name or text.rstrip("/") == catalog.url:
            return catalog
    return text
