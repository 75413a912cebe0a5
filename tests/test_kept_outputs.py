"""Of notebooks that the site cannot run everywhere it shows what a run gave, and says so."""

import ast
import base64
import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.test_architecture import from_docs

kept_outputs = from_docs("kept_outputs")

DOCS = Path(__file__).parents[1] / "docs"
every_kept = pytest.mark.parametrize("stem", kept_outputs.NEEDS)


def kept_of(stem: str) -> dict[str, Any]:
    kept: dict[str, Any] = json.loads((kept_outputs.KEPT / f"{stem}.json").read_text("utf-8"))
    return kept


def notebook_of(stem: str) -> dict[str, Any]:
    path = kept_outputs.NOTEBOOKS / f"{stem}.ipynb"
    notebook: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return notebook


@every_kept
def test_outputs_are_kept_of_the_code_as_it_is(stem: str) -> None:
    sources = {cell["id"]: kept_outputs.source_of(cell) for cell in notebook_of(stem)["cells"]}
    for name, cell in kept_of(stem)["cells"].items():
        assert cell["source"] == sources[name], "run docs/kept_outputs.py"


@every_kept
def test_each_cell_that_shows_something_has_it_kept_and_small(stem: str) -> None:
    kept = kept_of(stem)["cells"]
    code = {
        cell["id"]: ast.parse(kept_outputs.source_of(cell)).body
        for cell in notebook_of(stem)["cells"]
        if cell["cell_type"] == "code"
    }
    assert kept.keys() == {name for name, body in code.items() if isinstance(body[-1], ast.Expr)}
    outputs = [output["data"] for cell in kept.values() for output in cell["outputs"]]
    pictures = [data["image/png"] for data in outputs if "image/png" in data]
    assert len(pictures) >= 2
    assert all(len(base64.b64decode(picture)) < 100_000 for picture in pictures)


@every_kept
def test_a_page_says_first_that_it_was_not_executed_and_shows_what_a_run_gave(stem: str) -> None:
    notebook = notebook_of(stem)
    page = kept_outputs.with_kept_outputs(notebook, stem)
    title, told, *_ = page["cells"]
    assert title == notebook["cells"][0]
    assert "built without" in told["source"]
    assert kept_of(stem)["date"] in told["source"]
    shown = {cell["id"] for cell in page["cells"] if cell.get("outputs")}
    assert shown == kept_of(stem)["cells"].keys()


@every_kept
def test_what_is_kept_of_other_code_is_not_shown(stem: str) -> None:
    notebook = notebook_of(stem)
    for cell in notebook["cells"]:
        cell["source"] = [*cell["source"], "\n# changed"]
    page = kept_outputs.with_kept_outputs(notebook, stem)
    assert not [cell for cell in page["cells"] if cell.get("outputs")]


def test_scores_that_are_kept_are_those_of_the_page_on_models() -> None:
    (output,) = kept_of("05_a_network_from_bands_to_a_map")["cells"]["score"]["outputs"]
    lines = output["data"]["text/plain"].splitlines()[1:]
    scores = [" / ".join(re.findall(r"\d\.\d{3}", line)) for line in lines]
    page = (DOCS / "models.md").read_text("utf-8")
    rows = re.findall(r"^\| .*\| (.+/.+) \| (.+/.+) \| (.+/.+) \|$", page, re.MULTILINE)
    assert [cell for column in zip(*rows, strict=True) for cell in column] == scores
