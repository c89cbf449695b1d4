"""Decode one row by the contract of values: slow, the reference for the others.

Each value is decoded from its own JSON, so the path to an invalid one and repaired values are known.
``row_decoder`` uses it for rows that cannot be decoded fast with ``checked_types``.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, cast

import msgspec
from msgspec import inspect

from aiwyn_async._decoding import values
from aiwyn_async._decoding.checked_types import (
    checked,
    decode_hook,
    has_unchecked_amounts,
    is_object,
    may_misread_timestamps,
)
from aiwyn_async._decoding.key_case import FieldNames
from aiwyn_async._decoding.values import DECODING_ERRORS, InvalidValueError, NumberText, parse


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


class _Notes:
    """Repairs and unknown keys of the row that is being decoded."""

    __slots__ = ("is_repaired", "unknown")

    def __init__(self) -> None:
        self.is_repaired = False
        self.unknown: dict[str, bytes] = {}


Converter = Callable[[bytes, _Notes], Any]
"""Converts the JSON of a value to an argument of ``msgspec.convert``."""

split_object: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
"""Split a JSON object into its keys and the JSON of their values."""

_split_list: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode


@functools.lru_cache(maxsize=256)
def exact_decoder(row_type: Any) -> Callable[[bytes], ExactRow]:
    """Return a decoder of one row's JSON, which raises ``DECODING_ERRORS``."""
    target = checked(row_type)
    convert = _converter(inspect.type_info(row_type))

    def decode(row: bytes) -> ExactRow:
        notes = _Notes()
        return ExactRow(msgspec.convert(convert(row, notes), target), notes.is_repaired, notes.unknown)

    return decode


@functools.lru_cache(maxsize=1024)
def value_decoder(kind: Any) -> Callable[[bytes], Any]:
    """Return a decoder of one value's JSON, which raises ``DECODING_ERRORS``."""
    target = checked(kind)
    decode_fast = msgspec.json.Decoder(target, float_hook=values.bounded_decimal).decode
    convert = _converter(inspect.type_info(kind))

    def decode(json: bytes) -> Any:
        try:
            if not may_misread_timestamps(kind, json):
                return decode_fast(json)
        except DECODING_ERRORS:
            pass  # the exact converter accepts more, and its errors have a path
        return msgspec.convert(convert(json, _Notes()), target)

    return decode


@functools.lru_cache(maxsize=1024)
def is_usual(kind: Any) -> Callable[[bytes], bool]:
    """Return a function that is True for the JSON of a value that decodes fast."""
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


def _converter(kind: inspect.Type) -> Converter:  # noqa: PLR0911 (one for each kind)
    match kind:
        case inspect.Metadata(type=inner):
            return _converter(inner)
        case inspect.UnionType(types=types):
            return _union_converter(types)
        case inspect.StructType(cls=cls) if is_object(cls):
            return _build_lazily(lambda: _struct_converter(kind))
        case inspect.DataclassType(fields=fields) | inspect.TypedDictType(fields=fields):
            return _build_lazily(
                lambda: _object_converter({field.encode_name: _converter(field.type) for field in fields})
            )
        case inspect.VarTupleType(item_type=item) | inspect.ListType(item_type=item):
            return _list_converter(_converter(item))
        case inspect.DictType(value_type=value):
            return _dict_converter(_converter(value))
        case inspect.RawType():
            return lambda json, _: msgspec.Raw(json)
        case _:
            return _SCALARS.get(type(kind), _convert_untyped)


def _build_lazily(build: Callable[[], Converter]) -> Converter:
    """Build a converter on first use, since a type may contain itself."""
    build_once = functools.cache(build)

    def convert(json: bytes, notes: _Notes) -> Any:
        return build_once()(json, notes)

    return convert


def _struct_converter(kind: inspect.StructType) -> Converter:
    kinds = {field.encode_name: field.type for field in msgspec.structs.fields(kind.cls)}
    converters = {
        field.encode_name: _fast_converter(kinds[field.encode_name], _converter(field.type))
        for field in kind.fields
    }
    return _object_converter(converters, is_strict=kind.forbid_unknown_fields)


def _fast_converter(kind: Any, convert: Converter) -> Converter:
    """Return a converter that decodes a field in one call if that is exact."""
    if has_unchecked_amounts(kind):
        return convert
    decode = msgspec.json.Decoder(
        checked(kind), float_hook=values.bounded_decimal, dec_hook=decode_hook
    ).decode

    def convert_fast(json: bytes, notes: _Notes) -> Any:
        try:
            value = decode(json)
        except DECODING_ERRORS:
            return convert(json, notes)
        return convert(json, notes) if may_misread_timestamps(kind, json) else value

    return convert_fast


def _union_converter(types: tuple[inspect.Type, ...]) -> Converter:
    members = [member for member in types if not isinstance(member, inspect.NoneType)]
    is_nullable = any(isinstance(member, inspect.NoneType) for member in types)
    kinds = {type(member) for member in members}
    if kinds == {inspect.IntType, inspect.StrType}:
        convert = _SCALARS[_Id]
    elif kinds <= {inspect.StrType, inspect.LiteralType}:
        convert = _SCALARS[inspect.StrType]
    elif kinds == {inspect.IntType, inspect.DecimalType}:
        convert = _scalar_converter(
            lambda value: value if type(value) is int else values.as_money(value), _is_number
        )
    elif len(members) == 1:
        convert = _converter(members[0])
    else:
        return _convert_untyped
    return _nullable_converter(convert, accepts_blank=kinds <= _BLANK_IS_NULL) if is_nullable else convert


