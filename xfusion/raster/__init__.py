"""The bytes of a raster file become pixels: open, read by windows, wait for servers, sign."""

from .file import FilePath
from .opening import CHUNK, open_raster, open_retrieval

__all__ = ["CHUNK", "FilePath", "open_raster", "open_retrieval"]
