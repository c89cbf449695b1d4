"""Decode one row by the contract of values: slow, the reference for the others.

Each value is decoded from its own JSON, so the path to an invalid one and repaired values are known.
``row_decoder`` uses it for rows that cannot be decoded fast with ``checked_types``.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import inspect

from aiwyn_async._decoding.checked_types import checked, fast_decoder, needs_exact_decoding
from aiwyn_async._decoding.converters import Notes, row_converter, split_object
from aiwyn_async._decoding.key_case import FieldNames
from aiwyn_async._decoding.values import DECODING_ERRORS


class ExactRow(NamedTuple):
    """A decoded row.

    Attributes:
        row: an instance of the row type.
        is_repaired: a value was converted to the form of its field.
        unknown: the JSON of values without a field, by their path, such as ``lineItems[0].note``.
    """

    row: Any
    is_repaired: bool
    unknown: Mapping[str, bytes]


@functools.lru_cache(maxsize=256)
def exact_decoder(row_type: Any) -> Callable[[bytes], ExactRow]:
    """Return a decoder of one row's JSON, which raises ``DECODING_ERRORS``."""
    target = checked(row_type)
    convert = row_converter(row_type)

    def decode(row: bytes) -> ExactRow:
        notes = Notes()
        return ExactRow(msgspec.convert(convert(row, notes), target), notes.is_repaired, notes.unknown)

    return decode


@functools.lru_cache(maxsize=1024)
def value_decoder(kind: Any) -> Callable[[bytes], Any]:
    """Return a decoder of one value's JSON, which raises ``DECODING_ERRORS``."""
    decode_exactly, decode_fast = exact_decoder(kind), fast_decoder(kind)

    def decode(json: bytes) -> Any:
        if decode_fast is not None:
            try:
                return decode_fast(json)
            except DECODING_ERRORS:
                pass  # the exact decoder accepts more, and its errors have a path
        return decode_exactly(json).row

    return decode


@functools.lru_cache(maxsize=1024)
def is_usual(kind: Any) -> Callable[[bytes], bool]:
    """Return a function that is True for JSON that decodes fast to the same value."""
    decode_fast = fast_decoder(kind)
    if decode_fast is None or may_differ_from_json(kind):
        return lambda _: False

    def check(json: bytes) -> bool:
        try:
            decode_fast(json)
        except DECODING_ERRORS:
            return False
        return True

    return check


def may_differ_from_json(kind: Any) -> bool:
    """Return True for a type of which a value that decodes fast may be another one than its JSON.

    It has a time, whose digits beyond the microsecond are dropped, or an object that has another value than
    null for a missing key.
    """
    return not needs_exact_decoding(kind) and _may_differ(inspect.type_info(kind))


def _may_differ(kind: inspect.Type) -> bool:
    match kind:
        case inspect.Metadata(type=inner) | inspect.CollectionType(item_type=inner):
            return _may_differ(inner)
        case inspect.DictType(value_type=inner):
            return _may_differ(inner)
        case inspect.UnionType(types=members) | inspect.TupleType(item_types=members):
            return any(map(_may_differ, members))
        case inspect.StructType(fields=fields):
            return any(
                field.default_factory is not msgspec.NODEFAULT
                or not (field.default is None or isinstance(field.default, _NO_VALUE))
                or _may_differ(field.type)
                for field in fields
            )
        case _:
            return isinstance(kind, inspect.TimeType)


_NO_VALUE: Final = (type(msgspec.NODEFAULT), msgspec.UnsetType)


def split_fields(row_type: Any, row: bytes) -> tuple[dict[str, bytes], tuple[str, ...]]:
    """Return the JSON of each field of a row, by its declared name, and the keys without a field."""
    wire = split_object(row)
    matched = _field_names(row_type).match(wire)
    return {name: bytes(wire[key]) for name, key in matched.keys.items()}, matched.unknown


@functools.lru_cache(maxsize=256)
def _field_names(row_type: Any) -> FieldNames:
    return FieldNames(field.encode_name for field in msgspec.structs.fields(row_type))
