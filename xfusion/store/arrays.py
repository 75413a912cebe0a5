"""Arrays of a store, opened to be written."""

from __future__ import annotations

import contextlib
import threading
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zarr.abc.store import Store as ZarrStore


# settings of zarr and filters of warnings are the whole process's: two threads that change them at
# one time would leave them changed
_alone = threading.RLock()


def needs_zarr() -> None:
    """Refuse to go on without the package, and say what brings it."""
    try:
        import zarr  # noqa: F401  # whether it is there
    except ImportError as error:
        msg = "Zarr stores need the package zarr: pip install 'xfusion[zarr]'"
        raise ImportError(msg) from error


def opened_array(store: ZarrStore, name: str) -> Any:
    """Open an array, to be written whole block by whole block."""
    import zarr

    # a block that is not there is lost, not empty
    with quiet_zarr(), zarr.config.set({"array.write_empty_chunks": True}):
        return zarr.open_array(store, path=name, mode="r+", zarr_format=3)


@contextlib.contextmanager
def quiet_zarr() -> Iterator[None]:
    """Without warnings of what is meant: our state in the store, and consolidated metadata."""
    with _alone, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*not recognized as a component of a Zarr")
        warnings.filterwarnings("ignore", message="Consolidated metadata is")
        # a repository of Icechunk has them in one place itself
        warnings.filterwarnings("ignore", message="Failed to open Zarr store with consolidated")
        yield


@contextlib.contextmanager
def quiet_opening() -> Iterator[None]:
    """Without warnings of xarray on how a store is stored."""
    with warnings.catch_warnings():
        # of labels along a dim, which are in one piece; pixels are in the blocks that are asked for
        warnings.filterwarnings("ignore", "The specified chunks separate the stored chunks")
        # of stores of others, see check_root
        warnings.filterwarnings("ignore", "Failed to open Zarr store with consolidated")
        yield
