"""Rows of one read, decoded fast where that is exact.

From a page that it cannot decode fast, a decoder learns which other keys and numbers the server writes, so
that the next pages are decoded fast again. If that does not help, rows are decoded one by one.
"""

from __future__ import annotations

import functools
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Generic, NamedTuple, TypeVar, cast

import msgspec
from msgspec.structs import fields

from aiwyn_async._decoding import values
from aiwyn_async._decoding.checked_types import (
    NO_EXTRA_KEYS,
    ExtraKeys,
    Options,
    checked,
    exact_value,
    has_unchecked_amounts,
    is_checkable,
    is_key_only,
    reads_otherwise,
)
from aiwyn_async._decoding.dict_rows import exact_amounts_in
from aiwyn_async._decoding.exact import ExactRow, exact_decoder, keys_of
from aiwyn_async._decoding.key_case import bare
from aiwyn_async._decoding.malformed import up_to_value
from aiwyn_async._decoding.unreadable import UNREADABLE
from aiwyn_async.models.base import Model

__all__ = ["RAW", "Fast", "RowDecoder", "row_decoder"]

RowT = TypeVar("RowT")


class Fast(NamedTuple):
    """What msgspec decodes rows as: a type, and the hooks of its decoder."""

    kind: Any
    float_hook: Callable[[str], Any] | None = None
    dec_hook: Callable[[type, Any], Any] | None = None

    @property
    def rows(self) -> Any:
        """The type of a list of them."""
        return list[self.kind]  # type: ignore[name-defined]

    def decoder(self, kind: Any) -> msgspec.json.Decoder[Any]:
        """A decoder of a type that holds such rows."""
        return msgspec.json.Decoder(kind, float_hook=self.float_hook, dec_hook=self.dec_hook)


RAW: Final = Fast(msgspec.Raw, values.any_decimal)


class RowDecoder(Generic[RowT]):
    """The decoder of the rows of one read.

    Args:
        row_type: a Struct, ``dict``, ``msgspec.Raw``, or whatever else msgspec decodes.
        model: the row type of the resource, whose amounts a dict row holds exactly.

    Attributes:
        fast: what to decode a page as; then ``is_exact()`` says whether its rows are the right ones.
        extra_keys: that the server's objects have beside their fields, as far as this decoder knows.
        hooks_times: timestamps are read otherwise than msgspec does, so that they differ from the wire.
    """

    def __init__(self, row_type: Any, model: Any = None) -> None:
        self._row_type = row_type
        self._is_key = is_key_only(row_type)
        self._is_checked = is_checkable(row_type)
        self._is_unchecked = has_unchecked_amounts(row_type)
        self.reports_unknown = self._is_checked and issubclass(row_type, Model)
        self.extra_keys = NO_EXTRA_KEYS
        self._has_other_spellings = False
        self._has_hook = self.hooks_times = self._times_differ = False
        self._amounts = exact_amounts_in(model) if typing.get_origin(row_type) or row_type is dict else None
        self.fast = self._made_fast()

    def is_exact(self, rows: Sequence[Any], json: bytes, decode_as: Callable[[Fast], object]) -> bool:
        """Whether rows that were decoded fast are what ``exact()`` would return.

        Args:
            rows: of a page or a block.
            json: that they were decoded from.
            decode_as: decodes the same JSON with rows of another type.
        """
        if self._amounts is not None:
            return self._are_exact_dicts(rows)
        if self._is_key:
            return all(row.key is not None for row in rows)
        if not self._is_checked:
            return not self._is_unchecked
        self._times_differ = not self.hooks_times and reads_otherwise(self._row_type, json)
        if self._is_unchecked or self._times_differ:
            return False
        if self.extra_keys and (self.reports_unknown or any(map(_lacks_a_field(self._row_type), rows))):
            return self.knows_keys(decode_as)
        return True

    def knows_keys(self, decode_as: Callable[[Fast], object]) -> bool:
        """Whether rows have no keys but those of their fields and ``extra_keys``."""
        try:
            decode_as(Fast(_keys_alone(self._row_type, self.extra_keys)))
        except UNREADABLE:
            return False
        return True

    def adapt(self, rows: Iterable[bytes]) -> bool:
        """Learn from the rows of a page that was not decoded fast; whether that may help with the next."""
        if not self._is_checked or self._has_other_spellings:
            return False
        before = self.extra_keys, self._has_hook, self.hooks_times
        self._has_hook, self.hooks_times = True, self.hooks_times or self._times_differ
        for row in rows:
            if not self._has_known_keys(row):
                self._learn_keys(row)
        if before == (self.extra_keys, self._has_hook, self.hooks_times):
            return False
        self.fast = self._made_fast()
        return True

    def _has_known_keys(self, row: bytes) -> bool:
        if self._has_other_spellings:
            return True
        try:
            _decode_one(Fast(_keys_alone(self._row_type, self.extra_keys)), row)
        except UNREADABLE:
            return False
        return True

    def _learn_keys(self, row: bytes) -> None:
        seen: dict[Any, dict[str, None]] = {}
        _collect_keys(self._row_type, row, seen)
        extra = [_extra_keys(kind, keys) for kind, keys in seen.items()]
        self._has_other_spellings = None in extra
        self.extra_keys = self.extra_keys.union(*filter(None, extra))

    def without_hook(self) -> None:
        """Decode fast without a hook again: on this page it did not help, and it takes time."""
        self._has_hook = self.hooks_times = False
        self.fast = self._made_fast()

    def exact(self, row: bytes) -> ExactRow:
        """Decode one row, exactly. Raises one of ``UNREADABLE`` if it is refused."""
        if self._is_checked:
            return row_decoder(self._row_type)(row)
        if self._is_key:
            return _exact_key(self._row_type, row)
        if self._amounts is not None:
            return ExactRow(self._amounts(_decode_one(self.fast, row)), is_repaired=False, unknown={})
        if _is_struct(self._row_type) or self._is_unchecked:
            return exact_decoder(self._row_type)(row)
        return ExactRow(_decode_one(self.fast, row), is_repaired=False, unknown={})

    def _are_exact_dicts(self, rows: Sequence[Any]) -> bool:
        try:
            for row in rows:
                cast("Callable[[Any], Any]", self._amounts)(row)
        except UNREADABLE:
            return False
        return True

    def _made_fast(self) -> Fast:
        if not self._is_checked:
            return RAW if self._row_type is msgspec.Raw else Fast(self._row_type, values.any_decimal)
        hook = exact_value if self._has_hook else None
        kind = checked(self._row_type, Options(bool(self.extra_keys), self.hooks_times))
        return Fast(kind, values.sane_decimal, hook)


