"""Decode the rows of one read: fast if that is exact, and otherwise one by one.

The fast path decodes a page or a block in one call, with the types of ``checked_types``. From a page that it
cannot decode, a ``RowDecoder`` learns which other keys and numbers the server writes, and adapts these types
for the next pages. Rows that the fast path rejects are decoded one by one by ``exact``.
"""

from __future__ import annotations

import functools
import typing
from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from operator import attrgetter
from typing import Any, Final, Generic, NamedTuple, TypeVar, cast

import msgspec
from msgspec.structs import fields

from aiwyn_async._decoding import values
from aiwyn_async._decoding.checked_types import (
    NO_EXTRA_KEYS,
    UNIONS,
    CheckOptions,
    bare_type,
    checked,
    decode_hook,
    fast_decoder,
    is_checkable,
    is_key_only,
    key_only,
    may_misread_timestamps,
    needs_exact_decoding,
)
from aiwyn_async._decoding.chosen_fields import creates_chosen_rows
from aiwyn_async._decoding.dict_rows import amount_converter
from aiwyn_async._decoding.exact import ExactRow, exact_decoder
from aiwyn_async._decoding.extra_keys import (
    collect_keys,
    find_extra_keys,
    has_default_value,
    has_optional_within,
    keys_type,
)
from aiwyn_async._decoding.key_case import normalize
from aiwyn_async._decoding.malformed import cut_after_value
from aiwyn_async._decoding.plain_types import is_struct, plain_type
from aiwyn_async._decoding.values import DECODING_ERRORS
from aiwyn_async.models.base import Id, Model

RowT = TypeVar("RowT")


class DecoderSpec(NamedTuple):
    """The row type and the hooks of a msgspec decoder."""

    kind: Any
    float_hook: Callable[[str], Any] | None = None
    dec_hook: Callable[[type, Any], Any] | None = None

    @property
    def rows(self) -> Any:
        """The type of a list of rows."""
        return list[self.kind]  # type: ignore[name-defined]

    def decoder(self, kind: Any) -> msgspec.json.Decoder[Any]:
        """Return a decoder of a type that contains such rows."""
        return msgspec.json.Decoder(kind, float_hook=self.float_hook, dec_hook=self.dec_hook)


_DICTS: Final = {dict, Mapping, MutableMapping}
MAX_EXTRA_KEYS: Final = 200
"""If each row has an unknown key of its own, each needs another type, which takes too long."""
_get_key: Final = attrgetter("key")
RAW: Final = DecoderSpec(msgspec.Raw, values.unbounded_decimal)


