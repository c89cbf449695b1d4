"""Convert values of rows for Arrow; refuse a row with a value that does not fit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any, Final

import msgspec
from msgspec import inspect

from aiwyn_async._decoding.values import InvalidValueError, shorten, unbounded_decimal
from aiwyn_async.arrow._options import ColumnOptions
from aiwyn_async.arrow._schema import ID, WHOLE_OR_FRACTION, members_of
from aiwyn_async.models.base import NOT_MONEY

PLACES: Final = 9
LARGEST: Final = 10**29
"""An amount below this fits ``decimal128(38, 9)``."""
_exact: Final = Context(prec=1100)

Convert = Callable[[Any, str], Any]
"""Converts a value other than null, with the path of its field, for ``pa.array()``."""


class Cells:
    """Converts rows of one type.

    Attributes:
        text_ids: paths of id fields with a text value, so that all their values become text.
        rounded: the number of rounded amounts.
    """

    def __init__(self, kinds: Mapping[str, inspect.Type], options: ColumnOptions) -> None:
        self._options = options
        self._converters = {
            name: self._to_day if name in options.date_columns else self._converter(kind, name)
            for name, kind in kinds.items()
        }
        self.text_ids: set[str] = set()
        self.rounded = 0

    def convert(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Convert the values of a row, by column.

        Raises:
            InvalidValueError: a column cannot hold a value exactly.
        """
        return {name: _or_none(convert, values[name], name) for name, convert in self._converters.items()}

    def _converter(self, kind: inspect.Type, path: str) -> Convert:  # noqa: PLR0911 (one for each kind)
        match kind:
            case inspect.Metadata(type=inner):
                annotated: Any = kind
                return self._to_measure if annotated.extra == NOT_MONEY else self._converter(inner, path)
            case inspect.UnionType(types=types):
                members = members_of(kind)
                kinds = {type(member) for member in members}
                if kinds == ID:
                    return self._to_id
                if kinds == WHOLE_OR_FRACTION:
                    return lambda value, at: self._to_amount(Decimal(value), at)
                member = next(each for each in types if not isinstance(each, inspect.NoneType))
                return self._converter(member, path)
            case inspect.StructType(fields=fields):
                converters = [
                    (
                        field.encode_name,
                        field.name,
                        self._converter(field.type, f"{path}.{field.encode_name}"),
                    )
                    for field in fields
                ]
                return lambda value, at: {
                    name: _or_none(convert, getattr(value, attribute), f"{at}.{name}")
                    for name, attribute, convert in converters
                }
            case inspect.VarTupleType(item_type=item) | inspect.ListType(item_type=item):
                convert = self._converter(item, path)
                return lambda values, at: [_or_none(convert, value, at) for value in values]
            case inspect.DecimalType():
                return self._to_amount
            case inspect.IntType():
                return lambda value, _: value
            case _:
                return _add_zone

    def _to_id(self, value: int | str, path: str) -> int | str:
        if type(value) is str:
            self.text_ids.add(path)
            return value
        return str(value) if path in self.text_ids or self._options.ids == "text" else value

    def _to_amount(self, value: Decimal, path: str) -> Decimal:
        return self._to_decimal(value, path, self._options.round_money)

    def _to_measure(self, value: Decimal, path: str) -> Decimal:
        return self._to_decimal(value, path, None if self._options.round_money is None else PLACES)

    def _to_decimal(self, value: Decimal, path: str, places: int | None) -> Decimal:
        if places is not None:
            rounded = value.quantize(Decimal(1).scaleb(-places), ROUND_HALF_EVEN, _exact)
            self.rounded += rounded != value
            value = rounded
        billionths = value.scaleb(PLACES, _exact)
        is_too_large = value.copy_abs() >= LARGEST
        if is_too_large or billionths != billionths.to_integral_value():
            raise InvalidValueError(
                f"a column has 29 digits before the point and {PLACES} after it, got {shorten(str(value))}"
                + ("" if is_too_large else f"; pass round_money={PLACES} to round it"),
                path,
            )
        return unbounded_decimal(format(billionths.to_integral_value(), "f")).scaleb(-PLACES, _exact)

    def _to_day(self, value: datetime | date, path: str) -> date:  # noqa: ARG002 (the signature of all converters)
        return value.date() if isinstance(value, datetime) else value


def _or_none(convert: Convert, value: Any, path: str) -> Any:
    return None if value is None or value is msgspec.UNSET else convert(value, path)


def _add_zone(value: Any, _path: str) -> Any:
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) and value.tzinfo is None else value
