"""An extension of griffe: the fields of classes whose docstrings do not list them."""

from __future__ import annotations

from typing import Any

import griffe


class Fields(griffe.Extension):
    """Append the public fields of a class to its docstring, also inherited ones, if it has no constructor."""

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        """Visit all classes, once their bases are known."""
        modules = [pkg]
        for module in modules:
            modules += module.modules.values()
            targets: list[object] = list(module.classes.values())  # an import is an alias
            for target in targets:
                if isinstance(target, griffe.Class):
                    _add_fields(target)


def _add_fields(target: griffe.Class) -> None:
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
    if (
        fields
        and "__init__" not in members
        and not any(heading in text for heading in ("Attributes:\n", "Args:\n"))
    ):
        lines = "".join(f"\n    {name}: " for name in fields)
        target.docstring = griffe.Docstring(f"{text}\n\nAttributes:{lines}", parent=target)
