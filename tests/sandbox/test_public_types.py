"""Every type in the signatures of ``Sandbox`` is importable from ``aiwyn_async.sandbox``."""

import inspect
import typing
from collections.abc import Iterator
from typing import Any

from aiwyn_async import sandbox
from aiwyn_async.sandbox import Drift, FirmOptions, RateLimit, Sandbox, Sender, Variant
from types_in_annotations import types_in


def annotations(public: type) -> Iterator[Any]:
    for name, member in inspect.getmembers(public):
        function = member.fget if isinstance(member, property) else member
        if inspect.isfunction(function) and (name == "__init__" or not name.startswith("_")):
            yield from typing.get_type_hints(function).values()


def test_public_types_are_importable() -> None:
    used = {item for hint in annotations(Sandbox) for item in types_in(hint)}
    for options in (FirmOptions, RateLimit, Sender):
        used |= {item for hint in typing.get_type_hints(options).values() for item in types_in(hint)}
    own = {item for item in used if item.__module__.startswith("aiwyn_async")}
    assert {Drift, FirmOptions, Sender, Variant} <= own
    assert {item.__name__ for item in own} <= set(sandbox.__all__)


def test_all_names_every_public_name() -> None:
    names = {name for name in vars(sandbox) if not name.startswith(("_", "@"))}
    assert names == set(sandbox.__all__)
