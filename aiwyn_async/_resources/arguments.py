"""Arguments that go into a request: ids and fields of a body, in the types of JSON."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable, Mapping, Sequence
from numbers import Integral
from typing import Any, cast

from aiwyn_async.errors import ConfigurationError
from aiwyn_async.filters import JSON
from aiwyn_async.filters._validation import to_wire
from aiwyn_async.models.base import Id

__all__ = ["as_fields", "as_id", "check_keys", "check_word", "optional_id"]


def as_id(name: str, value: object) -> Id:
    """Return an id as an int or a str; ``numpy.int64`` and the like become int.

    Raises:
        ConfigurationError: it is something else, such as a bool, NaN or an array.
    """
    if isinstance(value, str):
        return str.__str__(value)
    is_whole = not isinstance(value, bool) and isinstance(value, Integral) and not getattr(value, "shape", ())
    if not is_whole:
        raise ConfigurationError(f"{name} must be an int or a str, not {type(value).__name__}")
    return int(cast("int", value))


def optional_id(name: str, value: object) -> Id | None:
    """Return an id as ``as_id`` does, and None as it is."""
    return None if value is None else as_id(name, value)


def as_fields(fields: Mapping[str, object]) -> dict[str, JSON]:
    """Return the fields of a body that have a value, each in the types of JSON.

    Raises:
        ConfigurationError: a value has no JSON, such as NaN, ``NaT`` or an array; it names the field.
    """
    return {name: to_wire(value, name) for name, value in fields.items() if value is not None}


def check_word(name: str, value: object, words: Sequence[str]) -> None:
    """Refuse what is neither one of the words nor None.

    Raises:
        ConfigurationError: it names the argument.
    """
    if value is not None and not (isinstance(value, str) and value in words):
        raise ConfigurationError(f"{name} must be {' or '.join(map(repr, words))}")


def check_keys(name: str, keys: Any) -> None:
    """Refuse what is not a collection of keys; text is, of its letters.

    Raises:
        ConfigurationError: it names the argument.
    """
    kind: str = type(keys).__name__
    has_no_length: bool = getattr(keys, "shape", None) == ()
    is_several = isinstance(keys, (Iterable, AsyncIterable)) and not has_no_length
    if not is_several or isinstance(keys, (str, bytes, bytearray, Mapping)):
        raise ConfigurationError(
            f"{name} must be a collection of keys, not {kind}; pass a list such as [key]"
        )
