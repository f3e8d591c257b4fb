"""docs/notebooks/domains.ipynb runs from the first cell to the last."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).parents[1]


def test_the_notebook_runs_and_the_swap_is_worth_it(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("NOTEBOOK_PICTURES", "80")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    notebook = nbformat.read(ROOT / "docs/notebooks/domains.ipynb", as_version=4)
    nbformat.validate(notebook)
    resources = {"metadata": {"path": str(tmp_path)}}
    client = NotebookClient(notebook, timeout=3600, kernel_name="python3", resources=resources)
    client.execute()
    printed = [str(cell.get("outputs", "")) for cell in notebook.cells]
    assert sum("every checksum, count and id is right" in text for text in printed) == 2
    assert sum("data:image/jpeg;base64," in text for text in printed) == 2
    last = next(cell for cell in reversed(notebook.cells) if cell.cell_type == "code")
    lines = last.outputs[0]["text"].split("\n")
    shares = {words[0]: float(words[1]) for words in map(str.split, lines) if words}
    assert shares["fashion"] > shares["street"] + 0.2
