"""From the bytes of a page to its rows and its count.

An endpoint declares the keys of its envelope. They are tried first, with a decoder built once; when an
answer has another shape (another schema prefix, a ``data`` around it, another place for the count), the
shape is found in that answer, and a decoder for it is built and kept.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Any, Final, Generic, Literal, TypeVar, cast

import msgspec

from aiwyn_async.errors import ApiError, DecodeFailed
from aiwyn_async.models.base import Id
from aiwyn_async.models.blocks import Block, cut_between_rows
from aiwyn_async.models.deferred import plain_type
from aiwyn_async.models.repair import repaired
from aiwyn_async.models.spelling import is_spelled_otherwise, may_be_spelled_otherwise
from aiwyn_async.models.unreadable import UNREADABLE, text_of

__all__ = [
    "BadRow",
    "Blocks",
    "Envelope",
    "EnvelopeReader",
    "OnBadRow",
    "Rows",
    "decode_object",
    "key_only",
    "row_decoder",
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
    """A row that does not decode: its place in the page, why, and its own JSON."""

    page: int
    index: int
    error: str
    raw: bytes


class Rows(msgspec.Struct, Generic[RowT]):
    """A decoded page: rows, the count or None, the place of each bad row."""

    rows: list[RowT]
    count: int | None
    bad: list[tuple[int, str, bytes]]
    repaired: int = 0


class Blocks(Generic[RowT]):
    """A page's rows, some at a time, decoded when they are taken; ``left`` says how often there are more."""

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
        """The next rows, in the page's order.

        Raises:
            msgspec.MsgspecError: a row among them is bad, or the JSON broken. All of ``UNREADABLE`` can be.
        """
        self.left -= 1
        if not self.left:
            return self._last
        # Formatting would reserve half as much again, more than glibc gives without asking the kernel.
        return self._decode(b"".join((b"[", *next(self._blocks), b"]")))


class EnvelopeReader(Generic[RowT]):
    """Reads pages of one endpoint as rows of one type.

    Args:
        row_type: a Struct, ``dict`` or ``msgspec.Raw``.
        declared: the envelope that the endpoint is known to have; None to find it.
    """

    def __init__(self, row_type: type[RowT], declared: Envelope | None) -> None:
        self._row_type: Any = row_type
        self._declared = declared
        self._envelope = declared
        self._has_searched = False
        self._has_spelled = False
        self._spelled_otherwise = False

    @property
    def rows_at(self) -> tuple[str, ...]:
        """The path of keys to the rows of the page that was read last."""
        return self._envelope.items if self._envelope is not None else ()

    def read(self, body: bytes) -> Rows[RowT]:
        """The rows of a page.

        Raises:
            DecodeFailed: the body is no JSON object with one list of rows in it.
            ApiError: the body tells of an error.
        """
        if self._envelope is not None:
            found = self._read_as(self._envelope, body)
            # Rows without a count may have it elsewhere than declared; one page is searched for it.
            if found is not None and (found.count is not None or self._has_searched):
                return found
        self._has_searched = True
        self._envelope = find_envelope(body, self._declared)
        found = self._read_as(self._envelope, body)
        if found is None:
            raise DecodeFailed("the answer's envelope changes within one answer")
        return found

    def in_blocks(self, pieces: Sequence[bytes]) -> Blocks[RowT] | None:
        """The rows of a page, block by block; None where the page must be read whole.

        The page's end is decoded at once: one that was cut, or that tells of an error, gives no rows. Where
        another block does not decode, ``read()`` tells why, and gives what can be read.

        Args:
            pieces: of the page's body, as they came.
        """
        envelope = self._envelope
        if envelope is None or not self._has_spelled or self._spelled_otherwise:
            return None
        cuts = cut_between_rows(pieces, envelope.items)
        if cuts is None:
            return None
        try:
            last, count = _decoder(self._row_type, envelope)(b"".join((cuts.head, *cuts.end)))
        except (*UNREADABLE, ApiError):
            return None
        told = _as_count(count)
        if not last or (told is None and not self._has_searched):
            return None
        return Blocks(cuts.blocks, _list_decoder(self._row_type), last=last, count=told)

    def raw_items(self, body: bytes) -> list[msgspec.Raw]:
        """The rows of a page as the bytes of their JSON."""
        return EnvelopeReader(msgspec.Raw, self._envelope).read(body).rows

    def _read_as(self, envelope: Envelope, body: bytes) -> Rows[RowT] | None:
        """The rows, or None when the body has no such envelope."""
        if self._spelled_otherwise:
            return self._read_by_row(envelope, body)
        try:
            items, count = _decoder(self._row_type, envelope)(body)
        except UNREADABLE:
            return self._read_by_row(envelope, body)
        if items and not self._has_spelled:
            self._has_spelled = True
            if may_be_spelled_otherwise(items[0]):
                first = _decoder(msgspec.Raw, envelope)(body)[0]
                if first and is_spelled_otherwise(items[0], bytes(first[0])):
                    self._spelled_otherwise = True
                    return self._read_by_row(envelope, body)
        return None if items is None else Rows(items, _as_count(count), [])

    def _read_by_row(self, envelope: Envelope, body: bytes) -> Rows[RowT] | None:
        """Row by row, so that one odd row costs no other."""
        try:
            raw, count = _decoder(msgspec.Raw, envelope)(body)
        except msgspec.ValidationError:
            return None
        except UNREADABLE as fault:
            raise _malformed(fault) from None
        if raw is None:
            return None
        rows: list[RowT] = []
        bad: list[tuple[int, str, bytes]] = []
        repaired_rows = 0
        decode = row_decoder(self._row_type)
        for index, item in enumerate(raw):
            try:
                row, is_repaired = decode(bytes(item))
            except UNREADABLE as fault:
                bad.append((index, _at_row(envelope, index, fault), bytes(item)))
            else:
                rows.append(row)
                repaired_rows += is_repaired
        return Rows(rows, _as_count(count), bad, repaired_rows)


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


