"""How odc-stac reads the pixels of catalogue assets for us: nodata and overlaps."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from odc.loader import RasterLoadParams
from odc.loader._rio import RioDriver, RioReader

from .exclusion import GFM, GFM_NODATA, SCL
from .rasterfile import open_asset

# band -> what decides where tiles of one pass overlap; without one, the first that has data
OVERLAP = {
    GFM: f"{__name__}.excluded_wins",
    SCL: f"{__name__}.classified_wins",
}


class NodataDriver(RioDriver):
    """Reads with the nodata that was asked for, whatever a file declares.

    A file that says nothing would be filled with 0, which means "not excluded" in GFM; one
    that says 0 would hide the class 0 of the Scene Classification.
    """

    def open(self, src: Any, ctx: Any) -> RioReader:
        """Open a source."""
        return _NodataReader(src, ctx)


class _NodataReader(RioReader):
    def read(self, cfg: RasterLoadParams, *args: Any, **kwargs: Any) -> Any:
        # odc lets GDAL find out the format: refuse what may point at other files first
        open_asset(self._src.uri).close()
        return super().read(cfg.patch(src_nodata_override=cfg.fill_value), *args, **kwargs)


def excluded_wins(dst: NDArray[np.uint8], src: NDArray[np.uint8]) -> None:
    """Merge a frame of the GFM exclusion mask into a mosaic: 1 over 0 over not observed."""
    observed = src != GFM_NODATA
    unseen = dst == GFM_NODATA
    np.copyto(dst, src, where=observed & (unseen | (src > dst)))


def classified_wins(dst: NDArray[np.uint8], src: NDArray[np.uint8]) -> None:
    """Merge a tile of Scene Classification into a mosaic: a class over "no data" (0)."""
    outside = dst == 255  # noqa: PLR2004  # the fill of the catalogue profiles
    np.copyto(dst, src, where=outside | ((dst == 0) & (src != 255)))  # noqa: PLR2004
