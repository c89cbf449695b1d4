# pyarrow has no type stubs, so its values are unknown to pyright, and Any to callers.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
"""Map row types to Arrow types. Needs pyarrow (the extra ``arrow``)."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import inspect

from aiwyn_async.errors import ConfigurationError

compute: Any = pc  # its functions are created at run time, unknown to type checkers

# 29 digits before the point and 9 after: the NUMERIC of the usual warehouses.
MONEY: Final[Any] = pa.decimal128(38, 9)
MONEY_TO_READ: Final[Any] = pa.decimal128(29, 9)
"""The type for the JSON reader. pyarrow (26.0.1) checks the digits of a number before it rescales it, so that
it would read 3.5e29 as 9717633079061536536625392568.231788544 with ``MONEY``. 29 digits cannot overflow."""
INSTANT: Final[Any] = pa.timestamp("us", tz="UTC")
DAY: Final[Any] = pa.date32()

ID: Final = {inspect.IntType, inspect.StrType}
"""The members of an id, which is an integer in the documentation."""
WHOLE_OR_FRACTION: Final = {inspect.IntType, inspect.DecimalType}


def arrow_type(
    kind: inspect.Type, path: str, *, integer_ids: bool, inside: tuple[type[Any], ...] = ()
) -> Any:
    """Return the Arrow type that holds every value of a field exactly.

    Ids are text unless ``integer_ids``; ``inside`` are the types of the objects around the field.

    Raises:
        ConfigurationError: there is none; names the path.
    """
    members = members_of(kind)
    match members[0]:
        case _ if len(members) > 1:
            column = _union_type({type(member) for member in members}, integer_ids)
        case inspect.StructType(cls=cls, fields=fields) if cls not in inside:
            types = {field.encode_name: field.type for field in fields}
            inside = (*inside, cls)
            return pa.struct(
                [
                    (name, arrow_type(each, f"{path}.{name}", integer_ids=integer_ids, inside=inside))
                    for name, each in types.items()
                ]
            )
        case inspect.VarTupleType(item_type=item) | inspect.ListType(item_type=item):
            return pa.list_(arrow_type(item, path, integer_ids=integer_ids, inside=inside))
        case inspect.LiteralType(values=values):
            column = pa.string() if all(isinstance(value, str) for value in values) else None
        case scalar:
            column = _SCALARS.get(type(scalar))
    if column is None:
        described = " | ".join(type(member).__name__.removesuffix("Type").lower() for member in members)
        raise ConfigurationError(
            f"{path}: a field of the type {described} has no Arrow or Parquet column; write .jsonl, or call "
            "decode_as() with a Struct that has another type, such as Decimal"
        )
    return column


def members_of(kind: inspect.Type) -> list[inspect.Type]:
    """Return the members of a union other than None, or another type, without metadata."""
    match kind:
        case inspect.Metadata(type=inner):
            return members_of(inner)
        case inspect.UnionType(types=types):
            members = [member for each in types for member in members_of(each)]
            return [each for each in members if not isinstance(each, inspect.NoneType)]
        case _:
            return [kind]


def _union_type(kinds: set[type[inspect.Type]], integer_ids: bool) -> Any:
    if kinds == ID:
        return pa.int64() if integer_ids else pa.string()
    if kinds == WHOLE_OR_FRACTION:
        return MONEY
    return pa.string() if kinds == {inspect.LiteralType, inspect.StrType} else None


def merge_id_types(kind: Any, other: Any) -> Any:
    """Merge two types of a column: an id is text if it is text in either."""
    if pa.types.is_struct(kind) and pa.types.is_struct(other):
        names = [field.name for field in kind]
        return pa.struct(
            [(name, merge_id_types(kind.field(name).type, other.field(name).type)) for name in names]
        )
    if pa.types.is_list(kind) and pa.types.is_list(other):
        return pa.list_(merge_id_types(kind.value_type, other.value_type))
    return pa.string() if pa.string() in {kind, other} else kind


def reading_type(kind: Any) -> Any:
    """Return the type for the JSON reader: text for days, since it reads a number as a day.

    ``view()`` converts the other types to the column's.
    """
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(reading_type(field.type)) for field in kind])
    if pa.types.is_list(kind):
        return pa.list_(reading_type(kind.value_type))
    return {MONEY: MONEY_TO_READ, DAY: pa.string()}.get(kind, kind)


def contains(kind: Any, types: Collection[Any]) -> bool:
    """True if an Arrow type is one of these types, or has a value of one at any depth."""
    nested = (kind.field(index).type for index in range(kind.num_fields))
    return kind in types or any(contains(each, types) for each in nested)


def has_own_checks(kind: inspect.Type) -> bool:
    """True if a row type checks more than the kinds of its values, which the JSON reader does not do."""
    members = members_of(kind)
    match members[0]:
        case inspect.LiteralType():
            return len(members) == 1
        case inspect.StructType(cls=cls, fields=fields) as struct:
            return (
                struct.forbid_unknown_fields
                or struct.array_like
                or struct.tag is not None
                or hasattr(cls, "__post_init__")
                or any(has_own_checks(field.type) for field in fields)
            )
        case inspect.VarTupleType(item_type=item) | inspect.ListType(item_type=item):
            return members[0] != type(members[0])(item) or has_own_checks(item)
        case _:
            return any(type(member) in _SCALARS and member != type(member)() for member in members)


def is_nullable(kind: inspect.Type) -> bool:
    """True if a field of this type takes null."""
    if isinstance(kind, inspect.UnionType):
        return any(isinstance(member, inspect.NoneType) for member in kind.types)
    return isinstance(kind, (inspect.NoneType, inspect.AnyType))


def refuses_null(field: msgspec.structs.FieldInfo | inspect.Field, kind: inspect.Type) -> bool:
    """True if a column of a field may need another value for null.

    The field refuses null, or a missing field has a default or is refused, which the JSON reader does not
    know.
    """
    # A required field, or one with a factory, has NODEFAULT as its default.
    return field.default not in _NULLS or not is_nullable(kind)


def has_required(kind: inspect.Type) -> bool:
    """True if a value of this type has a value at any depth that refuses null."""
    match kind:
        case inspect.UnionType(types=types):
            return any(has_required(member) for member in types)
        case inspect.VarTupleType(item_type=item) | inspect.ListType(item_type=item):
            return not is_nullable(item) or has_required(item)
        case inspect.StructType(fields=fields):
            return any(refuses_null(field, field.type) or has_required(field.type) for field in fields)
        case _:
            return False


_NULLS: Final = (None, msgspec.UNSET)
_SCALARS: Final[dict[type[inspect.Type], Any]] = {
    inspect.IntType: pa.int64(),
    inspect.FloatType: pa.float64(),
    inspect.BoolType: pa.bool_(),
    inspect.StrType: pa.string(),
    inspect.DecimalType: MONEY,
    inspect.DateTimeType: INSTANT,
    inspect.DateType: pa.date32(),
}
