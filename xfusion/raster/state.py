"""What tells a file from what it was before: it may be replaced, or written to, during a run."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .patience import is_on_the_web

ON_THE_WEB = "on the web"  # nothing else is known
CHANGED = ", changed "  # before what the name and the time of a file do not tell
TIMEOUT = 10.0  # seconds
HEADERS = {"ETag": "ETag", "Last-Modified": "of"}


def state_of(path: str) -> str:
    """Describe a raster file without reading it: two states that differ are two files.

    Parameters
    ----------
    path : str
        Of a local file size, times and inode, also of those that a VRT names; of one on the web
        what its server says of it, :data:`ON_THE_WEB` if that is nothing.
    """
    if path.startswith("s3://"):
        return _state_of_object(path)
    if is_on_the_web(path):
        return _state_of_address(path)
    files = [Path(path)]
    if files[0].suffix.lower() == ".vrt":
        # its pixels are in others
        import rasterio

        with rasterio.open(path) as mosaic:
            files = [Path(file) for file in mosaic.files if Path(file).exists()]
    return "; ".join(_state_of_file(file) for file in files)


def differ(before: str, now: str) -> bool:
    """Whether a file is another one, as far as it is known."""
    return before != now and ON_THE_WEB not in (before, now)


def _state_of_file(file: Path) -> str:
    status = file.stat()
    written, changed = (_moment(ns) for ns in (status.st_mtime_ns, status.st_ctime_ns))
    # a file that was replaced may have the size and the time of the one before
    return f"{status.st_size} bytes, written {written}{CHANGED}{changed}, inode {status.st_ino}"


def _moment(nanoseconds: int) -> str:
    return f"{np.datetime64(nanoseconds, 'ns')}Z"


def _state_of_address(url: str) -> str:
    import urllib3

    try:
        answer = urllib3.request(
            "HEAD", url, timeout=TIMEOUT, retries=urllib3.Retry(3, backoff_factor=0.5)
        )
    except urllib3.exceptions.HTTPError:
        return ON_THE_WEB
    said = [
        f"{word} {answer.headers[name]}" for name, word in HEADERS.items() if name in answer.headers
    ]
    length = answer.headers.get("Content-Length")
    if answer.status != 200 or not (said or length):  # noqa: PLR2004  # HTTP: well
        return ON_THE_WEB
    return ", ".join([f"{length} bytes"] * bool(length) + said)


def _state_of_object(url: str) -> str:
    try:
        import obstore
        import obstore.store
    except ImportError:
        return ON_THE_WEB
    bucket, _, key = url.removeprefix("s3://").partition("/")
    try:
        known = obstore.head(obstore.store.from_url(f"s3://{bucket}"), key)
    except Exception:  # noqa: BLE001  # credentials that only GDAL has, say
        return ON_THE_WEB
    return f"{known['size']} bytes, ETag {known['e_tag']}, of {known['last_modified']}"
