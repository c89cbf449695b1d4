"""Convert the JSON of a value to an argument of ``msgspec.convert``, by the contract of values."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from itertools import chain, repeat
from typing import Any, Final, cast

import msgspec
from msgspec import inspect

from aiwyn_async._decoding import values
from aiwyn_async._decoding.checked_types import decode_hook, fast_decoder, is_checkable
from aiwyn_async._decoding.key_case import FieldNames
from aiwyn_async._decoding.plain_types import any_within
from aiwyn_async._decoding.values import DECODING_ERRORS, InvalidValueError, NumberText, parse


class Notes:
    """Repairs and unknown keys of the row that is being decoded."""

    __slots__ = ("is_repaired", "unknown")

    def __init__(self) -> None:
        self.is_repaired = False
        self.unknown: dict[str, bytes] = {}


Converter = Callable[[bytes, Notes], Any]
"""Converts the JSON of a value to an argument of ``msgspec.convert``."""

split_object: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
"""Split a JSON object into its keys and the JSON of their values."""

split_list: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode
"""Split a JSON list into the JSON of its items."""


def converter(kind: inspect.Type) -> Converter:  # noqa: PLR0911 (one for each kind)
    match kind:
        case inspect.Metadata(type=inner):
            return converter(inner)
        case inspect.UnionType(types=types):
            return _union_converter(types)
        case inspect.StructType(array_like=False):
            return _build_lazily(lambda: _struct_converter(kind))
        case inspect.StructType(fields=fields) | inspect.NamedTupleType(fields=fields):
            has_tag = getattr(kind, "tag", None) is not None
            return _build_lazily(
                lambda: _list_converter(
                    [_convert_untyped] * has_tag + [converter(field.type) for field in fields]
                )
            )
        case inspect.DataclassType(fields=fields) | inspect.TypedDictType(fields=fields):
            return _build_lazily(
                lambda: _object_converter({field.encode_name: converter(field.type) for field in fields})
            )
        case inspect.TupleType(item_types=items):
            return _list_converter(list(map(converter, items)))
        case inspect.CollectionType(item_type=item):
            return _list_converter(rest=converter(item))
        case inspect.DictType(key_type=key, value_type=value):
            return _dict_converter(_key_converter(key), converter(value))
        case inspect.RawType():
            return lambda json, _: msgspec.Raw(json)
        case _:
            return _SCALARS.get(type(kind), _convert_untyped)


def _build_lazily(build: Callable[[], Converter]) -> Converter:
    """Build a converter on first use, since a type may contain itself."""
    build_once = functools.cache(build)

    def convert(json: bytes, notes: Notes) -> Any:
        return build_once()(json, notes)

    return convert


def row_converter(row_type: Any) -> Converter:
    """Return the converter of a row type, or of another annotation, to ``checked()`` of it."""
    kind = inspect.type_info(row_type)
    if isinstance(kind, inspect.StructType) and is_checkable(row_type):
        return _struct_converter(kind, is_row=True)
    return converter(kind)


def _struct_converter(kind: inspect.StructType, *, is_row: bool = False) -> Converter:
    kinds = {field.encode_name: field.type for field in msgspec.structs.fields(kind.cls)}
    converters: dict[str, Converter] = {}
    for field in kind.fields:
        name, convert = field.encode_name, converter(field.type)
        # Types that checked() leaves unchanged, such as tagged ones, do not accept a checked Struct.
        is_fast = is_row or not any_within(field.type, lambda each: isinstance(each, inspect.StructType))
        converters[name] = _fast_converter(kinds[name], convert) if is_fast else convert
    if kind.tag_field is not None:
        converters[kind.tag_field] = _convert_untyped
    return _object_converter(converters, is_strict=kind.forbid_unknown_fields)


def _fast_converter(kind: Any, convert: Converter) -> Converter:
    """Return a converter that decodes a field in one call if that is exact."""
    decode = fast_decoder(kind, decode_hook)
    if decode is None:
        return convert

    def convert_fast(json: bytes, notes: Notes) -> Any:
        try:
            return decode(json)
        except DECODING_ERRORS:
            return convert(json, notes)

    return convert_fast


def _union_converter(types: tuple[inspect.Type, ...]) -> Converter:
    bare = [each.type if isinstance(each, inspect.Metadata) else each for each in types]
    members = [each for each in bare if not isinstance(each, inspect.NoneType)]
    convert = converter(members[0]) if len(members) == 1 else _wide_converter(members)
    if len(members) == len(types):
        return convert
    return _nullable_converter(convert, accepts_blank={type(member) for member in members} <= _BLANK_IS_NULL)


def _wide_converter(members: Sequence[inspect.Type]) -> Converter:
    """Return a converter to one of several types, which the first byte of the JSON decides."""
    objects = [member for member in members if isinstance(member, _OBJECTS) and not _is_list(member)]
    lists = [member for member in members if _is_list(member)]
    convert_scalar = _scalar_union_converter([each for each in members if each not in [*objects, *lists]])
    by_first_byte = {
        b"{": _object_union_converter(objects) if objects else _convert_untyped,
        b"[": converter(lists[0]) if len(lists) == 1 else _convert_untyped,
    }

    def convert(json: bytes, notes: Notes) -> Any:
        return by_first_byte.get(json[:1], convert_scalar)(json, notes)

    return convert


def _is_list(kind: inspect.Type) -> bool:
    return isinstance(kind, _LISTS) or (isinstance(kind, inspect.StructType) and kind.array_like)


def _object_union_converter(members: Sequence[inspect.Type]) -> Converter:
    """Return a converter to one of several objects, which a tag decides."""
    if len(members) == 1:
        return converter(members[0])
    structs = [member for member in members if isinstance(member, inspect.StructType)]
    by_tag: Mapping[Any, Converter] = {struct.tag: converter(struct) for struct in structs}

    def convert(json: bytes, notes: Notes) -> Any:
        tag: Any = parse(bytes(split_object(json).get(structs[0].tag_field or "", b"null")))
        return by_tag.get(tag if isinstance(tag, (str, int)) else None, _convert_untyped)(json, notes)

    return convert


def _scalar_union_converter(members: Sequence[inspect.Type]) -> Converter:
    """Return a converter to one of several scalars; msgspec allows one of them that is text in JSON."""
    if len(members) == 1:
        return converter(members[0])
    kinds = {type(member) for member in members}
    if kinds == {inspect.IntType, inspect.StrType}:
        return _SCALARS[_Id]
    if kinds <= {inspect.StrType, inspect.LiteralType}:
        return _SCALARS[inspect.StrType]
    texts = [converter(member) for member in members if not isinstance(member, _NEVER_TEXT)]
    convert_text = texts[0] if len(texts) == 1 else _convert_untyped
    convert_number: Converter = _convert_untyped
    if inspect.DecimalType in kinds:
        convert_number = _convert_whole_or_amount if inspect.IntType in kinds else texts[0]
    elif inspect.FloatType in kinds:
        convert_number = _convert_float

    def convert(json: bytes, notes: Notes) -> Any:
        if json.startswith(b'"'):
            return convert_text(json, notes)
        return (_convert_untyped if json[:1] in b"tf" else convert_number)(json, notes)

    return convert


def _nullable_converter(convert: Converter, *, accepts_blank: bool) -> Converter:
    def convert_nullable(json: bytes, notes: Notes) -> Any:
        if json == b"null":
            return None
        if accepts_blank and json.startswith(b'"') and values.is_blank(parse(json)):
            notes.is_repaired = True
            return None
        return convert(json, notes)

    return convert_nullable


def _object_converter(fields: Mapping[str, Converter], *, is_strict: bool = False) -> Converter:
    names = FieldNames(fields)

    def convert(json: bytes, notes: Notes) -> Any:
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


def _convert_nested(step: str, convert: Converter, json: bytes, notes: Notes) -> Any:
    """Convert a field or an item; paths in its errors and notes begin with this step."""
    before, notes.unknown = notes.unknown, {}
    try:
        value = convert(json, notes)
    except InvalidValueError as error:
        raise error.within(step) from None
    except RecursionError:
        raise  # its path would be as deep
    except DECODING_ERRORS as error:
        raise InvalidValueError(values.describe_error(error)).within(step) from None
    finally:
        nested = {f"{step}{'' if path[:1] == '[' else '.'}{path}": raw for path, raw in notes.unknown.items()}
        notes.unknown = before | nested if nested else before
    return value


def _list_converter(first: Sequence[Converter] = (), rest: Converter | None = None) -> Converter:
    """Return a converter of a list: some items by their position, the rest alike or as unknown fields."""

    def convert_items(json: bytes, notes: Notes) -> Any:
        if not json.startswith(b"["):
            raise InvalidValueError(f"expected a list, got {_describe(json)}")
        items = list(map(bytes, split_list(json)))
        if rest is None:
            notes.unknown |= {f"[{at}]": item for at, item in enumerate(items) if at >= len(first)}
        converters = chain(first, repeat(rest or _convert_untyped))
        return [
            _convert_nested(f"[{index}]", convert, item, notes)
            for index, (item, convert) in enumerate(zip(items, converters, strict=False))
        ]

    return convert_items


def _key_converter(kind: inspect.Type) -> Callable[[str], Any]:
    if isinstance(kind, (inspect.StrType, inspect.AnyType)):
        return str
    convert = converter(kind)
    return lambda key: convert(msgspec.json.encode(key), Notes())  # a key in quotes was not repaired


def _dict_converter(convert_key: Callable[[str], Any], convert: Converter) -> Converter:
    def convert_items(json: bytes, notes: Notes) -> Any:
        if not json.startswith(b"{"):
            raise InvalidValueError(f"expected an object, got {_describe(json)}")
        return {
            convert_key(key): _convert_nested(key, convert, bytes(value), notes)
            for key, value in split_object(json).items()
        }

    return convert_items


def _convert_untyped(json: bytes, _notes: Notes) -> Any:
    """Convert a value outside the contract: exact numbers, the rest by msgspec."""
    return _convert_numbers(parse(json))


def _convert_whole_or_amount(json: bytes, notes: Notes) -> Any:
    """Convert a number to an integer, or to an amount if it has a fraction or an exponent."""
    value = parse(json)
    return value if type(value) is int else _SCALARS[inspect.DecimalType](json, notes)


def _convert_float(json: bytes, notes: Notes) -> Any:
    """Convert a number with a fraction or an exponent to a finite float."""
    value = parse(json)
    return values.as_float(value) if type(value) is NumberText else _convert_untyped(json, notes)


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


def _scalar_converter(read: Callable[[Any], Any], is_usual: Callable[[Any], object]) -> Converter:
    """Return a converter that counts a value in an unusual form as repaired."""

    def convert(json: bytes, notes: Notes) -> Any:
        value = parse(json)
        converted = read(value)
        notes.is_repaired = notes.is_repaired or not is_usual(value)
        return converted

    return convert


def _describe(json: bytes) -> str:
    first = json[:1]
    return {b"{": "an object", b"[": "a list", b'"': "text", b"n": "null"}.get(first, "a scalar")


def _convert_text(json: bytes, notes: Notes) -> str:
    value = parse(json)
    notes.is_repaired = notes.is_repaired or type(value) is not str
    # As an integer, -0 would become 0.
    return values.as_text(NumberText(json.decode()) if type(value) is int else value)


class _Id(inspect.Type):
    """An integer or text."""


def _is_number(value: Any) -> bool:
    return type(value) in {int, NumberText, str}


_SCALARS: Final[dict[type[inspect.Type], Converter]] = {
    _Id: _scalar_converter(values.as_id, lambda value: type(value) in {int, str}),
    inspect.IntType: _scalar_converter(values.as_integer, lambda value: type(value) is int),
    inspect.FloatType: _scalar_converter(values.as_float, lambda value: type(value) in {int, NumberText}),
    inspect.DecimalType: _scalar_converter(values.as_money, _is_number),
    inspect.StrType: _convert_text,
    inspect.BoolType: _scalar_converter(values.as_boolean, lambda value: type(value) is bool),
    inspect.DateTimeType: _scalar_converter(values.as_timestamp, values.has_no_space),
    inspect.DateType: _scalar_converter(values.as_date, values.is_day),
    inspect.TimeType: _scalar_converter(values.as_time, values.is_usual_time),
}
_NEVER_TEXT: Final = (inspect.IntType, inspect.FloatType, inspect.BoolType)
_BLANK_IS_NULL: Final = {
    *(inspect.DecimalType, inspect.IntType, inspect.FloatType, inspect.DateTimeType, inspect.DateType),
    inspect.TimeType,
    *(inspect.ListType, inspect.VarTupleType, inspect.StructType, inspect.DictType),
}
_OBJECTS: Final = (inspect.StructType, inspect.DataclassType, inspect.TypedDictType, inspect.DictType)
_LISTS: Final = (inspect.CollectionType, inspect.TupleType, inspect.NamedTupleType)
