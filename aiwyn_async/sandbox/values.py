"""Values between the wire and SQL: money as exact integers, dates as instants, both read as Postgres does."""

import calendar
import datetime as dt
import math
import re
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation

from .declare import Column, DateForm, Kind, SqlValue

__all__ = [
    "BadRequestError",
    "SqlValue",
    "decimal_bounds",
    "instant_text",
    "instant_us",
    "plain_value",
    "row_value",
    "to_decimal",
    "whole_number",
]

_UNIX_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND = dt.timedelta(microseconds=1)
_LARGEST = 2**62
"""Operands beyond it are pulled in: no stored value comes near, and SQLite takes no integer above 2**63."""
_NUMBER = re.compile(r"\s*[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\s*", re.ASCII)
_INSTANT = re.compile(
    r"\s*(?:(?P<y>\d{3,6})-(?P<m>\d\d?)-(?P<d>\d\d?)|(?P<yb>\d{4})(?P<mb>\d\d)(?P<db>\d\d))"
    r"(?:[Tt ]\s*(?:(?P<H>\d\d?):(?P<M>\d\d?)(?::(?P<S>\d\d?)(?P<f>\.\d*)?)?"
    r"|(?P<Hb>\d\d)(?P<Mb>\d\d)(?P<Sb>\d\d)(?P<fb>\.\d*)?))?"
    r"\s*(?P<zone>[zZ]|UTC|GMT|(?P<sign>[+-])(?P<zh>\d\d?)(?::?(?P<zm>\d\d)(?::(?P<zs>\d\d))?)?)?\s*",
    re.ASCII,
)
_SPECIAL_INSTANTS = {"epoch": 0, "infinity": _LARGEST, "-infinity": -_LARGEST}
_DAY_SECONDS = 86_400
_LAST_YEAR = 294_276
_FARTHEST_ZONE = 16 * 3600


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


def instant_us(value: object, name: str, form: DateForm = DateForm.ZULU) -> int:
    """UTC epoch microseconds of a timestamp, as Postgres reads its text.

    Args:
        value: An ISO date or date-time, UTC unless it has an offset, or `epoch`, `infinity`, `-infinity`.
        name: What an error calls it.
        form: How the column shows its values. A column without a zone is a `timestamp` of Postgres, which
            ignores the offset of an operand; one of dates is a `date`, which ignores the time as well.

    Raises:
        BadRequestError: `value` is no such text.
    """
    if not isinstance(value, str):
        raise BadRequestError(f"{name}: expected an ISO date-time as a string")
    if (special := _SPECIAL_INSTANTS.get(value.strip().lower())) is not None:
        return special
    found = _INSTANT.fullmatch(value)
    if found is None:
        raise BadRequestError(f"{name}: {value[:40]!r} is not an ISO date-time")
    parts = {key: text for key, text in found.groupdict().items() if text is not None}
    day, time, offset = _day(parts), _time_us(parts), _offset(parts)
    if day is None or time is None or offset is None:
        raise BadRequestError(f"{name}: {value[:40]!r} is out of range")
    if form is DateForm.DATE:
        time = 0
    if form in {DateForm.DATE, DateForm.NAIVE}:
        offset = 0
    return (day * _DAY_SECONDS - offset) * 1_000_000 + time


def _number(parts: dict[str, str], *names: str) -> int:
    return next((int(parts[name]) for name in names if name in parts), 0)


def _day(parts: dict[str, str]) -> int | None:
    """Days since 1970, or None for a day that the calendar does not have."""
    year, month, day = _number(parts, "y", "yb"), _number(parts, "m", "mb"), _number(parts, "d", "db")
    if not (1 <= year <= _LAST_YEAR and 1 <= month <= 12):
        return None
    # The calendar repeats every 400 years, and Python's ends with year 9999.
    cycles, within = divmod(year - 1, 400)
    if not 1 <= day <= calendar.monthrange(within + 1, month)[1]:
        return None
    return dt.date(within + 1, month, day).toordinal() + cycles * 146_097 - _UNIX_EPOCH.toordinal()


def _time_us(parts: dict[str, str]) -> int | None:
    """Microseconds since midnight, or None. 24:00:00 is the next day's, a 60th second the next minute's."""
    hour, minute, second = _number(parts, "H", "Hb"), _number(parts, "M", "Mb"), _number(parts, "S", "Sb")
    fraction = Decimal(f"0{parts.get('f', parts.get('fb', '.'))}0").quantize(
        Decimal("0.000001"), rounding=ROUND_HALF_EVEN
    )
    total = (hour * 3600 + minute * 60 + second) * 1_000_000 + int(fraction * 1_000_000)
    if minute > 59 or second > 60 or total > _DAY_SECONDS * 1_000_000:
        return None
    return total


def _offset(parts: dict[str, str]) -> int | None:
    """Seconds east of UTC, or None for more than Postgres takes."""
    minutes, seconds = _number(parts, "zm"), _number(parts, "zs")
    total = _number(parts, "zh") * 3600 + minutes * 60 + seconds
    if minutes > 59 or seconds > 59 or total >= _FARTHEST_ZONE:
        return None
    return -total if parts.get("sign") == "-" else total


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
    if (
        isinstance(value, str)
        and _NUMBER.fullmatch(value) is None
        and value.lower() not in {"nan", "infinity"}
    ):
        # Python takes underscores and digits of other scripts.
        raise BadRequestError(f"{name}: {value[:40]!r} is not a number")
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
        return instant_us(value, column.wire, column.form)
    return plain_value(column.kind, value, column.wire)


def whole_number(value: object) -> int | None:
    """The integer that a JSON number is, written 5 or 5.0, or None. One beyond 2**62 becomes 2**62."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return max(-_LARGEST, min(value, _LARGEST))
    if not isinstance(value, float | Decimal):
        return None
    number = Decimal(value)
    if not number.is_finite():
        return None
    if number and number.adjusted() > 18:
        return int(math.copysign(_LARGEST, number))
    return int(number) if number == number.to_integral_value() else None


def plain_value(kind: Kind, value: object, name: str) -> SqlValue:
    """A boolean, text or integer as SQL has it; an integer beyond what SQLite takes is pulled in.

    Raises:
        BadRequestError: `value` is of another type.
    """
    if isinstance(value, bool):
        if kind is Kind.BOOLEAN:
            return int(value)
    elif (number := whole_number(value)) is not None:
        if kind is Kind.INTEGER:
            return number
    elif isinstance(value, str) and kind is Kind.TEXT:
        return value
    raise BadRequestError(f"{name}: expected {kind}")
