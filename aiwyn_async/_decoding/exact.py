"""Decode one row by the contract of values: slow, the reference for the others.

Each value is decoded from its own JSON, so the path to an invalid one and repaired values are known.
``row_decoder`` uses it for rows that cannot be decoded fast with ``checked_types``.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgspec
from msgspec import inspect

from aiwyn_async._decoding import values
from aiwyn_async._decoding.checked_types import checked, has_unchecked_amounts, may_misread_timestamps
from aiwyn_async._decoding.converters import Notes, converter, split_object
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
    convert = converter(inspect.type_info(row_type))

    def decode(row: bytes) -> ExactRow:
        notes = Notes()
        return ExactRow(msgspec.convert(convert(row, notes), target), notes.is_repaired, notes.unknown)

    return decode


@functools.lru_cache(maxsize=1024)
def value_decoder(kind: Any) -> Callable[[bytes], Any]:
    """Return a decoder of one value's JSON, which raises ``DECODING_ERRORS``."""
    target, is_unchecked = checked(kind), has_unchecked_amounts(kind)
    decode_fast = msgspec.json.Decoder(target, float_hook=values.bounded_decimal).decode
    convert = converter(inspect.type_info(kind))

    def decode(json: bytes) -> Any:
        try:
            if not (is_unchecked or may_misread_timestamps(kind, json)):
                return decode_fast(json)
        except DECODING_ERRORS:
            pass  # the exact converter accepts more, and its errors have a path
        return msgspec.convert(convert(json, Notes()), target)

    return decode


@functools.lru_cache(maxsize=1024)
def is_usual(kind: Any) -> Callable[[bytes], bool]:
    """Return a function that is True for the JSON of a value that decodes fast."""
    if has_unchecked_amounts(kind):
        return lambda _: False
    decode_fast = msgspec.json.Decoder(checked(kind), float_hook=values.bounded_decimal).decode

    def check(json: bytes) -> bool:
        try:
            decode_fast(json)
        except DECODING_ERRORS:
            return False
        return not may_misread_timestamps(kind, json)

    return check


def split_fields(row_type: Any, row: bytes) -> tuple[dict[str, bytes], tuple[str, ...]]:
    """Return the JSON of each field of a row, by its declared name, and the keys without a field."""
    wire = split_object(row)
    matched = _field_names(row_type).match(wire)
    return {name: bytes(wire[key]) for name, key in matched.keys.items()}, matched.unknown


@functools.lru_cache(maxsize=256)
def _field_names(row_type: Any) -> FieldNames:
    return FieldNames(field.encode_name for field in msgspec.structs.fields(row_type))