def _nullable_converter(convert: Converter, *, accepts_blank: bool) -> Converter:
    def convert_nullable(json: bytes, notes: _Notes) -> Any:
        if json == b"null":
            return None
        if accepts_blank and json.startswith(b'"') and values.is_blank(parse(json)):
            notes.is_repaired = True
            return None
        return convert(json, notes)

    return convert_nullable


def _object_converter(fields: Mapping[str, Converter], *, is_strict: bool = False) -> Converter:
    names = FieldNames(fields)

    def convert(json: bytes, notes: _Notes) -> Any:
        if not json.startswith(b"{"):
            raise InvalidValueError(f"expected an object, got {_describe(json)}")
        wire = split_object(json)
        matched = names.match(wire)
        if is_strict and matched.unknown:
            raise InvalidValueError(f"unknown field {matched.unknown[0]!r}")
        notes.unknown |= {key: bytes(wire[key]) for key in matched.unknown}
        converted: dict[str, Any] = {}
        for name, key in matched.keys.items():
            converted[name] = _convert_nested(name, fields[name], bytes(wire[key]), notes)
        return converted

    return convert


def _convert_nested(step: str, convert: Converter, json: bytes, notes: _Notes) -> Any:
    """Convert a field or an item; paths in its errors and notes begin with this step."""
    before, notes.unknown = notes.unknown, {}
    try:
        value = convert(json, notes)
    except InvalidValueError as error:
        raise error.within(step) from None
    finally:
        nested = {
            f"{step}{'' if path.startswith('[') else '.'}{path}": raw for path, raw in notes.unknown.items()
        }
        notes.unknown = before | nested if nested else before
    return value


def _list_converter(convert: Converter) -> Converter:
    def convert_items(json: bytes, notes: _Notes) -> Any:
        if not json.startswith(b"["):
            raise InvalidValueError(f"expected a list, got {_describe(json)}")
        return [
            _convert_nested(f"[{index}]", convert, bytes(item), notes)
            for index, item in enumerate(_split_list(json))
        ]

    return convert_items


def _dict_converter(convert: Converter) -> Converter:
    def convert_values(json: bytes, notes: _Notes) -> Any:
        if not json.startswith(b"{"):
            raise InvalidValueError(f"expected an object, got {_describe(json)}")
        return {
            key: _convert_nested(key, convert, bytes(value), notes)
            for key, value in split_object(json).items()
        }

    return convert_values


def _convert_untyped(json: bytes, _notes: _Notes) -> Any:
    """Convert a value outside the contract: exact numbers, the rest by msgspec."""
    return _convert_numbers(parse(json))


def _convert_numbers(value: Any) -> Any:
    match value:
        case NumberText():
            return values.unbounded_decimal(value)
        case list():
            return [_convert_numbers(item) for item in cast("list[object]", value)]
        case dict():
            return {key: _convert_numbers(item) for key, item in cast("dict[str, Any]", value).items()}
        case _:
            return value


def _scalar_converter(read: Callable[[Any], Any], is_usual: Callable[[Any], bool]) -> Converter:
    """Return a converter that counts a value in an unusual form as repaired."""

    def convert(json: bytes, notes: _Notes) -> Any:
        value = parse(json)
        converted = read(value)
        notes.is_repaired = notes.is_repaired or not is_usual(value)
        return converted

    return convert


def _describe(json: bytes) -> str:
    first = json[:1]
    return {b"{": "an object", b"[": "a list", b'"': "text", b"n": "null"}.get(first, "a scalar")


class _Id(inspect.Type):
    """An integer or text."""


def _is_number(value: Any) -> bool:
    return type(value) in {int, NumberText, str}


_SCALARS: Final[dict[type[inspect.Type], Converter]] = {
    _Id: _scalar_converter(values.as_id, lambda value: type(value) in {int, str}),
    inspect.IntType: _scalar_converter(values.as_integer, lambda value: type(value) is int),
    inspect.FloatType: _scalar_converter(values.as_float, lambda value: type(value) in {int, NumberText}),
    inspect.DecimalType: _scalar_converter(values.as_money, _is_number),
    inspect.StrType: _scalar_converter(values.as_text, lambda value: type(value) is str),
    inspect.BoolType: _scalar_converter(values.as_boolean, lambda value: type(value) is bool),
    inspect.DateTimeType: _scalar_converter(values.as_timestamp, values.is_usual_timestamp),
    inspect.DateType: _scalar_converter(values.as_date, values.is_usual_date),
}
_BLANK_IS_NULL: Final = {
    *(inspect.DecimalType, inspect.IntType, inspect.FloatType, inspect.DateTimeType, inspect.DateType),
    *(inspect.ListType, inspect.VarTupleType, inspect.StructType, inspect.DictType),
}
