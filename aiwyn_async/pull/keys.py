"""Keys in one form, so that they compare whether the server sends a number or text."""

from __future__ import annotations

from aiwyn_async.models.base import Id

__all__ = ["plain_key"]


def plain_key(key: Id) -> Id:
    """Return a key as its number if that loses nothing of it: "123" is 123, and "00123" stays text."""
    if isinstance(key, int):
        return key
    try:
        return int(key) if str(int(key)) == key else key
    except ValueError:
        return key
