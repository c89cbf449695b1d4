"""The contract of values: which JSON a kind of field accepts, what it becomes, and what it refuses.

Every output obeys it: typed rows, deferred rows, Parquet, DuckDB, CSV, Arrow streams and syncs. A value is
exact, or repaired and counted, or refused together with its row.

========= ===============================================================================================
kind      accepts
========= ===============================================================================================
id        an integer of 64 bits, or text, which is never read as a number
integer   an integer of 64 bits, also written as ``7.0`` or in quotes
money     a finite number of at most 1000 digits and with an exponent within 1000, also in quotes
float     a finite number, also in quotes
timestamp an ISO 8601 date, with or without a time; digits beyond the microsecond are cut, and a timestamp
          without a zone stays without one; in UTC it lies within the years 1 to 9999
date      an ISO 8601 date, or the day of a timestamp as it is on the wire
text      text; a number becomes its digits
boolean   true, false, 1, 0, and ``"true"``, ``"false"``, ``"1"``, ``"0"``
list      an array whose items are accepted
object    an object whose fields are accepted; ``models.spelling`` matches its keys
========= ===============================================================================================

A nullable field accepts null. A nullable field that is not text, id or boolean takes empty text for null.

The functions here take a value as ``parse()`` returns it. Each returns the value of the field, and raises
``RefusedValueError`` if the contract has none.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import UTC, date, datetime
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

__all__ = [
    "MAX_DIGITS",
    "NumberText",
    "RefusedValueError",
    "any_decimal",
    "as_boolean",
    "as_date",
    "as_float",
    "as_id",
    "as_integer",
    "as_money",
    "as_text",
    "as_timestamp",
    "is_blank",
    "is_usual_date",
    "is_usual_timestamp",
    "parse",
    "sane_decimal",
]

MAX_DIGITS: Final = 1000
"""Of a number, and the largest exponent: no amount comes near it, and a larger one is costly to add to."""

sane_decimal: Final[Callable[[str], Decimal]] = Context(
    prec=MAX_DIGITS,
    Emin=-MAX_DIGITS,
    Emax=MAX_DIGITS,
    traps=[Clamped, Inexact, InvalidOperation, Overflow, Subnormal, Underflow],
).create_decimal
"""A number's text as a Decimal; raises an ``ArithmeticError`` beyond ``MOST_DIGITS``."""

any_decimal: Final[Callable[[str], Decimal]] = Context(
    prec=MAX_PREC, Emin=MIN_EMIN, Emax=MAX_EMAX
).create_decimal
"""A JSON number's text as a Decimal, of whatever size: for values of no declared kind."""

_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_TIMESTAMP: Final = re.compile(
    r"(?P<day>[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{8}(?=[Tt])|[0-9]{4}-?W[0-9]{2}-?[0-9])"
    r"(?:[Tt ](?P<time>[0-9]{2}(?::?[0-9]{2}(?::?[0-9]{2})?)?)(?:[.,](?P<fraction>[0-9]+))?"
    r" ?(?P<zone>[Zz]|[+-][0-9]{2}(?::?[0-9]{2})?)?)?"
)
_USUAL_TIMESTAMP: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?"
    r"(?:[Zz]|[+-][0-9]{2}:?[0-9]{2})?"
)
_USUAL_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_SMALLEST, _LARGEST = -(2**63), 2**63 - 1
_BOOLEANS: Final[dict[object, bool]] = {"true": True, "false": False, "1": True, "0": False}


class RefusedValueError(ValueError):
    """A value that its field does not accept.

    Attributes:
        reason: such as ``expected a number, got 'a lot'``.
        path: from the row to the field, such as ``lineItems[0].amount``.
    """

    def __init__(self, reason: str, path: str = "") -> None:
        super().__init__(f"{path}: {reason}" if path else reason)
        self.reason = reason
        self.path = path

    def within(self, step: str) -> RefusedValueError:
        """The same, seen from the object or list that holds the field."""
        joint = "" if not self.path or self.path.startswith("[") else "."
        return RefusedValueError(self.reason, f"{step}{joint}{self.path}")


class NumberText(str):
    """A JSON number as its text on the wire."""

    __slots__ = ()


