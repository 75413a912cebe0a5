"""docs/own-masks.md is true: its code runs, and gives the flags beside it."""

import re
from pathlib import Path
from typing import Any

TEXT = (Path(__file__).parents[1] / "docs/own-masks.md").read_text()
CODE = re.findall(r"```\{code-cell\}\n(.*?)```", TEXT, re.DOTALL)
RESULT = re.compile(r"^(?P<call>\S.*?\))  # (?P<flags>[\[{].*[\]}])$", re.MULTILINE)


def test_code_of_the_page_runs_and_gives_the_flags_beside_it() -> None:
    names: dict[str, Any] = {}
    checked = 0
    for block in CODE:
        exec(block, names)  # noqa: S102  # the page is ours
        for found in RESULT.finditer(block):
            flags = eval(found["call"], names)  # noqa: S307  # the page is ours
            assert str(flags) == found["flags"], block
            checked += 1
    assert checked == len(CODE) - 1 >= 9
