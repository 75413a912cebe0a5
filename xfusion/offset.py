"""Which offset the reflectance numbers of a Sentinel-2 item need: what it says, and its pixels.

From processing baseline 04.00 (25 January 2022) on, the numbers of the European Space Agency
are reflectance times 10 000 plus 1 000. Some catalogues have taken the 1 000 off, some say so,
some say both, and some say the one and do the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .catalog import Catalog
from .hrefs import asset_href, local_path
from .rasterfile import READ_ERRORS, opened

if TYPE_CHECKING:
    import pystac

FIRST_BASELINE = 4.0  # with the 1 000
ADDED = 1000.0

APPLIED, DECLARED, BASELINE = "boa_offset_applied", "raster:offset", "processing baseline"
APPLIED_FIRST = (APPLIED, DECLARED, BASELINE)
DECLARED_FIRST = (DECLARED, APPLIED, BASELINE)

SAMPLE = 512  # pixels a side of the decimated bands that are looked at
DARK_CLASSES = (2, 3, 4, 6)  # of SCL: dark, shadow, vegetation, water: dark in red
BRIGHT_CLASSES = (0, 1, 8, 9, 10, 11, 255)  # nothing, clouds and snow
FEWEST = 50  # dark pixels that tell something
DARKEST = 5.0  # percentile
BELOW, ABOVE = 900.0, 1000.0  # without the 1 000 the darkest are below, with it above


@dataclass(frozen=True)
class Decision:
    """The offset of an item, and why."""

    offset: float
    """What to add to its digital numbers."""
    reason: str
    doubtful: bool
    """Whether it rests on less than statements that agree."""

    @property
    def text(self) -> str:
        """The offset and the reason in one line."""
        return f"{self.offset:g} ({self.reason})"


def offset_of(item: pystac.Item, catalog: Catalog) -> Decision:
    """Return what to add to the reflectance numbers of an item, before anything else is done.

    Parameters
    ----------
    item : pystac.Item
    catalog : Catalog
        Its `offset` is a number; or "metadata", to take what the item declares
        (``raster:offset`` over ``raster:scale``, else ``earthsearch:boa_offset_applied``, else
        its processing baseline); or "auto", to let the darkest pixels decide where these
        contradict each other, say nothing, or come with ``earthsearch:boa_offset_applied``,
        which is known to be wrong either way.

    Returns
    -------
    Decision

    Notes
    -----
    Over water, shadow and vegetation red reflectance is below 0.09 in at least some pixels: where
    the 5th percentile of their numbers is below 900 the 1 000 is not in them, where it is above
    1 000 it is. Pixels of other classes only tell the former. For this "auto" reads some hundred
    kB of an item. Where the pixels do not tell, ``boa_offset_applied`` goes before what is
    declared, and that before the baseline.
    """
    if not isinstance(catalog.offset, str):
        return Decision(float(catalog.offset), f"given as {catalog.offset:g}", doubtful=False)
    said = _statements(item, catalog)
    if catalog.offset == "metadata":
        return _followed(said, DECLARED_FIRST)
    agreed = {*said.values()}
    if len(agreed) == 1 and (agreed == {0.0} or APPLIED not in said):
        return Decision(agreed.pop(), _texts(said), doubtful=False)
    darkest, among_dark = _darkest(item, catalog)
    if darkest is None:
        return _followed(said, APPLIED_FIRST, seen="; no dark pixels could be seen")
    seen = f"; its darkest pixels are {darkest:.0f}"
    if darkest < BELOW or (darkest >= ABOVE and among_dark):
        offset = 0.0 if darkest < BELOW else -ADDED
        return Decision(offset, _texts(said) + seen, doubtful=True)
    return _followed(said, APPLIED_FIRST, seen=f"{seen}, which does not tell")


def _followed(said: Mapping[str, float], order: Sequence[str], *, seen: str = "") -> Decision:
    """Return the offset of the first statement there is."""
    for source in order:
        if source in said:
            reason = f"{_texts(said)}{seen}: {source} is followed"
            return Decision(said[source], reason, doubtful=bool(seen) or len({*said.values()}) > 1)
    return Decision(0.0, f"{_texts(said)}{seen}: none is assumed", doubtful=True)


def _texts(said: Mapping[str, float]) -> str:
    texts = [f"{source} says {offset:g}" for source, offset in said.items()]
    return ", ".join(texts) or "the item says nothing"


def _statements(item: pystac.Item, catalog: Catalog) -> dict[str, float]:
    """Return what an item says of its offset: source of the statement -> offset."""
    said: dict[str, float] = {}
    baseline = _baseline(item)
    applied = item.properties.get("earthsearch:boa_offset_applied")
    if applied is not None:
        has_it = not applied and (baseline is None or baseline >= FIRST_BASELINE)
        said[APPLIED] = -ADDED if has_it else 0.0
    asset = item.assets[next(iter(catalog.assets.values()))]
    fields = asset.extra_fields
    for declared in (fields, *fields.get("raster:bands", []), *fields.get("bands", [])):
        scale = declared.get("raster:scale", declared.get("scale"))
        offset = declared.get("raster:offset", declared.get("offset"))
        if scale and offset is not None:
            said[DECLARED] = round(float(offset) / float(scale), 6)
            break
    if baseline is not None:
        said[BASELINE] = -ADDED if baseline >= FIRST_BASELINE else 0.0
    return said


def _baseline(item: pystac.Item) -> float | None:
    for name in ("s2:processing_baseline", "processing:version"):
        try:
            return float(item.properties[name])
        except (KeyError, TypeError, ValueError):
            continue
    return None


def _darkest(item: pystac.Item, catalog: Catalog) -> tuple[float | None, bool]:
    """Return the red number of the darkest pixels, and whether they are of dark classes."""
    bands = [band for band in ("red", "scl") if band in catalog.assets]
    if "red" not in bands:
        return None, False
    try:
        red, *classes = (_decimated(item, catalog, band) for band in bands)
    except READ_ERRORS:
        # what cannot be read is met, and told, when the mask is computed
        return None, False
    observed = red != catalog.nodata_of("red")
    for scl in classes:
        dark = red[observed & np.isin(scl, DARK_CLASSES)]
        if dark.size >= FEWEST:
            return float(np.percentile(dark, DARKEST)), True
        observed &= ~np.isin(scl, BRIGHT_CLASSES)
    left = red[observed]
    return (float(np.percentile(left, DARKEST)) if left.size >= FEWEST else None), False


def _decimated(item: pystac.Item, catalog: Catalog, band: str) -> NDArray[Any]:
    from rasterio.enums import Resampling

    path = local_path(asset_href(item, catalog.assets[band]))
    with opened(path, catalog.signer) as file:
        # of whole classes, and no mixture of water and land: pixels, not their mean
        pixels: NDArray[Any] = file.read(
            1, out_shape=(SAMPLE, SAMPLE), resampling=Resampling.nearest
        )
    return pixels
