"""The example notebooks run, and the progress bar is shown below its cell."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

from aiwyn_async import Progress
from aiwyn_async.notebook import progress
from tools.run_notebooks import EXAMPLES, run

NOTEBOOKS = sorted(EXAMPLES.glob("*.ipynb"))


def images(notebook: Any) -> int:
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return sum("image/png" in output.get("data", {}) for output in outputs)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_notebook_runs_and_has_stored_pictures(path: Path) -> None:
    stored: Any = nbformat.read(path, as_version=4)
    done = run(path)
    assert images(done) == images(stored) == 2
    streams = [
        each for cell in done.cells for each in cell.get("outputs", []) if each.output_type == "stream"
    ]
    assert not streams  # such as warnings
    text = path.read_text(encoding="utf-8")
    assert "sandbox-" not in text  # the prefix of the API key
    assert "127.0.0.1" not in text


def test_progress_is_shown_and_updated() -> None:
    now = [0.0]
    InteractiveShell.instance()
    with capture_output() as captured, progress("<b>", clock=lambda: now[0]) as show:
        for number in range(100):
            now[0] += 0.05
            show(Progress(number, 100, 10.0, 3.0, 2, 0))
    shown = [output.data for output in captured.outputs]
    assert 20 < len(shown) < 30  # not once per page
    assert "99 of 100 &lt;b&gt;, 10 rows/s, 3 s left, 2 retries" in shown[-1]["text/html"]
    assert shown[-1]["text/html"].startswith('<progress value="99" max="100">')


def test_progress_outside_of_ipython_shows_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delitem(sys.modules, "IPython")
    with progress() as show:
        show(Progress(1, 100, 10.0, 3.0, 2, 0))
    assert capsys.readouterr().out == ""
