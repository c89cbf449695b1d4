"""From the bytes of a page to its rows and its count.

An endpoint declares the keys of its envelope. They are tried first, with a decoder built once; when an
answer has another shape (another schema prefix, a ``data`` around it, another place for the count), the
shape is found in that answer, and a decoder for it is built and kept.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Any, Final, Generic, Literal, TypeVar, cast

import msgspec

from aiwyn_async._decoding.blocks import Block, cut_between_rows
from aiwyn_async._decoding.key_case import without_indexes
from aiwyn_async._decoding.malformed import split_page, with_whole_surrogates, without_items
from aiwyn_async._decoding.row_decoder import RAW, Fast, RowDecoder, row_decoder
from aiwyn_async._decoding.unreadable import UNREADABLE, InexactError, error_text, explain
from aiwyn_async._decoding.values import any_decimal
from aiwyn_async.errors import ApiError, DecodeError
from aiwyn_async.models.base import Id

__all__ = [
    "BadRow",
    "Blocks",
    "DecodedRows",
    "Envelope",
    "EnvelopeReader",
    "OnBadRow",
    "RowError",
    "decode_object",
    "key_decoder",
    "key_only",
]

RowT = TypeVar("RowT")
DetailT = TypeVar("DetailT")
OnBadRow = Literal["raise", "skip", "collect"]

# Lists under these keys tell of something else than rows.
NO_ROWS: Final = frozenset({"errors", "warnings", "error", "meta"})
# An object with others among its keys is no envelope of one.
ENVELOPE_KEYS: Final = frozenset({"data", "error", "errors", "meta"})


class Envelope(msgspec.Struct, frozen=True):
    """Where an answer keeps its rows and its count: paths of keys from the top."""

    items: tuple[str, ...]
    count: tuple[str, ...] | None = None


class BadRow(msgspec.Struct, frozen=True):
    """A row that is refused.

    Attributes:
        page: the number of its page.
        index: of the row within the page, from 0.
        error: the field and the reason, such as ``totalAmount: expected a number, got 'a lot'``.
        raw: its JSON, or the bytes that are not JSON.
        key: its key, if that could be read.
    """

    page: int
    index: int
    error: str
    raw: bytes
    key: Id | None = None


class RowError(msgspec.Struct, frozen=True):
    """A row of a page that is refused: its index, the reason, the path to the value, and its bytes."""

    index: int
    reason: str
    path: str
    raw: bytes

    @property
    def error(self) -> str:
        """The reason with its path."""
        return f"{self.path}: {self.reason}" if self.path else self.reason


class DecodedRows(msgspec.Struct, Generic[RowT]):
    """A decoded page.

    Attributes:
        rows: those that decode.
        count: rows that match in all, as the server says, or None.
        bad: those that are refused.
        repaired: rows in which a value was brought to the form of its field.
        unknown: keys that are no field, with their path, and the index of the first row that has each.
        is_broken: a row is not JSON, which may be so on the wire only this time.
        was_slow: the page was not decoded fast at first, for what its rows hold.
    """

    rows: list[RowT]
    count: int | None
    bad: list[RowError]
    repaired: int = 0
    unknown: dict[str, int] = {}
    is_broken: bool = False
    was_slow: bool = False


class Blocks(Generic[RowT]):
    """A page's rows, some at a time, decoded when they are taken; ``left`` is how often there are more."""

    __slots__ = ("_blocks", "_decode", "_last", "count", "left")

    def __init__(
        self,
        blocks: Sequence[Block],
        decode: Callable[[bytes], list[RowT]],
        *,
        last: list[RowT],
        count: int | None,
    ) -> None:
        self.count = count
        self.left = len(blocks) + 1
        self._blocks = iter(blocks)
        self._decode = decode
        self._last = last

    def take(self) -> list[RowT]:
        """The next rows, in the page's order. Raises one of ``UNREADABLE`` if the page must be read whole."""
        self.left -= 1
        if not self.left:
            return self._last
        # Formatting would reserve half as much again, more than glibc gives without asking the kernel.
        return self._decode(b"".join((b"[", *next(self._blocks), b"]")))


