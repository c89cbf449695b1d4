"""Rows whose costly fields are decoded when they are first read: amounts, lists and nested objects.

Most of the time that decoding a page takes goes into them, and who looks for some rows among many, or adds up
one column, reads few. Until then such a field is the bytes of its JSON, so nothing of it is lost.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final, TypeVar, cast

import msgspec
from msgspec import Raw, inspect
from msgspec.structs import FieldInfo, fields

from aiwyn_async.errors import ConfigurationError, DecodeFailed
from aiwyn_async.models.repair import repaired
from aiwyn_async.models.unreadable import UNREADABLE, text_of

__all__ = ["deferred", "plain_type", "settled"]

RowT = TypeVar("RowT")


def deferred(row_type: type[RowT]) -> type[RowT]:
    """A subclass of a row type whose amounts, lists and nested objects are decoded when they are first read.

    Made for ``decode_as()``. An attribute gives what it gives in a row of ``row_type``; so do ``==``,
    ``hash()``, ``repr()`` and ``pickle``. What differs:

    - A value that does not fit raises ``DecodeFailed`` where it is read; ``on_bad_row`` sees other fields.
    - A row keeps the bytes of its page (about 1 MB) in memory. Keep ``settled(row)`` instead.
    - msgspec's own functions, such as ``msgspec.structs.asdict()``, find ``msgspec.Raw`` where nothing was
      read yet. Give them ``settled(row)``.

    Args:
        row_type: a Struct, such as ``Invoice``.

    Raises:
        ConfigurationError: it is none.
    """
    kind: Any = row_type
    if not (isinstance(kind, type) and issubclass(kind, msgspec.Struct)):
        raise ConfigurationError("deferred() takes the type of a row that is a Struct, such as Invoice")
    return cast("type[RowT]", _deferred(plain_type(row_type)))


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
    """The type that ``deferred()`` was given; any other as it is."""
    return getattr(row_type, "_plain_type", row_type)


@functools.lru_cache(maxsize=256)
def _deferred(row_type: Any) -> type[Any]:
    costly = {field.name for field in fields(row_type) if _is_costly(inspect.type_info(field.type))}
    if not costly:
        return cast("type[Any]", row_type)
    made: Any = msgspec.defstruct(
        f"Deferred{row_type.__name__}",
        # All of them, in their order: the order of the wire decodes fastest.
        [
            (field.name, Raw if field.name in costly else field.type, _with_its_default(field))
            for field in fields(row_type)
        ],
        bases=(row_type,),
        namespace=_METHODS | {"_plain_type": row_type},
        module=row_type.__module__,
        kw_only=True,
        frozen=row_type.__struct_config__.frozen,
        gc=row_type.__struct_config__.gc,
    )
    for field in fields(row_type):
        if field.name in costly:
            setattr(made, field.name, _decoded_when_read(field, getattr(row_type, field.name)))
    return cast("type[Any]", made)


def _is_costly(kind: inspect.Type) -> bool:
    match kind:
        case inspect.Metadata(type=inner):
            return _is_costly(inner)
        case inspect.UnionType(types=members):
            return any(map(_is_costly, members))
        case _:
            return isinstance(kind, _COSTLY)


_COSTLY: Final = (
    inspect.DecimalType,
    inspect.StructType,
    inspect.CollectionType,
    inspect.TupleType,
    inspect.DictType,
)


def _with_its_default(field: FieldInfo) -> Any:
    if field.required:
        return msgspec.field(name=field.encode_name)
    if field.default_factory is not msgspec.NODEFAULT:
        return msgspec.field(name=field.encode_name, default_factory=field.default_factory)
    return msgspec.field(name=field.encode_name, default=field.default)


def _decoded_when_read(field: FieldInfo, slot: Any) -> property:
    """An attribute over the slot that msgspec fills: what comes of its first reading is kept there."""
    get, keep = slot.__get__, slot.__set__
    # As in a row, numbers whose field has no type of its own stay exact.
    decode = msgspec.json.Decoder(field.type, float_hook=Decimal).decode

    def read(row: Any) -> Any:
        value = get(row)
        if type(value) is Raw:
            try:
                value = decode(value)
            except UNREADABLE:
                value = _mended(bytes(value), field)
            keep(row, value)
        return value

    return property(read)


def _mended(value: bytes, field: FieldInfo) -> Any:
    """What is odd but clear is repaired, as it is in a row."""
    try:
        return repaired(value, field.type)
    except UNREADABLE as fault:
        text = f"a row's {field.encode_name} does not fit: {text_of(fault)}"
        raise DecodeFailed(text, location=field.encode_name) from None


def _as_if_settled(do: Callable[..., Any]) -> Callable[..., Any]:
    """A method that does with plain rows what msgspec would do with the slots themselves."""

    def method(*rows: Any) -> Any:
        return do(*map(settled, rows))

    return method


_COMPARED: Final = (operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge)
_METHODS: Final = {f"__{compare.__name__}__": _as_if_settled(compare) for compare in _COMPARED} | {
    "__hash__": _as_if_settled(hash),
    "__repr__": _as_if_settled(repr),
    "__rich_repr__": _as_if_settled(operator.methodcaller("__rich_repr__")),
    "__reduce__": _as_if_settled(operator.methodcaller("__reduce__")),
}
