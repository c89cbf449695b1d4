"""From a response to rows, keys and bad rows, for lists and pulls."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import re
from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal
from functools import cached_property
from operator import attrgetter
from types import NoneType
from typing import Any, Generic, NamedTuple, TypeVar, cast, get_args

import msgspec

from aiwyn_async._decoding.checked_types import key_only
from aiwyn_async._decoding.chosen_fields import creates_chosen_rows
from aiwyn_async._decoding.key_case import FieldNames
from aiwyn_async._decoding.pages import BadRow, DecodedRows, OnBadRow, PageDecoder
from aiwyn_async._decoding.values import InvalidValueError, NumberText, as_integer
from aiwyn_async._http.messages import Request, Response, encode_json
from aiwyn_async._http.session import Session, repeated
from aiwyn_async._pagination.conditions import Conditions
from aiwyn_async._pagination.in_blocks import PageInBlocks
from aiwyn_async._pagination.page import Checkpoint, Page, PageMeta, RawPage
from aiwyn_async._pagination.query import Query
from aiwyn_async._pagination.seen_keys import KeySet
from aiwyn_async._pagination.ties import Order
from aiwyn_async._pagination.timestamps import is_instant
from aiwyn_async.errors import DecodeError, PaginationError, RequestError
from aiwyn_async.models.base import Id

RowT = TypeVar("RowT")


class DecodedPage(NamedTuple, Generic[RowT]):
    """A response's rows, bad ones included, with the key of each or None."""

    rows: DecodedRows[RowT]
    keys: Sequence[Id | None]
    response: Response

    def __repr__(self) -> str:
        return f"<DecodedPage of {len(self.keys)} rows>"  # a traceback shows the locals of a frame


