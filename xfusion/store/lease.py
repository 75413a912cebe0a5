"""Who may write to a store: one run at a time, which says again and again that it lives."""

from __future__ import annotations

import contextlib
import json
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from xfusion.datamodel.caller import warn
from xfusion.datamodel.components import is_component
from xfusion.run.process import has_ended, this_process

from .place import STATE, Place

if TYPE_CHECKING:
    from zarr.abc.store import Store as ZarrStore

RUN_KEY = f"{STATE}/run"
BEATS = f"{STATE}/beats"
BEAT_EVERY = 2.0  # seconds
SILENT_FOR = 30.0  # seconds after which a run is taken for dead
LOOK_EVERY = 0.5  # seconds
NOTICE = 2.0  # seconds of waiting after which the user is told

_alive: set[str] = set()  # runs of this process


@dataclass(frozen=True)
class Lease:
    """The right of a run to write to a store; it travels to the workers with what they write."""

    zarr: ZarrStore
    run: str
    name: str
    """Of the store, for people."""

    def check(self) -> None:
        """Raise where another run has taken over: two would undo each other's work."""
        if holder_of(self.zarr) != self.run:
            msg = (
                f"another run has taken over {self.name}, and this one has stopped: let the other "
                "finish, then call to_zarr again"
            )
            raise RuntimeError(msg)


@contextlib.contextmanager
def held(place: Place, *, force: bool) -> Iterator[Lease]:
    """Hold the lease of a store, and give it back.

    Raises
    ------
    RuntimeError
        If another run that lives holds it; with `force` it is taken from that.
    """
    if not force:
        _wait_for_silence(place)
    lease = Lease(place.zarr, uuid.uuid4().hex, place.name)
    _alive.add(lease.run)
    ended = threading.Event()
    beating = threading.Thread(target=_beat, args=(place, lease.run, ended), daemon=True)
    try:
        place.write(f"{BEATS}/{lease.run}", b"0")
        place.write(RUN_KEY, json.dumps(this_process() | {"run": lease.run}).encode())
        beating.start()
        try:
            yield lease
        except Exception:
            # whatever fails as its draft is gone
            lease.check()
            raise
    finally:
        _alive.discard(lease.run)
        ended.set()
        if beating.ident is not None:
            beating.join()
        # what cannot be deleted now is found dead by the next run
        with contextlib.suppress(Exception):
            _give_back(place, lease.run)


def holder_of(store: ZarrStore) -> str | None:
    """Return which run a worker finds in a store."""
    return (_holder(Place(store)) or {}).get("run")


def is_held(place: Place) -> bool:
    """Whether a run holds the lease that is not known to be dead."""
    holder = _holder(place)
    return holder is not None and not _is_dead(holder)


def _give_back(place: Place, run: str) -> None:
    place.delete(f"{BEATS}/{run}")
    if (_holder(place) or {}).get("run") == run:
        place.delete(RUN_KEY)


def _beat(place: Place, run: str, ended: threading.Event) -> None:
    count = 0
    while not ended.wait(BEAT_EVERY):
        count += 1
        # a store that does not answer now may do so again; meanwhile another run may take over
        with contextlib.suppress(Exception):
            place.write(f"{BEATS}/{run}", str(count).encode())


def _wait_for_silence(place: Place) -> None:
    """Return once the run that holds the lease is known to be dead; raise if it lives."""
    holder = _holder(place)
    if holder is None or _is_dead(holder):
        return None
    start, told = time.monotonic(), False
    first = place.read(f"{BEATS}/{holder['run']}")
    while first is not None and time.monotonic() - start < SILENT_FOR:
        if holder["run"] in _alive or place.read(f"{BEATS}/{holder['run']}") not in (first, None):
            msg = (
                f"another run writes to {place.name}, that of process {holder.get('pid')} on "
                f"{holder.get('host')}: let it finish, or take the store from it with force=True"
            )
            raise RuntimeError(msg)
        if _holder(place) != holder:
            return _wait_for_silence(place)
        if not told and time.monotonic() - start > NOTICE:
            told = True
            warn(
                f"a run of process {holder.get('pid')} on {holder.get('host')} has not ended its "
                f"work on {place.name}: waiting {SILENT_FOR:.0f} s to see whether it lives"
            )
        time.sleep(LOOK_EVERY)
    return None


def _holder(place: Place) -> dict[str, str] | None:
    """Return who holds the lease, None if nobody does."""
    noted = place.json(RUN_KEY) or {}
    holder = {name: value for name, value in noted.items() if isinstance(value, str)}
    # its name is that of a key, too
    return holder if is_component(holder.get("run")) else None


def _is_dead(holder: dict[str, str]) -> bool:
    """Whether a run has ended for certain: its process is gone, or goes on with something else."""
    ours = this_process()
    if all(holder.get(name) == value for name, value in ours.items()):
        return holder["run"] not in _alive
    return has_ended(holder)
