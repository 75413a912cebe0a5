"""The offsets of the items of some passes: decided item by item, warned of where in doubt, told."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, NamedTuple

from xfusion.datamodel.caller import warn
from xfusion.raster.waiting import together
from xfusion.stac.profiles import Catalog

from .loading import ItemAndOffset
from .offset import Decision, offset_of

if TYPE_CHECKING:
    import pystac

_told: ContextVar[set[tuple[str, str]] | None] = ContextVar("_told", default=None)


class Decided(NamedTuple):
    """Items with their offsets."""

    groups: list[list[ItemAndOffset]]
    """As they came."""
    texts: dict[str, str]
    """What is said of each item; of two that have one id, what is said of either."""


def decided(groups: Iterable[Sequence[pystac.Item]], catalog: Catalog) -> Decided:
    """Decide the offset of each item of some groups.

    Warns
    -----
    UserWarning
        If one is not certain, and why.
    """
    groups = [*groups]
    every = [item for items in groups for item in items]
    found = iter(together([functools.partial(offset_of, item, catalog) for item in every]))
    decisions = [[(item, next(found)) for item in items] for items in groups]
    by_id = [(item.id, decision) for items in decisions for item, decision in items]
    _warn_of(by_id)
    texts: dict[str, list[str]] = {}
    for name, decision in by_id:
        texts.setdefault(name, []).append(decision.text)
    return Decided(
        [[(item, decision.offset) for item, decision in items] for items in decisions],
        {name: "; ".join(dict.fromkeys(each)) for name, each in texts.items()},
    )


@contextmanager
def each_warned_of_once() -> Iterator[None]:
    """Warn of the offset of an item once, as bands and mask of a scene are both from it."""
    token = _told.set(set())
    try:
        yield
    finally:
        _told.reset(token)


def _warn_of(decisions: Sequence[tuple[str, Decision]]) -> None:
    told = _told.get()
    doubtful = [
        (item, decision)
        for item, decision in decisions
        if decision.doubtful and (told is None or (item, decision.text) not in told)
    ]
    if told is not None:
        told.update((item, decision.text) for item, decision in doubtful)
    if doubtful:
        each = "; ".join(f"{item}: {decision.text}" for item, decision in doubtful)
        number = "1 item" if len(doubtful) == 1 else f"{len(doubtful)} items"
        warn(
            f"the offset of the reflectances of {number} is not certain: {each}. "
            "Say offset=0 or offset=-1000 if you know it"
        )