class EnvelopeReader(Generic[RowT]):
    """Reads the pages of one read as rows of one type.

    Args:
        row_type: a Struct, ``dict`` or ``msgspec.Raw``.
        declared: the envelope that the endpoint is known to have; None to find it.
        model: the row type of the resource, whose amounts a dict row holds exactly.
    """

    def __init__(self, row_type: type[RowT], declared: Envelope | None, model: Any = None) -> None:
        self._decoder: RowDecoder[RowT] = RowDecoder(row_type, model)
        self._declared = declared
        self._envelope = declared
        self._has_searched = False
        self._known_keys: set[str] = set()

    @property
    def rows_at(self) -> tuple[str, ...]:
        """The path of keys to the rows of the page that was read last."""
        return self._envelope.items if self._envelope is not None else ()

    def read(self, body: bytes) -> DecodedRows[RowT]:
        """Decode a page.

        Raises:
            DecodeError: the body is not a JSON object with one list of rows in it.
            ApiError: the body is an error.
        """
        unknown: dict[str, int] = {}
        if self._envelope is not None:
            found = self._read_as(self._envelope, body)
            # Rows without a count may have it elsewhere than declared; one page is searched for it.
            if found is not None and (found.count is not None or self._has_searched):
                return found
            unknown = {} if found is None else found.unknown
        self._has_searched = True
        self._envelope = self._find_envelope(body)
        found = self._read_as(self._envelope, body)
        if found is None:
            _layers(body)  # which raises for a body that is not JSON
            raise DecodeError("the response has another envelope than its keys show")
        found.unknown = unknown | found.unknown
        return found

    def in_blocks(self, pieces: Sequence[bytes]) -> Blocks[RowT] | None:
        """Decode a page block by block; None if it must be read whole.

        The page's end is decoded at once: a page that was cut, or that is an error, yields no rows. If
        another block does not decode, ``read()`` says why, and returns what can be read.

        Args:
            pieces: of the page's body, as they arrived.
        """
        envelope = self._envelope
        if envelope is None:
            return None
        cuts = cut_between_rows(pieces, envelope.items)
        if cuts is None:
            return None
        end = b"".join((cuts.head, *cuts.end))
        try:
            last, count = self._decode_fast(envelope, end)
        except (*UNREADABLE, ApiError):
            return None
        told = _as_count(count)
        if not last or (told is None and not self._has_searched):
            return None
        return Blocks(cuts.blocks, self._decode_block, last=last, count=told)

    def raw_items(self, body: bytes) -> list[msgspec.Raw]:
        """The rows of a page as the bytes of their JSON, those that are refused included."""
        found = None if self._envelope is None else self._raw_rows(self._envelope, body)
        if found is None:  # a later page may have had another envelope
            found = self._raw_rows(self._find_envelope(body), body)
        return [] if found is None else [msgspec.Raw(row) for row in found.rows]

    def _find_envelope(self, body: bytes) -> Envelope:
        whole = body if _is_json(body) else with_whole_surrogates(without_items(body))
        return find_envelope(whole, self._declared)

    def _decode_block(self, block: bytes) -> list[RowT]:
        rows: list[RowT] = _list_decoder(self._decoder.fast)(block)
        if not self._decoder.is_exact(rows, block, lambda fast: _list_decoder(fast)(block)):
            raise InexactError
        return rows

    def _decode_fast(self, envelope: Envelope, body: bytes) -> tuple[list[RowT] | None, object]:
        """The rows and the count of a page, if msgspec decodes them as the contract of values does."""
        items, count = _page_decoder(self._decoder.fast, envelope)(body)
        if items and not self._decoder.is_exact(
            items, body, lambda fast: _page_decoder(fast, envelope)(body)
        ):
            raise InexactError
        return items, count

    def _read_as(self, envelope: Envelope, body: bytes) -> DecodedRows[RowT] | None:
        """Decode a page; None if it has no such envelope."""
        try:
            items, count = self._decode_fast(envelope, body)
        except UNREADABLE:
            return self._read_slowly(envelope, body)
        return None if items is None else DecodedRows(items, _as_count(count), [])

    def _read_slowly(self, envelope: Envelope, body: bytes) -> DecodedRows[RowT] | None:
        raw = self._raw_rows(envelope, body)
        if raw is None:
            return None
        unknown: dict[str, int] = {}
        had_hook = self._decoder.fast.dec_hook is not None
        known = self._decoder.extra_keys
        while not raw.is_torn and self._decoder.adapt(raw.rows):
            with contextlib.suppress(*UNREADABLE):
                items, _ = self._decode_fast(envelope, body)
                if items is None:
                    continue
                if self._decoder.reports_unknown:
                    new = {key for _, key in self._decoder.extra_keys - known}
                    self._note_first_rows(raw.rows, new, unknown)
                return DecodedRows(items, raw.count, [], unknown=unknown, was_slow=True)
        if not had_hook:
            self._decoder.without_hook()
        return self._read_by_row(raw)

    def _read_by_row(self, raw: _RawRows) -> DecodedRows[RowT]:
        """Row by row, so that one odd row costs no other."""
        found: DecodedRows[RowT] = DecodedRows([], raw.count, [], is_broken=raw.is_broken, was_slow=True)
        for index, item in enumerate(raw.rows):
            try:
                row, is_repaired, unknown = self._decoder.exact(item)
            except UNREADABLE as fault:
                found.bad.append(RowError(index, *explain(fault), item))
            else:
                found.rows.append(row)
                found.repaired += is_repaired or index in raw.mended
                self._note_keys(index, unknown, found.unknown)
        return found

    def _note_first_rows(self, rows: Iterable[bytes], new: set[str], unknown: dict[str, int]) -> None:
        """Note the first row that has each of these keys."""
        for index, row in enumerate(rows):
            if not new:
                return
            paths = self._decoder.exact(row).unknown
            self._note_keys(index, paths, unknown)
            new.difference_update(path.rpartition(".")[2] for path in paths)

    def _note_keys(self, index: int, paths: Iterable[str], unknown: dict[str, int]) -> None:
        for key in map(without_indexes, paths):
            if key not in self._known_keys:
                self._known_keys.add(key)
                unknown[key] = index

    def _raw_rows(self, envelope: Envelope, body: bytes) -> _RawRows | None:
        try:
            items, count = _page_decoder(RAW, envelope)(body)
        except msgspec.ValidationError:
            return None
        except UNREADABLE as fault:
            return _torn_rows(envelope, body, fault)
        return None if items is None else _RawRows([bytes(item) for item in items], _as_count(count))


