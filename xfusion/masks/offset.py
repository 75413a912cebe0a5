"""Which offset the reflectance numbers of a Sentinel-2 item need: what it says, and its pixels.

From processing baseline 04.00 (25 January 2022) on, the numbers of the European Space Agency
are reflectance times 10 000 plus 1 000. Some catalogues have taken the 1 000 off, some say so,
some say both, and some say the one and do the other.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from xfusion.datamodel.components import local_path
from xfusion.raster.asset import READ_ERRORS, check_bands, look_into
from xfusion.raster.waiting import together
from xfusion.stac.asset_bands import AssetBand, asset_band
from xfusion.stac.processing import baseline_of, offset_applied
from xfusion.stac.profiles import Catalog
from xfusion.stac.untrusted import asset_href

from .exclusion import RED, SCL

if TYPE_CHECKING:
    import pystac
    from rasterio.windows import Window

FIRST_BASELINE = 4, 0  # with the 1 000
ADDED = 1000.0

APPLIED, DECLARED, BASELINE = "boa_offset_applied", "raster:offset", "processing baseline"
APPLIED_FIRST = (APPLIED, DECLARED, BASELINE)
DECLARED_FIRST = (DECLARED, APPLIED, BASELINE)

SAMPLE = 512  # pixels a side that are looked at
SMALL = 1024**2  # pixels of a file that is decoded whole
PARTS, SHARE = 4, 0.1  # of a large one without overviews: windows a side, and how much each reads
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
        (``raster:offset`` over ``raster:scale``, else ``boa_offset_applied``, else its processing
        baseline, whatever the prefixes of these); or "auto", to let the darkest pixels decide
        where these contradict each other, say nothing, or come with ``boa_offset_applied``, which
        is known to be wrong either way.

    Returns
    -------
    Decision

    Notes
    -----
    Over water, shadow and vegetation red reflectance is below 0.09 in at least some pixels: where
    the 5th percentile of their numbers is below 900 the 1 000 is not in them, where it is from
    1 000 to 1 900 it is. Pixels of other classes only tell the former. For this "auto" reads some
    hundred kB of an item. Where the pixels do not tell, or cannot be read, ``boa_offset_applied``
    goes before what is declared, and that before the baseline.

    Examples
    --------
    >>> import json, tempfile, xfusion as xf
    >>> from xfusion.demo import write_scene
    >>> scene = write_scene(tempfile.mkdtemp(), size=0.2)
    >>> items = xf.stac.as_items(json.loads(scene.items.read_text()))
    >>> item = next(item for item in items if item.collection_id == "sentinel-2-l2a")
    >>> offset_of(item, xf.stac.with_offset(xf.stac.EARTH_SEARCH, -1000.0)).offset
    -1000.0
    """
    if not isinstance(catalog.offset, str):
        return Decision(float(catalog.offset), f"given as {catalog.offset:g}", doubtful=False)
    statements = _statements(item, catalog)
    if catalog.offset == "metadata":
        return _first_of(statements, DECLARED_FIRST)
    agreed = {*statements.values()}
    if len(agreed) == 1 and (APPLIED not in statements or statements.get(BASELINE) == 0):
        return Decision(agreed.pop(), _texts(statements), doubtful=False)
    try:
        darkest, among_dark = _darkest(item, catalog)
        unseen = "no dark pixels could be seen"
    except READ_ERRORS:
        # the error comes again, and is raised, when the mask is computed
        darkest, among_dark, unseen = None, False, "its pixels could not be read"
    if darkest is None:
        return _first_of(statements, APPLIED_FIRST, seen=f"; {unseen}")
    seen = f"; its darkest pixels are {darkest:.0f}"
    needed = _needed(darkest, among_dark=among_dark)
    if needed is None:
        return _first_of(statements, APPLIED_FIRST, seen=f"{seen}, which does not tell")
    return Decision(needed, _texts(statements) + seen, doubtful=agreed != {needed})


def _needed(darkest: float, *, among_dark: bool) -> float | None:
    """Return the offset that the darkest pixels show to be needed, None if they do not tell."""
    if darkest < BELOW:
        return 0.0
    return -ADDED if among_dark and ABOVE <= darkest < BELOW + ADDED else None


def _first_of(statements: Mapping[str, float], order: Sequence[str], *, seen: str = "") -> Decision:
    """Return the offset of the first statement there is."""
    for source in order:
        if source in statements:
            reason = f"{_texts(statements)}{seen}: {source} is followed"
            return Decision(
                statements[source], reason, doubtful=bool(seen) or len({*statements.values()}) > 1
            )
    return Decision(0.0, f"{_texts(statements)}{seen}: none is assumed", doubtful=True)


