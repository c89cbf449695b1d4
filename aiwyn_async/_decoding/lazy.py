"""Rows whose amounts, lists and objects are decoded on first access.

Decoding these fields takes most of the time of a page, and a search for some rows, or the sum of one column,
reads few of them. Until then the value of such a field is its JSON.
"""

from __future__ import annotations

import functools
from typing import Any, Final, TypeVar, cast

import msgspec
from msgspec import Raw, inspect
from msgspec.structs import FieldInfo, fields

from aiwyn_async._decoding.exact import value_decoder
from aiwyn_async._decoding.plain_types import any_within, copy_field, is_struct, plain_methods, plain_type
from aiwyn_async._decoding.values import DECODING_ERRORS, explain
from aiwyn_async.errors import ConfigurationError, DecodeError

RowT = TypeVar("RowT")


def deferred(row_type: type[RowT]) -> type[RowT]:
    """Return a row type that decodes amounts, lists and objects on first access.

    Pass it to ``decode_as()``. Attributes, ``==``, ``hash()``, ``repr()`` and ``pickle`` return the same as
    for a row of ``row_type``. The differences:

    - A value that does not decode raises ``DecodeError`` when it is read; ``on_bad_row`` applies to the other
      fields only.
    - A row holds the bytes of its page (about 1 MB) in memory. Store ``materialize(row)`` instead.
    - msgspec's own functions, such as ``msgspec.structs.asdict()``, return ``msgspec.Raw`` for fields that
      were not read yet. Pass them ``materialize(row)``.

    Args:
        row_type: a Struct, such as ``Invoice``.

    Raises:
        ConfigurationError: ``row_type`` is not a Struct, or its rows cannot be decoded.
    """
    if not is_struct(row_type):
        raise ConfigurationError("deferred() requires a Struct type, such as Invoice")
    try:
        return cast("type[RowT]", _deferred(plain_type(row_type)))
    except TypeError as error:
        raise ConfigurationError(f"rows cannot be decoded as {row_type.__name__}: {error}") from None


@functools.lru_cache(maxsize=256)
def _deferred(row_type: Any) -> type[Any]:
    config = row_type.__struct_config__
    costly = {field.name for field in fields(row_type) if _is_costly(field.type)}
    if not costly:
        return cast("type[Any]", row_type)
    subclass: Any = msgspec.defstruct(
        f"Deferred{row_type.__name__}",
        # All fields, in their order: the order of the wire decodes fastest.
        [
            (field.name, Raw if field.name in costly else field.type, copy_field(field))
            for field in fields(row_type)
        ],
        bases=(row_type,),
        namespace=plain_methods(row_type, is_decoded=False),
        module=row_type.__module__,
        kw_only=True,
        frozen=config.frozen,
        gc=config.gc,
        tag=config.tag,  # a tag that is made of the class's name would be another one
        tag_field=config.tag_field,
    )
    for field in fields(row_type):
        if field.name in costly:
            slot = getattr(row_type, field.name)
            setattr(subclass, field.name, _lazy_property(field, slot, is_frozen=config.frozen))
    return cast("type[Any]", subclass)


def _is_costly(kind: Any) -> bool:
    return any_within(inspect.type_info(kind), lambda each: isinstance(each, _COSTLY))


_COSTLY: Final = (
    inspect.DecimalType,
    inspect.StructType,
    inspect.CollectionType,
    inspect.TupleType,
    inspect.DictType,
)


def _lazy_property(field: FieldInfo, slot: Any, *, is_frozen: bool) -> property:
    """Return a property that decodes a slot's value on first access and stores it."""
    get, store = slot.__get__, slot.__set__
    decode = value_decoder(field.type)

    def read(row: Any) -> Any:
        value = get(row)
        if type(value) is Raw:
            try:
                value = decode(bytes(value))
            except DECODING_ERRORS as error:
                reason, path = explain(error)
                joint = "" if not path or path.startswith("[") else "."
                key = getattr(row, "id", None)
                named = "" if key is None else f" of the row with id {key}"
                text = f"cannot decode {field.encode_name}{joint}{path}{named}: {reason}"
                raise DecodeError(text, location=field.encode_name) from None
            store(row, value)
        return value

    return property(read, None if is_frozen else store)
