"""Values between the wire and SQL: money as exact integers, dates as instants."""

import datetime as dt
import math
from decimal import Decimal, InvalidOperation

from .declare import Column, Kind, SqlValue

__all__ = [
    "BadRequestError",
    "SqlValue",
    "decimal_bounds",
    "instant_text",
    "instant_us",
    "plain_value",
    "row_value",
    "to_decimal",
]

_UNIX_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND = dt.timedelta(microseconds=1)
_LARGEST = 2**62
"""Operands beyond it are pulled in: no stored value comes near, and SQLite takes no integer above 2**63."""


class BadRequestError(Exception):
    """The request is refused with a 400.

    Args:
        message: What is wrong, naming the field.
        code: The code in the error body's `extensions`.
    """

    def __init__(self, message: str, code: str = "validation-failed") -> None:
        super().__init__(message)
        self.message = message
        self.code = code


def instant_us(value: object, name: str) -> int:
    """UTC epoch microseconds of an ISO text in any of the API's four forms; no zone means UTC.

    Raises:
        BadRequestError: `value` is no such text.
    """
    if not isinstance(value, str):
        raise BadRequestError(f"{name}: expected an ISO date-time as a string")
    try:
        moment = dt.datetime.fromisoformat(value)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=dt.UTC)
        return (moment - _UNIX_EPOCH) // _MICROSECOND
    except (ValueError, OverflowError):
        raise BadRequestError(f"{name}: {value[:40]!r} is not an ISO date-time") from None


def instant_text(microseconds: int) -> str:
    """The `+00:00` form of an instant, with its microseconds."""
    moment = _UNIX_EPOCH + dt.timedelta(microseconds=microseconds)
    return moment.isoformat(timespec="microseconds")


def to_decimal(value: object, name: str) -> Decimal:
    """The exact value of a JSON number or numeric string.

    Raises:
        BadRequestError: `value` is neither, or is not finite.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        raise BadRequestError(f"{name}: expected a number")
    try:
        # The shortest text of a float is what the client wrote, to 15 digits.
        number = Decimal(repr(value) if isinstance(value, float) else value)
    except InvalidOperation:
        raise BadRequestError(f"{name}: {str(value)[:40]!r} is not a number") from None
    if not number.is_finite():
        raise BadRequestError(f"{name}: expected a finite number")
    return number


def decimal_bounds(value: object, name: str, scale: int) -> float | int:
    """A decimal operand in units of `10**-scale`, as something SQLite compares exactly with integers.

    What falls between two units becomes the half between them: it equals no stored value and keeps the order.
    """
    number = to_decimal(value, name)
    if number and number.adjusted() > 18:
        return int(math.copysign(_LARGEST, number))
    units = number.scaleb(scale)
    whole = math.floor(units)
    if abs(whole) >= _LARGEST:
        return int(math.copysign(_LARGEST, whole))
    return whole if units == whole else whole + 0.5


def row_value(column: Column, value: object) -> SqlValue:
    """The SQL value of a row's field.

    Raises:
        BadRequestError: The value does not fit the column.
    """
    if value is None:
        if not column.nullable:
            raise BadRequestError(f"{column.wire}: may not be null")
        return None
    if column.kind is Kind.DECIMAL:
        units = decimal_bounds(value, column.wire, column.scale)
        if isinstance(units, float):
            raise BadRequestError(f"{column.wire}: at most {column.scale} decimals")
        return units
    if column.kind is Kind.INSTANT:
        return instant_us(value, column.wire)
    return plain_value(column.kind, value, column.wire)


def plain_value(kind: Kind, value: object, name: str) -> SqlValue:
    """A boolean, text or integer as SQL has it; an integer beyond what SQLite takes is pulled in.

    Raises:
        BadRequestError: `value` is of another type.
    """
    if isinstance(value, bool):
        if kind is Kind.BOOLEAN:
            return int(value)
    elif isinstance(value, int):
        if kind is Kind.INTEGER:
            return max(-_LARGEST, min(value, _LARGEST))
    elif isinstance(value, str) and kind is Kind.TEXT:
        return value
    raise BadRequestError(f"{name}: expected {kind}")