class RowDecoder(Generic[RowT]):
    """Decodes the rows of one read.

    Args:
        row_type: a Struct, ``dict``, ``msgspec.Raw``, or any other type that msgspec decodes.
        model: the row type of the resource; its amounts are exact in dict rows too.

    Attributes:
        fast: how to decode a page in one call; the rows are valid only if ``is_exact()`` returns True.
        extra_keys: keys of the server's objects that are not fields, as far as they are known.
        adapted_at: the last page with a key that was not known. Pages before it, which other threads decode
            at the same time, may be the first with that key.
        hooks_timestamps: the ``dec_hook`` decodes timestamps, because msgspec would misread some of them.
        yields_chosen: rows are decoded to ``ChosenRows``, until a page shows that they cannot be.
        reports_unknown_keys: keys without a field are reported, since the row type is a model.
        has_amounts_of_dicts: rows are dicts, of which the amounts are converted.
    """

    def __init__(self, row_type: Any, model: Any = None) -> None:
        self._row_type = row_type
        self._is_key_only = is_key_only(row_type)
        self.yields_chosen = self._creates_chosen_rows = creates_chosen_rows(row_type)
        self._is_checked = is_checkable(row_type) and not self._creates_chosen_rows
        self._needs_exact = _needs_exact(row_type)
        self._is_deferred = plain_type(row_type) is not row_type
        self.reports_unknown_keys = self._is_checked and issubclass(row_type, Model)
        self.extra_keys, self.adapted_at = NO_EXTRA_KEYS, 0
        self._cannot_adapt = False
        self._has_hook = self.hooks_timestamps = self._misreads_timestamps = False
        is_dict = _is_dict(row_type)
        self._amounts = amount_converter(model) if is_dict else None
        self.has_amounts_of_dicts = self._amounts is not None
        self._repair_amounts = amount_converter(model, repairs=True) if is_dict else None
        self.fast = self._build_spec()

    def is_exact(self, rows: Sequence[Any], json: bytes, decode_as: Callable[[DecoderSpec], object]) -> bool:
        """Return True if rows decoded fast equal those of ``decode_exactly()``."""
        if self._amounts is not None:
            return self._are_exact_dicts(rows)
        if self._is_key_only:
            return None not in map(_get_key, rows)
        if not self._is_checked:
            return not self._needs_exact
        self._misreads_timestamps = not self.hooks_timestamps and may_misread_timestamps(self._row_type, json)
        if self._needs_exact or self._misreads_timestamps:
            return False
        if self.extra_keys and (
            self._is_deferred
            or self.reports_unknown_keys
            or has_optional_within(self._row_type)
            or any(map(has_default_value(self._row_type), rows))
        ):
            return self.has_only_known_keys(decode_as)
        return True

    def finish(self, rows: list[Any], json: bytes, decode_as: Callable[[DecoderSpec], object]) -> list[Any]:
        """Return rows decoded fast as the rows to yield; raise ``DECODING_ERRORS`` if that is not exact."""
        if not self.is_exact(rows, json, decode_as):
            raise values.InexactError
        if not self._creates_chosen_rows:
            return rows
        return list(map(_get_key, rows)) if self._is_key_only else self._row_type.to_chosen(rows)

    def has_only_known_keys(self, decode_as: Callable[[DecoderSpec], object]) -> bool:
        """Return True if all keys of the rows are fields or in ``extra_keys``."""
        try:
            decode_as(DecoderSpec(keys_type(self._row_type, self.extra_keys)))
        except DECODING_ERRORS:
            return False
        return True

    def adapt(self, rows: Iterable[bytes], page: int = 0) -> bool:
        """Adapt to a page that was not decoded fast; return True if ``fast`` changed."""
        if self.yields_chosen:
            self._row_type, self._is_key_only, self.yields_chosen = self._row_type.key_only, True, False
            self.fast = self._build_spec()
            return True
        if not self._is_checked or self._cannot_adapt:
            return False
        before = self.extra_keys, self._has_hook, self.hooks_timestamps
        self._has_hook, self.hooks_timestamps = True, self.hooks_timestamps or self._misreads_timestamps
        for row in rows:
            if not self._has_known_keys(row):
                self.adapted_at = max(self.adapted_at, page)  # before other threads see the key
                self._learn_keys(row)
        if before == (self.extra_keys, self._has_hook, self.hooks_timestamps):
            return False
        self.fast = self._build_spec()
        return True

    def _has_known_keys(self, row: bytes) -> bool:
        return self._cannot_adapt or self.has_only_known_keys(lambda spec: _decoder(spec)(row))

    def _learn_keys(self, row: bytes) -> None:
        seen: dict[Any, dict[str, None]] = {}
        collect_keys(self._row_type, row, seen)
        extra = [find_extra_keys(kind, keys) for kind, keys in seen.items()]
        self.extra_keys = self.extra_keys.union(*filter(None, extra))
        self._cannot_adapt = None in extra or len(self.extra_keys) > MAX_EXTRA_KEYS

    def drop_hook(self) -> None:
        """Decode without the slower ``dec_hook`` after a page that it did not help with."""
        self._has_hook = self.hooks_timestamps = False
        self.fast = self._build_spec()

    def decode_exactly(self, row: bytes) -> ExactRow:
        """Decode one row exactly, or raise one of ``DECODING_ERRORS``."""
        if self._is_checked:
            return row_decoder(self._row_type)(row)
        if self._creates_chosen_rows:
            exact = _decode_key(getattr(self._row_type, "key_only", self._row_type), row)
            return exact._replace(row=exact.row.key)
        if self._is_key_only:
            return _decode_key(self._row_type, row)
        if self._amounts is not None:
            decoded = _decoder(self.fast)(row)
            return ExactRow(decoded, is_repaired=bool(self.repair_dicts([decoded])), unknown={})
        if is_struct(self._row_type) or self._needs_exact:
            return exact_decoder(self._row_type)(row)
        return ExactRow(_decoder(self.fast)(row), is_repaired=False, unknown={})

    def repair_dicts(self, rows: Sequence[Any]) -> int:
        """Convert amounts of dict rows in place; return the number of rows with empty text for one.

        Raises ``DECODING_ERRORS`` for a bad row.
        """
        repaired = 0
        for row in rows:
            try:
                cast("Any", self._amounts)(row)
            except values.InexactError:
                cast("Any", self._repair_amounts)(row)
                repaired += 1
        return repaired

    def _are_exact_dicts(self, rows: Sequence[Any]) -> bool:
        try:
            for row in rows:
                cast("Callable[[Any], Any]", self._amounts)(row)
        except DECODING_ERRORS:
            return False
        return True

    def _build_spec(self) -> DecoderSpec:
        if self._row_type is msgspec.Raw:
            return RAW
        if not self._is_checked:
            return DecoderSpec(self._row_type, values.unbounded_decimal)
        hook = decode_hook if self._has_hook else None
        kind = checked(self._row_type, CheckOptions(bool(self.extra_keys), self.hooks_timestamps))
        return DecoderSpec(kind, values.bounded_decimal, hook)


