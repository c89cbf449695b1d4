"""Row types with a choice of their fields: the other fields are known, but not decoded.

The type that ``choose_fields()`` returns declares every field, so that keys are matched as for the whole
type, and only undeclared ones are unknown.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from operator import attrgetter
from typing import Any, Final, NamedTuple

import msgspec
from msgspec.structs import FieldInfo, fields

from aiwyn_async._decoding.checked_types import NO_EXTRA_KEYS, ExtraKeys, key_only
from aiwyn_async._decoding.key_case import can_be_field
from aiwyn_async._decoding.plain_types import copy_field
from aiwyn_async.models.base import Id, Model

_NULL: Final = msgspec.Raw(b"null")


@functools.lru_cache(maxsize=64)
def choose_fields(row_type: Any, names: tuple[str, ...]) -> type[Any]:
    """Return a Struct type that decodes only some fields of another, and no methods of it.

    Args:
        row_type: a Struct that is a JSON object without a tag.
        names: of the fields on the wire, in the order of ``chosen_fields()``.
    """
    columns: list[Any] = [
        (field.name, field.type, copy_field(field))
        if field.encode_name in names
        else (field.name, msgspec.Raw, msgspec.field(name=field.encode_name, default=_NULL))
        for field in fields(row_type)
    ]
    return msgspec.defstruct(
        row_type.__name__,
        columns,
        bases=(Model if issubclass(row_type, Model) else msgspec.Struct,),
        namespace={"_chosen_names": names},
        kw_only=True,
        forbid_unknown_fields=row_type.__struct_config__.forbid_unknown_fields,
    )


def has_choice(row_type: Any) -> bool:
    """Return True for a type that ``choose_fields()`` created."""
    return hasattr(row_type, "_chosen_names")


@functools.lru_cache(maxsize=256)
def chosen_fields(row_type: Any) -> tuple[FieldInfo, ...]:
    """Return the chosen fields of a Struct type in their order; by default all fields."""
    if not has_choice(row_type):
        return fields(row_type)
    by_name = {field.encode_name: field for field in fields(row_type)}
    return tuple(by_name[name] for name in row_type._chosen_names)  # noqa: SLF001 (set above)


class ChosenRows(list[Id]):
    """The keys of rows, and the JSON of their chosen fields, in blocks with commas between the rows."""

    def __init__(self, keys: Iterable[Id] = (), *blocks: bytes) -> None:
        super().__init__(keys)
        self.blocks = list(blocks)

    def add(self, rows: ChosenRows) -> None:
        self += rows
        self.blocks += rows.blocks


@functools.lru_cache(maxsize=64)
def key_and_fields(row_type: Any, key: str) -> type[Any]:
    """Return a row type of which a ``RowDecoder`` yields ``ChosenRows``: a page is decoded only once.

    From a page whose rows lack the key, or have a key that is not a declared field, it yields the keys alone.

    Args:
        row_type: a type that ``choose_fields()`` created.
        key: one of its declared fields.
    """
    whole, attributes, choose = _raw_fields(row_type, NO_EXTRA_KEYS)
    get_key = attrgetter(attributes[key])
    decode_keys = msgspec.json.Decoder(list[Id]).decode

    def to_chosen(rows: list[Any]) -> ChosenRows:
        keys = decode_keys(b"[%s]" % b",".join(map(get_key, rows)))
        return ChosenRows(keys, msgspec.json.encode(choose(rows))[1:-1])

    return msgspec.defstruct(
        "KeyAndFields",
        [(attributes[key], msgspec.Raw, msgspec.field(name=key))],
        bases=(whole,),
        namespace={"key_only": key_only(key), "to_chosen": staticmethod(to_chosen)},
        kw_only=True,
        gc=False,
    )


def creates_chosen_rows(row_type: Any) -> bool:
    """Return True for a type that ``key_and_fields()`` created."""
    return hasattr(row_type, "to_chosen")


@functools.lru_cache(maxsize=256)
def raw_fields_decoder(
    row_type: Any, extra_keys: ExtraKeys = NO_EXTRA_KEYS
) -> Callable[[bytes], list[msgspec.Struct]]:
    """Return a decoder of a list of rows to Structs of the raw JSON of their chosen fields.

    Encoding them drops the other fields. It raises ``DECODING_ERRORS`` if a row is not an object or has a key
    that is neither a declared field nor one of ``extra_keys``.
    """
    whole, _, choose = _raw_fields(row_type, extra_keys)
    decode: Any = msgspec.json.Decoder(list[whole]).decode  # type: ignore[valid-type]
    return lambda rows: choose(decode(rows))


class _RawFields(NamedTuple):
    """A Struct of the raw JSON of all fields, its attributes by field, and what retains the chosen ones."""

    whole: type[Any]
    attributes: Mapping[str, str]
    choose: Callable[[list[Any]], list[msgspec.Struct]]


def _raw_fields(row_type: Any, extra_keys: ExtraKeys) -> _RawFields:
    declared = [field.encode_name for field in fields(row_type)]
    extra = [key for owner, key in extra_keys if owner is row_type and can_be_field(key)]
    attributes = {name: f"key_{index}" for index, name in enumerate([*declared, *extra])}
    whole = msgspec.defstruct(
        "RawFields",
        [_raw_column(attribute, name) for name, attribute in attributes.items()],
        forbid_unknown_fields=True,
        gc=False,
    )
    names = [field.encode_name for field in chosen_fields(row_type)]
    chosen = msgspec.defstruct(
        "ChosenFields", [_raw_column(attributes[name], name) for name in names], gc=False
    )
    get = attrgetter(*(attributes[name] for name in names))

    def choose(rows: list[Any]) -> list[msgspec.Struct]:
        return [chosen(*values) for values in map(get, rows)]

    def choose_one(rows: list[Any]) -> list[msgspec.Struct]:
        return [chosen(get(row)) for row in rows]

    return _RawFields(whole, attributes, choose_one if len(names) == 1 else choose)


def _raw_column(attribute: str, name: str) -> Any:
    return attribute, msgspec.Raw | msgspec.UnsetType, msgspec.field(name=name, default=msgspec.UNSET)
