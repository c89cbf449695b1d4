"""Rows of generated subclasses that compare, hash, print and pickle as rows of their plain type."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, Final, TypeVar, cast

import msgspec
from msgspec.structs import FieldInfo, fields

__all__ = ["field_of", "like_plain", "plain_type", "settled"]

RowT = TypeVar("RowT")


def settled(row: RowT) -> RowT:
    """A row with all its fields decoded, of the type that ``deferred()`` was given; any other row as it is.

    Raises:
        DecodeFailed: a value does not fit.
    """
    row_type = plain_type(type(row))
    if row_type is type(row):
        return row
    return cast("RowT", row_type(**{field.name: getattr(row, field.name) for field in fields(row_type)}))


def plain_type(row_type: Any) -> Any:
    """The type that a generated one stands for; any other as it is."""
    return getattr(row_type, "_plain_type", row_type)


def like_plain(row_type: Any) -> dict[str, Any]:
    """The namespace of a subclass whose rows pass for those of this type."""
    methods = _METHODS | (_COMPARISONS if row_type.__struct_config__.eq else {})
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
        return do(*map(settled, rows))

    return method


_COMPARED: Final = (operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge)
_COMPARISONS: Final = {f"__{compare.__name__}__": _as_if_settled(compare) for compare in _COMPARED} | {
    "__hash__": _as_if_settled(hash)
}
_METHODS: Final = {
    "__repr__": _as_if_settled(repr),
    "__rich_repr__": _as_if_settled(operator.methodcaller("__rich_repr__")),
    "__reduce__": _as_if_settled(operator.methodcaller("__reduce__")),
}
