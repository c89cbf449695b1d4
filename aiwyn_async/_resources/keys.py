"""The key of an object, and whether it is the one that was asked for."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from decimal import Decimal
from operator import attrgetter
from typing import Any, Final

import msgspec

__all__ = ["is_same_key", "key_getter"]

_CANONICAL: Final = re.compile(r"0|-?[1-9][0-9]{0,99}", re.ASCII)
"""An integer as JSON writes it, of a length that int() takes."""


def key_getter(kind: type[Any], name: str | None) -> Callable[[Any], object]:
    """Return a function from an object of a type to the value of its key; to None if it has none.

    Args:
        kind: a Struct or ``dict``.
        name: of the key on the wire.
    """
    if issubclass(kind, dict):
        return lambda found: found.get(name)
    fields = msgspec.structs.fields(kind) if issubclass(kind, msgspec.Struct) else ()
    attribute = next((field.name for field in fields if field.encode_name == name), None)
    return attrgetter(attribute) if attribute is not None else lambda _: None


def is_same_key(asked: object, found: object) -> bool:
    """Return whether a response with the key ``found`` may answer a request for ``asked``.

    The text of a number is the number if it is written as JSON writes it; UUIDs have no case. What is no
    number or text is no key, so it says nothing.
    """
    if isinstance(found, bool) or not isinstance(found, (int, str, Decimal, float)):
        return True
    if isinstance(asked, str) and isinstance(found, str):
        return asked == found or _are_one_uuid(asked, found)
    if isinstance(asked, str):
        return _CANONICAL.fullmatch(asked) is not None and int(asked) == found
    if isinstance(found, str):
        return str(asked) == found
    return asked == found


def _are_one_uuid(one: str, other: str) -> bool:
    try:
        return uuid.UUID(one) == uuid.UUID(other)
    except ValueError:
        return False
