"""The notebook that trains a network runs, and finds what the page of models says that it finds."""

import json
import re
from pathlib import Path

import nbformat
import pytest

from tests.test_notebook import NOTEBOOKS, OF_A_NETWORK, plain_jupyter, read, run

pytest.importorskip("torch")

PAGE = Path(__file__).parents[2] / "docs/models.md"
KINDS = ("network", "fitted", "published")
# A network is trained by sums whose order differs from processor to processor
NEAR = {"network": 0.03, "fitted": 0.0015, "published": 0.0015}
USUAL, MOST = 120, 900  # seconds of the processor, and in all where others use it

__all__ = ["plain_jupyter"]


def of_page() -> dict[str, list[list[float]]]:
    """Return the scores of the page: of each kind, those of each row."""
    rows = re.findall(
        r"^\| (.+?) \| ([\d./ ]+) \| ([\d./ ]+) \| ([\d./ ]+) \|$", PAGE.read_text(), re.MULTILINE
    )
    cells = {kind: [row[k] for row in rows] for k, kind in enumerate(KINDS, start=1)}
    return {kind: [[float(n) for n in c.split("/")] for c in some] for kind, some in cells.items()}


def test_notebook_trains_a_network_in_two_minutes_whose_scores_are_those_of_the_page(
    plain_jupyter: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shared_data: Path
) -> None:
    monkeypatch.setenv("XFUSION_DATA", str(shared_data))
    (path,) = [path for path in NOTEBOOKS if path.stem == OF_A_NETWORK]
    notebook = read(path)
    of_scores = "import time\nprint(scores.to_json(orient='split'), time.process_time())"
    notebook.cells.append(nbformat.v4.new_code_cell(of_scores))
    outputs = run(notebook, tmp_path / "here", MOST)
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 3
    said, seconds = outputs[-1].text.rsplit(maxsplit=1)
    assert float(seconds) < USUAL
    table = json.loads(said)
    found: dict[str, list[list[float]]] = {kind: [] for kind in KINDS}
    for (kind, _), scores in zip(table["index"], table["data"], strict=True):
        found[kind].append(scores)
    expected = of_page()
    for kind in KINDS:
        assert len(expected[kind]) == len(found[kind]) == 6
        for wanted, scores in zip(expected[kind], found[kind], strict=True):
            assert scores == pytest.approx(wanted, abs=NEAR[kind])
