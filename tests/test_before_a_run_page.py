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
    text = PAGE.read_text()
    code = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    names: dict[str, Any] = {}
    with dask.config.set({SHOWN: True, "num_workers": 2}):
        exec(code[0], names)  # noqa: S102  # the page is ours
        said = capsys.readouterr().out
        for line in code[1].strip().splitlines():
            expression, _, expected = line.partition("  # ")
            assert str(eval(expression, names)) == expected  # noqa: S307  # as above
        exec(code[2], names)  # noqa: S102  # as above
        assert dask.config.get(SHOWN) is False
    [shown] = re.findall(r"```text\n(.*?)```", text, re.DOTALL)
    for line in filter(None, shown.splitlines()):
        parts = [re.escape(" ".join(part.split())) for part in line.split("...") if part.strip()]
        # columns are as wide as the longest of their cells
        pattern = ".*".join(part.replace(r"\ ", " +") for part in parts)
        assert re.search(pattern, said), line


def test_each_function_of_the_page_takes_what_it_says() -> None:

    rows = [row for row in PAGE.read_text().splitlines() if row.endswith("`progress=False` |")]
    named = [name for row in rows for name in re.findall(r"xfusion\.(\w+)`", row)]
    assert len(named) >= 5
    for name in named:
        assert "progress" in inspect.signature(getattr(xf, name)).parameters
