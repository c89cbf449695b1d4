"""What docstrings say of fields and arguments."""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
import itertools
import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

_ENTRY: Final = re.compile(r" *(\*{0,2}\w+(?:, \w+)*): (.*)")


def section_entries(docstring: str | None, section: str) -> dict[str, str]:
    """Return the text of each name in a section, such as ``Args`` or ``Attributes``."""
    lines = inspect.cleandoc(docstring or "").splitlines()
    if f"{section}:" not in lines:
        return {}
    entries: dict[str, str] = {}
    names: list[str] = []
    depth: int | None = None
    for line in lines[lines.index(f"{section}:") + 1 :]:
        indent = len(line) - len(line.lstrip())
        if not indent:
            break
        depth = indent if depth is None else depth
        entry = _ENTRY.fullmatch(line) if indent == depth else None
        if entry is not None:
            names = entry[1].split(", ")
        for name in names:
            text = line.strip() if entry is None else entry[2]
            entries[name] = f"{entries[name]} {text}" if name in entries else text
    return entries


@functools.cache
def field_meanings(kind: type[Any]) -> dict[str, str]:
    """Return the meaning of the fields of a class that have one, by attribute.

    It is the docstring below a field, an entry of the section Attributes of its class, or the docstring of
    the type alias in its annotation. Without source code, it is the section alone.
    """
    meanings: dict[str, str] = {}
    for owner in reversed(kind.__mro__[:-1]):
        classes = (node for node in _statements(owner.__module__) if isinstance(node, ast.ClassDef))
        bodies = (node.body for node in classes if node.name == owner.__name__)
        body: Sequence[ast.stmt] = next(bodies, ())
        for node in body:
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                names = re.findall(r"\w+", ast.unparse(node.annotation))
                aliases = (_alias_meaning(owner.__module__, name) for name in names)
                meanings[node.target.id] = next(filter(None, aliases), "")
        meanings |= section_entries(owner.__doc__, "Attributes") | dict(_docstrings(body))
    return {field: meaning for field, meaning in meanings.items() if meaning}


@functools.cache
def _statements(module: str) -> Sequence[ast.stmt]:
    """Return the statements of a module; none without its source code."""
    try:
        return ast.parse(inspect.getsource(importlib.import_module(module))).body
    except (ImportError, OSError, TypeError, SyntaxError):
        return ()


def _docstrings(body: Sequence[ast.stmt]) -> Iterator[tuple[str, str]]:
    """Yield the assigned names that a docstring follows, and its text on one line."""
    for node, following in itertools.pairwise(body):
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        if not isinstance(target, ast.Name) or not isinstance(following, ast.Expr):
            continue
        text = following.value.value if isinstance(following.value, ast.Constant) else None
        if isinstance(text, str):
            yield target.id, " ".join(text.split())


@functools.cache
def _alias_meaning(module: str, name: str) -> str | None:
    """Return the docstring of a type alias that a module declares, or imports from this package."""
    declared = dict(_docstrings(_statements(module)))
    if name in declared:
        return declared[name]
    imports = (node for node in _statements(module) if isinstance(node, ast.ImportFrom))
    sources = (str(node.module) for node in imports if name in {alias.name for alias in node.names})
    source = next((each for each in sources if each.startswith("aiwyn_async.")), None)
    return None if source is None else dict(_docstrings(_statements(source))).get(name)
