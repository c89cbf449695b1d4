"""What docstrings say of fields and arguments."""

from __future__ import annotations

import inspect
import re
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


def field_meanings(kind: type[Any]) -> dict[str, str]:
    """Return the meaning of the fields of a class: the section Attributes of it and its bases."""
    meanings: dict[str, str] = {}
    for owner in reversed(kind.__mro__):
        meanings |= section_entries(owner.__doc__, "Attributes")
    return meanings
