"""What ``list()`` and ``search()`` give: rows, pages, the first row, the count; nothing sent before an await."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from operator import attrgetter
from typing import Any, Final, Generic, TypeVar

import msgspec

from aiwyn_async.errors import (
    ConfigurationError,
    DecodeFailed,
    IncompleteError,
    PaginationError,
    PaginationLoopError,
    RequestError,
)
from aiwyn_async.filters import Direction, keyset_after, order_columns
from aiwyn_async.models.base import Id
from aiwyn_async.models.envelopes import BadRow, Envelope, EnvelopeReader, OnBadRow, Rows, key_only
from aiwyn_async.pagination.keys import KeySet
from aiwyn_async.pagination.page import Checkpoint, Page, PageMeta, Position, fingerprint
from aiwyn_async.pagination.report import WalkReport
from aiwyn_async.pagination.walk import (
    Ask,
    Came,
    KeysetWalk,
    OffsetWalk,
    PageMeans,
    Walk,
    WalkLoop,
    WalkUnordered,
)
from aiwyn_async.pagination.window import Window
from aiwyn_async.session.protocol import Request, Response, encode_json
from aiwyn_async.session.session import Session

__all__ = ["MAX_PAGE_SIZE", "Pager", "Query"]

RowT = TypeVar("RowT")
OtherT = TypeVar("OtherT")

MAX_PAGE_SIZE: Final = 1000
"""Rows a page, at most: the bound that the documentation gives wherever it gives one."""
WINDOW_DEPTH: Final = 4


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """What a walk asks, page after page.

    Attributes:
        path: of the endpoint, below base_url.
        fields: the body without its paging, in wire names.
        key: wire name of the rows' unique key.
        envelope: the declared place of rows and count; None to find it.
        by_key: walk by ``where`` and ``orderBy``; otherwise by ``page``.
        page_means: what the endpoint takes ``page`` for.
        size_key: the body's name for the page size.
    """

    path: str
    fields: dict[str, Any]
    key: str = "id"
    envelope: Envelope | None = None
    by_key: bool = False
    page_means: PageMeans = "detect"
    size_key: str = "pageSize"

    def order(self) -> list[tuple[tuple[str, ...], Direction]]:
        """The order of a walk by key: the caller's columns, and the key to make it unique."""
        columns = order_columns(self.fields.get("orderBy"))
        paths = [path for path, _ in columns]
        if (self.key,) in paths:  # unique: what comes after it orders nothing
            return columns[: paths.index((self.key,)) + 1]
        return [*columns, ((self.key,), "asc")]

    def fingerprint(self) -> str:
        """A hash of what is asked, for a checkpoint to be bound to."""
        return fingerprint(self.path, {"fields": self.fields, "by_key": self.by_key, "key": self.key})


