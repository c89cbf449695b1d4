"""Decode one row exactly as the contract of values says: the slow path, which all others must equal."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, cast

import msgspec
from msgspec import inspect

from aiwyn_async._decoding import values
from aiwyn_async._decoding.checked_types import (
    checked,
    exact_value,
    has_unchecked_amounts,
    is_object,
    reads_otherwise,
)
from aiwyn_async._decoding.key_case import Names
from aiwyn_async._decoding.unreadable import UNREADABLE
from aiwyn_async._decoding.values import NumberText, RefusedValueError, parse

__all__ = ["ExactRow", "exact_decoder", "is_usual", "keys_of", "tokens_of", "value_decoder"]


class ExactRow(NamedTuple):
    """A decoded row.

    Attributes:
        row: of the row type.
        is_repaired: a value was brought to the form of its field.
        unknown: the values under keys that are not a field, by their path, such as ``lineItems[0].note``.
    """

    row: Any
    is_repaired: bool
    unknown: Mapping[str, bytes]


class _Notes:
    """What is noticed on the way through a row."""

    __slots__ = ("is_repaired", "unknown")

    def __init__(self) -> None:
        self.is_repaired = False
        self.unknown: dict[str, bytes] = {}


Convert = Callable[[bytes, _Notes], Any]
"""From the JSON of a value to what ``msgspec.convert`` takes for it."""

keys_of: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
"""The keys of a JSON object, and their values as JSON."""

_items_of: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode


@functools.lru_cache(maxsize=256)
def exact_decoder(row_type: Any) -> Callable[[bytes], ExactRow]:
    """A decoder of the JSON of one row. It raises one of ``UNREADABLE`` for a row that is refused."""
    made = checked(row_type)
    fit = _converter(inspect.type_info(row_type))

    def decode(row: bytes) -> ExactRow:
        notes = _Notes()
        return ExactRow(msgspec.convert(fit(row, notes), made), notes.is_repaired, notes.unknown)

    return decode


@functools.lru_cache(maxsize=1024)
def value_decoder(kind: Any) -> Callable[[bytes], Any]:
    """A decoder of the JSON of one value. It raises one of ``UNREADABLE`` for one that is refused."""
    made = checked(kind)
    decode_fast = msgspec.json.Decoder(made, float_hook=values.sane_decimal).decode
    fit = _converter(inspect.type_info(kind))

    def decode(token: bytes) -> Any:
        try:
            if not reads_otherwise(kind, token):
                return decode_fast(token)
        except UNREADABLE:
            pass  # the exact decoder accepts more, and says what it refuses
        return msgspec.convert(fit(token, _Notes()), made)

    return decode


@functools.lru_cache(maxsize=1024)
def is_usual(kind: Any) -> Callable[[bytes], bool]:
    """Whether the JSON of a value is in the form that is decoded fast."""
    decode_fast = msgspec.json.Decoder(checked(kind), float_hook=values.sane_decimal).decode

    def check(token: bytes) -> bool:
        try:
            decode_fast(token)
        except UNREADABLE:
            return False
        return not reads_otherwise(kind, token)

    return check


def tokens_of(row_type: Any, row: bytes) -> dict[str, bytes]:
    """The JSON of each field that a row has, by its declared name."""
    wire = keys_of(row)
    return {name: bytes(wire[key]) for name, key in _names_of(row_type).match(wire).keys.items()}


@functools.lru_cache(maxsize=256)
def _names_of(row_type: Any) -> Names:
    return Names(field.encode_name for field in msgspec.structs.fields(row_type))


def _converter(kind: inspect.Type) -> Convert:  # noqa: PLR0911 (one for each kind)
    match kind:
        case inspect.Metadata(type=inner):
            return _converter(inner)
        case inspect.UnionType(types=types):
            return _union_converter(types)
        case inspect.StructType(cls=cls) if is_object(cls):
            return _when_needed(lambda: _struct_converter(kind))
        case inspect.DataclassType(fields=fields) | inspect.TypedDictType(fields=fields):
            return _when_needed(
                lambda: _object({field.encode_name: _converter(field.type) for field in fields})
            )
        case inspect.VarTupleType(item_type=item) | inspect.ListType(item_type=item):
            return _list(_converter(item))
        case inspect.DictType(value_type=value):
            return _mapping(_converter(value))
        case inspect.RawType():
            return lambda token, _: msgspec.Raw(token)
        case _:
            return _SCALARS.get(type(kind), _as_it_is)


def _when_needed(make: Callable[[], Convert]) -> Convert:
    """Make the function at its first use: an object may hold others of its own type."""
    made = functools.cache(make)

    def fit(token: bytes, notes: _Notes) -> Any:
        return made()(token, notes)

    return fit


def _struct_converter(kind: inspect.StructType) -> Convert:
    kinds = {field.encode_name: field.type for field in msgspec.structs.fields(kind.cls)}
    fits = {
        field.encode_name: _fast_first(kinds[field.encode_name], _converter(field.type))
        for field in kind.fields
    }
    return _object(fits, is_strict=kind.forbid_unknown_fields)


def _fast_first(kind: Any, fit: Convert) -> Convert:
    """Decode a field fast if that is exact, which it is for nearly all."""
    if has_unchecked_amounts(kind):
        return fit
    decode = msgspec.json.Decoder(checked(kind), float_hook=values.sane_decimal, dec_hook=exact_value).decode

    def fit_fast(token: bytes, notes: _Notes) -> Any:
        try:
            value = decode(token)
        except UNREADABLE:
            return fit(token, notes)
        return fit(token, notes) if reads_otherwise(kind, token) else value

    return fit_fast


def _union_converter(types: tuple[inspect.Type, ...]) -> Convert:
    members = [member for member in types if not isinstance(member, inspect.NoneType)]
    is_nullable = any(isinstance(member, inspect.NoneType) for member in types)
    kinds = {type(member) for member in members}
    if kinds == {inspect.IntType, inspect.StrType}:
        fit = _SCALARS[_Id]
    elif kinds <= {inspect.StrType, inspect.LiteralType}:
        fit = _SCALARS[inspect.StrType]
    elif kinds == {inspect.IntType, inspect.DecimalType}:
        fit = _scalar(lambda value: value if type(value) is int else values.as_money(value), _is_number)
    elif len(members) == 1:
        fit = _converter(members[0])
    else:
        return _as_it_is
    return _nullable(fit, takes_blank=kinds <= _BLANK_IS_NULL) if is_nullable else fit


def _nullable(fit: Convert, *, takes_blank: bool) -> Convert:
    def fit_or_null(token: bytes, notes: _Notes) -> Any:
        if token == b"null":
            return None
        if takes_blank and token.startswith(b'"') and values.is_blank(parse(token)):
            notes.is_repaired = True
            return None
        return fit(token, notes)

    return fit_or_null


def _object(fields: Mapping[str, Convert], *, is_strict: bool = False) -> Convert:
    names = Names(fields)

    def fit(token: bytes, notes: _Notes) -> Any:
        if not token.startswith(b"{"):
            raise RefusedValueError(f"expected an object, got {_kind_of(token)}")
        wire = keys_of(token)
        matched = names.match(wire)
        if is_strict and matched.unknown:
            raise RefusedValueError(f"expected no field {matched.unknown[0]!r}")
        notes.unknown |= {key: bytes(wire[key]) for key in matched.unknown}
        found: dict[str, Any] = {}
        for name, key in matched.keys.items():
            found[name] = _within(name, fields[name], bytes(wire[key]), notes)
        return found

    return fit


def _within(step: str, fit: Convert, token: bytes, notes: _Notes) -> Any:
    """The value of a field or an item; the paths of what is found in it begin with this step."""
    before, notes.unknown = notes.unknown, {}
    try:
        value = fit(token, notes)
    except RefusedValueError as fault:
        raise fault.within(step) from None
    finally:
        within = {
            f"{step}{'' if path.startswith('[') else '.'}{path}": raw for path, raw in notes.unknown.items()
        }
        notes.unknown = before | within if within else before
    return value


def _list(fit: Convert) -> Convert:
    def fit_items(token: bytes, notes: _Notes) -> Any:
        if not token.startswith(b"["):
            raise RefusedValueError(f"expected a list, got {_kind_of(token)}")
        return [_within(f"[{index}]", fit, bytes(item), notes) for index, item in enumerate(_items_of(token))]

    return fit_items


def _mapping(fit: Convert) -> Convert:
    def fit_values(token: bytes, notes: _Notes) -> Any:
        if not token.startswith(b"{"):
            raise RefusedValueError(f"expected an object, got {_kind_of(token)}")
        return {key: _within(key, fit, bytes(value), notes) for key, value in keys_of(token).items()}

    return fit_values


def _as_it_is(token: bytes, _notes: _Notes) -> Any:
    """A value of a kind that the contract does not know: msgspec decides; numbers are exact."""
    return _plain(parse(token))


def _plain(value: Any) -> Any:
    match value:
        case NumberText():
            return values.any_decimal(value)
        case list():
            return [_plain(item) for item in cast("list[object]", value)]
        case dict():
            return {key: _plain(item) for key, item in cast("dict[str, Any]", value).items()}
        case _:
            return value


def _scalar(read: Callable[[Any], Any], is_usual: Callable[[Any], bool]) -> Convert:
    """Any other form than the usual one counts as repaired."""

    def fit(token: bytes, notes: _Notes) -> Any:
        value = parse(token)
        found = read(value)
        notes.is_repaired = notes.is_repaired or not is_usual(value)
        return found

    return fit


def _kind_of(token: bytes) -> str:
    first = token[:1]
    return {b"{": "an object", b"[": "a list", b'"': "text", b"n": "null"}.get(first, "a scalar")


class _Id(inspect.Type):
    """An integer or text."""


def _is_number(value: Any) -> bool:
    return type(value) in {int, NumberText, str}


_SCALARS: Final[dict[type[inspect.Type], Convert]] = {
    _Id: _scalar(values.as_id, lambda value: type(value) in {int, str}),
    inspect.IntType: _scalar(values.as_integer, lambda value: type(value) is int),
    inspect.FloatType: _scalar(values.as_float, lambda value: type(value) in {int, NumberText}),
    inspect.DecimalType: _scalar(values.as_money, _is_number),
    inspect.StrType: _scalar(values.as_text, lambda value: type(value) is str),
    inspect.BoolType: _scalar(values.as_boolean, lambda value: type(value) is bool),
    inspect.DateTimeType: _scalar(values.as_timestamp, values.is_usual_timestamp),
    inspect.DateType: _scalar(values.as_date, values.is_usual_date),
}
_BLANK_IS_NULL: Final = {
    *(inspect.DecimalType, inspect.IntType, inspect.FloatType, inspect.DateTimeType, inspect.DateType),
    *(inspect.ListType, inspect.VarTupleType, inspect.StructType, inspect.DictType),
}
