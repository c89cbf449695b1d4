"""Keys in one form, and rows of which nothing is read but the key and the instant of their latest change."""

from __future__ import annotations

import functools
from typing import Any

import msgspec

from aiwyn_async.models.base import Id

__all__ = ["key_and_instant", "plain_key"]


def plain_key(key: Id) -> Id:
    """Return a key as its number if that loses nothing of it: "123" is 123, and "00123" stays text."""
    if isinstance(key, int):
        return key
    try:
        return int(key) if str(int(key)) == key else key
    except ValueError:
        return key


@functools.lru_cache(maxsize=64)
def key_and_instant(key: str, column: str) -> type[Any]:
    """A Struct of a row's ``key`` and ``instant``, as they were sent; what else is in the row may be bad."""
    fields = [
        ("key", Id | None, msgspec.field(name=key, default=None)),
        ("instant", Any, msgspec.field(name=column, default=None)),
    ]
    return msgspec.defstruct("KeyAndInstant", fields, gc=False)