class Pager(Generic[RowT]):
    """A walk that has not begun.

    ``async for`` gives rows of all pages, ``await`` the first ``Page``, ``pages()`` page by page. Each use
    begins anew; ``report`` and ``checkpoint`` tell of the latest one.

    Args:
        session: sends the requests.
        query: what is asked.
        row_type: a Struct, ``dict`` or ``msgspec.Raw``.
        page_size: rows a page, 1 to 1000.
        limit: rows in all, or None.
        strict: raise ``IncompleteError`` at the end unless the walk is complete.
        on_bad_row: what to do with a row that does not decode: raise ``DecodeFailed``, leave it out, or leave
            it out and keep it in ``bad_rows``.
        resume: a checkpoint of an earlier walk of the same query.

    Raises:
        ConfigurationError: an argument is out of bounds, or the checkpoint belongs to another query.
    """

    def __init__(
        self,
        session: Session,
        query: Query,
        row_type: type[RowT],
        *,
        page_size: int = MAX_PAGE_SIZE,
        limit: int | None = None,
        strict: bool = False,
        on_bad_row: OnBadRow = "raise",
        resume: Checkpoint | str | bytes | None = None,
    ) -> None:
        _check_whole("page_size", page_size, 1, MAX_PAGE_SIZE)
        if limit is not None:
            _check_whole("limit", limit, 1, None)
        if on_bad_row not in {"raise", "skip", "collect"}:
            raise ConfigurationError("on_bad_row must be 'raise', 'skip' or 'collect'")
        self.query = query
        self.row_type = row_type
        self.report = WalkReport()
        self.bad_rows: list[BadRow] = []
        self.checkpoint: Checkpoint | None = None
        self.strict = strict
        self.on_bad_row: OnBadRow = on_bad_row
        self._session = session
        self._page_size = page_size
        self._limit = limit
        self._resume = self._position_of(resume)
        self._new_walk()  # a damaged position is told now, before anything is sent

    def __repr__(self) -> str:
        return f"<Pager {self.query.path} of {self.row_type.__name__}: {self.report}>"

    def __await__(self) -> Generator[Any, None, Page[RowT]]:
        """The first page."""
        return self._first_page().__await__()

    async def __aiter__(self) -> AsyncGenerator[RowT, None]:
        """Every row of every page, in the server's order."""
        run = _Run(self)
        try:
            while (page := await run.next_page()) is not None:
                run.prefetch()
                rows, after = page.items, page.checkpoint
                # The page and its bytes are let go before the next one is decoded: two at once cost a fifth.
                del page
                for row in rows:
                    yield row
                self.checkpoint = after
                del rows
            run.end()
        finally:
            await run.aclose()

    async def pages(self) -> AsyncGenerator[Page[RowT], None]:
        """Every page. Those whose rows were all given before are left out."""
        run = _Run(self)
        try:
            while (page := await run.next_page()) is not None:
                run.prefetch()
                after = page.checkpoint
                yield page
                self.checkpoint = after
                del page
            run.end()
        finally:
            await run.aclose()

    async def collect(self) -> list[RowT]:
        """All rows in a list. Memory grows with them: about 1 KB an invoice."""
        rows: list[RowT] = []
        async for page in self.pages():
            rows += page.items
        return rows

    async def first(self) -> RowT | None:
        """The first row, or None; one row is asked for."""
        rows = await self._with(limit=1).collect()
        return rows[0] if rows else None

    async def count(self) -> int:
        """How many rows match: the server's count, or, where it gives none, a walk that reads the keys."""
        counted = self._with(row_type=key_only(self.query.key))
        page = await counted._with(page_size=1, limit=1)
        if page.count is not None:
            return page.count
        async for _ in counted.pages():
            pass
        return counted.report.distinct

    def decode_as(self, row_type: type[OtherT]) -> Pager[OtherT]:
        """The same walk with rows of another type: an own Struct, ``dict`` or ``msgspec.Raw``.

        A ``dict`` holds decimals for numbers with a fraction, so that money stays exact.
        """
        return self._with(row_type=row_type)

    def _with(self, **changes: Any) -> Pager[Any]:
        options: dict[str, Any] = {
            "row_type": self.row_type,
            "page_size": self._page_size,
            "limit": self._limit,
            "strict": self.strict,
            "on_bad_row": self.on_bad_row,
        } | changes
        pager: Pager[Any] = Pager(self._session, self.query, **options)
        pager._resume = self._resume
        return pager

    async def _first_page(self) -> Page[RowT]:
        run = _Run(self)
        try:
            page = await run.next_page()
            return run.empty_page() if page is None else page
        finally:
            await run.aclose()

    def _position_of(self, resume: Checkpoint | str | bytes | None) -> Position | None:
        if resume is None:
            return None
        found = resume if isinstance(resume, Checkpoint) else Checkpoint.from_json(resume)
        return found.position_for(self.query.path, self.query.fingerprint())

    def _new_walk(self) -> Walk:
        query, limit, resume = self.query, self._limit, self._resume
        if not query.by_key:
            return OffsetWalk(
                self._page_size,
                limit=limit,
                means=query.page_means,
                size_key=query.size_key,
                resume=resume,
            )
        order = query.order()
        return KeysetWalk(
            self._page_size,
            _keyset_fields(query, order),
            limit=limit,
            ascending_key=order == [((query.key,), "asc")],
            size_key=query.size_key,
            resume=resume,
        )


def _keyset_fields(
    query: Query, order: Sequence[tuple[tuple[str, ...], Direction]]
) -> Callable[[tuple[Any, ...] | None], dict[str, Any]]:
    order_by: list[dict[str, Any]] = []
    for path, direction in order:
        wire: Any = direction
        for name in reversed(path):
            wire = {name: wire}
        order_by.append(wire)

    def fields(after: tuple[Any, ...] | None) -> dict[str, Any]:
        where = query.fields.get("where")
        if after is not None:
            beyond = keyset_after(order, after)
            where = {"_and": [where, beyond]} if where else beyond
        return {"orderBy": order_by} | ({} if where is None else {"where": where})

    return fields


