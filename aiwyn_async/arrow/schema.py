# pyarrow comes without types, so all that it gives is unknown here, and Any to the callers.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingTypeStubs=false
"""From a row type to its Arrow schema. Needs pyarrow (the extra ``arrow``)."""

from __future__ import annotations

from typing import Any, Final

import pyarrow as pa
from msgspec import inspect

from aiwyn_async.errors import ConfigurationError

__all__ = ["arrow_type", "is_nullable"]

# 29 digits before the point and 9 after: the NUMERIC of the usual warehouses.
MONEY: Final[Any] = pa.decimal128(38, 9)
INSTANT: Final[Any] = pa.timestamp("us", tz="UTC")


def arrow_type(kind: inspect.Type) -> Any:
    """The Arrow type that holds every value of a field's type exactly.

    Raises:
        ConfigurationError: there is none.
    """
    match kind:
        case inspect.UnionType(types=types):
            members = [member for member in types if not isinstance(member, inspect.NoneType)]
            # A key is an integer in all that is documented; any other open union is text.
            integers = [member for member in members if isinstance(member, inspect.IntType)]
            return arrow_type((integers or members)[0])
        case inspect.StructType(fields=fields):
            return pa.struct([(field.encode_name, arrow_type(field.type)) for field in fields])
        case inspect.VarTupleType(item_type=item) | inspect.ListType(item_type=item):
            return pa.list_(arrow_type(item))
        case _:
            if type(kind) not in _SCALARS:
                raise ConfigurationError(
                    f"a field of the type {type(kind).__name__.removesuffix('Type').lower()} has no Arrow "
                    "or Parquet column; write .jsonl, or give it a Struct by decode_as()"
                )
            return _SCALARS[type(kind)]


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
