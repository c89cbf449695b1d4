"""Every promise and every threat of the documentation names tests, and these exist."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = ["SECURITY.md", "docs/threat-model.md"]
TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
BOUNDARIES = [
    "The caller and the package",
    "The package and the API, over the network",
    "The package and the token endpoint",
    "The package and the files that it reads and writes",
    "The sender of a webhook and the verifier",
    "The sandbox",
    "The command line",
    "A model and the MCP server",
]


@cache
def collected_tests(path: Path) -> frozenset[str]:
    """The tests that pytest collects from a file."""
    nodes = ast.parse(path.read_text(encoding="utf-8")).body if path.is_file() else []
    functions = (node for node in nodes if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)))
    return frozenset(node.name for node in functions if node.name.startswith("test_"))


def rows_of(text: str) -> list[str]:
    """The rows of all tables, without their heads."""
    lines = text.splitlines()
    return [
        line
        for line, following in zip(lines, [*lines[1:], ""], strict=True)
        if line.startswith("|") and not line.startswith("|---") and not following.startswith("|---")
    ]


def rows_without_tests(text: str) -> list[str]:
    """The rows that name no test, or one that does not exist."""
    return [
        row
        for row in rows_of(text)
        if not (named := TEST.findall(row))
        or row.count("::") != len(named)
        or any(name not in collected_tests(ROOT / path) for path, name in named)
    ]


@pytest.mark.parametrize("page", PAGES)
def test_every_row_names_tests_that_exist(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    assert len(rows_of(text)) > 15
    assert not rows_without_tests(text)


@pytest.mark.parametrize("test", ["", "`tests/test_config.py::test_nothing`", "`tests/nothing.py::test_x`"])
def test_row_without_an_existing_test_is_noticed(test: str) -> None:
    assert rows_without_tests(f"| promise | tests |\n|---|---|\n| it is safe | {test} |\n")


def test_threat_model_has_a_table_of_threats_per_boundary() -> None:
    text = (ROOT / "docs/threat-model.md").read_text(encoding="utf-8")
    sections = dict(re.findall(r"^## (.*)\n((?:(?!## ).*\n)*)", text, re.MULTILINE))
    assert list(sections)[:-1] == BOUNDARIES
    for boundary in BOUNDARIES:
        rows = rows_of(sections[boundary])
        assert len(rows) >= 4, boundary
        assert all(re.match(r"\| [STRIDE] \| ", row) for row in rows), boundary
