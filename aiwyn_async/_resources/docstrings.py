"""What docstrings say of fields and arguments."""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
import itertools
import re
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

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
        module = _read_module(owner.__module__)
        declared = module.classes.get(owner.__name__, _Class({}, {}))
        for field, names in declared.aliases.items():
            alias = next(filter(None, (_alias_meaning(owner.__module__, name) for name in names)), None)
            if alias is not None:
                meanings[field] = alias
            else:
                meanings.pop(field, None)
        meanings |= section_entries(owner.__doc__, "Attributes") | declared.docstrings
    return meanings


class _Class(NamedTuple):
    """The docstrings of the fields of a class, and the names in their annotations."""

    docstrings: dict[str, str]
    aliases: dict[str, tuple[str, ...]]


class _Module(NamedTuple):
    """The classes of a module, the docstrings of its aliases, and the modules of names that it imports."""

    classes: dict[str, _Class]
    docstrings: dict[str, str]
    imports: dict[str, str]


@functools.cache
def _read_module(name: str) -> _Module:
    try:
        body = ast.parse(inspect.getsource(importlib.import_module(name))).body
    except (ImportError, OSError, TypeError, SyntaxError):
        return _Module({}, {}, {})
    classes = {node.name: _read_class(node) for node in body if isinstance(node, ast.ClassDef)}
    imports = {
        alias.asname or alias.name: node.module
        for node in body
        if isinstance(node, ast.ImportFrom) and node.module and not node.level
        for alias in node.names
    }
    return _Module(classes, dict(_docstrings(body)), imports)


def _read_class(node: ast.ClassDef) -> _Class:
    aliases = {
        each.target.id: tuple(re.findall(r"\w+", ast.unparse(each.annotation)))
        for each in node.body
        if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name)
    }
    return _Class(dict(_docstrings(node.body)), aliases)


def _docstrings(body: Sequence[ast.stmt]) -> Iterator[tuple[str, str]]:
    """Yield the assigned names that a docstring follows, and its text on one line."""
    for node, following in itertools.pairwise(body):
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        if not isinstance(target, ast.Name) or not isinstance(following, ast.Expr):
            continue
        text = following.value.value if isinstance(following.value, ast.Constant) else None
        if isinstance(text, str):
            yield target.id, " ".join(text.split())


def _alias_meaning(module: str, name: str) -> str | None:
    declared = _read_module(module)
    if name in declared.docstrings:
        return declared.docstrings[name]
    origin = declared.imports.get(name, "")
    return _read_module(origin).docstrings.get(name) if origin.startswith("aiwyn_async.") else None
