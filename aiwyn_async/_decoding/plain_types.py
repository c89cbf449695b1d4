"""Make rows of generated subclasses compare, hash, print and pickle as rows of their plain type.

A plain type is one that a user declares; ``checked_types`` and ``lazy`` generate subclasses of it.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final, TypeGuard, TypeVar, cast

import msgspec
from msgspec import inspect
from msgspec.structs import FieldInfo

RowT = TypeVar("RowT")


def is_struct(kind: Any) -> TypeGuard[type[msgspec.Struct]]:
    """Return True for a Struct type, not for another annotation."""
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


@functools.lru_cache(maxsize=1024)
def type_info(kind: Any) -> inspect.Type:
    """Inspect a type once: the columns of a row type take a tenth of the time of a small export."""
    return inspect.type_info(kind)


def union_members(kind: inspect.Type) -> tuple[inspect.Type, ...]:
    """Return the types of a union, or the type itself."""
    return kind.types if isinstance(kind, inspect.UnionType) else (kind,)


def any_within(kind: inspect.Type, test: Callable[[inspect.Type], bool]) -> bool:
    """Return whether a test is True for a type, or for one at any depth in it, which is not recursive."""
    if test(kind):
        return True
    match kind:
        case inspect.Metadata(type=inner) | inspect.CollectionType(item_type=inner):
            return any_within(inner, test)
        case inspect.DictType(value_type=inner):
            return any_within(inner, test)
        case inspect.UnionType(types=members) | inspect.TupleType(item_types=members):
            return any(any_within(member, test) for member in members)
        case inspect.StructType(fields=fields):
            return any(any_within(field.type, test) for field in fields)
        case _:
            return False


_JSON_VALUES: Final[tuple[object, ...]] = (True, 0, Decimal(0), "", [], {})


def _needs_no_value(part: inspect.Type | inspect.Field) -> bool:
    """Return whether rows decode without a value of it: it has a default, or is a custom type or None."""
    if isinstance(part, inspect.Field):
        return not part.required
    return isinstance(part, inspect.UnionType) and any(
        isinstance(each, inspect.CustomType) for each in part.types
    )


def find_custom_type(row_type: Any) -> type[Any] | None:
    """Return a type that rows need and no JSON decodes to, such as a subclass of int, or None."""
    pending: list[object] = [inspect.type_info(row_type)]
    seen = set[int]()
    while pending:
        each = pending.pop()
        if isinstance(each, inspect.CustomType) and not any(
            isinstance(json, each.cls) for json in _JSON_VALUES
        ):
            return each.cls
        if isinstance(each, tuple):
            pending += cast("tuple[object, ...]", each)
        elif isinstance(each, (inspect.Type, inspect.Field)) and id(each) not in seen:
            seen.add(id(each))
            if not _needs_no_value(each):
                pending += [getattr(each, name) for name in each.__struct_fields__]
    return None


def materialize(row: RowT) -> RowT:
    """Return a deferred row with all fields decoded, as a row of the plain type.

    Other rows are returned unchanged.

    Raises:
        DecodeError: a value does not decode.
    """
    row_type = plain_type(type(row))
    if row_type is type(row):
        return row
    names: tuple[str, ...] = row_type.__struct_fields__
    return cast("RowT", row_type(**{name: getattr(row, name) for name in names}))


def plain_type(row_type: Any) -> Any:
    """Return the plain type of a generated type, and any other type unchanged."""
    return getattr(row_type, "_plain_type", row_type)


def plain_methods(row_type: Any, *, is_decoded: bool) -> dict[str, Any]:
    """Return the namespace of a subclass whose rows behave as rows of the plain type."""
    methods = _METHODS | (_COMPARISONS if row_type.__struct_config__.eq else {})
    if is_decoded and row_type.__struct_config__.eq:
        methods["__eq__"] = _are_equal
    return methods | {"_plain_type": plain_type(row_type), "__doc__": row_type.__doc__}


def copy_field(field: FieldInfo) -> Any:
    """Declare a field with the name on the wire and the default of another."""
    name = field.encode_name
    if field.required:
        return msgspec.field(name=name)
    if field.default_factory is not msgspec.NODEFAULT:
        return msgspec.field(name=name, default_factory=field.default_factory)
    return msgspec.field(name=name, default=field.default)


def _on_materialized(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a method that materializes its rows before it calls a function."""

    def method(*rows: Any) -> Any:
        return function(*map(materialize, rows))

    return method


def _are_equal(row: Any, other: Any) -> Any:
    if type(row) is type(other):
        return msgspec.Struct.__eq__(row, other)
    return materialize(row) == materialize(other)


_COMPARED: Final = (operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge)
_COMPARISONS: Final = {f"__{compare.__name__}__": _on_materialized(compare) for compare in _COMPARED} | {
    "__hash__": _on_materialized(hash)
}
_METHODS: Final = {
    "__repr__": _on_materialized(repr),
    "__rich_repr__": _on_materialized(operator.methodcaller("__rich_repr__")),
    "__reduce__": _on_materialized(operator.methodcaller("__reduce__")),
}