_exact: Final = msgspec.json.Decoder(float_hook=NumberText)


def parse(token: bytes) -> Any:
    """A JSON value, in which a number that is not an integer is a ``NumberText``.

    Raises:
        msgspec.MsgspecError: it is not JSON. Everything in ``UNREADABLE`` is possible.
    """
    return _exact.decode(token)


def is_blank(value: Any) -> bool:
    """Whether a value is empty text."""
    return type(value) is str and not value.strip()


def as_id(value: Any) -> int | str:
    """An id; text stays text."""
    return value if type(value) is str else as_integer(value)


def as_integer(value: Any) -> int:
    """An integer of 64 bits."""
    number = value if type(value) is int else _number(value, "an integer")
    if not _SMALLEST <= number <= _LARGEST or int(number) != number:
        raise _refused("an integer of 64 bits", value)
    return int(number)


def as_money(value: Any) -> Decimal:
    """An exact amount."""
    if type(value) is Decimal and value.is_finite() and abs(value.adjusted()) <= MAX_DIGITS:
        return value
    return _number(value, "a number")


def as_float(value: Any) -> float:
    """A finite float."""
    number = float(_number(value, "a number"))
    if math.isinf(number):
        raise _refused("a number within the range of a float", value)
    return number


def as_text(value: Any) -> str:
    """Text, or the digits of a number."""
    if isinstance(value, str):
        return str(value)
    if type(value) is int:
        return str(value)
    raise _refused("text", value)


def as_boolean(value: Any) -> bool:
    """A boolean."""
    if isinstance(value, bool):
        return value
    text = str(value).strip().lower() if type(value) in {str, int} else ""
    if text not in _BOOLEANS:
        raise _refused("true or false", value)
    return _BOOLEANS[text]


def as_timestamp(value: Any) -> datetime:
    """A datetime, naive if the text has no zone. A date alone is its midnight."""
    found = _TIMESTAMP.fullmatch(value.strip()) if type(value) is str else None
    if found is None:
        raise _refused("an ISO 8601 timestamp", value)
    try:
        return _in_bounds(datetime.fromisoformat(_normal(found)))
    except (ValueError, OverflowError):
        raise _refused("a timestamp that exists, within the years 1 to 9999 in UTC", value) from None


def as_date(value: Any) -> date:
    """The day of a date or a timestamp, as it is on the wire."""
    return as_timestamp(value).date()


def is_usual_timestamp(value: Any) -> bool:
    """Whether a timestamp is written in the form of RFC 3339, with or without a zone."""
    return _USUAL_TIMESTAMP.fullmatch(value) is not None


def is_usual_date(value: Any) -> bool:
    """Whether a date is written as RFC 3339 has it."""
    return _USUAL_DATE.fullmatch(value) is not None


def _normal(found: re.Match[str]) -> str:
    time = found["time"]
    if time is None:
        return found["day"]
    if time.startswith("24"):  # some releases of Python take it for the next midnight
        raise ValueError
    fraction = f".{found['fraction'][:6]}" if found["fraction"] else ""
    return f"{found['day']}T{time}{fraction}{(found['zone'] or '').upper()}"


def _in_bounds(instant: datetime) -> datetime:
    if instant.tzinfo is not None:
        instant.astimezone(UTC)
    return instant


def _number(value: Any, expected: str) -> Decimal:
    if type(value) is int:
        text = str(value) if abs(value) < 10**MAX_DIGITS else ""
    elif isinstance(value, str):
        text = value.strip() if value.isascii() else ""
    else:
        text = ""
    if not _NUMBER.fullmatch(text):
        raise _refused(expected, value)
    try:
        return sane_decimal(text)
    except ArithmeticError:
        raise _refused(f"{expected} of at most {MAX_DIGITS} digits", value) from None


def _refused(expected: str, value: Any) -> RefusedValueError:
    return RefusedValueError(f"expected {expected}, got {_shown(value)}")


def _shown(value: Any) -> str:  # noqa: PLR0911 (one for each kind)
    """A value as an error quotes it."""
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
            return _short(str(value))
        case _:
            return _short(repr(value))


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."
