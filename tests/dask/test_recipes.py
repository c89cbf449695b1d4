"""The recipes of docs/partitions.md, run as programs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from aiwyn_async.sandbox import Sandbox

PAGE = Path(__file__).parents[2] / "docs" / "partitions.md"
SECTION = re.compile(r"^## (\w+)\n(?:(?!^## ).)*?^```py\n(.*?)^```$", re.MULTILINE | re.DOTALL)
RECIPES = dict(SECTION.findall(PAGE.read_text("utf-8")))


def test_recipes_are_short_and_valid() -> None:
    assert list(RECIPES) == ["Processes", "Dask", "Airflow", "Spark"]
    for name, recipe in RECIPES.items():
        assert len(recipe.splitlines()) < 50
        compile(recipe, name, "exec")


def run_recipe(name: str, folder: Path, box: Sandbox) -> str:
    """Run a recipe in a folder and return what it prints."""
    program = folder / "recipe.py"
    program.write_text(RECIPES[name], encoding="utf-8")
    done = subprocess.run(
        [sys.executable, program],
        cwd=folder,
        env=os.environ | {"AIWYN_BASE_URL": box.url, "AIWYN_API_KEY": box.api_key},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.rstrip()


@pytest.mark.parametrize("name", ["Processes", "Dask"])
def test_recipe_exports_every_row(name: str, tmp_path: Path) -> None:
    if name == "Dask":
        pytest.importorskip("distributed")
    with Sandbox(invoices=9000, seed=7) as box:
        output = run_recipe(name, tmp_path, box)
        ids = sorted(int(str(key)) for (key,) in box.query("SELECT id FROM invoices"))
    assert "9000 of 9000 rows" in output
    assert output.endswith("complete")
    assert sorted(map(int, pq.read_table(tmp_path / "invoices")["id"].to_pylist())) == ids


def test_recipe_of_processes_requests_nothing_on_the_same_day(tmp_path: Path) -> None:
    with Sandbox(invoices=900, seed=7) as box:
        first = run_recipe("Processes", tmp_path, box)
        requests = len(box.requests)
        again = run_recipe("Processes", tmp_path, box)
        assert len(box.requests) == requests
    assert first.endswith("complete")
    assert again.endswith("complete")