class _RawRows(msgspec.Struct, frozen=True):
    """The rows of a page as bytes, and its count; ``mended`` are those that held half a surrogate pair."""

    rows: list[bytes]
    count: int | None
    mended: frozenset[int] = frozenset()
    is_torn: bool = False
    is_broken: bool = False


def _torn_rows(envelope: Envelope, body: bytes, fault: Exception) -> _RawRows | None:
    """The rows of a page that is not JSON as a whole; None if it has no such envelope.

    Raises:
        DecodeError: it is not the rows alone that are not JSON.
    """
    split = split_page(body, envelope.items)
    if split is None:
        return None
    try:
        _, count = _page_decoder(RAW, envelope)(with_whole_surrogates(split.rest))
    except UNREADABLE:
        raise _malformed(fault) from None
    rows, mended, is_broken = list(split.rows), set[int](), False
    for index, row in enumerate(rows):
        if _is_json(row):
            continue
        whole = with_whole_surrogates(row)
        if _is_json(whole):
            rows[index] = whole
            mended.add(index)
        else:
            is_broken = True
    return _RawRows(rows, _as_count(count), frozenset(mended), is_torn=True, is_broken=is_broken)


def _is_json(row: bytes) -> bool:
    try:
        _decode_raw(row)
    except UNREADABLE:
        return False
    return True


_decode_raw: Final = msgspec.json.Decoder(msgspec.Raw).decode


def _as_count(count: object) -> int | None:
    """A count as the number or string it comes as; None for anything that is no plausible count."""
    if isinstance(count, str):
        try:
            count = int(count)
        except ValueError:
            return None
    if isinstance(count, Decimal):
        count = float(count)  # a huge exponent becomes infinite, and not a number of a billion digits
    if isinstance(count, float) and count.is_integer():
        count = int(count)
    return count if isinstance(count, int) and not isinstance(count, bool) and count >= 0 else None


