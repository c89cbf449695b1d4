"""One run of a sync: reads rows and merges them with the progress made."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Sequence
from contextlib import aclosing
from datetime import timedelta
from typing import Any, Final

from aiwyn_async._changes.changes import Changes
from aiwyn_async._changes.reconcile import plain_key
from aiwyn_async._core.files import storage_notes
from aiwyn_async._core.pull_report import PullReport
from aiwyn_async._core.threads import in_thread, shielded
from aiwyn_async._pagination.page import Checkpoint, Page
from aiwyn_async._pull.pull import Pull
from aiwyn_async.arrow._rows import PageRows, RowCounts, raw_pages
from aiwyn_async.errors import CheckpointError, IncompleteError, PaginationError, RequestError
from aiwyn_async.models.base import Id
from aiwyn_async.sync._reads import ResourceReads
from aiwyn_async.sync._skipped_rows import SkippedRows, join_keys
from aiwyn_async.sync._table import SyncedTable, SyncState

PAGES_PER_TRANSACTION: Final = 10


class _BookmarkState:
    """A state backend with one bookmark, which is written with the rows."""

    def __init__(self) -> None:
        self.text: str | None = None

    def get(self, _key: str, /) -> str | None:
        return self.text

    def put(self, _key: str, value: str, /) -> None:
        self.text = value


class SyncJob:
    """A run of a sync.

    Attributes:
        rows_received, inserted, updated: the number of rows so far.
        deleted: the number of rows marked as deleted; None if that was not requested.
        counts: what was noticed while rows were decoded.
        skipped: rows that do not decode.
        notes: what happened that is not a problem.
    """

    def __init__(self, reads: ResourceReads, table: SyncedTable) -> None:
        self._reads = reads
        self._table = table
        self._bookmark = _BookmarkState()
        self._checkpoint: str | None = None
        self._pending_keys: set[Id] = set()
        """Plain keys of rows that were requested by key and not received yet."""
        self._problems: list[str] = []
        self.notes: list[str] = []
        self.skipped = SkippedRows(reads.key)
        self.counts = RowCounts()
        self.rows_received = self.inserted = self.updated = 0
        self.deleted: int | None = None

    @property
    def bookmark(self) -> str | None:
        """The time from which the next run reads."""
        if self._bookmark.text is None:
            return None
        try:
            return str(Checkpoint.from_json(self._bookmark.text).position["bookmark"])
        except (CheckpointError, KeyError):
            return None

    def problems(self, source: Changes[Any] | Pull[Any]) -> list[str]:
        """Return every reason why the table is not proven complete."""
        if isinstance(source, Changes):
            problems = [*source.blocking_problems(), *source.possible_gaps]
        else:
            problems = self._pull_problems(source)
        return [*problems, *self.skipped.problems(), *self._problems]

    def _pull_problems(self, pull: Pull[Any]) -> list[str]:
        return pull.report.blocking_problems(allow_rows_without_key=self._reads.skips_bad_rows)

    async def run(
        self, overlap: float | timedelta | None, *, full: bool, reconcile_deletes: bool
    ) -> Changes[Any] | Pull[Any]:
        """Open the table, bring it up to date, close it, and return the finished read."""
        with storage_notes():
            try:
                await in_thread(self._table.open)
                source = await self._read(overlap, full=full)
                await self._retry_skipped()
                if reconcile_deletes:
                    self.deleted = await self._reconcile()
                await self._save()
            finally:
                await in_thread(self._table.close)
        return source

    async def _read(self, overlap: float | timedelta | None, *, full: bool) -> Changes[Any] | Pull[Any]:
        """Merge what changed, and move the bookmark.

        State that is damaged or of another release is ignored; merging the same rows again has the same
        result.
        """
        state = await in_thread(self._table.load_state)
        try:
            self.skipped = SkippedRows(self._reads.key, state.skipped)
        except CheckpointError:
            full = True  # which also requests the rows that were skipped
        for start in () if full else (state, SyncState(state.bookmark)):
            with contextlib.suppress(CheckpointError):
                return await self._read_from(start, overlap)
        return await self._read_from(SyncState(), overlap)

    async def _read_from(
        self, start: SyncState, overlap: float | timedelta | None
    ) -> Changes[Any] | Pull[Any]:
        self._bookmark.text = start.bookmark
        if start.bookmark is None and start.checkpoint is None:
            self.skipped.clear()
        source = self._reads.read(self._bookmark, overlap, start.checkpoint)
        try:
            await self._merge_all(source, can_resume=True)
        except IncompleteError:
            # All other ranges are in the table; the next run requests only those that could not be read.
            if source.checkpoint is not None:
                self._checkpoint = source.checkpoint.to_json()
                await self._save()
            raise
        if isinstance(source, Changes):
            self.notes += source.notes
            if not source.blocking_problems():
                await source.ack()
            elif isinstance(source.report, PullReport):
                self._bookmark.text = None  # the next run reads all rows again
        self._checkpoint = None
        await self._save()
        if start.checkpoint is None:
            return source
        if isinstance(source, Changes) and not source.blocking_problems() and self._bookmark.text is not None:
            # The bounds of the interrupted read exclude what changed after it began.
            return await self._read_from(SyncState(self._bookmark.text), overlap)
        self.notes.append("an interrupted run was continued: the rows that it stored may have changed since")
        return source

    async def _retry_skipped(self) -> None:
        """Request rows again that earlier runs skipped and this one did not receive."""
        keys = self.skipped.earlier_keys
        if keys:
            problems = len(self._problems)
            absent = await self._look_up(keys)
            if len(self._problems) == problems:  # else they may exist
                self.skipped.discard(absent)

    async def _reconcile(self) -> int:
        """Mark deleted rows and merge differing ones; return the number of marked rows."""
        column = self._reads.modified_at_field
        if column is not None and not self._table.has_timestamps(column):
            column = None
        known = await in_thread(lambda: self._table.keys(column))
        total, known_keys = len(known), iter(known)
        del known  # the iterator frees the list at its end, before the sweep begins
        diff = await self._reads.compare(known_keys, column)
        problems = len(self._problems)
        try:
            absent = await self._look_up([*diff.untracked, *diff.changed], total=total)
        except (RequestError, PaginationError):
            self._bookmark.text = None  # as below
            await self._save()
            raise
        if len(self._problems) > problems:
            self._bookmark.text = None  # the next run reads all rows, since these may be out of date
        if absent:
            self._problems.append(
                f"{len(absent)} rows that differ on the server were not received when requested by key "
                f"({join_keys(absent)}): they were deleted since, or the server does not return them"
            )
        if diff.rows_without_key:
            self._problems.append(
                f"no row was marked as deleted, because {diff.rows_without_key} rows have no readable key"
            )
        return await in_thread(lambda: self._table.mark_deleted(diff.deleted)) if diff.deleted else 0

    async def _save(self) -> None:
        """Write the progress to the table."""
        await self._write([])

    async def _look_up(self, keys: Sequence[Id], *, total: int | None = None) -> list[Id]:
        """Merge the rows with these keys; return the keys that were not received."""
        self._pending_keys = set(map(plain_key, keys))
        bad_rows = self.counts.bad_rows
        for lookup in self._reads.lookups(keys, total=total):
            source = raw_pages(lookup)
            await self._merge_all(source)
            self._problems += self._pull_problems(source)
        self.counts.bad_rows = bad_rows  # the report counts those of the first read; `skipped` has all
        absent = [key for key in keys if plain_key(key) in self._pending_keys]
        self._pending_keys = set()
        return absent

    async def _merge_all(self, source: Changes[Any] | Pull[Any], *, can_resume: bool = False) -> None:
        """Merge the rows of a read, with its checkpoints if the next run can resume it."""
        pages: list[Page[Any]] = []
        writing: asyncio.Future[None] | None = None
        bad_rows_taken = 0
        async with aclosing(source.pages()) as received:
            try:
                async for page in received:
                    pages.append(page)
                    if len(pages) == PAGES_PER_TRANSACTION:
                        full, pages, previous, writing = pages, [], writing, None
                        if previous is not None:
                            await shielded(previous)
                        # With the checkpoint beyond them, since a run may die before its end.
                        bad_rows_taken += self.skipped.add(source.bad_rows[bad_rows_taken:])
                        # The next pages are read while these are written.
                        writing = asyncio.ensure_future(self._write(full, save_checkpoint=can_resume))
                        del full
            finally:
                # Also after an error, so that the next run need not request the received pages again.
                if writing is not None:
                    await shielded(writing)
                self.skipped.add(source.bad_rows[bad_rows_taken:])
                if pages:
                    await self._write(pages, save_checkpoint=can_resume)

    async def _write(self, pages: list[Page[Any]], *, save_checkpoint: bool = False) -> None:
        if save_checkpoint:
            self._checkpoint = pages[-1].checkpoint.to_json()
        await in_thread(lambda: self._write_now(pages))

    def _write_now(self, pages: list[Page[Any]]) -> None:
        received = sum(map(len, pages))
        rows = self._to_arrow(pages) if pages else None
        pages.clear()  # their memory is released before DuckDB needs its own
        state = SyncState(self._bookmark.text, self._checkpoint, self.skipped.to_json())
        written = self._table.write(rows, state)
        self.rows_received += received
        self.inserted += written.inserted
        self.updated += written.updated

    def _to_arrow(self, pages: list[Page[Any]]) -> Any:
        self._name_equal_ids([row.key for page in pages for row in page.items])
        rows = PageRows(pages, self._reads.on_bad_row, self._reads.key)
        table = self._table.to_arrow(rows)
        rows.counts.add_to(self.counts)
        if self._pending_keys or self.skipped:
            keys: list[Id] = table[self._reads.key].to_pylist()
            self.skipped.discard(keys)
            self._mark_received(keys)
        self.skipped.add(rows.bad_rows)
        self._mark_received(self.skipped.keys)
        return table

    def _name_equal_ids(self, keys: Sequence[Id | None]) -> None:
        """Name the ids of rows that a table, whose ids are all text then, does not distinguish."""
        texts = {key for key in keys if isinstance(key, str)}
        equal: list[Id] = [key for key in keys if isinstance(key, int) and str(key) in texts] if texts else []
        if equal:
            self._problems.append(
                f"{len(equal)} ids arrived as a number and as text ({join_keys(equal)}); "
                "the table has one row for both"
            )

    def _mark_received(self, keys: Iterable[Id]) -> None:
        if self._pending_keys:
            self._pending_keys.difference_update(map(plain_key, keys))
