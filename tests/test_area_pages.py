"""docs/area.md and docs/collocation.md are true: their code gives what stands beside it."""

import re
from pathlib import Path
from typing import Any

import pytest

DOCS = Path(__file__).parents[1] / "docs"
RESULT = re.compile(r"^(?P<call>\S.*?\))  # (?P<value>.+)$", re.MULTILINE)


@pytest.mark.parametrize(("page", "results"), [("area.md", 7), ("collocation.md", 6)])
def test_code_of_the_page_runs_and_gives_what_stands_beside_it(page: str, results: int) -> None:
    names: dict[str, Any] = {}
    checked = 0
    for block in re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(), re.DOTALL):
        exec(block, names)  # noqa: S102  # the page is ours
        for found in RESULT.finditer(block):
            value = eval(found["call"], names)  # noqa: S307  # the page is ours
            assert repr(value) == found["value"], found["call"]
            checked += 1
    assert checked == results
