"""The page on what is known before a run shows what the code on it does."""

import inspect
import re
from pathlib import Path
from typing import Any

import dask
import pytest

import xfusion as xf
from xfusion.run.progress import SHOWN

PAGE = Path(__file__).parents[1] / "docs" / "before-a-run.md"


def test_the_page_says_what_its_code_does(capsys: pytest.CaptureFixture[str]) -> None:
    code = re.findall(r"```\{code-cell\}\n(.*?)```", PAGE.read_text(), re.DOTALL)
    names: dict[str, Any] = {}
    with dask.config.set({SHOWN: True, "num_workers": 2}):
        for block in code:
            exec(block, names)  # noqa: S102  # the page is ours
        assert dask.config.get(SHOWN) is False
    said = capsys.readouterr().out
    plan, water = names["plan"], names["water"]
    assert (len(plan.files), plan.blocks, names["missing"]) == (9, 4, [])
    assert plan.bytes_read < 2_000_000
    for words in ("to be computed: mu", "read: 9 files", "memory: about", "write: nothing"):
        assert f"\n{words}" in f"\n{said}"
    assert str(names["scene"].folder) not in said  # of this machine, no reader has it
    assert water.mu.chunks is not None


def test_each_function_of_the_page_takes_what_it_says() -> None:

    rows = [row for row in PAGE.read_text().splitlines() if row.endswith("`progress=False` |")]
    named = [name for row in rows for name in re.findall(r"xfusion\.(\w+)`", row)]
    assert len(named) >= 5
    for name in named:
        assert "progress" in inspect.signature(getattr(xf, name)).parameters
