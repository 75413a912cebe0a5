"""A result that is not finished: kept apart from the store it will be, and moved there whole.

Each job that is begun has a draft of its own. A run that another has taken over, or that wakes
from a long sleep, writes to a draft that is gone, and cannot reach the finished store.
"""

from __future__ import annotations

import contextlib
import json
import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xfusion.datamodel.components import is_component
from xfusion.run.objects import patiently

from .block_files import BlockFile
from .lease import Lease
from .metadata import consolidated
from .place import JOB_KEY, ROOT, STATE, Place
from .span import Span
from .template import TIME

DRAFT = "draft"  # of a job: the name of its draft
NAME_OF_DRAFT = re.compile("[0-9a-f]{32}")
AFTER = "added after"  # of a job that adds dates: what the store has before them
VARIABLE = "variable "  # begins what a job calls its variables


@dataclass(frozen=True)
class Draft:
    """The folder of an unfinished result in the store."""

    place: Place
    name: str
    is_resumed: bool = False
    """Whether another run has begun it, and perhaps to publish it."""
    span: Span | None = None
    """Where its dates will lie among those of a store that is there already."""

    @classmethod
    def begun(cls, place: Place, job: Mapping[str, str], span: Span | None = None) -> Draft:
        """Begin one, and note of which job it is."""
        draft = cls(place, uuid.uuid4().hex, span=span)
        place.write(JOB_KEY, json.dumps({DRAFT: draft.name, **job}).encode())
        return draft

    @property
    def folder(self) -> str:
        """Where all of it is."""
        return f"{STATE}/{self.name}"

    def keys(self, file: BlockFile) -> tuple[str, ...]:
        """Return where a block may be."""
        # in the store itself, where the run was killed while it published
        published = (self.published(file.key),) if self.is_resumed else ()
        return (self.path(file.key), *published)

    def path(self, key: str) -> str:
        """Return where a key of the store is until it is finished."""
        return f"{self.folder}/{'root.json' if key == ROOT else f'arrays/{key}'}"

    def published(self, key: str) -> str:
        """Return which key of the store that of a block will be."""
        return self.span.key(key) if self.span else key

    def write(self, contents: Mapping[str, bytes]) -> None:
        """Write metadata and coordinates, which are small."""
        for key, content in contents.items():
            self.place.write(self.path(key), content)

    def note(self, blocks: list[int]) -> None:
        """Note that some blocks are written."""
        self.place.write(f"{self.folder}/done/{blocks[0]}.json", json.dumps(blocks).encode())

    def done(self) -> set[int]:
        """Return the numbers of the blocks that are noted as written; a torn note notes none."""
        done: set[int] = set()
        for key in self.place.listed(f"{self.folder}/done/"):
            with contextlib.suppress(ValueError, TypeError, OverflowError, RecursionError):
                done.update(int(number) for number in json.loads(self.place.read(key) or b"[]"))
        return done

    def drop(self, files: Iterable[BlockFile]) -> None:
        """Delete what there is of some blocks."""
        written = {*self.place.listed(f"{self.folder}/arrays/")}
        keys = {self.path(file.key) for file in files}
        self.place.for_each(sorted(written & keys), self.place.delete)

    def target(self, name: str, lease: Lease) -> Target:
        """Return what takes the blocks of a variable."""
        return Target(self.place.array(self.path(name)), lease)

    def publish(self, lease: Lease) -> None:
        """Move it to where readers look; last what makes a store of it."""
        folder = self.path("")
        keys = [key.removeprefix(folder) for key in self.place.listed(folder)]
        # what a killed writer leaves of a file is none of the result
        self.publish_blocks([key for key in keys if not key.endswith(".partial")], lease)
        lease.check()
        self.place.move(self.path(ROOT), ROOT)

    def publish_blocks(self, keys: Sequence[str], lease: Lease) -> None:
        """Move some of it to where readers look."""
        lease.check()
        self.place.for_each(keys, lambda key: self._move(key, lease))

    def switch(self, contents: Mapping[str, bytes], lease: Lease) -> None:
        """Put new content under keys of the store, one after the other.

        Each is there whole or as it was before, and no run that was taken over undoes it.
        """
        aside = {key: f"{self.folder}/grown/{number}" for number, key in enumerate(contents)}
        for key, content in contents.items():
            self.place.write(aside[key], content)
        for key, path in aside.items():
            lease.check()
            try:
                self.place.move(path, key)
            except FileNotFoundError:
                lease.check()
                raise

    def _move(self, key: str, lease: Lease) -> None:
        try:
            self.place.move(self.path(key), self.published(key))
        except FileNotFoundError:
            # taken over: the draft is the other's
            lease.check()
            raise


