"""The keys of the server's objects that are not fields of their Structs, at any depth."""

from __future__ import annotations

import functools
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec
from msgspec.structs import fields

from aiwyn_async._decoding.checked_types import ExtraKeys, is_checkable, is_object, resolve
from aiwyn_async._decoding.converters import split_list, split_object
from aiwyn_async._decoding.key_case import can_be_field, normalize
from aiwyn_async._decoding.values import DECODING_ERRORS


@functools.lru_cache(maxsize=256)
def _nested_structs(kind: Any) -> Mapping[str, Any]:
    """Return the fields of a Struct that hold objects or lists of them, by Struct."""
    structs = {field.encode_name: _find_struct(field.type) for field in fields(kind)}
    return {name: inner for name, inner in structs.items() if inner is not None}


def _find_struct(kind: Any) -> Any:
    kind = resolve(kind)
    origin = typing.get_origin(kind)
    if is_checkable(kind) or is_object(origin):  # the origin is a generic Struct
        return kind
    if origin is dict:
        return None  # the keys of its objects are always checked
    structs: list[Any] = [_find_struct(each) for each in typing.get_args(kind)]
    return next((each for each in structs if each is not None), None)


def collect_keys(kind: Any, json: bytes, seen: dict[Any, dict[str, None]]) -> None:
    """Collect the keys of an object, or of those in a list, and of nested objects."""
    try:
        if json.startswith(b"["):
            for item in split_list(json):
                collect_keys(kind, bytes(item), seen)
        if not json.startswith(b"{"):
            return
        wire = split_object(json)
    except DECODING_ERRORS:
        return
    seen.setdefault(kind, {}).update(dict.fromkeys(wire))
    for name, inner in _nested_structs(kind).items():
        if name in wire:
            collect_keys(inner, bytes(wire[name]), seen)


def find_extra_keys(kind: Any, keys: Iterable[str]) -> ExtraKeys | None:
    """Return the keys without a field; None if one may be a field in another case."""
    declared = {field.encode_name for field in fields(kind)}
    known = set(map(normalize, declared))
    extra = [key for key in keys if key not in declared]
    return None if any(normalize(key) in known for key in extra) else frozenset((kind, key) for key in extra)


@functools.lru_cache(maxsize=256)
def keys_type(kind: Any, extra_keys: ExtraKeys) -> Any:
    """Return a Struct type that decodes no values and rejects unknown keys."""
    nested = _nested_structs(kind)
    names = [field.encode_name for field in fields(kind)]
    columns: list[tuple[str, Any, Any]] = []
    # With another key, a row is decoded by itself.
    extra = [key for owner, key in extra_keys if owner is kind and can_be_field(key)]
    for index, name in enumerate([*names, *extra]):
        inner: Any = msgspec.Raw
        if name in nested:
            of_object: Any = keys_type(nested[name], extra_keys)
            inner = of_object | list[of_object] | None
        columns.append((f"key_{index}", inner, msgspec.field(name=name, default=None)))
    return msgspec.defstruct("KeysOnly", columns, forbid_unknown_fields=True, gc=False)


@functools.lru_cache(maxsize=256)
def has_optional_within(kind: Any) -> bool:
    """Return True for a type with nested objects that may lack a field: it may be under an unknown key."""
    nested = _nested_structs(kind).values()
    return any(
        not all(field.required for field in fields(each)) or has_optional_within(each) for each in nested
    )


@functools.lru_cache(maxsize=256)
def has_default_value(kind: Any) -> Callable[[Any], bool]:
    """Return a function that is True for a row with a default: the value may be under an unknown key."""
    optional = [
        (field.name, field.default_factory() if field.default is msgspec.NODEFAULT else field.default)
        for field in fields(kind)
        if not field.required
    ]
    return lambda row: any(getattr(row, name) == default for name, default in optional)
