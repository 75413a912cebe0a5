"""What GDAL is given for the address of a file, so that it opens this one and no other."""

from __future__ import annotations

import os
from urllib.parse import urlparse

VSI = {"http": "/vsicurl/", "https": "/vsicurl/", "s3": "/vsis3/"}


def opened_as(path: str | os.PathLike[str]) -> str:
    """Return the name under which rasterio opens a file that is at an address.

    It takes addresses apart and leaves out the parameters of a name, "a.tif;v=2", which are part
    of it; and of a key in s3, where there are no fragments, what follows a "#".
    """
    name = os.fspath(path)
    try:
        parts = urlparse(name)
    except ValueError:
        return name  # no address; GDAL says so
    of_s3 = parts.scheme == "s3" and parts.fragment
    if parts.scheme not in VSI or not (parts.params or of_s3):
        return name
    # as rasterio would say it, if it took them along
    return VSI[parts.scheme] + (name.partition("://")[2] if of_s3 else _without_fragment(name))


def _without_fragment(address: str) -> str:
    """Return an address as it is sent to its server."""
    return address.partition("#")[0]