@dataclass(frozen=True)
class Target:
    """An array of a draft, to whoever holds the lease."""

    array: Any
    lease: Lease

    def __setitem__(self, region: tuple[slice, ...], block: NDArray[np.generic]) -> None:
        self.lease.check()
        patiently(self.array.__setitem__, region, block)


def job_of_draft(place: Place) -> tuple[Draft | None, dict[str, str]]:
    """Return the draft that is in a store, and its job.

    Raises
    ------
    ValueError
        If what is noted of it is not whole.
    """
    job = place.json(JOB_KEY)
    if job is None:
        msg = (
            f"{place.name}: {JOB_KEY} is not whole, so nobody knows what was begun there: "
            "begin anew with resume=False"
        )
        raise ValueError(msg)
    name = job.pop(DRAFT, None)
    return (Draft(place, name) if NAME_OF_DRAFT.fullmatch(str(name)) else None), job


def discard(place: Place, lease: Lease, job: Iterable[str]) -> None:
    """Delete an unfinished result: its drafts first, so that nothing more is moved out of them."""
    lease.check()
    drafts = drafts_of(place)
    # a job that is torn does not tell what of it was published before its run broke off
    names = {n.removeprefix(VARIABLE) for n in job if n.startswith(VARIABLE)}
    names = names.union(*(place.children(f"{STATE}/{draft}/arrays") for draft in drafts))
    _delete_drafts(place, drafts)
    for name in sorted(names):
        if is_component(name) and name not in (STATE, ROOT):
            lease.check()
            place.delete_array(name)
    place.delete(JOB_KEY)


def discard_drafts(place: Place, lease: Lease) -> None:
    """Delete what is not finished in a store that is, and nothing else of it."""
    lease.check()
    _delete_drafts(place, drafts_of(place))
    place.delete(JOB_KEY)


def delete_behind(place: Place, span: Span, names: Iterable[str]) -> None:
    """Delete what a run that was given up has left of some variables behind the last date."""
    for name in names:
        folder = f"{name}/c/"
        first = [f"{folder}{number}" for number in span.numbers()]
        listed = [folder] if span.axes[name] else [f"{path}/" for path in first]
        found = {key for prefix in listed for key in place.listed(prefix)}
        # of what has no more dims than time, a block is no folder
        found |= {path for path in first if place.has(path)}
        place.for_each(sorted(filter(span.holds_key, found)), place.delete)


def drafts_of(place: Place) -> list[str]:
    """Return the names of all drafts in a store."""
    return [name for name in place.children(STATE) if NAME_OF_DRAFT.fullmatch(name)]


def _delete_drafts(place: Place, drafts: Iterable[str]) -> None:
    for draft in drafts:
        place.delete_folder(f"{STATE}/{draft}")


def addition_after(place: Place) -> str:
    """Return after what dates are added to a store as it is, as a job says it."""
    shape = consolidated(place.json(ROOT) or {}).get(TIME, {}).get("shape")
    return f"{shape[0] if isinstance(shape, list) and shape else 0} dates"


def is_being_added_to(place: Place) -> bool:
    """Whether dates were begun to be added to a finished store, and are not all there."""
    noted = (place.json(JOB_KEY) or {}).get(AFTER)
    return noted is not None and noted == addition_after(place)
