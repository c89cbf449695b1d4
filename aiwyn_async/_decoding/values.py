"""The contract of values: the JSON that each kind of field accepts.

All outputs share it: typed rows, deferred rows, Parquet, DuckDB, CSV, Arrow streams and syncs. A value is
exact, or it is repaired and counted, or its row is a bad row.

========= ===============================================================================================
kind      accepts
========= ===============================================================================================
id        a 64-bit integer, or text, which is never converted to a number
integer   a 64-bit integer, also written as ``7.0`` or in quotes
money     a finite number of at most 1000 digits and with an exponent within 1000, also in quotes
float     a finite number, also in quotes
timestamp an ISO 8601 date, with or without a time; digits beyond the microsecond are dropped, and a
          timestamp without a zone stays naive; in UTC it is within the years 1 to 9999
date      an ISO 8601 date, or the date part of a timestamp, without conversion between zones
time      a time of day, with or without a zone; digits beyond the microsecond are dropped
text      text; a number becomes its text on the wire
boolean   true, false, 1, 0, and ``"true"``, ``"false"``, ``"1"``, ``"0"``
list      an array whose items are accepted
object    an object whose fields are accepted; ``key_case`` matches its keys to fields
========= ===============================================================================================

A nullable field accepts null. A nullable field that is not text, id or boolean accepts empty text as null.

The functions here accept a value as ``parse()`` returns it. Each returns the value of the field, and raises
``InvalidValueError`` if the contract does not accept it. ``DECODING_ERRORS`` is everything that decoding
bytes from a server raises.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from decimal import (
    MAX_EMAX,
    MAX_PREC,
    MIN_EMIN,
    Clamped,
    Context,
    Decimal,
    Inexact,
    InvalidOperation,
    Overflow,
    Subnormal,
    Underflow,
)
from typing import Any, Final

import msgspec

MAX_DIGITS: Final = 1000
"""Limit of a number's digits and exponent: arithmetic with a larger one takes too long."""

bounded_decimal: Final[Callable[[str | Decimal], Decimal]] = Context(
    prec=MAX_DIGITS,
    Emin=-MAX_DIGITS,
    Emax=MAX_DIGITS,
    traps=[Clamped, Inexact, InvalidOperation, Overflow, Subnormal, Underflow],
).create_decimal
"""Convert a number or its text to a Decimal. Raises an ``ArithmeticError`` beyond ``MAX_DIGITS``."""

unbounded_decimal: Final[Callable[[str], Decimal]] = Context(
    prec=MAX_PREC, Emin=MIN_EMIN, Emax=MAX_EMAX
).create_decimal
"""Convert a JSON number of any size to a Decimal, for values without a declared kind."""

_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_TIMESTAMP: Final = re.compile(
    r"(?P<day>[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{8}(?=[Tt])|[0-9]{4}-?W[0-9]{2}-?[0-9])"
    r"(?:[Tt ](?P<time>[0-9]{2}(?::?[0-9]{2}(?::?[0-9]{2})?)?)(?:[.,](?P<fraction>[0-9]+))?"
    r" ?(?P<zone>[Zz]|[+-][0-9]{2}(?::?[0-9]{2})?)?)?"
)
_TIME: Final = re.compile(r"([0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]+))?([Zz]|[+-][0-9]{2}:?[0-9]{2})?")
is_usual_timestamp: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?"
    r"(?:[Zz]|[+-][0-9]{2}:?[0-9]{2})?"
).fullmatch
"""Match a timestamp in the form of RFC 3339, with or without a zone."""
_MIN_INTEGER, _MAX_INTEGER = -(2**63), 2**63 - 1
_BOOLEANS: Final[dict[object, bool]] = {"true": True, "false": False, "1": True, "0": False}


class InvalidValueError(ValueError):
    """A value that the contract does not accept for its field.

    Attributes:
        reason: such as ``expected a number, got 'a lot'``.
        path: from the row to the field, such as ``lineItems[0].amount``.
    """

    def __init__(self, reason: str, path: str = "") -> None:
        super().__init__(f"{path}: {reason}" if path else reason)
        self.reason = reason
        self.path = path

    def within(self, step: str) -> InvalidValueError:
        """Return the same error with a path that starts at the enclosing object or list."""
        joint = "" if not self.path or self.path.startswith("[") else "."
        return InvalidValueError(self.reason, f"{step}{joint}{self.path}")


class NumberText(str):
    """A JSON number as its text on the wire."""

    __slots__ = ()


class InexactError(Exception):
    """A page decodes, but not by the contract of values. Never leaves this package."""


DECODING_ERRORS: Final = (
    msgspec.MsgspecError,
    UnicodeDecodeError,
    RecursionError,
    ArithmeticError,
    InvalidValueError,
    InexactError,
)
"""Everything that decoding hostile bytes raises; for invalid UTF-8, deep nesting and huge numbers msgspec
does not raise a ``MsgspecError``."""

_ERROR_TEXTS: Final[dict[type[Exception], str]] = {
    UnicodeDecodeError: "text that is not UTF-8",
    RecursionError: "values nested too deeply",
}


def describe_error(error: Exception) -> str:
    """Return the text of a decoding error, without bytes of a ``UnicodeDecodeError``."""
    if isinstance(error, (msgspec.MsgspecError, InvalidValueError)):
        return str(error)
    return _ERROR_TEXTS.get(type(error), type(error).__name__)


