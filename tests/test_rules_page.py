"""docs/rules.md is true: its code runs, and gives the values beside it."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

TEXT = (Path(__file__).parents[1] / "docs/rules.md").read_text()
CODE = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
RESULT = re.compile(
    r"^(?P<call>\S.*?)  # (?P<mu>[\d.]+)(?: ± (?P<sigma>[\d.]+))?(?! *,)", re.MULTILINE
)


def test_code_of_the_page_runs_and_gives_the_values_beside_it() -> None:
    names: dict[str, Any] = {}
    checked = 0
    for block in CODE:
        exec(block, names)  # noqa: S102  # the page is ours
        for found in RESULT.finditer(block):
            result = eval(found["call"], names)  # noqa: S307  # the page is ours
            if isinstance(result, xr.Dataset):
                assert_rounds_to(result.mu.item(), found["mu"])
                if found["sigma"]:
                    assert_rounds_to(result.sigma.item(), found["sigma"])
            elif result.size == 1:
                assert_rounds_to(result.item(), found["mu"])
            checked += 1
    assert checked >= 10


def assert_rounds_to(value: float, text: str) -> None:
    digits = len(text.partition(".")[2])
    np.testing.assert_allclose(value, float(text), atol=0.51 * 10**-digits, err_msg=text)


def test_a_group_fused_with_a_floor_of_0_is_what_the_page_says() -> None:
    names: dict[str, Any] = {}
    exec("\n".join(CODE), names)  # noqa: S102  # the page is ours
    a, d, group = (names[k] for k in ("a", "d", "group"))
    in_groups = group.fusion.gaussian(a.fusion.gaussian(d), sigma_floor=0)
    xr.testing.assert_allclose(
        in_groups, d.fusion.gaussian(d, a, d).assign(source=in_groups.source)
    )