@functools.lru_cache(maxsize=256)
def row_decoder(row_type: Any) -> Callable[[bytes], ExactRow]:
    """A decoder of the JSON of one row or object. It raises one of ``UNREADABLE`` for one that is refused."""
    exact = exact_decoder(row_type)
    if not is_checkable(row_type) or has_unchecked_amounts(row_type):
        return exact
    fast = Fast(checked(row_type), values.sane_decimal, exact_value)
    decode_fast = fast.decoder(fast.kind).decode

    def decode(row: bytes) -> ExactRow:
        try:
            found = decode_fast(row)
        except UNREADABLE:
            return exact(row)
        return (
            exact(row) if reads_otherwise(row_type, row) else ExactRow(found, is_repaired=False, unknown={})
        )

    return decode


def _exact_key(kind: Any, row: bytes) -> ExactRow:
    """The key of a row, also of one that is not JSON behind it."""
    decode = exact_decoder(kind)
    try:
        return decode(row)
    except UNREADABLE:
        name = bare(fields(kind)[0].encode_name)
        front = up_to_value(row, lambda key: bare(key) == name)
        if front is None:
            raise
        return decode(front)


@functools.lru_cache(maxsize=256)
def _decoder_of_one(fast: Fast) -> Callable[[bytes], Any]:
    return fast.decoder(fast.kind).decode


def _decode_one(fast: Fast, row: bytes) -> Any:
    return _decoder_of_one(fast)(row)


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _nested_in(kind: Any) -> Mapping[str, Any]:
    """The fields of a Struct that hold objects, alone or in a list, and the Struct of these."""
    found = {field.encode_name: _struct_within(field.type) for field in fields(kind)}
    return {name: inner for name, inner in found.items() if inner is not None}


def _struct_within(kind: Any) -> Any:
    if is_checkable(kind):
        return kind
    within: list[Any] = [_struct_within(each) for each in typing.get_args(kind)]
    return next((each for each in within if each is not None), None)


def _collect_keys(kind: Any, json: bytes, seen: dict[Any, dict[str, None]]) -> None:
    """Note the keys of an object, or of those in a list, and of the objects within."""
    if json.startswith(b"["):
        for item in _items_of(json):
            _collect_keys(kind, bytes(item), seen)
    if not json.startswith(b"{"):
        return
    try:
        wire = keys_of(json)
    except UNREADABLE:
        return
    seen.setdefault(kind, {}).update(dict.fromkeys(wire))
    for name, inner in _nested_in(kind).items():
        if name in wire:
            _collect_keys(inner, bytes(wire[name]), seen)


def _items_of(json: bytes) -> list[msgspec.Raw]:
    try:
        return _decode_items(json)
    except UNREADABLE:
        return []


_decode_items: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode


def _extra_keys(kind: Any, keys: Iterable[str]) -> ExtraKeys | None:
    """The keys of no field; None if one may be a field in another spelling."""
    declared = {field.encode_name for field in fields(kind)}
    known = set(map(bare, declared))
    extra = [key for key in keys if key not in declared]
    return None if any(bare(key) in known for key in extra) else frozenset((kind, key) for key in extra)


@functools.lru_cache(maxsize=256)
def _keys_alone(kind: Any, extra_keys: ExtraKeys) -> Any:
    """A Struct that reads the keys of an object alone, and refuses those that are not known."""
    nested = _nested_in(kind)
    names = [field.encode_name for field in fields(kind)]
    columns: list[tuple[str, Any, Any]] = []
    for place, name in enumerate([*names, *(key for owner, key in extra_keys if owner is kind)]):
        inner: Any = msgspec.Raw
        if name in nested:
            of_object: Any = _keys_alone(nested[name], extra_keys)
            inner = of_object | list[of_object] | None
        columns.append((f"key_{place}", inner, msgspec.field(name=name, default=None)))
    return msgspec.defstruct("KeysAlone", columns, forbid_unknown_fields=True, gc=False)


@functools.lru_cache(maxsize=256)
def _lacks_a_field(kind: Any) -> Callable[[Any], bool]:
    """Whether a row has a default, which may stand for a value under a key that is not known."""
    optional = [
        (field.name, field.default_factory() if field.default is msgspec.NODEFAULT else field.default)
        for field in fields(kind)
        if not field.required
    ]
    return lambda row: any(getattr(row, name) == default for name, default in optional)