def _at_row(envelope: Envelope, index: int, fault: Exception) -> str:
    place = f"${''.join(f'.{key}' for key in envelope.items)}[{index}]"
    text, _, where = text_of(fault).partition(" - at `$")
    return f"{text} at {place}{where.rstrip('`')}"


def _malformed(fault: Exception) -> DecodeFailed:
    return DecodeFailed(f"the body is not valid JSON: {text_of(fault)}", malformed=True)


@functools.lru_cache(maxsize=256)
def _decoder(row_type: Any, envelope: Envelope) -> Callable[[bytes], tuple[list[Any] | None, object]]:
    """A function from a body to its rows and count, for one shape; the rows are None in another shape."""
    leaves: dict[tuple[str, ...], Any] = {
        envelope.items: list[row_type],
        ("errors",): msgspec.Raw,
        ("error",): msgspec.Raw,
    }
    if envelope.count is not None:
        leaves[envelope.count] = Any
    # Numbers whose field has no type of its own stay exact too.
    decoder = msgspec.json.Decoder(_struct_of(leaves), float_hook=Decimal)

    def read(body: bytes) -> tuple[list[Any] | None, object]:
        answer = decoder.decode(body)
        for told in (answer.k_errors, answer.k_error):
            if told is not msgspec.UNSET:
                _refuse_errors(bytes(told))
        return _at(answer, envelope.items), _at(answer, envelope.count or ("",))

    return read


@functools.lru_cache(maxsize=256)
def _list_decoder(row_type: Any) -> Callable[[bytes], list[Any]]:
    return msgspec.json.Decoder(list[row_type], float_hook=Decimal).decode


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


@functools.lru_cache(maxsize=256)
def row_decoder(row_type: Any) -> Callable[[bytes], tuple[Any, bool]]:
    """A function from the JSON of one row or object to it, and whether that took a repair."""
    strict = msgspec.json.Decoder(row_type, float_hook=Decimal)
    as_repaired = plain_type(row_type)

    def decode(row: bytes) -> tuple[Any, bool]:
        try:
            found = strict.decode(row)
        except msgspec.ValidationError:
            return repaired(row, as_repaired), True
        return (repaired(row, as_repaired), True) if is_spelled_otherwise(found, row) else (found, False)

    return decode


def decode_object(body: bytes, kind: type[DetailT]) -> DetailT:
    """A bare by-id object, or one inside ``{"data": {...}, "error": null, "meta": {...}}``.

    Raises:
        DecodeFailed: the body is no JSON object, or misses its key.
        ApiError: the body tells of an error.
    """
    decode: Callable[[bytes], tuple[DetailT, bool]] = row_decoder(cast("Any", kind))
    if _is_bare(body):
        try:
            return decode(body)[0]
        except UNREADABLE:
            pass  # what is wrong with it is told below
    layers = _layers(body)
    data = layers[0].get("data")
    inside = data is not None and layers[0].keys() <= ENVELOPE_KEYS
    try:
        found, _ = decode(bytes(data) if inside and data is not None else body)
    except msgspec.ValidationError as misfit:
        raise DecodeFailed(f"the answer does not fit: {misfit}", location=_location(str(misfit))) from None
    except UNREADABLE as fault:
        raise _malformed(fault) from None
    return found


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


def _location(misfit: str) -> str:
    return misfit.rpartition("`")[0].rpartition("`")[2]


_untyped: Final = msgspec.json.Decoder(float_hook=Decimal)
_keys_and_values: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


def _layers(body: bytes) -> list[dict[str, msgspec.Raw]]:
    """The keys of an answer, and those inside its ``data`` where that is an object."""
    try:
        msgspec.json.decode(body, type=msgspec.Raw)
        top = _keys_and_values.decode(body)
    except msgspec.ValidationError:
        raise DecodeFailed("expected a JSON object, got another kind of value", location="$") from None
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
        DecodeFailed: there is no list, or more than one that could be meant.
    """
    layers = _layers(body)
    for depth, layer in enumerate(layers):
        prefix: tuple[str, ...] = ("data",) * depth
        lists = [key for key, value in layer.items() if bytes(value)[:1] == b"[" and key not in NO_ROWS]
        key = _items_key(lists, declared)
        if key is not None:
            return Envelope((*prefix, key), _find_count(layers, key, declared))
    seen = ", ".join(sorted({key for layer in layers for key in layer})[:20]) or "none"
    raise DecodeFailed(
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
    found: Any = _untyped.decode(value)
    for key in path:
        found = cast("dict[str, Any]", found).get(key) if isinstance(found, dict) else None
    return _as_count(found) is not None


@functools.lru_cache(maxsize=64)
def key_only(key: str) -> type[Any]:
    """A Struct that reads nothing of a row but its key, as ``key``; None where it has none."""
    column = ("key", Id | None, msgspec.field(name=key, default=None))
    return msgspec.defstruct("KeyOnly", [column], gc=False)
