"""One use of a pager: pages in flight, keys given, the report."""

from __future__ import annotations

import functools
import hashlib
import time
from collections.abc import Callable, Sequence
from operator import attrgetter
from types import NoneType
from typing import Any, Final, Generic, TypeVar, cast, get_args

import msgspec

from aiwyn_async.errors import (
    AiwynError,
    DecodeFailed,
    IncompleteError,
    PaginationError,
    PaginationLoopError,
    RequestError,
)
from aiwyn_async.models.base import Id
from aiwyn_async.models.envelopes import BadRow, EnvelopeReader, OnBadRow, Rows, key_only
from aiwyn_async.pagination.keys import KeySet
from aiwyn_async.pagination.page import Checkpoint, Page, PageMeta
from aiwyn_async.pagination.query import Query
from aiwyn_async.pagination.report import WalkReport
from aiwyn_async.pagination.walk import Ask, Came, Told, Walk, WalkLoop, WalkUnordered
from aiwyn_async.pagination.window import Window
from aiwyn_async.session.protocol import Request, Response, encode_json
from aiwyn_async.session.session import Session

__all__ = ["Run"]

RowT = TypeVar("RowT")

FIRST_DEPTH: Final = 4
MOST_BYTES_IN_FLIGHT: Final = 32 * 1024 * 1024