def _texts(statements: Mapping[str, float]) -> str:
    texts = [f"{source} says {offset:g}" for source, offset in statements.items()]
    return ", ".join(texts) or "the item says nothing"


def _statements(item: pystac.Item, catalog: Catalog) -> dict[str, float]:
    """Return what an item says of its offset: source of the statement -> offset."""
    offsets: dict[str, float] = {}
    baseline, applied = baseline_of(item), offset_applied(item)
    if applied is not None:
        has_it = not applied and (baseline is None or baseline >= FIRST_BASELINE)
        offsets[APPLIED] = -ADDED if has_it else 0.0
    band = RED if RED in catalog.assets else next(iter(catalog.assets))
    fields = asset_band(item, catalog.keys_of(item.collection_id)[band], band).fields
    scale = _number(fields.get("raster:scale", fields.get("scale")))
    offset = _number(fields.get("raster:offset", fields.get("offset")))
    if scale and offset is not None:
        offsets[DECLARED] = round(offset / scale, 6)
    if baseline is not None:
        offsets[BASELINE] = -ADDED if baseline >= FIRST_BASELINE else 0.0
    return offsets


def _number(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (OverflowError, TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _darkest(item: pystac.Item, catalog: Catalog) -> tuple[float | None, bool]:
    """Return the red number of the darkest pixels, and whether they are of dark classes."""
    if RED not in catalog.assets:
        return None, False
    red, *classes = _sampled(item, catalog, [b for b in (RED, SCL) if b in catalog.assets])
    nodata = catalog.nodata_of(RED)
    observed = np.isfinite(red) if nodata is None else np.isfinite(red) & (red != nodata)
    for scl in classes:
        dark = red[observed & np.isin(scl, DARK_CLASSES)]
        if dark.size >= FEWEST:
            return float(np.percentile(dark, DARKEST)), True
        observed &= ~np.isin(scl, BRIGHT_CLASSES)
    left = red[observed]
    return (float(np.percentile(left, DARKEST)) if left.size >= FEWEST else None), False


def _sampled(item: pystac.Item, catalog: Catalog, bands: Sequence[str]) -> list[NDArray[Any]]:
    """Read some pixels of bands of one extent, at the same places, none of the first twice."""
    from rasterio.enums import Resampling

    keys = [catalog.keys_of(item.collection_id)[band] for band in bands]
    paths = [local_path(asset_href(item, key)) for key in keys]
    places = [asset_band(item, key, band) for key, band in zip(keys, bands, strict=True)]
    look = [functools.partial(look_into, path, catalog.signer) for path in paths]
    sizes = together([functools.partial(each, _size) for each in look])
    # without overviews the whole of it would be decoded
    whole = all(small for _, small in sizes)
    parts, share = (1, 1.0) if whole else (PARTS, SHARE)
    rows, columns = (max(1, min(SAMPLE, int(n * share)) // parts) for n in sizes[0][0])

    def sample(file: Any, place: AssetBand, band: str, number: int) -> NDArray[Any]:
        check_bands(file, place.count, file.name)
        # of whole classes, and no mixture of water and land: pixels, not their mean
        to: dict[str, Any] = {"out_shape": (rows, columns), "resampling": Resampling.nearest}
        window = _windows(file.shape, parts, share)[number]
        pixels: NDArray[Any] = file.read(place.number, window=window, **to)
        declared = file.nodatavals[place.number - 1]
        if declared is None or not catalog.leaves_nodata_to_file(band):
            return pixels
        return np.where(pixels == declared, np.nan, pixels)

    # each window by itself, so that they are waited for at one time
    samples = together(
        [
            functools.partial(each, functools.partial(sample, place=place, band=band, number=n))
            for each, place, band in zip(look, places, bands, strict=True)
            for n in range(parts**2)
        ]
    )
    return [np.stack(samples[k : k + parts**2]) for k in range(0, len(samples), parts**2)]


def _size(file: Any) -> tuple[tuple[int, int], bool]:
    """Return the shape of a file, and whether all of it can be looked at."""
    return file.shape, bool(file.overviews(1)) or file.width * file.height <= SMALL


def _windows(shape: tuple[int, int], parts: int, share: float) -> list[Window]:
    from rasterio.windows import Window

    rows, columns = (n / parts for n in shape)
    return [
        Window(i * columns, j * rows, max(1.0, columns * share), max(1.0, rows * share))
        for j in range(parts)
        for i in range(parts)
    ]