def _malformed(fault: Exception) -> DecodeError:
    return DecodeError(f"the body is not valid JSON: {error_text(fault)}", malformed=True)


@functools.lru_cache(maxsize=256)
def _page_decoder(fast: Fast, envelope: Envelope) -> Callable[[bytes], tuple[list[Any] | None, object]]:
    """A function from a body to its rows and count, for one envelope; the rows are None in another one."""
    leaves: dict[tuple[str, ...], Any] = {
        envelope.items: fast.rows,
        ("errors",): msgspec.Raw,
        ("error",): msgspec.Raw,
    }
    if envelope.count is not None:
        leaves[envelope.count] = Any
    decoder = fast.decoder(_struct_of(leaves))

    def read(body: bytes) -> tuple[list[Any] | None, object]:
        answer = decoder.decode(body)
        for told in (answer.k_errors, answer.k_error):
            if told is not msgspec.UNSET:
                _refuse_errors(bytes(told))
        return _at(answer, envelope.items), _at(answer, envelope.count or ("",))

    return read


@functools.lru_cache(maxsize=256)
def _list_decoder(fast: Fast) -> Callable[[bytes], list[Any]]:
    return fast.decoder(fast.rows).decode


def _struct_of(leaves: dict[tuple[str, ...], Any]) -> Any:
    """A Struct whose nested keys are the paths; keys are prefixed, since they need not be identifiers."""
    fields: list[tuple[str, Any, Any]] = []
    for key in dict.fromkeys(path[0] for path in leaves):
        below = {path[1:]: leaf for path, leaf in leaves.items() if path[0] == key}
        if () in below:
            kind = Any if below[()] is Any else below[()] | msgspec.UnsetType
        else:
            kind = _struct_of(below) | None | msgspec.UnsetType
        fields.append((f"k_{_mangled(key)}", kind, msgspec.field(name=key, default=msgspec.UNSET)))
    return msgspec.defstruct("Envelope", fields, gc=False)


def _mangled(key: str) -> str:
    return key if key.isidentifier() else key.encode().hex()


