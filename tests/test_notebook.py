"""The notebooks run from start to end, draw something, and are stored without their outputs."""

import asyncio
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat import NotebookNode

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
KEPT = Path(__file__).parents[1] / "docs" / "kept"
SECONDS = 180
OF_REAL_DATA = {"03_can_the_numbers_be_trusted"}
# which needs PyTorch, and is run by make test-models
OF_A_NETWORK = "05_a_network_from_bands_to_a_map"

run_here = pytest.mark.parametrize(
    "path", [p for p in NOTEBOOKS if p.stem != OF_A_NETWORK], ids=lambda path: path.stem
)
every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def read(path: Path) -> NotebookNode:
    notebook: NotebookNode = nbformat.read(path, as_version=nbformat.NO_CONVERT)
    return notebook


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def lines_of_code(notebook: NotebookNode) -> list[str]:
    lines = [line.strip() for cell in code_cells(notebook) for line in cell.source.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


@pytest.fixture
def plain_jupyter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the settings and kernels of whoever runs the tests out of it."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(tmp_path / "jupyter"))
    monkeypatch.setenv("JUPYTER_PREFER_ENV_PATH", "1")
    monkeypatch.delenv("MPLBACKEND", raising=False)


def test_there_is_a_notebook() -> None:
    assert "01_fuse_two_sensors" in [path.stem for path in NOTEBOOKS]


def run(notebook: NotebookNode, folder: Path, seconds: float = SECONDS) -> list[NotebookNode]:
    """Run a notebook in a folder, and return all outputs of its cells."""
    folder.mkdir()
    client = NotebookClient(notebook, resources={"metadata": {"path": str(folder)}})
    asyncio.run(asyncio.wait_for(client.async_execute(), seconds))
    return [output for cell in code_cells(notebook) for output in cell.outputs]


def numbers_in(outputs: Iterable[dict[str, Any]]) -> list[float]:
    """Return the numbers of the tables that a notebook shows, in their order."""
    data = [output["data"] for output in outputs if "data" in output]
    tables = [each["text/plain"] for each in data if "text/html" in each]
    return [float(number) for table in tables for number in re.findall(r"\d+\.\d+", table)]


@run_here
def test_notebook_runs_and_draws(
    path: Path,
    plain_jupyter: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    if path.stem in OF_REAL_DATA:
        monkeypatch.setenv("XFUSION_DATA", str(request.getfixturevalue("shared_data")))
    outputs = run(read(path), tmp_path / "here")
    assert not [output for output in outputs if output.output_type == "error"]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    if path.stem in OF_REAL_DATA:  # what the site shows of it where there are no data
        kept = json.loads((KEPT / f"{path.stem}.json").read_text("utf-8"))["cells"].values()
        expected = numbers_in(output for cell in kept for output in cell["outputs"])
        assert len(expected) >= 40
        assert numbers_in(outputs) == pytest.approx(expected, rel=0.01, abs=0.002)


@every_notebook
def test_notebook_is_stored_without_what_running_it_adds(path: Path) -> None:
    notebook = read(path)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    # Ids that say something were given once; those that Jupyter draws are eight hex digits.
    assert not [cell.id for cell in notebook.cells if set(cell.id) <= set("0123456789abcdef-")]
    for cell in code_cells(notebook):
        assert cell.outputs == []
        assert cell.execution_count is None
        assert cell.metadata == {}
    assert set(notebook.metadata) <= {"kernelspec", "language_info"}
    assert set(notebook.metadata.language_info) == {"name"}


def test_the_first_notebook_is_short() -> None:
    (first,) = [path for path in NOTEBOOKS if path.stem.startswith("01_")]
    assert 0 < len(lines_of_code(read(first))) <= 25


def test_the_second_notebook_is_short() -> None:
    (second,) = [path for path in NOTEBOOKS if path.stem.startswith("02_")]
    assert 0 < len(lines_of_code(read(second))) <= 36