def explain(error: Exception) -> tuple[str, str]:
    """Return the reason of a decoding error and the value's path, '' for the row."""
    if isinstance(error, InvalidValueError):
        return error.reason, error.path
    reason, _, path = describe_error(error).partition(" - at `$")
    return reason, path.rstrip("`").removeprefix(".")


parse: Final = msgspec.json.Decoder(float_hook=NumberText).decode
"""Parse a JSON value; a number that is not an integer becomes a ``NumberText``.

Raises one of ``DECODING_ERRORS`` for bytes that are not JSON.
"""


def is_blank(value: Any) -> bool:
    """Return True for text that is empty or only whitespace."""
    return type(value) is str and not value.strip()


def as_id(value: Any) -> int | str:
    """Convert to an id; text stays text."""
    return value if type(value) is str else as_integer(value)


def as_integer(value: Any) -> int:
    """Convert to a 64-bit integer."""
    number = value if type(value) is int else _number(value, "an integer")
    if not _MIN_INTEGER <= number <= _MAX_INTEGER or int(number) != number:
        raise _invalid("a 64-bit integer", value)
    return int(number)


def as_money(value: Any) -> Decimal:
    """Convert to an exact amount."""
    if type(value) is Decimal and value.is_finite():
        try:
            return bounded_decimal(value)
        except ArithmeticError:
            value = NumberText(value)
    return _number(value, "a number")


def as_float(value: Any) -> float:
    """Convert to a finite float."""
    number = float(_number(value, "a number"))
    if math.isinf(number):
        raise _invalid("a number within the range of a float", value)
    return number


def as_text(value: Any) -> str:
    """Convert to text; a number becomes its text on the wire."""
    if isinstance(value, str) or type(value) is int:
        return str(value)
    raise _invalid("text", value)


def as_boolean(value: Any) -> bool:
    """Convert to a boolean."""
    if isinstance(value, bool):
        return value
    text = str(value).strip().lower() if type(value) in {str, int} else ""
    if text not in _BOOLEANS:
        raise _invalid("true or false", value)
    return _BOOLEANS[text]


def as_timestamp(value: Any) -> datetime:
    """Convert to a datetime, naive without a zone; a date becomes its midnight."""
    match = _TIMESTAMP.fullmatch(value.strip()) if type(value) is str else None
    if match is None:
        raise _invalid("an ISO 8601 timestamp", value)
    try:
        timestamp = datetime.fromisoformat(_normalize(match))
        if timestamp.tzinfo is not None:
            timestamp.astimezone(UTC)  # raises an OverflowError beyond the years 1 to 9999
    except (ValueError, OverflowError):
        raise _invalid("an existing timestamp within the years 1 to 9999 in UTC", value) from None
    return timestamp


def as_date(value: Any) -> date:
    """Convert to the day of a date or a timestamp, as it is on the wire."""
    return as_timestamp(value).date()


def as_time(value: Any) -> time:
    """Convert to a time of day, naive without a zone."""
    match = _TIME.fullmatch(value.strip()) if type(value) is str else None
    if match is None:
        raise _invalid("a time such as 10:30:00", value)
    text, fraction, zone = match.groups("")
    try:
        return time.fromisoformat(f"{text}{fraction and '.'}{fraction[:6]}{zone.upper()}")
    except ValueError:
        raise _invalid("an existing time", value) from None


def has_no_space(value: Any) -> bool:
    """Return True if a timestamp has no whitespace around it."""
    return bool(value == value.strip())


def is_day(value: Any) -> bool:
    """Return True if a date, or the timestamp in place of it, has no other time of day than midnight."""
    return has_no_space(value) and (len(value) <= len("2026-01-31") or as_timestamp(value).time() == time.min)


def is_usual_time(value: Any) -> bool:
    """Return True if a time has at most six decimal places, and no whitespace around it."""
    match = _TIME.fullmatch(value)
    return match is not None and len(match[2] or "") <= 6


def _normalize(match: re.Match[str]) -> str:
    clock = match["time"]
    if clock is None:
        return match["day"]
    if clock.startswith("24"):  # some releases of Python accept it as the next midnight
        raise ValueError
    fraction = f".{match['fraction'][:6]}" if match["fraction"] else ""
    return f"{match['day']}T{clock}{fraction}{(match['zone'] or '').upper()}"


def _number(value: Any, expected: str) -> Decimal:
    if type(value) is int:
        text = str(value) if abs(value) < 10**MAX_DIGITS else ""
    elif isinstance(value, str):
        text = value.strip() if value.isascii() else ""
    else:
        text = ""
    if not _NUMBER.fullmatch(text):
        raise _invalid(expected, value)
    try:
        return bounded_decimal(text)
    except ArithmeticError:
        raise _invalid(f"{expected} of at most {MAX_DIGITS} digits", value) from None


def _invalid(expected: str, value: Any) -> InvalidValueError:
    return InvalidValueError(f"expected {expected}, got {_quote(value)}")


def _quote(value: Any) -> str:  # noqa: PLR0911 (one for each kind)
    """Return a value as an error quotes it."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case list():
            return "a list"
        case dict():
            return "an object"
        case int() if abs(value) >= 10**40:
            return "an integer of more than 40 digits"
        case NumberText():
            return shorten(str(value))
        case _:
            return shorten(repr(value))


def shorten(text: str) -> str:
    """Return text as an error quotes it, at most 60 characters."""
    return text if len(text) <= 60 else f"{text[:57]}..."
