# pyarrow comes without types, so all that it gives is unknown here, and Any to the callers.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingTypeStubs=false
"""From a row type to its Arrow schema. Needs pyarrow (the extra ``arrow``)."""

from __future__ import annotations

from typing import Any, Final

import pyarrow as pa
from msgspec import inspect

from aiwyn_async.errors import ConfigurationError

__all__ = ["DAY", "arrow_type", "is_nullable", "to_read", "with_text_ids"]

# 29 digits before the point and 9 after: the NUMERIC of the usual warehouses.
MONEY: Final[Any] = pa.decimal128(38, 9)
MONEY_TO_READ: Final[Any] = pa.decimal128(29, 9)
"""What the reader of JSON is to take it for: it refuses a number of more digits than its column has, and then
(26.0.1) brings it to the column's scale without another look, so that as ``MONEY`` 3.5e29 would come out as
9717633079061536536625392568.231788544. A number of 29 digits cannot get too large by that."""
INSTANT: Final[Any] = pa.timestamp("us", tz="UTC")
DAY: Final[Any] = pa.date32()


def arrow_type(kind: inspect.Type, integer_ids: bool = True) -> Any:  # noqa: FBT002 (private to this package)
    """The Arrow type that holds every value of a field's type exactly.

    Args:
        kind: of the field.
        integer_ids: ids are integers; else text.

    Raises:
        ConfigurationError: there is none.
    """
    match kind:
        case inspect.UnionType(types=types):
            members = [each for each in types if not isinstance(each, inspect.NoneType)]
            integers = [member for member in members if isinstance(member, inspect.IntType)]
            if integers and len(members) > 1:  # an id, which is an integer in all that is documented
                return pa.int64() if integer_ids else pa.string()
            return arrow_type(members[0], integer_ids)
        case inspect.StructType(fields=fields):
            return pa.struct([(field.encode_name, arrow_type(field.type, integer_ids)) for field in fields])
        case inspect.VarTupleType(item_type=item) | inspect.ListType(item_type=item):
            return pa.list_(arrow_type(item, integer_ids))
        case _:
            if type(kind) not in _SCALARS:
                raise ConfigurationError(
                    f"a field of the type {type(kind).__name__.removesuffix('Type').lower()} has no Arrow "
                    "or Parquet column; write .jsonl, or give it a Struct by decode_as()"
                )
            return _SCALARS[type(kind)]


def with_text_ids(kind: Any, other: Any) -> Any:
    """One of two types of a column, in which an id is text if it is text in either of them."""
    if pa.types.is_struct(kind) and pa.types.is_struct(other):
        names = [field.name for field in kind]
        return pa.struct(
            [(name, with_text_ids(kind.field(name).type, other.field(name).type)) for name in names]
        )
    if pa.types.is_list(kind) and pa.types.is_list(other):
        return pa.list_(with_text_ids(kind.value_type, other.value_type))
    return pa.string() if pa.string() in {kind, other} else kind


def to_read(kind: Any) -> Any:
    """The type that JSON is read as for one of these types. ``view()`` makes it that."""
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(to_read(field.type)) for field in kind])
    if pa.types.is_list(kind):
        return pa.list_(to_read(kind.value_type))
    return MONEY_TO_READ if kind == MONEY else kind


def is_nullable(kind: inspect.Type) -> bool:
    """True when a field of this type takes null."""
    if isinstance(kind, inspect.UnionType):
        return any(isinstance(member, inspect.NoneType) for member in kind.types)
    return isinstance(kind, (inspect.NoneType, inspect.AnyType))


_SCALARS: Final[dict[type[inspect.Type], Any]] = {
    inspect.IntType: pa.int64(),
    inspect.FloatType: pa.float64(),
    inspect.BoolType: pa.bool_(),
    inspect.StrType: pa.string(),
    inspect.LiteralType: pa.string(),
    inspect.DecimalType: MONEY,
    inspect.DateTimeType: INSTANT,
    inspect.DateType: pa.date32(),
}
