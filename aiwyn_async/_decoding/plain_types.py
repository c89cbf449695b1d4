"""Rows of generated subclasses that compare, hash, print and pickle as rows of their plain type."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, Final, TypeVar, cast

import msgspec
from msgspec.structs import FieldInfo

__all__ = ["field_of", "like_plain", "materialize", "plain_type"]

RowT = TypeVar("RowT")


def materialize(row: RowT) -> RowT:
    """A row with all its fields decoded, of the type that ``deferred()`` was given; any other row as it is.

    Raises:
        DecodeError: a value does not fit.
    """
    row_type = plain_type(type(row))
    if row_type is type(row):
        return row
    names: tuple[str, ...] = row_type.__struct_fields__
    return cast("RowT", row_type(**{name: getattr(row, name) for name in names}))


def plain_type(row_type: Any) -> Any:
    """The type that a generated one stands for; any other as it is."""
    return getattr(row_type, "_plain_type", row_type)


def like_plain(row_type: Any, *, is_decoded: bool) -> dict[str, Any]:
    """The namespace of a subclass whose rows pass for those of this type.

    Args:
        row_type: the type.
        is_decoded: its rows hold no values that are still to be decoded.
    """
    methods = _METHODS | (_COMPARISONS if row_type.__struct_config__.eq else {})
    if is_decoded and row_type.__struct_config__.eq:
        methods["__eq__"] = _are_equal
    return methods | {"_plain_type": plain_type(row_type), "__doc__": row_type.__doc__}


def field_of(field: FieldInfo) -> Any:
    """A field with the name on the wire and the default of another."""
    name = field.encode_name
    if field.required:
        return msgspec.field(name=name)
    if field.default_factory is not msgspec.NODEFAULT:
        return msgspec.field(name=name, default_factory=field.default_factory)
    return msgspec.field(name=name, default=field.default)


def _as_if_settled(do: Callable[..., Any]) -> Callable[..., Any]:
    """A method that does with plain rows what msgspec would do with the slots themselves."""

    def method(*rows: Any) -> Any:
        return do(*map(materialize, rows))

    return method


def _are_equal(row: Any, other: Any) -> Any:
    if type(row) is type(other):
        return msgspec.Struct.__eq__(row, other)
    return materialize(row) == materialize(other)


_COMPARED: Final = (operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge)
_COMPARISONS: Final = {f"__{compare.__name__}__": _as_if_settled(compare) for compare in _COMPARED} | {
    "__hash__": _as_if_settled(hash)
}
_METHODS: Final = {
    "__repr__": _as_if_settled(repr),
    "__rich_repr__": _as_if_settled(operator.methodcaller("__rich_repr__")),
    "__reduce__": _as_if_settled(operator.methodcaller("__reduce__")),
}
