"""Decode one row by the contract of values: slow, the reference for the others.

Each value is decoded from its own JSON, so the path to an invalid one and repaired values are known.
``row_decoder`` uses it for rows that cannot be decoded fast with ``checked_types``.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import inspect

from aiwyn_async._decoding.checked_types import checked, fast_decoder, needs_exact_decoding
from aiwyn_async._decoding.converters import Notes, row_converter, split_object
from aiwyn_async._decoding.key_case import FieldNames
from aiwyn_async._decoding.plain_types import any_within, type_info
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
    decode_fast, may_be_cut = fast_decoder(kind), has_times(kind)
    if decode_fast is None or has_nested_defaults(kind):
        return lambda _: False

    def check(json: bytes) -> bool:
        if may_be_cut and has_long_time(json):
            return False
        try:
            decode_fast(json)
        except DECODING_ERRORS:
            return False
        return True

    return check


def has_nested_defaults(kind: Any) -> bool:
    """Return True for a type with an object that has another value than null for a missing key."""
    return not needs_exact_decoding(kind) and any_within(type_info(kind), _has_defaults)


def _has_defaults(kind: inspect.Type) -> bool:
    return isinstance(kind, inspect.StructType) and any(
        field.default_factory is not msgspec.NODEFAULT
        or not (field.default is None or isinstance(field.default, _NO_VALUE))
        for field in kind.fields
    )


def has_times(kind: Any) -> bool:
    """Return True for a type with a time, whose digits beyond the microsecond are dropped."""
    return not needs_exact_decoding(kind) and any_within(
        type_info(kind), lambda each: isinstance(each, inspect.TimeType)
    )


has_long_time: Final = re.compile(rb"[0-9]{2}:[0-9]{2}\.[0-9]{7}").search
_NO_VALUE: Final = (type(msgspec.NODEFAULT), msgspec.UnsetType)


def split_fields(row_type: Any, row: bytes) -> tuple[dict[str, bytes], tuple[str, ...]]:
    """Return the JSON of each field of a row, by its declared name, and the keys without a field."""
    wire = split_object(row)
    matched = _field_names(row_type).match(wire)
    return {name: bytes(wire[key]) for name, key in matched.keys.items()}, matched.unknown


@functools.lru_cache(maxsize=256)
def _field_names(row_type: Any) -> FieldNames:
    return FieldNames(field.encode_name for field in msgspec.structs.fields(row_type))