class Run(Generic[RowT]):
    """One use of a pager.

    Args:
        session: sends the requests.
        query: what is asked.
        walk: says which page to ask for.
        row_type: of the rows that are given.
        limit: rows in all, or None.
        on_bad_row: what to do with a row that does not decode.
        resumed: the walk began at a checkpoint.
    """

    def __init__(
        self,
        session: Session,
        query: Query,
        walk: Walk,
        row_type: type[RowT],
        *,
        limit: int | None,
        on_bad_row: OnBadRow,
        resumed: bool,
    ) -> None:
        self._session = session
        self._query = query
        self._request = Request(method="POST", path=query.path)
        self._walk = walk
        self._limit = limit
        self._on_bad_row = on_bad_row
        self._window: Window[Ask, Response] = Window(self._fetch, FIRST_DEPTH)
        self._reader = EnvelopeReader(row_type, query.envelope)
        self._keys_reader: EnvelopeReader[Any] = EnvelopeReader(key_only(query.key), query.envelope)
        self._order = query.order() if query.by_key else ()
        self._dict_reader: EnvelopeReader[dict[str, Any]] = EnvelopeReader(dict, query.envelope)
        self._key_of = _key_getter(row_type, query.key)
        self._query_hash = query.fingerprint()
        self._seen = KeySet()
        self._keyless_bodies: set[bytes] = set()
        self._number = 0
        self._started = time.perf_counter()
        given = walk.position()["given"]
        self.report = WalkReport(rows=given, distinct=given, resumed=resumed, by_key_alone=query.by_key_alone)
        self.bad_rows: list[BadRow] = []

    def checkpoint(self) -> Checkpoint:
        """Where to go on after the pages given."""
        return Checkpoint(endpoint=self._query.path, query=self._query_hash, position=self._walk.position())

    def prefetch(self) -> None:
        """Begin what may be asked now, so that it comes while the caller works on the rows he has."""
        self._window.fill(self._walk.ask)

    async def next_page(self) -> Page[RowT] | None:
        """The next page with rows that are new, or None at the end."""
        while self._walk.ended_by is None:
            before = self.checkpoint()
            try:
                self._window.fill(self._walk.ask)
                self._deepen()
                ask, response = await self._window.take()
                page = await self._take_in(ask, response)
            except (RequestError, PaginationError) as error:
                self.report.ended_by = "error"
                error.checkpoint = before
                raise
            except AiwynError:
                self.report.ended_by = "error"
                raise
            if page is not None:
                return page
        return None

    def empty_page(self) -> Page[RowT]:
        """What awaiting a walk with no rows gives."""
        meta = PageMeta(200, None, (), 0.0, self.report.bytes)
        return Page(
            [], count=self.report.expected, number=0, checkpoint=self.checkpoint(), meta=meta, raw=list
        )

    def end(self, *, strict: bool) -> None:
        """Close the report.

        Raises:
            IncompleteError: ``strict``, and something speaks against the walk's being complete.
        """
        self.report.ended_by = self._walk.ended_by
        if strict and not self.report.complete:
            text = f"{self._query.path} was not read completely: {'; '.join(self.report.doubts())}"
            raise IncompleteError(text, checkpoint=self.checkpoint(), report=self.report)

    async def aclose(self) -> None:
        """End what is in flight."""
        if self.report.ended_by is None:
            self.report.ended_by = self._walk.ended_by or "break"
        self.report.seconds = time.perf_counter() - self._started
        await self._window.aclose()

    def _deepen(self) -> None:
        """One more page in flight when the full window keeps the caller waiting, within bounds."""
        if self._window.is_full and self._window.is_waiting:
            page_bytes = self.report.bytes // max(1, self.report.pages)
            most = min(self._session.config.max_concurrency, MOST_BYTES_IN_FLIGHT // max(1, page_bytes))
            self._window.depth = max(self._window.depth, min(self._window.depth + 1, most))

    async def _fetch(self, ask: Ask) -> Response:
        body = encode_json(self._query.fields | ask.fields)
        return await self._session.call(msgspec.structs.replace(self._request, body=body))

    async def _take_in(self, ask: Ask, response: Response) -> Page[RowT] | None:
        self._note(response)
        try:
            rows = self._decode(self._reader, response)
        except DecodeFailed as fault:
            if not fault.malformed:
                raise
            # A document cut on its way decodes when it is asked for again; a broken one does not.
            response = await self._fetch(ask)
            self._note(response)
            rows = self._decode(self._reader, response)
        if rows.bad and self._on_bad_row == "raise":
            self._refuse(rows, response)
        keys = self._keys(rows, response)
        # Rows without a key may rightly be alike: they are never taken for one another.
        added = self._seen.add_new(keys) if self._query.key else None
        new: Sequence[int] = range(len(keys)) if added is None else added
        told = self._tell(keys, new, rows, response)
        if told.restart:
            await self._window.aclose()
        if not told.use and self._query.key:
            self._seen.forget(keys[index] for index in new)
        kept = [index for index in new if index >= told.given_before] if told.given_before else new
        self._count_page(rows, keys, len(kept), told.own_repeats, use=told.use)
        if not told.use:
            return None
        return self._page(rows, keys, kept, response)

    def _decode(self, reader: EnvelopeReader[Any], response: Response) -> Rows[Any]:
        try:
            return reader.read(response.body)
        except RequestError as error:
            raise self._session.about(error, self._request, response)  # noqa: B904 (the same error)

    def _refuse(self, rows: Rows[RowT], response: Response) -> None:
        _, text, _ = rows.bad[0]
        more = f" (and {len(rows.bad) - 1} more rows of this page)" if len(rows.bad) > 1 else ""
        error = DecodeFailed(
            f"a row does not fit: {text}{more}; on_bad_row='skip' or 'collect' goes on without it",
            location=text.rpartition(" at ")[2],
        )
        raise self._session.about(error, self._request, response)

    def _keys(self, rows: Rows[RowT], response: Response) -> Sequence[Id | None]:
        if not self._query.key:
            # By their bytes alone can it be seen how the server takes `page`.
            return [_digest(row) for row in self._reader.raw_items(response.body)]
        if self._key_of is not None and not rows.bad:
            return list(map(self._key_of, rows.rows))
        found = self._decode(self._keys_reader, response)
        keys: list[Id | None] = [row.key for row in found.rows]
        for index, _, _ in found.bad:
            keys.insert(index, None)
        if self._key_of is not None:
            # A row type may hold the key in another form than the wire.
            bad = {index for index, _, _ in rows.bad}
            good = iter(rows.rows)
            keys = [key if index in bad else self._key_of(next(good)) for index, key in enumerate(keys)]
        return keys

    def _tell(
        self, keys: Sequence[Id | None], new: Sequence[int], rows: Rows[RowT], response: Response
    ) -> Told:
        came = Came(
            keys, new, rows.count, self._order_values(keys, response), self._is_repeat(keys, response)
        )
        try:
            return self._walk.tell(came)
        except WalkLoop:
            raise PaginationLoopError(
                f"{self._query.path} gives the same page again; it may ignore how pages are asked for",
                report=self.report,
            ) from None
        except WalkUnordered:
            raise PaginationError(
                f"{self._query.path} does not keep to the order that a walk by key stands on; "
                "pass paging='page' to walk it by page number",
                report=self.report,
            ) from None

    def _is_repeat(self, keys: Sequence[Id | None], response: Response) -> bool:
        """Without keys, only a page's bytes can tell that the server gives it again."""
        if None not in keys:
            return False
        digest = hashlib.blake2b(response.body, digest_size=12).digest()
        known = digest in self._keyless_bodies
        self._keyless_bodies.add(digest)
        return known

    def _order_values(self, keys: Sequence[Id | None], response: Response) -> list[tuple[Any, ...]]:
        if not self._order or not keys:
            return []
        if len(self._order) == 1 and None not in keys:
            return list(zip(keys))
        found = self._decode(self._dict_reader, response)
        values = [tuple(_value_at(path, row) for path, _ in self._order) for row in found.rows]
        if found.bad or any(msgspec.UNSET in row or row[-1] is None for row in values):
            names = ", ".join(".".join(path) for path, _ in self._order)
            raise PaginationError(
                f"the rows of {self._query.path} do not all hold what they are ordered by ({names}); a walk "
                "by key cannot go on so: order by columns that the rows hold, or pass paging='page'",
                report=self.report,
            )
        return values

    def _note(self, response: Response) -> None:
        self.report.requests += len(response.attempts)
        self.report.bytes += len(response.body)

    def _count_page(
        self, rows: Rows[RowT], keys: Sequence[Id | None], fresh: int, own_repeats: int, *, use: bool
    ) -> None:
        report = self.report
        report.pages += 1
        if rows.count is not None:
            # The count of a walk by key is of the rows that are left.
            count = rows.count + (report.distinct if self._query.by_key else 0)
            report.expected = count
            if report.expected_at_start is None:
                report.expected_at_start = count
        if use:
            report.rows += len(keys)
            report.duplicates += len(keys) - fresh
            report.repaired_rows += rows.repaired
            report.distinct += fresh
            if keys and (not self._query.key or all(key is None for key in keys)):
                report.keys_checked = False
        report.duplicates -= own_repeats

    def _page(
        self, rows: Rows[RowT], keys: Sequence[Id | None], kept: Sequence[int], response: Response
    ) -> Page[RowT] | None:
        over = 0 if self._limit is None else self.report.distinct - self._limit
        if over > 0:
            kept = kept[: len(kept) - over]
            self.report.distinct -= over
        if not kept:
            return None
        number, self._number = self._number, self._number + 1
        if len(kept) == len(keys) and not rows.bad:
            items = rows.rows
        else:
            kept, items = self._good(rows, keys, kept, number)
        body, reader = response.body, self._reader
        return Page(
            items,
            count=rows.count,
            number=number,
            checkpoint=self.checkpoint(),
            meta=PageMeta(
                response.status, response.request_id, response.attempts, response.elapsed, len(body)
            ),
            raw=lambda: _picked(reader.raw_items(body), kept),
        )

    def _good(
        self, rows: Rows[RowT], keys: Sequence[Id | None], kept: Sequence[int], number: int
    ) -> tuple[Sequence[int], list[RowT]]:
        """Of the rows kept, those that decode; the others are counted, and collected if asked."""
        wanted = set(kept)
        bad = {index for index, _, _ in rows.bad}
        found = [BadRow(number, index, text, raw) for index, text, raw in rows.bad if index in wanted]
        self.report.bad_rows += len(found)
        if self._on_bad_row == "collect":
            self.bad_rows += found
        good = iter(rows.rows)
        by_index = {index: next(good) for index in range(len(keys)) if index not in bad}
        kept = [index for index in kept if index not in bad]
        return kept, [by_index[index] for index in kept]


def _digest(row: msgspec.Raw) -> str:
    return hashlib.blake2b(row, digest_size=9).hexdigest()


def _picked(items: list[msgspec.Raw], kept: Sequence[int]) -> list[msgspec.Raw]:
    return items if len(kept) == len(items) else [items[index] for index in kept]


def _key_getter(row_type: Any, key: str) -> Callable[[Any], Id | None] | None:
    """How to take the key from a row; None when the row may not hold it, and the page must be asked."""
    if row_type is dict:
        return functools.partial(_key_in, key)
    if isinstance(row_type, type) and issubclass(row_type, msgspec.Struct):
        for field in msgspec.structs.fields(row_type):
            if field.encode_name == key and set(get_args(field.type) or [field.type]) <= {int, str, NoneType}:
                return attrgetter(field.name)
    return None


def _key_in(key: str, row: dict[str, Any]) -> Id | None:
    value = row.get(key)
    return value if isinstance(value, (int, str)) and not isinstance(value, bool) else None


def _value_at(path: tuple[str, ...], row: Any) -> Any:
    """What a row holds under a path; UNSET where it has no such key, None below a null."""
    for name in path:
        if row is None:
            return None
        row = cast("dict[str, Any]", row).get(name, msgspec.UNSET) if isinstance(row, dict) else msgspec.UNSET
    return row
