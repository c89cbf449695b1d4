"""Decode the pages of one read: from response bytes to rows and count.

The declared envelope is tried first, with a decoder built once. If a response has another envelope,
``PageDecoder`` finds it in that response and uses it for the next pages.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, Literal, TypeVar

import msgspec

from aiwyn_async._decoding.blocks import Block, split_into_blocks
from aiwyn_async._decoding.chosen_fields import ChosenRows
from aiwyn_async._decoding.envelope import (
    Envelope,
    envelope_decoder,
    failure_of,
    find_envelope,
    is_empty_page,
    parse_count,
    split_layers,
)
from aiwyn_async._decoding.key_case import strip_indexes
from aiwyn_async._decoding.malformed import (
    is_json,
    replace_lone_surrogates,
    split_torn_rows,
    without_rows,
)
from aiwyn_async._decoding.row_decoder import DecoderSpec, RowDecoder
from aiwyn_async._decoding.split_pages import SplitPage, split_page
from aiwyn_async._decoding.values import DECODING_ERRORS, explain
from aiwyn_async.errors import ApiError, DecodeError
from aiwyn_async.models.base import Id

RowT = TypeVar("RowT")
OnBadRow = Literal["raise", "skip", "collect"]


class BadRow(msgspec.Struct, frozen=True):
    """A row that does not decode.

    Attributes:
        page: number of its page.
        index: index of the row within the page, from 0.
        error: the field and the reason, such as ``totalAmount: expected a number, got 'a lot'``.
        raw: its JSON, or the bytes that are not JSON.
        key: its key, or None if that cannot be decoded.
    """

    page: int
    index: int
    error: str
    raw: bytes
    key: Id | None = None


class RowError(msgspec.Struct, frozen=True):
    """An undecodable row: its index, the reason, the path to the value, its bytes."""

    index: int
    reason: str
    path: str
    raw: bytes

    @property
    def error(self) -> str:
        """The reason with its path."""
        return f"{self.path}: {self.reason}" if self.path else self.reason


class DecodedRows(msgspec.Struct, Generic[RowT]):
    """The decoded rows of a page.

    Attributes:
        rows: the rows that decode.
        count: the number of rows that match the query, as the server returned it, or None.
        bad: the rows that do not decode.
        repaired: number of rows in which a value was converted to the form of its field.
        unknown: paths of keys without a field, and the index of the first row with each.
        is_malformed: a row is not JSON; the same request may return a well-formed page.
        was_slow: the page could not be decoded in one call, because of values in its rows.
        is_elsewhere: the rows are under another key than those of the page before, or than is declared.
        failure: the error of a page without rows and without a count that says that the request failed.
    """

    rows: list[RowT]
    count: int | None
    bad: list[RowError]
    repaired: int = 0
    unknown: dict[str, int] = {}
    is_malformed: bool = False
    was_slow: bool = False
    is_elsewhere: bool = False
    failure: ApiError | None = None


class RowBlocks(Generic[RowT]):
    """A page decoded block by block, of which ``remaining`` blocks are left."""

    __slots__ = ("_blocks", "_decode", "_last", "count", "remaining")

    def __init__(
        self,
        blocks: Sequence[Block],
        decode: Callable[[bytes], list[RowT]],
        *,
        last: list[RowT],
        count: int | None,
    ) -> None:
        self.count = count
        self.remaining = len(blocks) + 1
        self._blocks = iter(blocks)
        self._decode = decode
        self._last = last

    def decode_next(self) -> list[RowT]:
        """Return the rows of the next block, in the page's order.

        Raises one of ``DECODING_ERRORS`` if the page must be decoded as a whole.
        """
        self.remaining -= 1
        if not self.remaining:
            return self._last
        # Formatting would reserve half as much again, more than glibc returns without a system call.
        return self._decode(b"".join((b"[", *next(self._blocks), b"]")))


class PageDecoder(Generic[RowT]):
    """Decodes the pages of one read to rows of one type.

    Args:
        row_type: a Struct, ``dict`` or ``msgspec.Raw``.
        declared: the documented envelope of the endpoint; None to find it.
        model: the row type of the resource; its amounts are exact in dict rows too.
    """

    def __init__(self, row_type: type[RowT], declared: Envelope | None, model: Any = None) -> None:
        self._decoder: RowDecoder[RowT] = RowDecoder(row_type, model)
        self._declared = declared
        self._envelope = declared
        self._has_searched = False
        self._known_keys: set[str] = set()

    @property
    def rows_at(self) -> tuple[str, ...]:
        """The path of keys to the rows of the last decoded page."""
        return self._envelope.items if self._envelope is not None else ()

    def decode(self, body: bytes) -> DecodedRows[RowT]:
        """Decode a page.

        Raises:
            DecodeError: the body is not a JSON object with one list of rows in it.
            ApiError: the body is an error.
        """
        unknown: dict[str, int] = {}
        page: DecodedRows[RowT] | None = None
        if self._envelope is not None:
            page = self._decode_chosen(body) or self._decode_as(self._envelope, body)
            # The count may be under an undeclared key; one page is searched for it.
            if page is not None and (page.count is not None or self._has_searched):
                return _with_failure(page, body)
            unknown = {} if page is None else page.unknown
        rows_at = self.rows_at
        try:
            self._envelope = self._find_envelope(body)
        except DecodeError:
            if page is not None:  # its count could not be searched for, beside a row that is not JSON
                return page
            if is_empty_page(body, self._envelope or self._declared):
                return _with_failure(DecodedRows([], 0, []), body)
            raise
        self._has_searched = True
        page = self._decode_as(self._envelope, body)
        if page is None:
            split_layers(body)  # raises for a body that is not JSON
            raise DecodeError("the response does not have the envelope that its keys indicate")
        page.unknown = unknown | page.unknown
        page.is_elsewhere = self.rows_at != rows_at
        return _with_failure(page, body)

    def decode_blocks(self, pieces: Sequence[bytes]) -> RowBlocks[RowT] | None:
        """Decode a page block by block; return None if it must be decoded as a whole.

        The end of the page is decoded at once: a truncated page, or one that is an error, yields no rows. If
        another block does not decode, ``decode()`` raises the error or returns the rows that do.
        """
        envelope = self._envelope
        if envelope is None:
            return None
        page = split_into_blocks(pieces, envelope.items)
        if page is None:
            return None
        end = b"".join((page.head, *page.end))
        try:
            last, count = self._decode_fast(envelope, end)
        except (*DECODING_ERRORS, ApiError):
            return None
        total = parse_count(count)
        if not last or (total is None and not self._has_searched):
            return None
        return RowBlocks(page.blocks, self._decode_block, last=last, count=total)

    def _decode_chosen(self, body: bytes) -> DecodedRows[RowT] | None:
        """Decode the chosen fields of a page in blocks, which fit the processor's cache."""
        blocks: Any = self.decode_blocks([body]) if self._decoder.yields_chosen else None
        if blocks is None:
            return None
        chosen: Any = ChosenRows()
        try:
            while blocks.remaining:
                chosen.add(blocks.decode_next())
        except DECODING_ERRORS:
            return None
        return DecodedRows(chosen, blocks.count, [])

    def raw_items(self, body: bytes) -> list[msgspec.Raw]:
        """Return the JSON of each row of a page, bad rows included."""
        page = None if self._envelope is None else split_page(self._envelope, body)
        if page is None:  # a later page may have had another envelope
            page = split_page(self._find_envelope(body), body)
        return [] if page is None else [msgspec.Raw(row) for row in page.rows]

    def _find_envelope(self, body: bytes) -> Envelope:
        json = body if is_json(body) else replace_lone_surrogates(without_rows(body))
        if self._declared is not None and not is_json(json):
            keys = self._declared.items
            splits = (split_torn_rows(body, path) for path in (keys, ("data", *keys)))
            rests = (split[1] for split in splits if split is not None)
            json = replace_lone_surrogates(next(rests, json))
        return find_envelope(json, self._declared)

    def _decode_block(self, block: bytes) -> list[RowT]:
        rows: list[RowT] = _list_decoder(self._decoder.fast)(block)
        return self._decoder.finish(rows, block, lambda spec: _list_decoder(spec)(block))

    def _decode_fast(self, envelope: Envelope, body: bytes) -> tuple[list[RowT] | None, object]:
        """Decode a page in one call; raise ``DECODING_ERRORS`` if that is not exact."""
        items, count = envelope_decoder(self._decoder.fast, envelope)(body)
        if items:
            items = self._decoder.finish(items, body, lambda spec: envelope_decoder(spec, envelope)(body))
        return items, count

    def _decode_as(self, envelope: Envelope, body: bytes) -> DecodedRows[RowT] | None:
        """Decode a page; return None if it has another envelope."""
        try:
            items, count = self._decode_fast(envelope, body)
        except DECODING_ERRORS:
            return self._decode_slowly(envelope, body)
        return None if items is None else DecodedRows(items, parse_count(count), [])

    def _decode_slowly(self, envelope: Envelope, body: bytes) -> DecodedRows[RowT] | None:
        page = split_page(envelope, body)
        if page is None:
            return None
        unknown: dict[str, int] = {}
        had_hook = self._decoder.fast.dec_hook is not None
        known = self._decoder.extra_keys
        while not page.was_malformed and self._decoder.adapt(page.rows):
            with contextlib.suppress(*DECODING_ERRORS):
                items, _ = self._decode_fast(envelope, body)
                if items is None:
                    continue
                if self._decoder.reports_unknown_keys:
                    new = {key for _, key in self._decoder.extra_keys - known}
                    self._note_first_rows(page.rows, new, unknown)
                return DecodedRows(items, page.count, [], unknown=unknown, was_slow=True)
        if not had_hook:
            self._decoder.drop_hook()
        if self._decoder.has_amounts_of_dicts:
            with contextlib.suppress(*DECODING_ERRORS):
                items = envelope_decoder(self._decoder.fast, envelope)(body)[0] or []
                repaired = self._decoder.repair_dicts(items)
                return DecodedRows(items, page.count, [], repaired, was_slow=True)
        return self._decode_by_row(page)

    def _decode_by_row(self, page: SplitPage) -> DecodedRows[RowT]:
        result: DecodedRows[RowT] = DecodedRows(
            [], page.count, [], is_malformed=page.has_malformed_row, was_slow=True
        )
        for index, item in enumerate(page.rows):
            try:
                row, is_repaired, unknown = self._decoder.decode_exactly(item)
            except DECODING_ERRORS as error:
                result.bad.append(RowError(index, *explain(error), item))
            else:
                result.rows.append(row)
                result.repaired += is_repaired or index in page.repaired
                self._note_keys(index, unknown, result.unknown)
        return result

    def _note_first_rows(self, rows: Iterable[bytes], new: set[str], unknown: dict[str, int]) -> None:
        """Note the first row that has each of the new keys."""
        for index, row in enumerate(rows):
            if not new:
                return
            paths = self._decoder.decode_exactly(row).unknown
            self._note_keys(index, paths, unknown)
            new.difference_update(path.rpartition(".")[2] for path in paths)

    def _note_keys(self, index: int, paths: Iterable[str], unknown: dict[str, int]) -> None:
        for key in map(strip_indexes, paths):
            if key not in self._known_keys:
                self._known_keys.add(key)
                unknown[key] = index


def _with_failure(page: DecodedRows[RowT], body: bytes) -> DecodedRows[RowT]:
    """Note whether the envelope of a page without rows, which ends a read, says that the request failed."""
    if not (page.rows or page.bad or page.count):
        page.failure = failure_of(body)
    return page


@functools.lru_cache(maxsize=256)
def _list_decoder(spec: DecoderSpec) -> Callable[[bytes], list[Any]]:
    return spec.decoder(spec.rows).decode
