"""The README is true, and what it once held: code runs, links lead somewhere, commands exist."""

import ast
import json
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import xfusion as xf
from xfusion import demo

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text()
PAGE = (ROOT / "docs/real-catalogues.md").read_text()
CODE, CODE_OF_PAGE = (re.findall(r"```python\n(.*?)```", t, re.DOTALL) for t in (TEXT, PAGE))


def test_its_code_runs_as_it_is_beside_the_demo() -> None:
    demo.write_scene("xfusion-demo/scene", size=0.2)
    names: dict[str, Any] = {}
    with warnings.catch_warnings():
        # the first that a new user does must not doubt itself
        warnings.simplefilter("error", UserWarning)
        for block in CODE:
            exec(block, names)  # noqa: S102  # the README is ours
    assert {path.name for path in Path("results").iterdir()} == {
        "mu.tif",
        "sigma.tif",
        "mask.tif",
        "source.tif",
        "conflict.tif",
        "item.json",
    }
    assert Path("water_mu.tif").is_file()


@pytest.mark.parametrize("way", ["load_bands", "odc.stac.load"])
def test_bands_that_one_loads_oneself_make_the_mask_that_is_attached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    (example,) = [block for block in CODE_OF_PAGE if f"{way}(" in block]
    monkeypatch.chdir(tmp_path)
    scene = demo.write_scene(tmp_path, size=0.2)
    with demo.serve(scene.items) as url:
        s2 = xf.Sentinel2Product.open("s2_mu.tif", "s2_sigma.tif", time="2023-06-20")
        names: dict[str, Any] = {"s2": s2}
        # in place of Earth Search, by its address and as the default
        here = example.replace("https://earth-search.aws.element84.com/v1", url)
        here = here.replace("offset=0)", f"offset=0, catalog={url!r})")
        exec(here, names)  # noqa: S102  # the page is ours
        ours = s2.attach_mask(catalog=url, offset=0)
        loaded = names["s2"].compute()
    np.testing.assert_array_equal(loaded.usable, ours.usable)
    assert 0.1 < float(loaded.usable.mean()) < 0.9


def test_catalogues_a_fifth_is_one_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (ROOT / "docs/catalogues.md").read_text()
    names: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        exec(block, names)  # noqa: S102  # the page is ours
    assert float(names["masked"].completeness().observed) > 0.5
    assert float(names["masked_s1"].completeness().observed) > 0.5


@pytest.mark.network
def test_real_catalogues_answer() -> None:
    (example,) = [block for block in CODE_OF_PAGE if "attach_gfm_mask()" in block]
    names: dict[str, Any] = {}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "the offset of the reflectances")
        exec(example, names)  # noqa: S102  # the README is ours
    for sensor in ("s1", "s2"):
        found = names[sensor].fusion.completeness()
        assert found.items_found > 0
        assert found.observed > 0.9
    # whatever the item declares, its pixels have the offset applied
    decisions = json.loads(names["s2"].attrs["mask_offsets"])
    assert {text.split()[0] for text in decisions.values()} == {"0"}


def test_names_of_the_package_exist() -> None:
    attributes = [node for block in CODE + CODE_OF_PAGE for node in ast.walk(ast.parse(block))]
    names = {ast.unparse(node) for node in attributes if isinstance(node, ast.Attribute)}
    names |= set(re.findall(r"`(xf\.[\w.]+)", TEXT + PAGE))
    ours = {name for name in names if name.startswith("xf.") and "(" not in name}
    assert "xf.stac.CDSE" in ours
    for name in ours:
        eval(name, {"xf": xf})  # noqa: S307  # the README is ours


def test_links_lead_to_files_of_the_repository() -> None:
    links = [link for link in re.findall(r"\]\(([^)]+)\)", TEXT) if "://" not in link]
    assert "docs/_static/water.png" in links
    for link in links:
        assert (ROOT / link).is_file(), link
    assert (ROOT / "docs/_static/water.png").stat().st_size < 300_000


def test_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^make (\w+)", TEXT, re.MULTILINE))
    assert targets == {"demo", "test"}
    assert all(f"\n{target}:" in makefile for target in targets)
