"""JSON values as SQL: money as exact integers, dates as instants, as in Postgres."""

import calendar
import datetime as dt
import math
import re
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation

from aiwyn_async.sandbox._data.errors import BadRequestError
from aiwyn_async.sandbox._declarations.declarations import Column, DateForm, Kind, SqlValue

_UNIX_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MAX_INTEGER = 2**62
"""Larger operands are clamped to it; no stored value is that large, and SQLite ends at 2**63."""
_NUMBER = re.compile(r"\s*[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\s*", re.ASCII)
_MINUS = r"(?(gap)-|(?(H)-|(?(fb)-|(?(Hb)-(?!\d\d?:)|(?!)))))"
"""The minus of an offset; after digits without a separator, Postgres takes it for a part of a date."""
_INSTANT = re.compile(
    r"\s*(?:(?P<y>\d{3,6})-(?P<m>\d\d?)-(?P<d>\d\d?)|(?P<yb>\d{4})(?P<mb>\d\d)(?P<db>\d\d))"
    r"(?:[Tt ]\s*(?:(?P<H>\d\d?):(?P<M>\d\d?)(?::(?P<S>\d\d?)(?P<f>\.\d*)?)?"
    r"|(?P<Hb>\d\d)(?P<Mb>\d\d)(?P<Sb>\d\d)(?P<fb>\.\d+)?))?"
    r"(?P<gap>\s+)?"
    rf"(?P<zone>(?i:z|utc|gmt|zulu)(?![a-z])|(?P<sign>\+|{_MINUS})(?P<zh>\d\d?)(?::?(?P<zm>\d\d)(?::(?P<zs>\d\d))?)?)?"
    r"\s*(?:(?<![a-zA-Z])(?i:(?P<bc>bc)|ad))?\s*",
    re.ASCII,
)
_SPECIAL_INSTANTS = {"epoch": 0, "infinity": _MAX_INTEGER, "-infinity": -_MAX_INTEGER}
_DAY_SECONDS = 86_400
_MAX_YEAR = 294_276
_FIRST_DAY = (-4713, 11, 24)
_MAX_OFFSET_SECONDS = 16 * 3600


def instant_us(value: object, name: str, form: DateForm = DateForm.ZULU) -> int:
    """Return the UTC epoch microseconds of a timestamp, parsed as Postgres does.

    It is an ISO date or date-time, UTC unless it has an offset, and may end in ``BC`` or ``AD``; or it is
    ``epoch``, ``infinity`` or ``-infinity``. A column whose form has no zone is a ``timestamp`` of Postgres,
    which ignores the offset of an operand; a ``date`` ignores the time as well. ``name`` is that of the value
    in errors.
    """
    if not isinstance(value, str):
        raise BadRequestError(f"{name}: expected an ISO date-time as a string")
    if (special := _SPECIAL_INSTANTS.get(value.strip().lower())) is not None:
        return special
    match = _INSTANT.fullmatch(value)
    if match is None:
        raise BadRequestError(f"{name}: {value[:40]!r} is not an ISO date-time")
    parts = {key: text for key, text in match.groupdict().items() if text is not None}
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
    """Return the days since 1970, or None if the calendar has no such day."""
    year, month, day = _number(parts, "y", "yb"), _number(parts, "m", "mb"), _number(parts, "d", "db")
    if not (1 <= year <= _MAX_YEAR and 1 <= month <= 12):
        return None
    if "bc" in parts:
        year = 1 - year  # 1 BC is the year before AD 1
    if (year, month, day) < _FIRST_DAY:
        return None
    # The calendar repeats every 400 years; that of Python ends with the year 9999.
    cycles, within = divmod(year - 1, 400)
    if not 1 <= day <= calendar.monthrange(within + 1, month)[1]:
        return None
    return dt.date(within + 1, month, day).toordinal() + cycles * 146_097 - _UNIX_EPOCH.toordinal()


