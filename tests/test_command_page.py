"""docs/command.md is true: each command on it gives what stands below it."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from click.testing import CliRunner

from tests.test_summary import KEYS
from xfusion.cli import main

PAGE = (Path(__file__).parents[1] / "docs" / "command.md").read_text()


def write_example(folder: Path) -> None:
    """Write the four files of the page: two sensors, of which each sees a part."""
    rows, columns = np.mgrid[:100, :120]
    truth = 1 / (1 + np.exp((columns - 60 + 15 * np.sin(rows / 12)) / 8))
    for name, shift, sigma in (("radar", 0.02, 0.12), ("optical", -0.01, 0.05)):
        mu = np.clip(truth + shift, 0, 1)
        mu[(rows > 70) if name == "optical" else (columns > 110)] = np.nan
        profile: dict[str, Any] = {"driver": "GTiff", "count": 1, "dtype": "float32"}
        profile |= {"width": 120, "height": 100, "crs": "EPSG:32633", "nodata": np.nan}
        profile |= {"transform": Affine(20, 0, 6e5, 0, -20, 5.34e6)}
        for layer, pixels in (("mu", mu), ("sigma", np.full(mu.shape, sigma))):
            with rasterio.open(folder / f"{name}_{layer}.tif", "w", **profile) as out:
                out.write(pixels.astype(np.float32), 1)


def rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: rounded(v) for k, v in value.items()}
    if isinstance(value, list):
        return [rounded(v) for v in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


def test_each_command_of_the_page_prints_what_stands_below_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_example(tmp_path)
    blocks = re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) == 4
    for block in blocks:
        first, _, expected = block.replace("\\\n", "").partition("\n")
        program, *arguments = shlex.split(first.removeprefix("$ "))
        assert program == "xfusion"
        result = CliRunner().invoke(main, arguments)
        if "--json" in arguments:
            # the last digits are those of a processor
            assert rounded(json.loads(result.stdout)) == rounded(json.loads(expected)), first
        else:
            assert result.stdout == expected, first


def test_the_page_names_every_command_and_every_key_of_json() -> None:
    for command in main.commands:
        assert f"`xfusion {command}`" in PAGE
    rows = re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)
    assert {*rows} == KEYS