def _at(answer: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        answer = getattr(answer, f"k_{_mangled(key)}", None)
    return None if answer is msgspec.UNSET else answer


def _first(errors: Any) -> Any:
    return cast("list[object]", errors)[0] if isinstance(errors, list) else errors


def _refuse_errors(told: bytes) -> None:
    errors: Any
    try:
        errors = _untyped.decode(told)
    except UNREADABLE:
        errors = "the errors cannot be read"
    if errors:
        first = _first(errors)
        text = cast("dict[str, Any]", first).get("message", "") if isinstance(first, dict) else first
        printable = "".join(c if c.isprintable() else " " for c in str(text)[:200])
        raise ApiError(f"the answer tells of an error: {printable or 'without a message'}", errors=errors)


def decode_object(body: bytes, kind: type[DetailT]) -> DetailT:
    """A bare by-id object, or one inside ``{"data": {...}, "error": null, "meta": {...}}``.

    Raises:
        DecodeError: the body is not a JSON object, or has no key.
        ApiError: the body is an error.
    """
    decode = row_decoder(cast("Any", kind))
    if _is_bare(body):
        with contextlib.suppress(*UNREADABLE):  # what is wrong with it is said below
            return cast("DetailT", decode(body).row)
    body = body if _is_json(body) else with_whole_surrogates(body)
    layers = _layers(body)
    data = layers[0].get("data")
    inside = data is not None and layers[0].keys() <= ENVELOPE_KEYS
    try:
        found = decode(bytes(data) if inside and data is not None else body).row
    except UNREADABLE as fault:
        reason, path = explain(fault)
        where = f"$.{path}" if path and not path.startswith("[") else f"${path}"
        raise DecodeError(
            f"cannot decode the object: {path + ': ' if path else ''}{reason}", location=where
        ) from None
    return cast("DetailT", found)


class _ObjectEnvelope(msgspec.Struct, gc=False):
    data: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    error: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    errors: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_as_envelope: Final = msgspec.json.Decoder(_ObjectEnvelope).decode


def _is_bare(body: bytes) -> bool:
    """True for an object that stands in no envelope and tells of no error.

    To decode nothing is quicker than to search the bytes, which no processor can guess its way through.
    """
    try:
        found = _as_envelope(body)
    except UNREADABLE:
        return False
    return found.data is found.error is found.errors is msgspec.UNSET


_untyped: Final = msgspec.json.Decoder(float_hook=any_decimal)
_keys_and_values: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


def _layers(body: bytes) -> list[dict[str, msgspec.Raw]]:
    """The keys of an answer, and those inside its ``data`` where that is an object."""
    try:
        msgspec.json.decode(body, type=msgspec.Raw)
        top = _keys_and_values.decode(body)
    except msgspec.ValidationError:
        raise DecodeError("expected a JSON object, got another kind of value", location="$") from None
    except UNREADABLE as fault:
        raise _malformed(fault) from None
    for key in ("errors", "error"):
        if key in top:
            _refuse_errors(bytes(top[key]))
    data = bytes(top["data"]) if "data" in top else b""
    return [top, _keys_and_values.decode(data)] if data.startswith(b"{") else [top]


def find_envelope(body: bytes, declared: Envelope | None) -> Envelope:
    """The envelope of an answer: the declared keys, another schema prefix, or the one list that is there.

    Raises:
        DecodeError: there is no list, or more than one that could be meant.
    """
    layers = _layers(body)
    for depth, layer in enumerate(layers):
        prefix: tuple[str, ...] = ("data",) * depth
        lists = [key for key, value in layer.items() if bytes(value)[:1] == b"[" and key not in NO_ROWS]
        key = _items_key(lists, declared)
        if key is not None:
            return Envelope((*prefix, key), _find_count(layers, key, declared))
    seen = ", ".join(sorted({key for layer in layers for key in layer})[:20]) or "none"
    raise DecodeError(
        f"no single list of rows in the answer (its keys: {seen}); set the endpoint's items key"
    )


def _items_key(lists: Sequence[str], declared: Envelope | None) -> str | None:
    if declared is not None:
        known = declared.items[-1]
        # "deid_" looks like the prefix of a database schema, which may differ with the tenant (inferred).
        stem = known.partition("_")[2] or known
        for key in (known, *(key for key in lists if key == stem or key.endswith(f"_{stem}"))):
            if key in lists:
                return key
    return lists[0] if len(lists) == 1 else None


def _find_count(layers: Iterable[dict[str, msgspec.Raw]], items: str, declared: Envelope | None) -> Any:
    wanted: list[tuple[str, ...]] = [declared.count] if declared and declared.count else []
    wanted += [(f"{items}_aggregate", "aggregate", "count"), ("total", "aggregate", "count")]
    wanted += [("total",), ("count",), ("totalCount",), ("total_count",), ("meta", "total")]
    for depth, layer in enumerate(layers):
        for path in wanted:
            if _is_count(layer.get(path[0]), path[1:]):
                return ("data",) * depth + path
        for key in layer:
            if key.endswith("_aggregate") and _is_count(layer[key], ("aggregate", "count")):
                return (*("data",) * depth, key, "aggregate", "count")
    return None


def _is_count(value: msgspec.Raw | None, path: tuple[str, ...]) -> bool:
    if value is None:
        return False
    try:
        found: Any = _untyped.decode(value)
    except UNREADABLE:
        return False
    for key in path:
        found = cast("dict[str, Any]", found).get(key) if isinstance(found, dict) else None
    return _as_count(found) is not None


@functools.lru_cache(maxsize=64)
def key_only(key: str) -> type[Any]:
    """A Struct that reads nothing of a row but its key, as ``key``; None if the row has none."""
    column = ("key", Id | None, msgspec.field(name=key, default=None))
    return msgspec.defstruct("KeyOnly", [column], gc=False, namespace={"_is_key_only": True})


@functools.lru_cache(maxsize=64)
def key_decoder(key: str) -> Callable[[bytes], Id | None]:
    """A decoder of the key of a row; None if the row has none, or none that can be read."""
    decoder: RowDecoder[Any] = RowDecoder(key_only(key))

    def decode(row: bytes) -> Id | None:
        try:
            found: Id | None = decoder.exact(row).row.key
        except UNREADABLE:
            return None
        return found

    return decode