def _time_us(parts: dict[str, str]) -> int | None:
    """Return microseconds since midnight, or None; 24:00:00 and second 60 are valid."""
    hour, minute, second = _number(parts, "H", "Hb"), _number(parts, "M", "Mb"), _number(parts, "S", "Sb")
    fraction = Decimal(f"0{parts.get('f', parts.get('fb', '.'))}0").quantize(
        Decimal("0.000001"), rounding=ROUND_HALF_EVEN
    )
    total = (hour * 3600 + minute * 60 + second) * 1_000_000 + int(fraction * 1_000_000)
    if minute > 59 or second > 60 or total > _DAY_SECONDS * 1_000_000:
        return None
    return total


def _offset(parts: dict[str, str]) -> int | None:
    """Return the seconds east of UTC, or None if Postgres rejects the offset."""
    minutes, seconds = _number(parts, "zm"), _number(parts, "zs")
    total = _number(parts, "zh") * 3600 + minutes * 60 + seconds
    if minutes > 59 or seconds > 59 or total >= _MAX_OFFSET_SECONDS:
        return None
    return -total if parts.get("sign") == "-" else total


def to_decimal(value: object, name: str) -> Decimal:
    """Return the exact value of a finite JSON number or numeric string."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        raise BadRequestError(f"{name}: expected a number")
    if (
        isinstance(value, str)
        and _NUMBER.fullmatch(value) is None
        and value.lower() not in {"nan", "infinity"}
    ):
        # Decimal accepts underscores and digits of other scripts.
        raise BadRequestError(f"{name}: {value[:40]!r} is not a number")
    try:
        # repr() returns what the client wrote, up to 15 digits.
        number = Decimal(repr(value) if isinstance(value, float) else value)
    except InvalidOperation:
        raise BadRequestError(f"{name}: {str(value)[:40]!r} is not a number") from None
    if not number.is_finite():
        raise BadRequestError(f"{name}: expected a finite number")
    return number


def decimal_bounds(value: object, name: str, scale: int) -> float | int:
    """Return a decimal operand in units of ``10**-scale``, comparable with integers.

    A value between two units becomes the half between them: it equals no stored value and sorts correctly.
    """
    number = to_decimal(value, name)
    if number and number.adjusted() > 18:
        return int(math.copysign(_MAX_INTEGER, number))
    units = number.scaleb(scale)
    whole = math.floor(units)
    if abs(whole) >= _MAX_INTEGER:
        return int(math.copysign(_MAX_INTEGER, whole))
    return whole if units == whole else whole + 0.5


def row_value(column: Column, value: object) -> SqlValue:
    """Return the SQL value of a field, or raise BadRequestError."""
    if value is None:
        if not column.nullable:
            raise BadRequestError(f"{column.wire}: may not be null")
        return None
    converted = operand_value(column, value, column.wire)
    if isinstance(converted, float):
        raise BadRequestError(f"{column.wire}: at most {column.scale} decimals")
    if isinstance(converted, int) and abs(converted) >= _MAX_INTEGER:  # an operand that was clamped
        raise BadRequestError(f"{column.wire}: {str(value)[:40]!r} is out of range")
    return converted


def whole_number(value: object) -> int | None:
    """Return the integer of a JSON number as 5 or 5.0, clamped to 2**62, or None."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return max(-_MAX_INTEGER, min(value, _MAX_INTEGER))
    if not isinstance(value, float | Decimal):
        return None
    number = Decimal(value)
    if not number.is_finite():
        return None
    if number and number.adjusted() > 18:
        return int(math.copysign(_MAX_INTEGER, number))
    return int(number) if number == number.to_integral_value() else None


def operand_value(column: Column, value: object, name: str) -> SqlValue:
    """Return the SQL value that a column is compared with; large ones are clamped."""
    match column.kind:
        case Kind.DECIMAL:
            return decimal_bounds(value, name, column.scale)
        case Kind.INSTANT:
            return instant_us(value, name, column.form)
        case Kind.BOOLEAN if isinstance(value, bool):
            return int(value)
        case Kind.INTEGER if (number := whole_number(value)) is not None:
            return number
        case Kind.TEXT if isinstance(value, str):
            return value
        case _:
            raise BadRequestError(f"{name}: expected {column.kind}")
