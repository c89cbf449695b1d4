"""Arguments of requests: ids and fields of a body, in the types of JSON."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from types import NoneType
from typing import Any, Final, TypeVar, cast

from aiwyn_async._core.checks import as_id, check_kind, check_several
from aiwyn_async.errors import ConfigurationError
from aiwyn_async.filters import JSON
from aiwyn_async.filters._validation import to_wire
from aiwyn_async.filters._values import check_key, encode_datetime, is_finite, normalize_timestamp
from aiwyn_async.models.base import Id

ItemT = TypeVar("ItemT")


def optional_id(name: str, value: object) -> Id | None:
    """Return the id of a filter as ``as_id`` does, and None as it is."""
    return None if value is None else _not_empty(name, as_id(name, value))


def optional_word(name: str, value: object) -> str | None:
    """Return the word of a filter, such as a status, and None as it is; unknown words are sent."""
    word = value.value if isinstance(value, Enum) else value
    check_kind(name, word, (str, NoneType), "text")
    return _not_empty(name, cast("str | None", word))


def _not_empty(name: str, value: ItemT) -> ItemT:
    """Refuse empty text, as of an unset variable: a server may ignore it, and return all rows."""
    if isinstance(value, str) and not value.strip():
        raise ConfigurationError(f"{name} must not be empty; leave it out for all rows")
    return value


def as_fields(fields: Mapping[str, object]) -> dict[str, JSON]:
    """Return the fields of a body that have a value, each in the types of JSON.

    An error names the field of a value without JSON, such as NaN, ``NaT`` or an array.
    """
    check_kind("filters", fields, Mapping, "a mapping of fields to values")
    named = ((check_key(name, "filters"), value) for name, value in fields.items())
    return {name: to_wire(value, name) for name, value in named if value is not None}


def as_body(body: Mapping[str, object]) -> dict[str, JSON]:
    """Return a body in the types of JSON, as ``as_fields`` does; None clears a field."""
    return {name: to_wire(value, name) for name, value in body.items()}


def extra_fields(extra: Mapping[str, object] | None) -> dict[str, object]:
    """Return the extra fields of a body, which must be a mapping."""
    if extra is None:
        return {}
    check_kind("extra", extra, Mapping, "a mapping of fields to values")
    return {check_key(name, "extra"): value for name, value in extra.items()}


def check_exact(value: object) -> None:
    """Refuse what msgspec does not encode exactly, at any depth.

    It encodes NaN and infinity as null, as a Decimal as invalid JSON, and rounds offsets to minutes.

    Raises:
        ValueError: the value has one.
        RecursionError: the value is nested too deeply, or contains itself.
    """
    if isinstance(value, Mapping):
        for item in cast("Mapping[object, object]", value).values():
            check_exact(item)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for item in cast("Iterable[object]", value):
            check_exact(item)
    elif isinstance(value, (float, Decimal)) and not is_finite(value):
        raise ValueError("NaN and infinity have no JSON form; pass a finite number or None")
    elif isinstance(value, (datetime, time)) and (value.utcoffset() or timedelta()) % timedelta(minutes=1):
        raise ValueError(f"JSON has no offset with seconds, got {value.isoformat()}; pass the time in UTC")


def check_keys(name: str, keys: Any) -> None:
    """Refuse what is not a collection of keys; text is, of its letters."""
    check_several(name, keys, "a collection of keys", "pass a list such as [key]")


def wire_date(name: str, value: date | str | None, *, is_end: bool = False) -> str | None:
    """Return a date filter as ISO 8601 text, or refuse it, such as ``NaT``.

    A date without a time means the whole day, and a week such as 2024-W01 the whole week: its first instant,
    or its last with ``is_end``. A naive datetime stays naive; an aware one, also as text, is sent in UTC with
    ``Z``.
    """
    if value is None:
        return None
    if isinstance(value, str):
        try:
            text = normalize_timestamp(value, name)
        except ValueError:
            raise _no_date(name, value) from None
    elif isinstance(value, date):  # pyright: ignore[reportUnnecessaryIsInstance]
        text = encode_datetime(value, name) if isinstance(value, datetime) else value.isoformat()
    else:
        raise _no_date(name, value)
    match = _DAY.fullmatch(text)
    if match is None:
        return text
    if is_end and match["week"]:
        text = f"{text}-7" if "-" in text else f"{text}7"
    try:
        day = date.fromisoformat(text)
    except ValueError:  # the last week ends after the year 9999
        raise _no_date(name, value) from None
    return f"{day.isoformat()}T{'23:59:59.999999' if is_end else '00:00:00'}"


_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d|\d{8}|\d{4}-W\d\d-\d|\d{4}W\d{3}|(?P<week>\d{4}-?W\d\d)", re.ASCII)


def _no_date(name: str, value: object) -> ConfigurationError:
    shown = repr(value) if isinstance(value, str) else f"a {type(value).__name__}"
    return ConfigurationError(f"{name} must be a date, a datetime or ISO 8601 text, not {shown}")


async def iterate(items: Iterable[ItemT] | AsyncIterable[ItemT]) -> AsyncGenerator[ItemT, None]:
    """Iterate over an iterable of either kind, reading items as needed."""
    if isinstance(items, AsyncIterable):
        async for item in items:
            yield item
    else:
        for item in items:
            yield item
