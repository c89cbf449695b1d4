"""An extension of griffe: what its parser of docstrings leaves out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import griffe

from aiwyn_async._resources.docstrings import section_entries

# ``path, table: what they are``, with further lines.
_GROUP: Final = re.compile(r"^    (\w+(?:, \w+)+)(: .*(?:\n {5,}.*)*)$", re.MULTILINE)


class Fields(griffe.Extension):
    """Describe grouped arguments one by one, and list the fields that a docstring does not."""

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        """Visit all objects, once the bases of classes are known."""
        objects = list(_objects(pkg))
        for target in objects:
            if target.docstring is not None:
                target.docstring.value = _GROUP.sub(_one_by_one, target.docstring.value)
        classes = [target for target in objects if isinstance(target, griffe.Class)]
        for target in classes:
            _add_fields(target)
        for target in classes:
            target.bases = [base for base in target.bases if not str(base).startswith("_")]


def _objects(target: griffe.Object) -> Iterator[griffe.Object]:
    yield target
    for member in target.members.values():
        if isinstance(member, griffe.Object):
            yield from _objects(member)


def _one_by_one(match: re.Match[str]) -> str:
    return "\n".join(f"    {name}{match[2]}" for name in match[1].split(", "))


def _add_fields(target: griffe.Class) -> None:
    """Append the public fields to a docstring, also inherited ones, if there is no constructor."""
    text = "" if target.docstring is None else target.docstring.value
    members = {**target.inherited_members, **target.members}
    fields = [
        name
        for name, member in members.items()
        if member.is_attribute
        and not name.startswith("_")
        and "property" not in member.labels
        and not member.docstring
    ]
    listed = "Attributes:\n" in text or "Args:\n" in text
    if fields and not listed and "__init__" not in members:
        bases = [each.docstring for each in reversed(target.mro()) if each.docstring is not None]
        meanings: dict[str, str] = {}
        for base in bases:
            meanings |= section_entries(base.value, "Attributes")
        lines = "".join(f"\n    {name}: {meanings.get(name, '')}" for name in fields)
        target.docstring = griffe.Docstring(f"{text}\n\nAttributes:{lines}", parent=target)
