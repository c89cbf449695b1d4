"""The key of an object, and whether it is the one that was asked for."""

from __future__ import annotations

import functools
import re
import uuid
from collections.abc import Hashable
from decimal import Decimal
from typing import Any, Final, cast

import msgspec

__all__ = ["is_same_key", "key_of"]

_CANONICAL: Final = re.compile(r"0|-?[1-9][0-9]{0,99}", re.ASCII)
"""An integer as JSON writes it, of a length that int() takes."""


def key_of(found: object, name: str | None) -> object:
    """Return the value of an object's key; None if the object, or its type, has none.

    Args:
        found: a Struct or a dict.
        name: of the key on the wire.
    """
    if isinstance(found, dict):
        return cast("dict[str, Any]", found).get(name or "")
    attribute = _attribute(cast("Hashable", type(found)), name)
    return None if attribute is None else getattr(found, attribute)


@functools.lru_cache(maxsize=256)
def _attribute(kind: Hashable, name: str | None) -> str | None:
    if not (isinstance(kind, type) and issubclass(kind, msgspec.Struct)):
        return None
    return next((field.name for field in msgspec.structs.fields(kind) if field.encode_name == name), None)


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
