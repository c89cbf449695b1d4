"""Values of decoded rows as Arrow takes them: what a column cannot hold exactly refuses its row."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any, Final

import msgspec
from msgspec import inspect

from aiwyn_async._decoding.checked_types import is_checkable
from aiwyn_async._decoding.values import InvalidValueError, unbounded_decimal
from aiwyn_async.arrow._options import ColumnOptions

__all__ = ["Cells"]

PLACES: Final = 9
LARGEST: Final = 10**29
"""An amount below this fits ``decimal128(38, 9)``."""
_exact: Final = Context(prec=1100)

Make = Callable[[Any, str], Any]
"""From a value and the path to its field to what ``pa.array()`` takes."""


class Cells:
    """The columns of rows of one type.

    Args:
        kinds: of the columns, by their wire names.
        options: how values become columns.

    Attributes:
        text_ids: paths to the fields of ids of which one was text, so that all become text.
        rounded: amounts that were rounded.
    """

    def __init__(self, kinds: Mapping[str, inspect.Type], options: ColumnOptions) -> None:
        self._options = options
        self._make = {
            name: self._day if name in options.date_columns else self._maker(kind, name)
            for name, kind in kinds.items()
        }
        self.text_ids: set[str] = set()
        self.rounded = 0

    def of(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The cells of a row, by column.

        Raises:
            InvalidValueError: a column cannot hold a value exactly.
        """
        return {name: _or_none(make, values[name], name) for name, make in self._make.items()}

    def _maker(self, kind: inspect.Type, path: str) -> Make:  # noqa: PLR0911 (one for each kind)
        match kind:
            case inspect.Metadata(type=inner):
                return self._maker(inner, path)
            case inspect.UnionType(types=types):
                members = [each for each in types if not isinstance(each, inspect.NoneType)]
                if {type(member) for member in members} >= {inspect.IntType, inspect.StrType}:
                    return _nullable(self._id)
                return _nullable(self._maker(members[0], path))
            case inspect.StructType(cls=cls, fields=fields) if is_checkable(cls):
                makers = [
                    (field.encode_name, field.name, self._maker(field.type, f"{path}.{field.encode_name}"))
                    for field in fields
                ]
                return lambda value, at: {
                    name: _or_none(make, getattr(value, attribute), f"{at}.{name}")
                    for name, attribute, make in makers
                }
            case inspect.VarTupleType(item_type=item) | inspect.ListType(item_type=item):
                make = self._maker(item, path)
                return lambda values, at: [make(value, at) for value in values]
            case inspect.DecimalType():
                return self._amount
            case inspect.IntType():
                return _integer
            case _:
                return _as_it_is

    def _id(self, value: int | str, path: str) -> int | str:
        if type(value) is str:
            self.text_ids.add(path)
            return value
        return str(value) if path in self.text_ids or self._options.ids == "text" else value

    def _amount(self, value: Decimal, path: str) -> Decimal:
        places = self._options.round_money
        if places is not None:
            rounded = value.quantize(Decimal(1).scaleb(-places), ROUND_HALF_EVEN, _exact)
            self.rounded += rounded != value
            value = rounded
        billionths = value.scaleb(PLACES, _exact)
        is_too_large = value.copy_abs() >= LARGEST
        if is_too_large or billionths != billionths.to_integral_value():
            raise InvalidValueError(
                f"a column holds 29 digits before the point and {PLACES} after it, got {_short(value)}"
                + ("" if is_too_large else f"; pass round_money={PLACES} to round it"),
                path,
            )
        return unbounded_decimal(format(billionths.to_integral_value(), "f")).scaleb(-PLACES, _exact)

    def _day(self, value: datetime | date | None, path: str) -> date | None:  # noqa: ARG002 (as all makers)
        return value.date() if isinstance(value, datetime) else value


def _or_none(make: Make, value: Any, path: str) -> Any:
    return None if value is msgspec.UNSET else make(value, path)


def _nullable(make: Make) -> Make:
    return lambda value, path: None if value is None else make(value, path)


def _as_it_is(value: Any, _path: str) -> Any:
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) and value.tzinfo is None else value


def _integer(value: int, _path: str) -> int:
    return value


def _short(value: Decimal) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
