"""Outputs of notebooks that the site may be built without: kept here, and put below their cells.

Notebooks 03 and 05 need a real chip, which does not come with xfusion, and 05 needs PyTorch. Where
the site is built without these, a reader sees what a run with them gave, and is told so.

After a change of a notebook, with the data and PyTorch: python docs/kept_outputs.py
"""  # noqa: INP001  # a script, and a module of conf.py

import asyncio
import base64
import io
import json
import os
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
KEPT = Path(__file__).parent / "kept"
NEEDS = {
    "03_can_the_numbers_be_trusted": "the chip of Sen1Floods11",
    "05_a_network_from_bands_to_a_map": "the chip of Sen1Floods11 or without PyTorch",
}
COLOURS = 24  # of a picture: maps and text need no more, and it is a fourth of the size
Notebook = dict[str, Any]


def source_of(cell: dict[str, Any]) -> str:
    """Return the code of a cell."""
    return "".join(cell["source"])


def with_kept_outputs(notebook: Notebook, stem: str) -> Notebook:
    """Put what is kept below the cells that it is of, and say so at the top."""
    kept = json.loads((KEPT / f"{stem}.json").read_text(encoding="utf-8"))
    cells = []
    for cell in notebook["cells"]:
        of_cell = kept["cells"].get(cell["id"])
        if of_cell is None or of_cell["source"] != source_of(cell):
            cells.append(cell)
        else:
            cells.append({**cell, "outputs": of_cell["outputs"]})
    note = (
        "```{admonition} Not executed here\n"
        f"This site was built without {NEEDS[stem]}. What stands below the cells is what a run "
        f"gave that had all it needs, on {kept['date']}, with xfusion {kept['version']}; pictures "
        "have fewer colours.\n```"
    )
    told = {"cell_type": "markdown", "id": "not-executed", "metadata": {}, "source": note}
    return {**notebook, "cells": [cells[0], told, *cells[1:]]}


def smaller(png: str) -> str:
    """Return a picture in base64 with fewer colours."""
    from PIL import Image

    picture = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB")
    file = io.BytesIO()
    picture.quantize(COLOURS, dither=Image.Dither.NONE).save(file, "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode()


def shown(output: dict[str, Any]) -> dict[str, Any]:
    """Return an output as the site shows it: a picture, or a table and its text."""
    data = output["data"]
    if "image/png" in data:
        data = {"image/png": smaller(data["image/png"])}
    return {"output_type": "display_data", "metadata": {}, "data": data}


def run(path: Path) -> dict[str, Any]:
    """Run a notebook, and return the source and the outputs of each cell that shows something."""
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=nbformat.NO_CONVERT)
    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(notebook, timeout=900, resources={"metadata": {"path": folder}})
        asyncio.run(client.async_execute())
    cells = {}
    for cell in notebook.cells:
        outputs = [shown(each) for each in cell.get("outputs", []) if "data" in each]
        if outputs:
            cells[cell.id] = {"source": cell.source, "outputs": outputs}
    return cells


def main() -> None:
    """Run the notebooks that are named, or all, and keep their outputs."""
    import xfusion

    data = os.environ.get("XFUSION_DATA", NOTEBOOKS.parents[1] / "shared" / "data")
    os.environ["XFUSION_DATA"] = str(data)
    os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"
    os.environ.pop("MPLBACKEND", None)
    KEPT.mkdir(exist_ok=True)
    for stem in sys.argv[1:] or NEEDS:
        kept = {
            "date": f"{datetime.now(UTC):%Y-%m-%d}",
            "version": xfusion.__version__,
            "cells": run(NOTEBOOKS / f"{stem}.ipynb"),
        }
        text = json.dumps(kept, indent=1, ensure_ascii=False)
        (KEPT / f"{stem}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
