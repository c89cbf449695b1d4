"""Rows that are odd but clear: a date without a time, a number in quotes, a yes as 1.

The slow way, taken only for a row that does not decode as it is.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import msgspec
from msgspec import inspect

__all__ = ["repaired"]

_exact: Final = msgspec.json.Decoder(float_hook=Decimal)


def repaired(row: bytes, row_type: type[Any]) -> Any:
    """The row with each value brought to the form of its field, decoded.

    Raises:
        msgspec.MsgspecError: it still does not fit.
    """
    fitted = _fitted(_exact.decode(row), inspect.type_info(row_type))
    return msgspec.convert(fitted, row_type, strict=False)


def _fitted(value: Any, kind: inspect.Type) -> Any:
    match kind:
        case inspect.UnionType(types=types):
            for member in types:
                value = _fitted(value, member)
            return value
        case inspect.StructType(fields=fields) if isinstance(value, dict):
            kinds = {field.encode_name: field.type for field in fields}
            return {key: _fitted(item, kinds[key]) for key, item in value.items() if key in kinds}
        case inspect.VarTupleType(item_type=item_type) | inspect.ListType(item_type=item_type) if isinstance(
            value, list
        ):
            return [_fitted(item, item_type) for item in value]
        case inspect.DateTimeType() if isinstance(value, str):
            return _as_datetime(value)
        case inspect.StrType() if isinstance(value, (int, Decimal)):
            return str(value)
        case _:
            return value


def _as_datetime(text: str) -> Any:
    """ISO 8601 in any of its forms; a date alone is its midnight, naive as it came."""
    try:
        return datetime.fromisoformat(text.strip())
    except ValueError:
        return text
