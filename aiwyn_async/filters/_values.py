"""Python values and names as they are sent in JSON."""

import functools
import re
import unicodedata
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from math import isfinite
from numbers import Integral, Real
from typing import Final, TypeAlias, cast
from uuid import UUID

from aiwyn_async._core.checks import as_whole
from aiwyn_async.errors import ConfigurationError

Scalar: TypeAlias = bool | int | float | Decimal | str
JSON: TypeAlias = "Scalar | list[JSON] | dict[str, JSON] | None"
"""Encode it with msgspec's ``decimal_format="number"``: Decimals stay Decimals."""
Value: TypeAlias = str | int | float | Decimal | date | UUID | Enum
"""A value to compare a column with; bool is an int, and datetime is a date."""

# Before or after the point: written out, Decimal("1E+999999") would be a megabyte.
_MAX_DIGITS: Final = 100
_CONTROL_CATEGORIES: Final = {"Cc", "Cs"}


class _ColumnNameError(ConfigurationError, AttributeError):
    """Also an AttributeError, as ``hasattr``, ``copy`` and notebooks expect."""


def encode_scalar(value: object, at: str) -> Scalar:  # noqa: C901 - one case per type of value
    """Return a value as a JSON scalar; ``at`` is its location for the error message."""
    encoded: Scalar
    match value:
        case Enum():
            encoded = encode_scalar(value.value, at)
        case bool():
            encoded = value
        case str():
            encoded = _encode_str(value, at)
        case int() | float() | Decimal():
            encoded = _encode_number(value, at)
        case datetime():
            encoded = encode_datetime(value, at)
        case date():
            encoded = value.isoformat()
        case Integral() if (number := as_whole(value)) is not None:
            encoded = _encode_number(number, at)
        case Real() if not (_is_array(value) or isinstance(value, Integral)):
            encoded = _encode_number(float(value), at)
        case UUID():
            encoded = str(value)
        case None:
            raise ConfigurationError(f'{at}: cannot compare with None; use is_null() or {{"_is_null": true}}')
        case _:
            raise ConfigurationError(
                f"{at}: expected a str, number, bool, date, datetime, UUID or Enum, got {describe(value)}"
            )
    return encoded


def _encode_str(value: str, at: str) -> str:
    if not value.isascii() and any("\ud800" <= letter <= "\udfff" for letter in value):
        raise ConfigurationError(f"{at}: a lone surrogate cannot be encoded as UTF-8; decode the text again")
    return str.__str__(value)


def _encode_number(value: float | Decimal, at: str) -> int | float | Decimal:
    if isinstance(value, int):
        # Python's own limit is far higher; no column holds an int of this size.
        if abs(value) >= 10**_MAX_DIGITS:
            raise ConfigurationError(f"{at}: int of more than {_MAX_DIGITS} digits; pass a smaller one")
        return int(value)
    if not is_finite(value):
        raise ConfigurationError(f"{at}: NaN and infinity have no JSON form; pass a finite number")
    if isinstance(value, float):
        return float(value)
    exponent = cast("int", value.as_tuple().exponent)
    if max(abs(exponent), abs(value.adjusted())) > _MAX_DIGITS:
        raise ConfigurationError(f"{at}: Decimal beyond 1E±{_MAX_DIGITS}; round it")
    return Decimal(format(value, "f"))


def is_finite(number: float | Decimal) -> bool:
    """Return whether a number is neither infinite nor NaN."""
    # A Decimal may be too large for a float, and a signaling NaN cannot be converted.
    return number.is_finite() if isinstance(number, Decimal) else isfinite(number)


def _is_array(value: object) -> bool:
    return bool(getattr(value, "shape", ()))


def encode_datetime(value: datetime, at: str) -> str:
    """Return an aware datetime in UTC with ``Z``, and a naive one without a zone.

    The conversion is needed because columns without a zone discard the offset.

    Raises:
        ConfigurationError: The value is ``NaT``, or outside the years 1 to 9999 in UTC.
    """
    if value != value:  # noqa: PLR0124 - pandas.NaT is a datetime and, like NaN, not equal to itself
        raise ConfigurationError(f"{at}: not a time (NaT); leave it out, or pass a datetime")
    try:
        if value.utcoffset() is None:
            return value.isoformat()
        return value.astimezone(UTC).isoformat().removesuffix("+00:00") + "Z"
    except (OverflowError, ValueError):
        raise ConfigurationError(f"{at}: the time is outside the years 1 to 9999 in UTC") from None


def parse_iso(text: str) -> datetime:
    """Parse ISO 8601 text, also with a small z, which RFC 3339 allows and some releases of Python refuse.

    Raises:
        ValueError: The text is not ISO 8601.
    """
    return datetime.fromisoformat(f"{text[:-1]}Z" if text.endswith("z") else text)


def normalize_timestamp(text: str, at: str) -> str:
    """Return ISO 8601 text with an offset in UTC; any other text is unchanged.

    Raises:
        ValueError: The text is not ISO 8601.
        ConfigurationError: The time is outside the years 1 to 9999 in UTC.
    """
    timestamp = parse_iso(text)
    return encode_datetime(timestamp, at) if timestamp.utcoffset() else text


def to_snake_case(name: str) -> str:
    """Return ``due_date`` for ``dueDate``."""
    return re.sub(r"(?<!^)([A-Z])", r"_\1", name).lower()


@functools.lru_cache(maxsize=1024)
def to_camel_case(name: str, at: str) -> str:
    """Return ``dueDate`` for ``due_date``, after the check of the name."""
    first, *others = check_column_name(name, at).split("_")
    return first + "".join(other[:1].upper() + other[1:] for other in others)


def check_column_name(name: object, at: str) -> str:
    """Return the name if it can be a column's, which an operator's cannot."""
    key = check_key(name, at)
    if key.startswith("_"):
        raise _ColumnNameError(
            f"{at}: {describe(name)} is not a column name; a leading underscore marks an operator"
        )
    return key


def check_key(key: object, at: str) -> str:
    """Return the key if it is printable text."""
    if not isinstance(key, str):
        raise ConfigurationError(f"{at}: expected a str as the key, got {describe(key)}")
    if not key or not (key.isprintable() or _CONTROL_CATEGORIES.isdisjoint(map(unicodedata.category, key))):
        raise ConfigurationError(
            f"{at}: {describe(key)} is empty or contains control characters; use a plain name"
        )
    return str.__str__(key)


def check_list(value: object, at: str) -> list[object]:
    """Return the value if it is a list."""
    if not isinstance(value, list):
        raise ConfigurationError(f"{at}: expected a list, got {describe(value)}")
    return cast("list[object]", value)


def describe(value: object) -> str:
    """Return the type of a wrong argument, or the start of misspelt text."""
    if isinstance(value, str):
        return repr(value if len(value) <= 40 else value[:40] + "...")
    if value is None:
        return "None"
    kind: type[object] = type(value)
    # "got bool" would not help if the value is a numpy.bool.
    return f"{'numpy.' if kind.__module__ == 'numpy' else ''}{kind.__name__}"
