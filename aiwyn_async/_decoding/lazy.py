"""Rows whose costly fields are decoded when they are first read: amounts, lists and nested objects.

Most of the time that decoding a page takes goes into them, and who looks for some rows among many, or adds up
one column, reads few. Until then such a field is the bytes of its JSON, so nothing of it is lost.
"""

from __future__ import annotations

import functools
from typing import Any, Final, TypeVar, cast

import msgspec
from msgspec import Raw, inspect
from msgspec.structs import FieldInfo, fields

from aiwyn_async._decoding.exact import value_decoder
from aiwyn_async._decoding.plain_types import field_of, like_plain, plain_type
from aiwyn_async._decoding.unreadable import UNREADABLE, explain
from aiwyn_async.errors import ConfigurationError, DecodeError

__all__ = ["deferred"]

RowT = TypeVar("RowT")


def deferred(row_type: type[RowT]) -> type[RowT]:
    """A subclass of a row type whose amounts, lists and nested objects are decoded when they are first read.

    Made for ``decode_as()``. An attribute gives what it gives in a row of ``row_type``; so do ``==``,
    ``hash()``, ``repr()`` and ``pickle``. What differs:

    - A value that does not fit raises ``DecodeError`` where it is read; ``on_bad_row`` sees other fields.
    - A row keeps the bytes of its page (about 1 MB) in memory. Keep ``materialize(row)`` instead.
    - msgspec's own functions, such as ``msgspec.structs.asdict()``, find ``msgspec.Raw`` where nothing was
      read yet. Give them ``materialize(row)``.

    Args:
        row_type: a Struct, such as ``Invoice``.

    Raises:
        ConfigurationError: it is none.
    """
    kind: Any = row_type
    if not (isinstance(kind, type) and issubclass(kind, msgspec.Struct)):
        raise ConfigurationError("deferred() takes the type of a row that is a Struct, such as Invoice")
    try:
        return cast("type[RowT]", _deferred(plain_type(row_type)))
    except TypeError as fault:
        raise ConfigurationError(f"rows cannot be decoded as {row_type.__name__}: {fault}") from None


@functools.lru_cache(maxsize=256)
def _deferred(row_type: Any) -> type[Any]:
    costly = {field.name for field in fields(row_type) if _is_costly(inspect.type_info(field.type))}
    if not costly:
        return cast("type[Any]", row_type)
    made: Any = msgspec.defstruct(
        f"Deferred{row_type.__name__}",
        # All of them, in their order: the order of the wire decodes fastest.
        [
            (field.name, Raw if field.name in costly else field.type, field_of(field))
            for field in fields(row_type)
        ],
        bases=(row_type,),
        namespace=like_plain(row_type, is_decoded=False),
        module=row_type.__module__,
        kw_only=True,
        frozen=row_type.__struct_config__.frozen,
        gc=row_type.__struct_config__.gc,
    )
    for field in fields(row_type):
        if field.name in costly:
            slot = getattr(row_type, field.name)
            is_frozen = row_type.__struct_config__.frozen
            setattr(made, field.name, _decoded_when_read(field, slot, is_frozen=is_frozen))
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


def _decoded_when_read(field: FieldInfo, slot: Any, *, is_frozen: bool) -> property:
    """An attribute over the slot that msgspec fills, which keeps the value once it is decoded."""
    get, keep = slot.__get__, slot.__set__
    decode = value_decoder(field.type)

    def read(row: Any) -> Any:
        value = get(row)
        if type(value) is Raw:
            try:
                value = decode(bytes(value))
            except UNREADABLE as fault:
                reason, path = explain(fault)
                joint = "" if not path or path.startswith("[") else "."
                key = getattr(row, "id", None)
                named = "" if key is None else f" of the row with id {key}"
                text = f"cannot decode {field.encode_name}{joint}{path}{named}: {reason}"
                raise DecodeError(text, location=field.encode_name) from None
            keep(row, value)
        return value

    return property(read, None if is_frozen else keep)
