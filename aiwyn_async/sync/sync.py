"""``sync()``: a tag's rows in a DuckDB table, all of them at first, and then what changed."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from contextlib import aclosing
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import msgspec

from aiwyn_async.arrow.rows import PageRows, documents_of
from aiwyn_async.errors import CheckpointError, ConfigurationError, IncompleteError
from aiwyn_async.filters import Where, to_where
from aiwyn_async.models.base import Id
from aiwyn_async.pagination.page import Page, fingerprint
from aiwyn_async.pagination.report import WalkReport
from aiwyn_async.pull.changes import Changes
from aiwyn_async.pull.instants import as_overlap
from aiwyn_async.pull.progress import Progress
from aiwyn_async.pull.pull import Pull
from aiwyn_async.pull.reconcile import KeyDifference
from aiwyn_async.pull.report import PullReport
from aiwyn_async.pull.state import server_name
from aiwyn_async.resources.collection import Collection, SearchableCollection
from aiwyn_async.sync.table import Bookkeeping, SyncedTable
from aiwyn_async.threads import in_thread, to_its_end

__all__ = ["SyncResult", "sync"]

PAGES_A_TRANSACTION: Final = 10
KEYS_A_LOOKUP: Final = 500
"""Keys in one condition, for rows that a sweep found missing."""


class SyncResult(msgspec.Struct, frozen=True, kw_only=True):
    """A finished sync.

    Attributes:
        path, table: the file, and the table in it.
        received: rows that came.
        inserted, updated, unchanged: of these, by what the table held before. Updated ones include those that
            were marked as deleted and are there again.
        deleted: rows that were marked as gone; None when that was not asked for.
        bookmark: the instant from which the next sync reads, as on the wire; None where the tag has none.
        report: of the pull or the walk.
        doubts: what speaks against the table's being complete, in sentences.
        seconds: in all.
    """

    path: str
    table: str
    received: int
    inserted: int
    updated: int
    unchanged: int
    deleted: int | None
    bookmark: str | None
    report: PullReport | WalkReport
    doubts: list[str]
    seconds: float

    @property
    def complete(self) -> bool:
        """True when nothing speaks against it."""
        return not self.doubts


async def sync(
    collection: Collection[Any, Any],
    to: str | Path,
    *,
    where: Where = None,
    reconcile_deletes: bool = False,
    overlap: float | timedelta | None = None,
    page_size: int = 1000,
    on_progress: Callable[[Progress], None] | None = None,
) -> SyncResult:
    """Bring a table of a DuckDB file up to date with a tag of the API.

    The table is called like the tag. It has a column for each field of the row type, by its name on the wire,
    and ``_deleted_at``. The first run pulls all rows, later ones what changed since the bookmark; a tag whose
    rows show no instant of their latest change is pulled each time. Rows are merged by key, in transactions
    that hold the checkpoint or the bookmark too: a run that is killed anywhere goes on where it was, and
    merges nothing twice to another end. When the row type has a new field, all rows are pulled again.

    Rows that are gone on the server, or do not fit ``where`` any more, stay as they are, unless
    ``reconcile_deletes`` sweeps over all keys and sets their ``_deleted_at``. The sweep also brings the rows
    that are missing here, such as those committed later than ``overlap`` allows for.

    Args:
        collection: such as ``aiwyn.invoices``.
        to: the file; it may hold other tables. Its mode is 0600 when it is made.
        where: a condition, for a tag that has a search; another one is refused for the same file.
        reconcile_deletes: mark the rows that are gone.
        overlap: seconds or a timedelta to read again before the bookmark; 5 minutes by default.
        page_size: rows a request, 1 to 1000.
        on_progress: called after each page.

    Raises:
        ExportError: the file cannot be written, is in use, or has a table of this name that no sync made.
        CheckpointError: the table was filled by another query.
        ConfigurationError: an argument is wrong, or rows have no key.
        IncompleteError: ranges of keys could not be read; all else is kept, and the next run asks for them.
            Or the sweep was not complete, so that no row was marked.
        RequestError: the server cannot be read; what came is kept, and the next run goes on.
    """
    started = time.perf_counter()
    rows = _Rows(collection, where, {"page_size": page_size, "on_progress": on_progress})
    pull = rows.pull()
    if overlap is not None:
        as_overlap(overlap)  # refused before a file is made
    server = server_name(pull.server)
    table = SyncedTable(Path(to), rows.tag, rows.key, pull.row_type, server=server, query=rows.fingerprint())
    try:
        await in_thread(table.open)
        run = _Run(rows, table)
        source = await run.read(overlap)
        deleted = await run.reconcile() if reconcile_deletes else None
    finally:
        await in_thread(table.close)
    return SyncResult(
        path=str(to),
        table=rows.tag,
        received=run.received,
        inserted=run.inserted,
        updated=run.updated,
        unchanged=run.received - run.inserted - run.updated,
        deleted=deleted,
        bookmark=source.bookmark if isinstance(source, Changes) else None,
        report=source.report,
        doubts=source.doubts() if isinstance(source, Changes) else source.report.doubts(),
        seconds=time.perf_counter() - started,
    )


class _Rows:
    """The reads of one tag under one condition."""

    def __init__(self, collection: Collection[Any, Any], where: Where, options: dict[str, Any]) -> None:
        key = collection.endpoints.key
        if key is None:
            raise ConfigurationError(f"rows of {collection.endpoints.tag} have no key to merge them by")
        self.tag = collection.endpoints.tag
        self.key = key
        self.have_changes = collection.endpoints.change_column is not None
        self._collection: Any = collection
        self._has_search = isinstance(collection, SearchableCollection)
        self._where = to_where(where)
        self._options = options
        if not self._has_search and (self._where is not None or self.have_changes):
            what = "change_column" if self._where is None else "where"
            raise ConfigurationError(f"no search of {self.tag} is documented, so it has no {what}")

    def fingerprint(self) -> str:
        """A hash of the condition."""
        return fingerprint(self.tag, {"where": self._where, "key": self.key})

    def pull(self, among: Sequence[Id] | None = None, **more: Any) -> Pull[Any]:
        """All rows, or those of some keys."""
        options = self._options | more
        if not self._has_search:
            found: Pull[Any] = self._collection.pull(**options)
            return found
        where: Any = self._where
        if among is not None:
            keys = {self.key: {"_in": list(among)}}
            where = keys if where is None else {"_and": [where, keys]}
        searched: Pull[Any] = self._collection.pull(where, **options)
        return searched

    def changes(self, **more: Any) -> Changes[Any]:
        """The rows that changed."""
        found: Changes[Any] = self._collection.changes(where=self._where, **self._options, **more)
        return found

    def lookups(self, keys: Sequence[Id]) -> list[Pull[Any]]:
        """Pulls that bring the rows of these keys; where none can be looked up, one pull of all."""
        if not self._has_search:
            return [self.pull()] if keys else []
        starts = range(0, len(keys), KEYS_A_LOOKUP)
        return [self.pull(keys[start : start + KEYS_A_LOOKUP]) for start in starts]

    async def difference(self, known: Sequence[Id]) -> KeyDifference:
        """What a sweep over the keys finds."""
        found: KeyDifference = await self._collection.reconcile_keys(known, self.pull(on_progress=None))
        return found


class _Kept:
    """The bookmark as the table has it; it goes back there with the rows, in one transaction."""

    def __init__(self, text: str | None) -> None:
        self.text = text

    def get(self, _key: str, /) -> str | None:
        return self.text

    def put(self, _key: str, value: str, /) -> None:
        self.text = value


class _Run:
    def __init__(self, rows: _Rows, table: SyncedTable) -> None:
        self._rows = rows
        self._table = table
        self._kept = _Kept(None)
        self._checkpoint: str | None = None
        self.received = self.inserted = self.updated = 0

    async def read(self, overlap: float | timedelta | None) -> Changes[Any] | Pull[Any]:
        """Merge what is new, and then the bookmark.

        A checkpoint or a bookmark that is damaged, or that another release wrote, is read as if there were
        none: rows that come again are merged to the same end.
        """
        before = await in_thread(self._table.bookkeeping)
        for start in (before, Bookkeeping(before.bookmark)):
            with contextlib.suppress(CheckpointError):
                return await self._read(overlap, start)
        return await self._read(overlap, Bookkeeping())

    async def _read(self, overlap: float | timedelta | None, start: Bookkeeping) -> Changes[Any] | Pull[Any]:
        self._kept.text = start.bookmark
        source = self._source(overlap, start.checkpoint)
        try:
            await self._merge_all(source)
        except IncompleteError:
            # All but the ranges that could not be read is here; the next run asks for those alone.
            if source.checkpoint is not None:
                self._checkpoint = source.checkpoint.to_json()
                await self._write([])
            raise
        if isinstance(source, Changes):
            await self._acknowledge(source)
        self._checkpoint = None
        await self._write([])
        return source

    def _source(self, overlap: float | timedelta | None, resume: str | None) -> Changes[Any] | Pull[Any]:
        source: Changes[Any] | Pull[Any]
        if self._rows.have_changes:
            source = documents_of(self._rows.changes(state=self._kept, overlap=overlap))
        else:
            source = documents_of(self._rows.pull())
        return source if resume is None else source.resumed_at(resume)

    async def reconcile(self) -> int:
        """Mark the rows that are gone, bring those that are missing; how many were marked."""
        known = await in_thread(self._table.keys)
        found = await self._rows.difference(known)
        for lookup in self._rows.lookups(found.missing):
            await self._merge_all(documents_of(lookup))
        return await in_thread(lambda: self._table.mark_gone(found.gone)) if found.gone else 0

    async def _acknowledge(self, source: Changes[Any]) -> None:
        try:
            await source.ack()
        except IncompleteError:
            # Passes over the list did not agree: all rows are read again the next time.
            self._kept.text = None

    async def _merge_all(self, source: Changes[Any] | Pull[Any]) -> None:
        keeps_place = isinstance(source, Changes) or not self._rows.have_changes
        held: list[Page[Any]] = []
        writing: asyncio.Future[None] | None = None
        async with aclosing(source.batches()) as batches:
            try:
                async for page in batches:
                    held.append(page)
                    if len(held) == PAGES_A_TRANSACTION:
                        full, held, before, writing = held, [], writing, None
                        if before is not None:
                            await to_its_end(before)
                        # While they are written, the next ones are read.
                        writing = asyncio.ensure_future(self._write(full, keeps_place=keeps_place))
                        del full
            finally:
                # Also when the read broke: what came is kept, so that the next run need not ask for it again.
                if writing is not None:
                    await to_its_end(writing)
                if held:
                    await self._write(held, keeps_place=keeps_place)

    async def _write(self, pages: list[Page[Any]], *, keeps_place: bool = False) -> None:
        if keeps_place:
            self._checkpoint = pages[-1].checkpoint.to_json()
        await in_thread(lambda: self._write_now(pages))

    def _write_now(self, pages: list[Page[Any]]) -> None:
        table = self._table.table_of(PageRows.of(pages, "raise")) if pages else None
        written = self._table.write(table, Bookkeeping(self._kept.text, self._checkpoint))
        self.received += sum(map(len, pages))
        self.inserted += written.inserted
        self.updated += written.updated
