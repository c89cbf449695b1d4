"""What ``list()`` and ``search()`` give: rows, pages, the first row, the count; nothing sent unawaited."""

from __future__ import annotations

import copy
from collections.abc import AsyncGenerator, Generator, Iterable
from contextlib import aclosing
from functools import lru_cache
from itertools import chain
from numbers import Integral
from typing import Any, Generic, Never, NoReturn, TypeVar, cast, overload

import msgspec

from aiwyn_async._core.reports import ListReport
from aiwyn_async._decoding.checked_types import key_only
from aiwyn_async._decoding.pages import BadRow, OnBadRow
from aiwyn_async._http.session import Session
from aiwyn_async._pagination.iteration import Iteration
from aiwyn_async._pagination.page import Checkpoint, Page, Position
from aiwyn_async._pagination.page_iterator import PageIterator
from aiwyn_async._pagination.query import Query, ResumeState
from aiwyn_async._pagination.strategy import MAX_PAGE_SIZE, Pagination
from aiwyn_async.errors import ConfigurationError, PaginationError, RequestError

__all__ = ["MAX_PAGE_SIZE", "Pager", "Query", "check_decoding", "check_integer", "type_name"]

RowT = TypeVar("RowT")
OtherT = TypeVar("OtherT")


class Pager(Generic[RowT]):
    """A walk that has not begun.

    ``async for`` gives rows of all pages, ``await`` the first ``Page``, ``pages()`` page by page. Each use
    begins anew; ``report`` and ``checkpoint`` tell of the latest one. Rows are given before the rest of their
    page is decoded, so an error in a page comes after the rows before it.

    Args:
        session: sends the requests.
        query: what is asked.
        row_type: a Struct, ``dict`` or ``msgspec.Raw``.
        page_size: rows a page, 1 to 1000.
        limit: rows in all, or None.
        strict: raise ``IncompleteError`` at the end unless the walk is complete.
        on_bad_row: what to do with a row that does not decode: raise ``DecodeError``, leave it out, or leave
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
        page_size = check_integer("page_size", page_size, 1, MAX_PAGE_SIZE)
        if limit is not None:
            limit = check_integer("limit", limit, 1, None)
        check_decoding(row_type, on_bad_row)
        self.query = query
        self.row_type = row_type
        self.report = ListReport()
        self.bad_rows: list[BadRow] = []
        self.checkpoint: Checkpoint | None = None
        self.strict = strict
        self.on_bad_row: OnBadRow = on_bad_row
        self._session = session
        self._page_size = page_size
        self._limit = limit
        self._resume = resume
        self._position = self._position_of(resume)
        if resume is not None:
            self._pagination(limit)  # raises now, before anything is sent, if the position is damaged

    def __repr__(self) -> str:
        return f"<Pager {self.query.path} of {type_name(self.row_type)}: {self.report}>"

    @property
    def server(self) -> str:
        """The base_url that is asked."""
        return self._session.config.base_url

    @property
    def limit(self) -> int | None:
        """Rows in all, or None."""
        return self._limit

    def __await__(self) -> Generator[Any, None, Page[RowT]]:
        """The first page."""
        return self._first_page().__await__()

    def __deepcopy__(self, _memo: object) -> Pager[RowT]:
        return copy.copy(self)  # its client, and the reports of its latest use, are shared

    def __aiter__(self) -> Iteration[RowT]:
        """Iterate over every row of every page, in the server's order; a cancelled step can be repeated."""
        return Iteration(self._chunks())

    def __iter__(self) -> NoReturn:
        raise TypeError("a Pager is read asynchronously; use 'async for row in pager'")

    async def _chunks(self) -> AsyncGenerator[Iterable[RowT], None]:
        run = self._begin()
        try:
            while (rows := await run.next_rows()) is not None:
                yield chain(rows, chain.from_iterable(run.blocks_at_hand()))
                self.checkpoint = run.checkpoint()
                # Let go before the next are decoded, rows stay in the processor's cache.
                del rows
            self._end(run)
        except (RequestError, PaginationError) as error:
            self.checkpoint = error.checkpoint
            raise
        finally:
            await run.aclose()

    def pages(self) -> Iteration[Page[RowT]]:
        """Iterate over the pages; those whose rows were all yielded before are left out."""
        return Iteration(self._page_chunks())

    async def _page_chunks(self) -> AsyncGenerator[tuple[Page[RowT]], None]:
        run = self._begin()
        try:
            while (page := await run.next_page()) is not None:
                run.prefetch()
                after = page.checkpoint
                yield (page,)
                self.checkpoint = after
                del page
            self._end(run)
        finally:
            await run.aclose()

    async def collect(self) -> list[RowT]:
        """All rows in a list. Memory grows with them: about 1 KB an invoice."""
        rows: list[RowT] = []
        async with aclosing(self._page_chunks()) as pages:
            async for (page,) in pages:
                rows += page.items
        return rows

    async def first(self) -> RowT | None:
        """The first row, or None; one row is asked for."""
        given = 0 if self._resume is None else self._pagination(None).position()["yielded"]
        rows = await self._with(limit=given + 1).collect()
        return rows[0] if rows else None

    async def count(self) -> int:
        """How many rows match: the server's count, or, where it gives none, a walk that reads the keys."""
        keys = {"row_type": key_only(self.query.key), "resume": None, "on_bad_row": "skip"}
        page = await self._with(**keys, page_size=1, limit=1)
        if page.count is not None:
            return page.count
        counted = self._with(**keys, limit=None)
        async with aclosing(counted.pages()) as pages:
            async for _ in pages:
                pass
        return counted.report.rows_yielded

    def resume_from(self, checkpoint: Checkpoint | str | bytes) -> Pager[RowT]:
        """The same walk from a checkpoint on.

        Raises:
            CheckpointError: it belongs to another query.
        """
        return self._with(resume=checkpoint)

    # Only Any is a type[Never]: without this overload, pyright takes Any for a dict.
    @overload
    def decode_as(self, row_type: type[Never]) -> Pager[Any]: ...
    @overload
    def decode_as(self, row_type: type[dict[Any, Any]]) -> Pager[dict[str, Any]]: ...
    @overload
    def decode_as(self, row_type: type[OtherT]) -> Pager[OtherT]: ...
    def decode_as(self, row_type: type[Any]) -> Pager[Any]:
        """The same walk with rows of another type: an own Struct, ``dict`` or ``msgspec.Raw``.

        ``deferred(Invoice)`` is a type too: it decodes an amount or a list when it is first read.

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
            "resume": self._resume,
        } | changes
        return Pager(self._session, self.query, **options)

    async def _first_page(self) -> Page[RowT]:
        run = self._begin()
        try:
            page = await run.next_page()
            if page is None:
                page = run.empty_page()
        finally:
            await run.aclose()
        self.checkpoint = page.checkpoint
        return page

    def _begin(self) -> PageIterator[RowT]:
        run = PageIterator(
            self._session,
            self.query,
            self._pagination(self._limit),
            self.row_type,
            limit=self._limit,
            on_bad_row=self.on_bad_row,
            resumed=self._resume is not None,
            carried=ResumeState.from_position(self._position),
        )
        self.report, self.bad_rows, self.checkpoint = run.report, run.bad_rows, run.checkpoint()
        return run

    def _end(self, run: PageIterator[RowT]) -> None:
        self.checkpoint = run.checkpoint()
        run.end(strict=self.strict)

    def _pagination(self, limit: int | None) -> Pagination:
        return self.query.pagination(self._page_size, limit, self._position)

    def _position_of(self, resume: Checkpoint | str | bytes | None) -> Position | None:
        if resume is None:
            return None
        found = resume if isinstance(resume, Checkpoint) else Checkpoint.from_json(resume)
        return found.position_for(self.query.path, self.query.fingerprint())


def check_decoding(row_type: object, on_bad_row: object) -> None:
    """Refuse a type that no row can be decoded as.

    Raises:
        ConfigurationError: this type, or this way with bad rows.
    """
    if not isinstance(on_bad_row, str) or on_bad_row not in {"raise", "skip", "collect"}:
        raise ConfigurationError("on_bad_row must be 'raise', 'skip' or 'collect'")
    try:
        _check_decodable(cast("Any", row_type))
    except TypeError as fault:
        raise ConfigurationError(f"rows cannot be decoded as {type_name(row_type)}: {fault}") from None


# A decoder reads the annotations of its type, which takes longer than all else before a request.
@lru_cache(maxsize=256)
def _check_decodable(row_type: Any) -> None:
    msgspec.json.Decoder(row_type)


def check_integer(name: str, value: object, least: int, most: int | None) -> int:
    """Return the value as an int, or refuse what is not a whole number within bounds.

    Raises:
        ConfigurationError: it names the argument.
    """
    is_whole = not isinstance(value, bool) and isinstance(value, Integral) and not getattr(value, "shape", ())
    whole = int(cast("int", value)) if is_whole else least - 1
    if whole < least or (most is not None and whole > most):
        bounds = f"from {least} to {most}" if most else f"of at least {least}"
        raise ConfigurationError(f"{name} must be a whole number {bounds}, not {value!r}")
    return whole


def type_name(row_type: object) -> str:
    """A type as an error names it."""
    return getattr(row_type, "__name__", None) or repr(row_type)