class PageReader(Generic[RowT]):
    """Decodes the responses to one query as rows of one type.

    Args:
        session: attaches the request to an error.
        query: the query of the read.
        row_type: a Struct, ``dict`` or ``msgspec.Raw``.
        on_bad_row: what to do with a row that does not decode.
    """

    def __init__(self, session: Session, query: Query, row_type: type[RowT], on_bad_row: OnBadRow) -> None:
        self.bad_rows: list[BadRow] = []
        self._has_read = False
        self._session = session
        self._request = Request(method="POST", path=query.path)
        self._key = query.key
        self._instants = query.instants
        self.on_bad_row = on_bad_row
        self._rows: PageDecoder[RowT] = PageDecoder(row_type, query.envelope, query.model)
        self.unknown_fields: dict[str, Id | None] = {}
        """Fields that the row type does not declare, with the key of the first row that has each."""
        self._envelope = query.envelope
        self._conditions = Conditions(query)
        self._key_of = key_getter(cast("Any", row_type), query.key) if query.key else None
        self._leading_keys = _leading_keys(query.key) if row_type is msgspec.Raw else None

    @cached_property
    def _keys(self) -> PageDecoder[Any]:
        return PageDecoder(key_only(self._key), self._envelope)

    @cached_property
    def _dicts(self) -> PageDecoder[dict[str, Any]]:
        return PageDecoder(dict, self._envelope)

    async def read(self, response: Response, again: Callable[[], Awaitable[Response]]) -> DecodedPage[RowT]:
        """Decode a response; one that failed or is not of this query is requested ``again``, once.

        Raises:
            PaginationError: a row does not meet a condition on ids.
            DecodeError: it is not JSON of the expected shape, or a row is bad and ``on_bad_row`` is "raise".
            ApiError: it contains an error.
        """
        rows: DecodedRows[RowT] | None = None
        violations: list[tuple[str, bool]] = []
        try:
            rows, violations = self._rows_and_violations(response)
        except DecodeError as error:
            if not error.malformed:
                raise  # else it may have been truncated in transit
        is_elsewhere = rows is not None and rows.is_elsewhere and self._has_read
        if rows is None or rows.is_malformed or rows.failure or violations or is_elsewhere:
            if rows is not None and rows.unknown:  # noted once for all responses
                self._note_unknown(rows, self._keys_of(rows, response))
            response = await repeated(response, again())
            rows, violations = self._rows_and_violations(response)
        if rows.failure is not None:
            raise self._session.attach_request(rows.failure, self._request, response)
        for violation, is_of_id in violations:
            if is_of_id:  # more rows than those with null lose none
                raise PaginationError(
                    f"{self._request.path}: the server returned a row with {violation}, which the condition "
                    "excludes; it may ignore that filter: read without it and select the rows yourself"
                )
        keys = self._keys_of(rows, response)
        if rows.bad and self.on_bad_row == "raise":
            row_error = self._row_error(rows, keys, response)
            del rows, keys  # a traceback shows the locals of this frame, and nothing here is masked
            raise row_error
        self._note_unknown(rows, keys)
        self._has_read = True
        return DecodedPage(rows, keys, response)

    def digests(self, page: DecodedPage[RowT]) -> Sequence[Id | None]:
        """Return the keys of a page, with digests in place of those that rows lack; empty if none does."""
        if not self._key:
            return page.keys
        if None not in page.keys:
            return ()
        rows = self._rows.raw_items(page.response.body)
        return [_digest(row) if key is None else key for key, row in zip(page.keys, rows, strict=True)]

    def _note_unknown(self, rows: DecodedRows[RowT], keys: Sequence[Id | None]) -> None:
        for name, index in rows.unknown.items():
            self.unknown_fields.setdefault(name, self._key_at(keys, index))

    def _key_at(self, keys: Sequence[Id | None], index: int) -> Id | None:
        """Return the key of a row; None for rows without keys, which have digests instead."""
        return keys[index] if self._key else None

    def in_blocks(self, response: Response, known: KeySet) -> PageInBlocks[RowT] | None:
        """Return a response's unknown rows in blocks; None to read it in one call."""
        if self._key_of is None or self._conditions:
            return None
        blocks = self._rows.decode_blocks(response.pieces)
        return None if blocks is None else PageInBlocks(response, blocks, key_of=self._key_of, known=known)

    def order_values(
        self, page: DecodedPage[RowT], order: Order
    ) -> tuple[Sequence[tuple[Any, ...]], Sequence[int]]:
        """Return the values of the order columns, per row, and the indices of the rows without them.

        Rows without a key, or without an instant that rows are ordered by, have none, like bad rows: no read
        can continue after them.
        """
        if len(order) == 1 and None not in page.keys:
            return list(zip(page.keys, strict=False)), ()
        values = self._values_or_none(page, order)
        missing = [index for index, row in enumerate(values) if row is None]
        return [row for row in values if row is not None], missing

    def _values_or_none(self, page: DecodedPage[RowT], order: Order) -> list[tuple[Any, ...] | None]:
        if len(order) == 1 and self.on_bad_row != "raise":
            return [None if key is None else (key,) for key in page.keys]
        decoded = self._decode(self._dicts, page.response)
        instants = [index for index, (path, _) in enumerate(order) if path in self._instants]
        rows = [tuple(_value_at(path, row) for path, _ in order) for row in decoded.rows]
        values = [row if _has_order_values(row, instants) else None for row in rows]
        for bad_row in decoded.bad:
            values.insert(bad_row.index, None)
        return values

    def page(
        self, page: DecodedPage[RowT], indices: Sequence[int], *, number: int, checkpoint: Checkpoint
    ) -> Page[RowT]:
        """Return the page of the rows at these indices; bad ones may be collected."""
        response, reader = page.response, self._rows
        indices, items = self.items(page, indices, number)
        return Page(
            items,
            indices=indices,
            count=page.rows.count,
            number=number,
            checkpoint=checkpoint,
            meta=PageMeta(
                response.status, response.request_id, response.attempts, response.elapsed, response.length
            ),
            raw=_RawItems(reader, response, indices),
            document=RawPage(response, reader.rows_at) if items is page.rows.rows else None,
        )

    def items(
        self, page: DecodedPage[RowT], indices: Sequence[int], number: int
    ) -> tuple[Sequence[int], list[RowT]]:
        """Return those of these rows that decode, and their indices; bad ones may be collected."""
        if len(indices) == len(page.keys) and not page.rows.bad:
            return indices, page.rows.rows
        wanted = set(indices)
        bad = {row_error.index for row_error in page.rows.bad}
        if self.on_bad_row == "collect":
            self.bad_rows += [
                BadRow(
                    number, bad_row.index, bad_row.error, bad_row.raw, self._key_at(page.keys, bad_row.index)
                )
                for bad_row in page.rows.bad
                if bad_row.index in wanted
            ]
        good = iter(page.rows.rows)
        by_index = {index: next(good) for index in range(len(page.keys)) if index not in bad}
        indices = [index for index in indices if index not in bad]
        return indices, [by_index[index] for index in indices]

    def _rows_and_violations(self, response: Response) -> tuple[DecodedRows[RowT], list[tuple[str, bool]]]:
        return self._decode(self._rows, response), list(self._conditions.violations(response.body))

    def _decode(self, reader: PageDecoder[Any], response: Response) -> DecodedRows[Any]:
        try:
            return reader.decode(response.body)
        except RequestError as error:
            raise self._session.attach_request(error, self._request, response)  # noqa: B904 (the same error)

    def _row_error(
        self, rows: DecodedRows[RowT], keys: Sequence[Id | None], response: Response
    ) -> RequestError:
        bad_row = rows.bad[0]
        key = self._key_at(keys, bad_row.index)
        named = f"row {bad_row.index}" if key is None else f"row {bad_row.index} ({self._key} {key})"
        more = f" (and {len(rows.bad) - 1} more rows of this page)" if len(rows.bad) > 1 else ""
        path = "".join(f".{step}" for step in self._rows.rows_at) + f"[{bad_row.index}]"
        joint = "." if bad_row.path else ""
        error = DecodeError(
            f"cannot decode {named}: {bad_row.error}{more}; "
            'pass on_bad_row="skip" or "collect" to continue without it',
            location=f"${path}{joint}{bad_row.path}",
        )
        return self._session.attach_request(error, self._request, response)

    def _keys_of(self, rows: DecodedRows[RowT], response: Response) -> Sequence[Id | None]:
        if not self._key:
            # Only their bytes show how the server interprets `page`.
            return [_digest(row) for row in self._rows.raw_items(response.body)]
        if self._key_of is not None and not rows.bad:
            return list(map(self._key_of, rows.rows))
        if self._leading_keys is not None and not rows.bad:
            leading = self._leading_keys(cast("list[msgspec.Raw]", rows.rows))
            if leading is not None:
                return leading
        decoded = self._decode(self._keys, response)
        keys: list[Id | None] = [row.key for row in decoded.rows]
        for row_error in decoded.bad:
            keys.insert(row_error.index, None)
        if self._key_of is not None:
            # A row type may declare the key in another type than the wire.
            bad = {row_error.index for row_error in rows.bad}
            good = iter(rows.rows)
            keys = [key if index in bad else self._key_of(next(good)) for index, key in enumerate(keys)]
        return keys


