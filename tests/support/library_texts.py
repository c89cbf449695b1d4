"""All texts of the library, read from its source, with a sample for each value."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import aiwyn_async

__all__ = ["library_texts"]

# Not used by the command line.
OTHERS = {"_cli", "dask.py", "dlt", "integrations", "notebook.py", "sandbox", "testing", "webhooks"}


def library_texts() -> Iterator[tuple[str, str]]:
    """Yield where a text is, and the text; docstrings are left out."""
    package = Path(aiwyn_async.__file__).parent
    for path in sorted(package.rglob("*.py")):
        name = path.relative_to(package)
        if name.parts[0] not in OTHERS:
            visitor = _Texts()
            visitor.visit(ast.parse(path.read_text(encoding="utf-8")))
            yield from ((f"{name}:{line}", text) for line, text in visitor.texts if " " in text)


class _Texts(ast.NodeVisitor):
    """Collects the texts of a module, with their lines."""

    def __init__(self) -> None:
        self.texts: list[tuple[int, str]] = []

    def visit_Expr(self, node: ast.Expr) -> None:
        if not isinstance(node.value, ast.Constant):  # a docstring
            self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str):
            self.texts.append((node.lineno, node.value))

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        parts = (str(part.value) if isinstance(part, ast.Constant) else "7" for part in node.values)
        self.texts.append((node.lineno, "".join(parts)))
