"""Every type of a public signature can be imported by a user."""

from __future__ import annotations

import importlib
import inspect
import typing
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from types_in_annotations import types_in

MODULES = (
    "aiwyn_async",
    *(
        f"aiwyn_async.{name}"
        for name in ("blocking", "dlt", "export", "filters", "mcp", "otel", "sync", "webhooks")
    ),
)
INTERNAL = {
    "Session",
    "Query",
    "Endpoint",
    "ColumnOptions",
    "RowCounts",
    "LoopThread",
    "CallerIterable",
}
"""Arguments of constructors and methods that this package calls."""


def public_objects() -> dict[str, Any]:
    names = [(module, name) for module in MODULES for name in importlib.import_module(module).__all__]
    return {f"{module}.{name}": getattr(importlib.import_module(module), name) for module, name in names}


def signatures(value: Any) -> Iterator[Any]:
    if inspect.isfunction(value):
        yield value
    if inspect.isclass(value):
        yield value
        for name, member in inspect.getmembers_static(value):
            if name.startswith("_") and name != "__init__":
                continue
            function = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
            if inspect.isfunction(function) and function.__module__.startswith("aiwyn_async"):
                yield function


def hints_of(value: Any) -> list[Any]:
    try:
        hints = typing.get_type_hints(value)
    except NameError:  # a type that only type checkers import
        return []
    return [hint for name, hint in hints.items() if not name.startswith("_")]


@pytest.mark.parametrize("name", public_objects())
def test_public_signatures_name_public_types(name: str) -> None:
    values = set(map(id, public_objects().values()))
    for value in signatures(public_objects()[name]):
        for kind in {kind for hint in hints_of(value) for kind in types_in(hint)}:
            is_ours = kind.__module__.startswith("aiwyn_async") and not issubclass(kind, BaseException)
            hidden = is_ours and id(kind) not in values and kind.__name__ not in INTERNAL
            assert not hidden, f"{name}: {kind.__module__}.{kind.__name__} cannot be imported by a user"


def test_public_structs_are_found() -> None:
    structs = [value for value in public_objects().values() if inspect.isclass(value)]
    assert sum(issubclass(each, msgspec.Struct) for each in structs) > 50