class _Run(Generic[RowT]):
    """One use of a pager: pages in flight, keys given, the report."""

    def __init__(self, pager: Pager[RowT]) -> None:
        self._pager = pager
        self._query = pager.query
        self._walk = pager._new_walk()  # noqa: SLF001 (a run is a part of its pager)
        self._session = pager._session  # noqa: SLF001
        self._limit = pager._limit  # noqa: SLF001
        self._window: Window[Ask, Response] = Window(self._fetch, WINDOW_DEPTH)
        self._reader = EnvelopeReader(pager.row_type, pager.query.envelope)
        self._keys_reader: EnvelopeReader[Any] = EnvelopeReader(
            key_only(pager.query.key), pager.query.envelope
        )
        self._key_of = _key_getter(pager.row_type, pager.query.key)
        self._query_hash = pager.query.fingerprint()
        self._seen = KeySet()
        self._number = 0
        self._started = time.perf_counter()
        position = self._walk.position()
        given = position["given"]
        self.report = WalkReport(
            rows=given,
            distinct=given,
            resumed=pager._resume is not None,  # noqa: SLF001
        )
        pager.report = self.report
        pager.bad_rows = []
        pager.checkpoint = self._checkpoint()

    def prefetch(self) -> None:
        """Begin what may be asked now, so that it comes while the caller works on the rows he has."""
        self._window.fill(self._walk.ask)

    async def next_page(self) -> Page[RowT] | None:
        """The next page with rows that are new, or None at the end."""
        while self._walk.ended_by is None:
            before = self._checkpoint()
            self._window.fill(self._walk.ask)
            try:
                ask, response = await self._window.take()
                page = await self._take_in(ask, response)
            except (RequestError, PaginationError) as error:
                self.report.ended_by = "error"
                error.checkpoint = before
                raise
            if page is not None:
                return page
        return None

    def empty_page(self) -> Page[RowT]:
        """What awaiting a walk with no rows gives."""
        meta = PageMeta(200, None, (), 0.0, self.report.bytes)
        return Page(
            [],
            count=self.report.expected,
            number=0,
            checkpoint=self._checkpoint(),
            meta=meta,
            raw=list,
        )

    def end(self) -> None:
        """Close the report.

        Raises:
            IncompleteError: the pager is strict and something speaks against the walk's being complete.
        """
        self.report.ended_by = self._walk.ended_by
        self._pager.checkpoint = self._checkpoint()
        if self._pager.strict and not self.report.complete:
            text = f"{self._query.path} was not read completely: {'; '.join(self.report.doubts())}"
            raise IncompleteError(text, checkpoint=self._pager.checkpoint, report=self.report)

    async def aclose(self) -> None:
        """End what is in flight."""
        if self.report.ended_by is None:
            self.report.ended_by = self._walk.ended_by or "break"
        self.report.seconds = time.perf_counter() - self._started
        await self._window.aclose()

    async def _fetch(self, ask: Ask) -> Response:
        body = encode_json(self._query.fields | ask.fields)
        return await self._session.call(Request(method="POST", path=self._query.path, body=body))

    async def _take_in(self, ask: Ask, response: Response) -> Page[RowT] | None:
        try:
            rows = self._decode(self._reader, response)
        except DecodeFailed as fault:
            if not fault.malformed:
                raise
            # A document cut on its way decodes when it is asked for again; a broken one does not.
            self._note(response)
            response = await self._fetch(ask)
            rows = self._decode(self._reader, response)
        self._note(response)
        keys = self._keys(rows, response)
        new = self._seen.add_new(keys)
        fresh = len(keys) if new is None else len(new)
        came = Came(keys, fresh, rows.count, self._last_values(keys, response))
        try:
            told = self._walk.tell(came)
        except WalkLoop:
            raise PaginationLoopError(
                f"{self._query.path} gives the same page again; the server may ignore how it is asked for pages",
                report=self.report,
            ) from None
        except WalkUnordered:
            raise PaginationError(
                f"{self._query.path} does not keep to the key order that a walk by key stands on; "
                "pass paging='page' to walk it by page number",
                report=self.report,
            ) from None
        if told.restart:
            await self._window.aclose()
        self._count_rows(rows, keys, fresh, told.own_repeats, use=told.use)
        if not told.use or not keys:
            return None
        return self._page(rows, keys, new, response)

    def _decode(self, reader: EnvelopeReader[Any], response: Response) -> Rows[Any]:
        try:
            return reader.read(response.body)
        except RequestError as error:
            error.method, error.path = "POST", self._query.path
            error.attempts, error.request_id = response.attempts, response.request_id
            raise

    def _keys(self, rows: Rows[RowT], response: Response) -> Sequence[Id | None]:
        if self._key_of is not None and not rows.bad:
            return [self._key_of(row) for row in rows.rows]
        found = self._decode(self._keys_reader, response)
        keys: list[Id | None] = [row.key for row in found.rows]
        for index, _, _ in found.bad:
            keys.insert(index, None)
        return keys

    def _last_values(self, keys: Sequence[Id | None], response: Response) -> tuple[Any, ...]:
        if not self._query.by_key or not keys:
            return ()
        order = self._query.order()
        if len(order) == 1 and keys[-1] is not None:
            return (keys[-1],)
        last: Any = self._decode(EnvelopeReader(dict, self._query.envelope), response).rows[-1]
        return tuple(self._value_in(last, path) for path, _ in order)

    def _value_in(self, row: Any, path: tuple[str, ...]) -> Any:
        value = row
        for name in path:
            if not isinstance(value, dict) or name not in value:
                raise PaginationError(
                    f"the rows of {self._query.path} have no {'.'.join(path)!r}, so a walk by key cannot go on "
                    "after them; order by columns that the rows hold, or pass paging='page'",
                    report=self.report,
                )
            value = value[name]
        return value

    def _note(self, response: Response) -> None:
        self.report.requests += len(response.attempts)
        self.report.bytes += len(response.body)

    def _count_rows(
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
            report.bad_rows += len(rows.bad)
            report.repaired_rows += rows.repaired
            report.distinct += fresh
            if keys and None in keys and all(key is None for key in keys):
                report.keys_checked = False
        report.duplicates -= own_repeats

    def _page(
        self, rows: Rows[RowT], keys: Sequence[Id | None], new: list[int] | None, response: Response
    ) -> Page[RowT] | None:
        number, self._number = self._number, self._number + 1
        self._refuse_bad(rows, number, response)
        kept = range(len(keys)) if new is None else new
        if self._limit is not None:
            over = self.report.distinct - self._limit
            if over > 0:
                kept = kept[: len(kept) - over]
                self.report.distinct = self._limit
        bad = {index for index, _, _ in rows.bad}
        if len(kept) == len(keys) and not bad:
            items = rows.rows
        else:
            good = iter(rows.rows)
            by_index = {index: next(good) for index in range(len(keys)) if index not in bad}
            items = [by_index[index] for index in kept if index in by_index]
        body, reader = response.body, self._reader
        return Page(
            items,
            count=rows.count,
            number=number,
            checkpoint=self._checkpoint(),
            meta=PageMeta(
                response.status, response.request_id, response.attempts, response.elapsed, len(body)
            ),
            raw=lambda: _picked(reader.raw_items(body), [index for index in kept if index not in bad]),
        )

    def _refuse_bad(self, rows: Rows[RowT], number: int, response: Response) -> None:
        if rows.bad and self._pager.on_bad_row == "raise":
            _, text, _ = rows.bad[0]
            more = f" (and {len(rows.bad) - 1} more rows of this page)" if len(rows.bad) > 1 else ""
            raise DecodeFailed(
                f"a row does not fit: {text}{more}; on_bad_row='skip' or 'collect' goes on without it",
                location=text.rpartition(" at ")[2],
                method="POST",
                path=self._query.path,
                request_id=response.request_id,
                attempts=response.attempts,
            )
        if self._pager.on_bad_row == "collect":
            self._pager.bad_rows += [BadRow(number, index, text, raw) for index, text, raw in rows.bad]

    def _checkpoint(self) -> Checkpoint:
        return Checkpoint(endpoint=self._query.path, query=self._query_hash, position=self._walk.position())


def _picked(items: list[msgspec.Raw], kept: list[int]) -> list[msgspec.Raw]:
    return items if len(kept) == len(items) else [items[index] for index in kept]


def _key_getter(row_type: type[Any], key: str) -> Callable[[Any], Id | None] | None:
    """How to take the key from a row; None when the row does not hold it and the page must be asked."""
    if row_type is dict:
        return lambda row: row.get(key)
    if issubclass(row_type, msgspec.Struct):
        for field in msgspec.structs.fields(row_type):
            if field.encode_name == key:
                return attrgetter(field.name)
    return None


def _check_whole(name: str, value: object, least: int, most: int | None) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < least or (most and value > most):
        bounds = f"from {least} to {most}" if most else f"of at least {least}"
        raise ConfigurationError(f"{name} must be a whole number {bounds}, not {value!r}")
