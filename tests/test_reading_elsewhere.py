"""docs/reading-elsewhere.md is true: its code runs, and what it says of GDAL is so."""

import re
from pathlib import Path
from typing import Any

import pytest
import rasterio

TEXT = (Path(__file__).parents[1] / "docs/reading-elsewhere.md").read_text(encoding="utf-8")
CODE = re.findall(r"```\{code-cell\}\n(.*?)```", TEXT, re.DOTALL)


def run_page() -> dict[str, Any]:
    names: dict[str, Any] = {}
    for block in CODE:
        exec(block, names)  # noqa: S102  # the page is ours
    return names


def test_code_of_the_page_runs_and_other_programs_read_each_pixel() -> None:
    names = run_page()
    assert len(CODE) == 4
    water, excluded = names["water"], names["excluded"]
    assert bool((excluded == (water["mask"] == 128)).all())
    assert names["colours"][3] != names["colours"][1] != names["colours"][2]


@pytest.mark.skipif(
    tuple(map(int, rasterio.__gdal_version__.split(".")[:2])) > (3, 10),
    reason="the page says it of GDAL 3.10",
)
def test_gdal_refuses_the_store_as_the_page_says() -> None:
    run_page()
    with pytest.raises(rasterio.errors.RasterioIOError, match="sharding_indexed"):
        rasterio.open('ZARR:"water.zarr":/mu')
