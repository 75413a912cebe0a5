"""The offsets of the items of some passes: decided item by item, warned of where in doubt, told."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from xfusion.datamodel.caller import warn
from xfusion.raster.waiting import together
from xfusion.stac.profiles import Catalog

from .loading import ItemAndOffset
from .offset import Decision, offset_of

if TYPE_CHECKING:
    import pystac


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


def _warn_of(decisions: Sequence[tuple[str, Decision]]) -> None:
    doubtful = [(item, decision) for item, decision in decisions if decision.doubtful]
    if doubtful:
        each = "; ".join(f"{item}: {decision.text}" for item, decision in doubtful)
        number = "1 item" if len(doubtful) == 1 else f"{len(doubtful)} items"
        warn(
            f"the offset of the reflectances of {number} is not certain: {each}. "
            "Say offset=0 or offset=-1000 if you know it"
        )