@functools.lru_cache(maxsize=256)
def _needs_exact(row_type: Any) -> bool:
    return typing.get_origin(row_type) in UNIONS or needs_exact_decoding(row_type)


@functools.lru_cache(maxsize=256)
def _is_dict(row_type: Any) -> bool:
    bare = bare_type(row_type)
    return bare in _DICTS or typing.get_origin(bare) in _DICTS


@functools.lru_cache(maxsize=256)
def fast_decoders(row_type: Any) -> Sequence[Callable[[bytes], Any]]:
    """Return decoders that reject keys without a field, the fastest first; none if they are not exact."""
    if not is_checkable(row_type):
        return ()
    decoders = [fast_decoder(row_type, hook) for hook in (None, decode_hook)]
    return [decode for decode in decoders if decode is not None]


@functools.lru_cache(maxsize=256)
def row_decoder(row_type: Any) -> Callable[[bytes], ExactRow]:
    """Return a decoder of a row's or object's JSON, which raises ``DECODING_ERRORS``."""
    exact, decoders = exact_decoder(row_type), fast_decoders(row_type)
    if not decoders:
        return exact

    def decode(row: bytes) -> ExactRow:
        for decode_fast in decoders:
            try:
                return ExactRow(decode_fast(row), is_repaired=False, unknown={})
            except DECODING_ERRORS:
                continue
        return exact(row)

    return decode


@functools.lru_cache(maxsize=64)
def key_decoder(key: str) -> Callable[[bytes], Id | None]:
    """Return a function that decodes the key of a row, or None without a valid one."""
    row_type = key_only(key)

    def decode(row: bytes) -> Id | None:
        try:
            decoded: Id | None = _decode_key(row_type, row).row.key
        except DECODING_ERRORS:
            return None
        return decoded

    return decode


def _decode_key(kind: Any, row: bytes) -> ExactRow:
    """Decode the key of a row, even if the JSON after it is malformed.

    Nothing is noted: the consumer of the whole row does that.
    """
    decode = exact_decoder(kind)
    try:
        key_only_row = decode(row).row
    except DECODING_ERRORS:
        name = normalize(fields(kind)[0].encode_name)
        head = cut_after_value(row, lambda key: normalize(key) == name)
        if head is None:
            raise
        key_only_row = decode(head).row
    return ExactRow(key_only_row, is_repaired=False, unknown={})


@functools.lru_cache(maxsize=256)
def _decoder(spec: DecoderSpec) -> Callable[[bytes], Any]:
    return spec.decoder(spec.kind).decode
