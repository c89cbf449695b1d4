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


@pytest.mark.parametrize("name", ["Processes", "Dask"])
def test_recipe_exports_every_row(name: str, tmp_path: Path) -> None:
    if name == "Dask":
        pytest.importorskip("distributed")
    program = tmp_path / "recipe.py"
    program.write_text(RECIPES[name], encoding="utf-8")
    with Sandbox(invoices=9000, seed=7) as box:
        done = subprocess.run(
            [sys.executable, program],
            cwd=tmp_path,
            env=os.environ | {"AIWYN_BASE_URL": box.url, "AIWYN_API_KEY": box.api_key},
            capture_output=True,
            text=True,
            check=False,
        )
        ids = sorted(int(str(key)) for (key,) in box.query("SELECT id FROM invoices"))
    assert done.returncode == 0, done.stderr
    assert "9000 of 9000 rows" in done.stdout
    assert done.stdout.rstrip().endswith("complete")
    assert sorted(map(int, pq.read_table(tmp_path / "invoices")["id"].to_pylist())) == ids
