"""Rows that are odd but clear: a date without a time, a number in quotes, a yes as 1.

The slow way, taken only for a row that does not decode as it is. What could mean two things is left as it is,
and does not fit: a number where a date should be may count seconds, milliseconds or be a date's digits.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, cast

import msgspec
from msgspec import inspect

from aiwyn_async.models.spelling import key_like

__all__ = ["MOST_DIGITS", "repaired"]

MOST_DIGITS: Final = 1000
"""Digits before or after the point of a number that is taken for one; no amount has more."""

_exact: Final = msgspec.json.Decoder(float_hook=Decimal)


def repaired(row: bytes, row_type: Any) -> Any:
    """The row with each value brought to the form of its field, decoded.

    Raises:
        msgspec.MsgspecError: it still does not fit.
    """
    return msgspec.convert(_fitted(_exact.decode(row), inspect.type_info(row_type)), row_type)


def _fitted(value: Any, kind: inspect.Type) -> Any:
    match kind:
        case inspect.Metadata(type=inner):
            return _fitted(value, inner)
        case inspect.UnionType(types=types):
            return _fitted_to_one(value, types)
        case inspect.StructType(fields=fields) if isinstance(value, dict):
            wire = cast("dict[str, Any]", value)
            keys = {field.encode_name: key_like(field.encode_name, wire) for field in fields}
            return {
                field.encode_name: _fitted(wire[key], field.type)
                for field in fields
                if (key := keys[field.encode_name]) is not None
            }
        case inspect.VarTupleType(item_type=item_type) | inspect.ListType(item_type=item_type) if isinstance(
            value, list
        ):
            return [_fitted(item, item_type) for item in cast("list[object]", value)]
        case _:
            mend = _MENDS.get(type(kind))
            return value if mend is None else mend(value)


def _fitted_to_one(value: Any, types: tuple[inspect.Type, ...]) -> Any:
    """The value as it is when a member of the union takes it so, else as the first that takes it mended."""
    if value is None or any(isinstance(value, _TAKEN.get(type(one), ())) for one in types):
        return value
    for one in types:
        fitted = _fitted(value, one)
        if fitted is not value:
            return fitted
    return value


def _as_int(value: Any) -> Any:
    if isinstance(value, str):
        number = _as_decimal(value)
        return _as_int(number) if isinstance(number, Decimal) else value
    if isinstance(value, Decimal) and _is_sane(value) and value == value.to_integral_value():
        return int(value)
    return value


def _as_float(value: Any) -> Any:
    number = _as_decimal(value)
    return float(number) if isinstance(number, (int, Decimal)) and not isinstance(number, bool) else value


def _as_decimal(value: Any) -> Any:
    if isinstance(value, str):
        try:
            number = Decimal(value.strip())
        except ArithmeticError:
            return value
        return number if number.is_finite() and _is_sane(number) else value
    return value


def _as_str(value: Any) -> Any:
    return str(value) if isinstance(value, (int, Decimal)) and not isinstance(value, bool) else value


def _as_bool(value: Any) -> Any:
    return _BOOLS.get(value.lower() if isinstance(value, str) else value) if _is_plain(value) else value


def _is_plain(value: Any) -> bool:
    return isinstance(value, (str, int)) and (value.lower() if isinstance(value, str) else value) in _BOOLS


def _as_datetime(value: Any) -> Any:
    """ISO 8601 in any of its forms; a date alone is its midnight, naive as it came."""
    # Digits alone could be a count of seconds as well.
    if isinstance(value, str) and not value.strip().isdigit():
        try:
            return datetime.fromisoformat(value.strip())
        except ValueError:
            return value
    return value


def _as_date(value: Any) -> Any:
    """The day of a date or a time."""
    found = _as_datetime(value)
    return found.date() if isinstance(found, datetime) else value


def _is_sane(number: Decimal) -> bool:
    return abs(number.adjusted()) <= MOST_DIGITS


_BOOLS: Final[dict[object, bool]] = {
    "true": True,
    "false": False,
    "1": True,
    "0": False,
    1: True,
    0: False,
}
_MENDS: Final[dict[type[inspect.Type], Callable[[Any], Any]]] = {
    inspect.IntType: _as_int,
    inspect.FloatType: _as_float,
    inspect.DecimalType: _as_decimal,
    inspect.StrType: _as_str,
    inspect.BoolType: _as_bool,
    inspect.DateTimeType: _as_datetime,
    inspect.DateType: _as_date,
}
_TAKEN: Final[dict[type[inspect.Type], tuple[type, ...]]] = {
    inspect.IntType: (int,),
    inspect.FloatType: (Decimal, int),
    inspect.DecimalType: (Decimal, int),
    inspect.StrType: (str,),
    inspect.BoolType: (bool,),
    inspect.AnyType: (object,),
}
