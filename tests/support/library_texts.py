"""All texts of the library, read from its source, with a sample for each value."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import aiwyn_async

__all__ = ["library_texts"]

# Not used by the command line.
OTHERS = {"_cli", "dask.py", "dlt", "sandbox", "webhooks"}


def library_texts() -> Iterator[tuple[str, str]]:
    """Yield where a text is, and the text; docstrings are left out."""
    package = Path(aiwyn_async.__file__).parent
    for path in sorted(package.rglob("*.py")):
        name = path.relative_to(package)
        if name.parts[0] not in OTHERS:
            for node in _texts(ast.parse(path.read_text(encoding="utf-8"))):
                if " " in (text := _render(node)):
                    yield f"{name}:{node.lineno}", text


def _texts(tree: ast.Module) -> Iterator[ast.Constant | ast.JoinedStr]:
    left_out: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            left_out.add(id(node.value))
        if isinstance(node, ast.JoinedStr):
            left_out |= {id(part) for part in node.values}
        if isinstance(node, ast.JoinedStr) or (
            isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in left_out
        ):
            yield node


def _render(node: ast.Constant | ast.JoinedStr) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    return "".join(str(part.value) if isinstance(part, ast.Constant) else "7" for part in node.values)
