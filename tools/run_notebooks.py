"""Run the notebooks of examples/ against a sandbox and store their outputs.

``python -m tools.run_notebooks``
"""

# nbformat and nbclient have incomplete types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import nbclient
import nbformat

from aiwyn_async.sandbox import FirmOptions, Sandbox

__all__ = ["EXAMPLES", "run"]

EXAMPLES = Path(__file__).parent.parent / "examples"


def run(path: Path) -> Any:
    """Return a notebook with new outputs."""
    notebook: Any = nbformat.read(path, as_version=4)
    firm = FirmOptions(currencies=("USD", "CAD", "GBP"), refunds=0.02)
    with (
        Sandbox(invoices=4000, clients=60, seed=7, firm=firm) as box,
        tempfile.TemporaryDirectory() as folder,
    ):
        variables = {"AIWYN_BASE_URL": box.url, "AIWYN_API_KEY": box.api_key}
        client: Any = nbclient.NotebookClient(notebook, timeout=60, resources={"metadata": {"path": folder}})
        client.execute(env=os.environ | variables)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # times, which differ on each run
    return notebook


if __name__ == "__main__":
    for each in sorted(EXAMPLES.glob("*.ipynb")):
        nbformat.write(run(each), each)
