"""Notebooks, in a real Jupyter kernel: steps in cells are kept by their source, and a run shows as a table."""

from __future__ import annotations

import re
from typing import Any

import pytest

from stepcache.testing import Project

pytest.importorskip("nbclient", reason="nbclient is not installed")
pytest.importorskip("ipykernel", reason="ipykernel is not installed")

CELLS = [
    "import stepcache\nfrom stepcache import pipeline, step\nFACTOR = 2",
    "@step\ndef numbers(count=3):\n    print('computing')\n    return list(range(count))",
    "@step\ndef total(numbers):\n    return FACTOR * sum(numbers)",
    "run = total.run()\nrun",
    "run['total'], run['numbers']",
    "total.run()",
    "@step\ndef total(numbers):  # a comment is no change\n    return FACTOR * sum(numbers)",
    "total.run()",
    "@step\ndef total(numbers):\n    return FACTOR * sum(numbers) + 1",
    "again = total.run()\nagain",
    "again['total'], again.why('total'), run['total']",
    "FACTOR = 10",
    "last = total.run(params={'count': 4})\nlast",
    "last['total']",
    "@pipeline\ndef broken(total):\n    return total / 0",
    "broken.run(check=False)",
    "total(numbers=[1, 2, 3])",
]


def executed(project: Project, cells: list[str], monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Each cell's outputs, after all ran in a kernel that starts in the project's folder."""
    from nbclient import NotebookClient
    from nbformat.v4 import new_code_cell, new_notebook

    monkeypatch.setenv("IPYTHONDIR", str(project.path / ".ipython"))
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    notebook = new_notebook(cells=[new_code_cell(text) for text in cells])
    resources = {"metadata": {"path": str(project.path)}}
    NotebookClient(notebook, timeout=120, kernel_name="python3", resources=resources).execute()
    return [cell.outputs for cell in notebook.cells]


def shown(outputs: list[Any]) -> dict[str, str]:
    """What the table of a run tells of each node: its outcome."""
    (output,) = [each for each in outputs if each.output_type == "execute_result"]
    rows = re.findall(r"<tr><td>([^<]*)</td><td>([^<]*)</td>", output.data["text/html"])
    return {name.partition("::")[2]: outcome for name, outcome in rows}


def text(outputs: list[Any]) -> str:
    (output,) = [each for each in outputs if each.output_type == "execute_result"]
    plain: str = output.data["text/plain"]
    return plain


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_cells_of_a_notebook(stepcache_project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    outputs = executed(stepcache_project, CELLS, monkeypatch)
    first = outputs[3]
    assert [each.output_type for each in first] == ["execute_result"]  # what steps print is captured
    assert shown(first) == {"numbers": "ran", "total": "ran"}
    assert text(first) == "<Run: 2 ran>"
    assert text(outputs[4]) == "(6, [0, 1, 2])"
    assert shown(outputs[5]) == {"numbers": "cached", "total": "cached"}
    assert shown(outputs[7]) == {"numbers": "cached", "total": "cached"}
    assert shown(outputs[9]) == {"numbers": "cached", "total": "ran"}
    assert text(outputs[10]).replace("\n", "") == "(7, ['code: __main__::total'], 6)"
    assert shown(outputs[12]) == {"numbers": "ran", "total": "ran"}
    assert text(outputs[13]) == "61"
    assert shown(outputs[15]) == {"numbers": "cached", "total": "ran", "broken": "failed"}
    (failed,) = outputs[15]
    assert "ZeroDivisionError: division by zero" in failed.data["text/html"]
    assert "return total / 0" in failed.data["text/html"]
    assert text(outputs[16]) == "61"

    # A new kernel finds what the old one made.
    second = executed(stepcache_project, CELLS[:4], monkeypatch)
    assert shown(second[3]) == {"numbers": "cached", "total": "cached"}
