"""docs/calibration.md is true: its code runs, and prints what the page shows."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import xfusion as xf

TEXT = (Path(__file__).parents[1] / "docs/calibration.md").read_text()


def test_the_code_of_the_page_prints_what_it_shows(capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL):
        exec(block, names)  # noqa: S102  # the page is ours
    (shown,) = re.findall(r"```text\n(.*?)```", TEXT, re.DOTALL)
    printed = capsys.readouterr().out
    numbers = re.compile(r"[\d.]+")
    assert numbers.sub("", shown).split() == numbers.sub("", printed).split()
    # the last digit is that of libraries
    expected, found = ([float(n) for n in numbers.findall(text)] for text in (shown, printed))
    np.testing.assert_allclose(found, expected, rtol=0.02)


def test_the_attributes_of_the_page_are_those_that_are_set() -> None:
    names: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL):
        exec(block.replace("print(", "repr("), names)  # noqa: S102  # the page is ours
    said = set(re.findall(r"`(calibration_\w+)`", TEXT))
    assert said == {k for k in names["mended"].attrs if k.startswith("calibration_")}
    assert names["model"] == xf.Calibration.from_json(names["text"])
