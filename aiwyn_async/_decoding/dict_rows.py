"""Rows as dicts, unchanged except for the values that the resource's row type declares as amounts."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, cast

from msgspec import inspect

from aiwyn_async._decoding.key_case import FieldNames
from aiwyn_async._decoding.values import InexactError, InvalidValueError, as_money, is_blank

Convert = Callable[[Any], Any]


@functools.lru_cache(maxsize=256)
def amount_converter(row_type: Any, *, repairs: bool = False) -> Convert | None:
    """Return a function that converts amounts of a dict row in place, or None.

    It raises ``InvalidValueError`` for a value that is not an amount, as for any other row type.

    Args:
        row_type: a Struct, or None.
        repairs: empty text becomes null; otherwise it raises ``InexactError``.
    """
    return None if row_type is None else _build_converter(inspect.type_info(row_type), repairs)


def _build_converter(kind: inspect.Type, repairs: bool) -> Convert | None:
    match kind:
        case inspect.Metadata(type=inner):
            return _build_converter(inner, repairs)
        case inspect.UnionType(types=types):
            members = [member for member in types if not isinstance(member, inspect.NoneType)]
            convert = _build_converter(members[0], repairs) if len(members) == 1 else None
            return None if convert is None else _nullable(convert, repairs)
        case inspect.DecimalType():
            return as_money
        case inspect.StructType(fields=fields):
            converters = {field.encode_name: _build_converter(field.type, repairs) for field in fields}
            amounts = {name: convert for name, convert in converters.items() if convert is not None}
            return _object(amounts, FieldNames(converters)) if amounts else None
        case inspect.VarTupleType(item_type=item) | inspect.ListType(item_type=item):
            convert = _build_converter(item, repairs)
            return None if convert is None else _list(convert)
        case _:
            return None


def _nullable(convert: Convert, repairs: bool) -> Convert:
    def convert_nullable(value: Any) -> Any:
        if value is None:
            return None
        if not is_blank(value):
            return convert(value)
        if not repairs:
            raise InexactError
        return None

    return convert_nullable


def _object(converters: Mapping[str, Convert], names: FieldNames) -> Convert:
    def convert(row: Any) -> Any:
        if type(row) is not dict:
            return row
        fields = cast("dict[str, Any]", row)
        keys: Mapping[str, str] | None = None
        for name, convert_value in converters.items():
            key = name
            if name not in fields:
                keys = names.match(fields).keys if keys is None else keys
                if name not in keys:
                    continue
                key = keys[name]
            try:
                fields[key] = convert_value(fields[key])
            except InvalidValueError as error:
                raise error.within(name) from None
        return fields

    return convert


def _list(convert: Convert) -> Convert:
    def convert_items(values: Any) -> Any:
        if type(values) is not list:
            return values
        converted: list[Any] = []
        for index, value in enumerate(cast("list[object]", values)):
            try:
                converted.append(convert(value))
            except InvalidValueError as error:
                raise error.within(f"[{index}]") from None
        return converted

    return convert_items
