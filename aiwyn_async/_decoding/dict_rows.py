"""Rows as dicts: as they are on the wire, with every amount of the resource's row type a ``Decimal``."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, cast

from msgspec import inspect

from aiwyn_async._decoding.key_case import Names
from aiwyn_async._decoding.values import RefusedValueError, as_money, is_blank

__all__ = ["exact_amounts_in"]

Convert = Callable[[Any], Any]


@functools.lru_cache(maxsize=256)
def exact_amounts_in(row_type: Any) -> Convert | None:
    """A function that makes the amounts of a dict row exact, in place; None if the type has no amounts.

    It raises ``RefusedValueError`` for a value that is not an amount, as any other row type would.
    """
    return None if row_type is None else _conversion(inspect.type_info(row_type))


def _conversion(kind: inspect.Type) -> Convert | None:
    match kind:
        case inspect.Metadata(type=inner):
            return _conversion(inner)
        case inspect.UnionType(types=types):
            members = [member for member in types if not isinstance(member, inspect.NoneType)]
            convert = _conversion(members[0]) if len(members) == 1 else None
            return None if convert is None else _nullable(convert)
        case inspect.DecimalType():
            return as_money
        case inspect.StructType(fields=fields):
            found = {field.encode_name: _conversion(field.type) for field in fields}
            conversions = {name: convert for name, convert in found.items() if convert is not None}
            return _object(conversions, Names(found)) if conversions else None
        case inspect.VarTupleType(item_type=item) | inspect.ListType(item_type=item):
            convert = _conversion(item)
            return None if convert is None else _list(convert)
        case _:
            return None


def _nullable(convert: Convert) -> Convert:
    return lambda value: None if value is None or is_blank(value) else convert(value)


def _object(conversions: Mapping[str, Convert], names: Names) -> Convert:
    def convert(row: Any) -> Any:
        if type(row) is not dict:
            return row
        fields = cast("dict[str, Any]", row)
        keys: Mapping[str, str] | None = None
        for name, convert_value in conversions.items():
            key = name
            if name not in fields:
                keys = names.match(fields).keys if keys is None else keys
                if name not in keys:
                    continue
                key = keys[name]
            try:
                fields[key] = convert_value(fields[key])
            except RefusedValueError as fault:
                raise fault.within(name) from None
        return fields

    return convert


def _list(convert: Convert) -> Convert:
    def convert_items(values: Any) -> Any:
        if type(values) is not list:
            return values
        found: list[Any] = []
        for index, value in enumerate(cast("list[object]", values)):
            try:
                found.append(convert(value))
            except RefusedValueError as fault:
                raise fault.within(f"[{index}]") from None
        return found

    return convert_items
