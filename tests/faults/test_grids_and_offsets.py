"""What is read before the pixels of a mask: grids, and the offset."""

import dataclasses
import json
from typing import Any

import numpy as np
import pytest

import xfusion as xf
from tests.faults.assets import Served, around, attach, each_of, expected, item, mask_of, target

BRIEF = ["unavailable", "closed at once", "sign-in once", "busy"]


@pytest.mark.parametrize("case", each_of(BRIEF))
def test_a_fault_that_passes_when_a_grid_is_read_leaves_the_right_pixels(
    served: Served, sensor: str, case: str
) -> None:
    one = item(sensor, served.root(case, sensor, "grid"))
    for asset in one["assets"].values():
        del asset["proj:shape"], asset["proj:transform"]
    np.testing.assert_array_equal(mask_of(sensor, one), around(expected(sensor)))


def undecided(served: Served, *case: str) -> tuple[Any, dict[str, Any]]:
    """An item whose statements contradict each other, and whose pixels say 0."""
    one = item("s2", served.root(*case))
    one["properties"] |= {
        "s2:processing_baseline": "05.09",
        "earthsearch:boa_offset_applied": False,
    }
    return dataclasses.replace(xf.stac.EARTH_SEARCH, offset="auto"), one


@pytest.mark.parametrize("case", each_of(["well", *BRIEF, "closed", "reset"]))
def test_a_fault_that_passes_does_not_change_the_offset(served: Served, case: str) -> None:
    profile, one = undecided(served, case, "offset")
    with pytest.warns(UserWarning, match="not certain"):
        masked = attach("s2", one, like=target(chunks=160), catalog=profile)
    (decided,) = json.loads(masked.attrs["mask_offsets"]).values()
    assert decided.startswith("0 (")
    assert "its darkest pixels are" in decided


@pytest.mark.parametrize("case", ["missing", "down", "cut off", "truncated"])
def test_an_offset_whose_pixels_could_not_be_read_says_so(served: Served, case: str) -> None:
    profile, one = undecided(served, case, "offset")
    with pytest.warns(UserWarning, match="its pixels could not be read"):
        masked = attach("s2", one, like=target(chunks=160), catalog=profile, on_read_error="flag")
    (decided,) = json.loads(masked.attrs["mask_offsets"]).values()
    assert "its pixels could not be read: boa_offset_applied is followed" in decided
    assert decided.startswith("-1000 (")