class _RawItems:
    """Extracts the rows of a page from its body on demand; pickled as those rows."""

    __slots__ = ("_indices", "_reader", "_response")

    def __init__(self, reader: PageDecoder[Any], response: Response, indices: Sequence[int]) -> None:
        self._reader = reader
        self._response = response
        self._indices = indices

    def __call__(self) -> list[msgspec.Raw]:
        items = self._reader.raw_items(self._response.body)
        return items if len(self._indices) == len(items) else [items[index] for index in self._indices]

    def __reduce__(self) -> tuple[Any, ...]:
        return functools.partial, (_raw_rows, [bytes(row) for row in self()])


def _raw_rows(rows: list[bytes]) -> list[msgspec.Raw]:
    return [msgspec.Raw(row) for row in rows]


def _digest(row: msgspec.Raw) -> str:
    return hashlib.blake2b(row, digest_size=9).hexdigest()


def _leading_keys(key: str) -> Callable[[list[msgspec.Raw]], list[int] | None]:
    """Return a getter of integer keys in front of all rows, three times as fast as decoding, or None."""
    name = re.escape(encode_json(key))
    # Possessive repeats, which never try a shorter match, save a tenth.
    match = re.compile(rb"\{\s*+" + name + rb"\s*+:\s*+(-?[0-9]{1,18}+)[\s,}]").match

    def keys_of(rows: list[msgspec.Raw]) -> list[int] | None:
        try:
            # One by one: a thousand matches at once would set off a garbage collection.
            return [int(head[1]) for head in map(match, rows)]  # type: ignore[index]
        except TypeError:  # a row begins otherwise
            return None

    return keys_of


@functools.lru_cache(maxsize=256)  # reading a type's annotations takes a fifth of a small search
def key_getter(row_type: Any, key: str) -> Callable[[Any], Id | None] | None:
    """Return a getter for the key of a row; None if the row type may lack it."""
    if row_type is dict:
        return functools.partial(_key_in, key)
    if creates_chosen_rows(row_type):
        return lambda row: row
    if isinstance(row_type, type) and issubclass(row_type, msgspec.Struct):
        for field in msgspec.structs.fields(row_type):
            if field.encode_name == key and set(get_args(field.type) or [field.type]) <= {int, str, NoneType}:
                return attrgetter(field.name)
    return None


def _key_in(key: str, row: dict[str, Any]) -> Id | None:
    value = _value_under(key, row)
    if isinstance(value, (int, str)) and not isinstance(value, bool):
        return value
    if isinstance(value, Decimal):
        with contextlib.suppress(InvalidValueError):
            return as_integer(NumberText(value))  # such as 7.0
    return None


def _has_order_values(values: tuple[Any, ...], instants: Sequence[int]) -> bool:
    """Return whether a row's order values are present and of a known kind, to continue after it."""
    return (
        msgspec.UNSET not in values
        and isinstance(values[-1], (int, str, Decimal))
        and all(values[index] is None or is_instant(values[index]) for index in instants)
    )


def _value_at(path: tuple[str, ...], row: Any) -> Any:
    """Return the value at a path; UNSET if there is no such key, None below a null."""
    for name in path:
        if row is None:
            return None
        row = _value_under(name, cast("dict[str, Any]", row)) if isinstance(row, dict) else msgspec.UNSET
    return row


def _value_under(name: str, row: dict[str, Any]) -> Any:
    """Return the value of a key in any known spelling, or UNSET."""
    if name in row:
        return row[name]
    key = _field_names(name).match(row).keys.get(name)
    return msgspec.UNSET if key is None else row[key]


@functools.lru_cache(maxsize=256)
def _field_names(name: str) -> FieldNames:
    return FieldNames((name,))
