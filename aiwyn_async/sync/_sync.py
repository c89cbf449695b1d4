"""``sync()``: a tag's rows in a DuckDB table, all of them at first, and then what changed."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import aclosing
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from aiwyn_async._changes.bookmarks import server_name
from aiwyn_async._changes.changes import Changes
from aiwyn_async._changes.reconcile import KeyDiff, diff_rows
from aiwyn_async._changes.timestamps import to_timedelta
from aiwyn_async._core.files import local_path, storage_notes
from aiwyn_async._core.reports import ListReport, PullReport
from aiwyn_async._core.threads import in_thread, to_its_end
from aiwyn_async._decoding.envelope import BadRow, OnBadRow, key_decoder
from aiwyn_async._pagination.page import Checkpoint, Page, fingerprint
from aiwyn_async._pagination.pager import check_decoding
from aiwyn_async._pull.keys import plain_key
from aiwyn_async._pull.progress import Progress
from aiwyn_async._pull.pull import Pull
from aiwyn_async._resources.collection import Collection, SearchableCollection
from aiwyn_async.arrow._options import column_options
from aiwyn_async.arrow._rows import PageRows, RowCounts, raw_pages
from aiwyn_async.errors import CheckpointError, ConfigurationError, IncompleteError
from aiwyn_async.filters import Where, to_where
from aiwyn_async.models.base import Id
from aiwyn_async.sync._table import Bookkeeping, SyncedTable

__all__ = ["SyncResult", "sync"]

PAGES_PER_TRANSACTION: Final = 10
KEYS_PER_LOOKUP: Final = 500
"""Keys in one condition, for rows that a sweep found missing or changed."""
MAX_LOOKUPS: Final = 0.25
"""Of all rows; if more differ, one pull of all takes fewer requests."""
NAMED_KEYS: Final = 10


class SyncResult(msgspec.Struct, frozen=True, kw_only=True):
    """A finished sync.

    Attributes:
        path, table: the file, and the table in it.
        received: rows that came.
        inserted, updated, unchanged: of these, by what the table held before. Updated ones include those that
            were marked as deleted and are there again.
        deleted: rows that were marked as gone; None when that was not asked for.
        bookmark: the instant from which the next sync reads, as on the wire; None where the tag has none.
        report: of the pull or the walk. Its ``unknown_fields``, ``repaired_rows`` and ``rounded_amounts`` are
            of all rows that this run wrote.
        doubts: what speaks against the table's being complete, in sentences.
        seconds: in all.
        skipped: rows that are left out because they do not decode, those of earlier runs included; each run
            asks for them again.
        bad_rows: these rows, where they are collected.
        notes: what happened that is not a problem, such as that all rows were read again, in sentences.
    """

    path: str
    table: str
    rows_received: int
    inserted: int
    updated: int
    unchanged: int
    deleted: int | None
    bookmark: str | None
    report: PullReport | ListReport
    problems: list[str]
    seconds: float
    skipped: int = 0
    bad_rows: list[BadRow] = []
    notes: list[str] = []

    @property
    def complete(self) -> bool:
        """True when nothing speaks against it."""
        return not self.problems


async def sync(
    collection: Collection[Any, Any],
    to: str | Path,
    *,
    where: Where = None,
    reconcile_deletes: bool = False,
    overlap: float | timedelta | None = None,
    page_size: int = 1000,
    on_progress: Callable[[Progress], None] | None = None,
    full: bool = False,
    on_bad_row: OnBadRow = "raise",
    ids: Literal["auto", "text"] = "auto",
    date_columns: Iterable[str] = (),
    round_money: int | None = None,
    extra: Literal["json"] | None = None,
) -> SyncResult:
    """Bring a table of a DuckDB file up to date with a tag of the API.

    The table is called like the tag. It has a column for each field of the row type, by its name on the wire,
    and ``_deleted_at``. The first run pulls all rows, later ones what changed since the bookmark; a tag whose
    rows show no instant of their latest change is pulled each time. Rows are merged by key, in transactions
    that hold the checkpoint or the bookmark too: a run that is killed anywhere goes on where it was, and
    merges nothing twice to another end. When the row type has a new field, all rows are pulled again.

    The bookmark moves only after a read that is proven complete, and never past the server's clock. If the
    server's newest change is older than the bookmark, all rows are read again, and ``notes`` says so.

    Rows that are gone on the server, or do not fit ``where`` any more, stay as they are, unless
    ``reconcile_deletes`` sweeps over all keys and sets their ``_deleted_at``. The sweep also compares the
    instants of change, and brings the rows that are missing or differ: those that were committed later than
    ``overlap`` allows for, or whose instant was set back. A change that leaves the instant as it was is found
    by ``full`` alone, unless it is within ``overlap``.

    Ids that are not integers make their column text (VARCHAR), once; the integers in it become their text.

    Args:
        collection: such as ``aiwyn.invoices``.
        to: the file; it may hold other tables. Its mode is 0600 when it is made.
        where: a condition, for a tag that has a search; another one is refused for the same file.
        reconcile_deletes: mark the rows that are gone.
        overlap: seconds or a timedelta to read again before the bookmark; 5 minutes by default, or 65 if the
            instants have no zone. Some firms' data arrives every 4 to 24 hours: take a day there.
        page_size: rows a request, 1 to 1000.
        on_progress: called after each page.
        full: read all rows, as if there were no bookmark. This clears what earlier runs left open.
        on_bad_row: what to do with a row that does not decode: raise ``DecodeError``, leave it out ("skip"),
            or leave it out and keep it in the result's ``bad_rows`` ("collect"). Its key is kept in the file,
            and the next runs ask for it again until it decodes or is gone.
        ids: "auto" keeps columns of ids integers until text arrives; "text" makes them text from the start.
        date_columns: wire names of columns that hold the calendar day of a timestamp, as it is on the wire.
            Pass the same names each time: a table that was made with others is refused. A sweep compares keys
            alone if the instant of change is among them.
        round_money: decimal places, 0 to 9, that amounts are rounded to, half to even. Rounded amounts are
            counted in the report. Rows that were written before keep their amounts until they are read
            again, as by ``full``.
        extra: "json" adds the column ``extra``: the fields that the row type does not have, as JSON. All rows
            are read again when it is added; a table that has it is refused without this option. The report
            names the fields in any case, as ``unknown_fields``.

    Raises:
        StorageError: the file cannot be written, is in use, is not a DuckDB database, or has a table of this
            name that no sync made or whose columns were altered; or the file is missing and the log of an
            earlier database of its name is not.
        CheckpointError: the table was filled by another query.
        ConfigurationError: an argument is wrong, the target is a URL or named like a file of another format,
            or rows have no key.
        IncompleteError: ranges of keys could not be read; all else is kept, and the next run asks for them.
            Or the sweep was not complete, so that no row was marked.
        RequestError: the server cannot be read; what came is kept, and the next run goes on.
    """
    started = time.perf_counter()
    path = local_path(to)
    check_decoding(dict, on_bad_row)
    walk_on_bad_row: OnBadRow = "raise" if on_bad_row == "raise" else "collect"
    options = {"page_size": page_size, "on_progress": on_progress, "on_bad_row": walk_on_bad_row}
    rows = _Rows(collection, where, options)
    pull = rows.pull()
    if overlap is not None:
        to_timedelta(overlap)  # refused before a file is made
    table = SyncedTable(
        path,
        rows.tag,
        rows.key,
        pull.row_type,
        server=server_name(pull.server),
        query=rows.fingerprint(),
        options=column_options(
            pull.row_type, ids=ids, date_columns=date_columns, round_money=round_money, extra=extra
        ),
    )
    with storage_notes():
        try:
            await in_thread(table.open)
            run = _SyncJob(rows, table, walk_on_bad_row)
            source = await run.read(overlap, full=full)
            await run.retry_skipped()
            deleted = await run.reconcile() if reconcile_deletes else None
            await run.keep()
        finally:
            await in_thread(table.close)
    doubts, report = run.problems(source), source.report
    run.counts.add_to(report)
    return SyncResult(
        path=str(to),
        table=rows.tag,
        rows_received=run.received,
        inserted=run.inserted,
        updated=run.updated,
        unchanged=run.received - run.inserted - run.updated - len(run.skipped.bad_rows),
        deleted=deleted,
        bookmark=run.bookmark,
        report=report,
        problems=doubts,
        seconds=time.perf_counter() - started,
        skipped=run.skipped.count,
        bad_rows=run.skipped.bad_rows if on_bad_row == "collect" else [],
        notes=list(source.notes) if isinstance(source, Changes) else [],
    )


class _Rows:
    """The reads of one tag under one condition."""

    def __init__(self, collection: Collection[Any, Any], where: Where, options: dict[str, Any]) -> None:
        key = collection.endpoint.key
        if key is None:
            raise ConfigurationError(f"rows of {collection.endpoint.resource} have no key to merge them by")
        self.tag = collection.endpoint.resource
        self.key = key
        self.modified_at_field = collection.endpoint.modified_at_field
        self.have_changes = self.modified_at_field is not None
        self._collection: Any = collection
        self._has_search = isinstance(collection, SearchableCollection)
        self._where = to_where(where)
        self._options = options
        self._leaves_bad_rows = options["on_bad_row"] != "raise"
        if not self._has_search and (self._where is not None or self.have_changes):
            what = "modified_at_field" if self._where is None else "where"
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

    def lookups(self, keys: Sequence[Id], *, among: int | None = None) -> list[Pull[Any]]:
        """Pulls that bring the rows of these keys; one pull of all if they are many of so many rows."""
        if not keys:
            return []
        is_much = among is not None and len(keys) > max(KEYS_PER_LOOKUP, among * MAX_LOOKUPS)
        if not self._has_search or is_much:
            return [self.pull()]
        starts = range(0, len(keys), KEYS_PER_LOOKUP)
        return [self.pull(keys[start : start + KEYS_PER_LOOKUP]) for start in starts]

    async def difference(self, known: Iterable[tuple[Id, int | None]], column: str | None) -> KeyDiff:
        """What a sweep over the keys, and the instants of change, finds."""
        sweep = self.pull(on_progress=None)
        return await diff_rows(sweep, known, column, allow_unnamed=self._leaves_bad_rows)


class _Skipped:
    """The rows that were left out because they do not decode, by their keys."""

    def __init__(self, key: str, text: str | None) -> None:
        self._key_of = key_decoder(key)
        self._rows: dict[Id, BadRow | None] = {}
        self._without_key: list[BadRow] = []
        self._lost = 0
        """Rows whose key could not be read, in an earlier run: a full read alone brings them."""
        if text is not None:
            kept = msgspec.json.decode(text, type=_StoredSkipped)
            self._rows, self._lost = dict.fromkeys(kept.keys), kept.without_key

    def to_json(self) -> str | None:
        """The keys as text; None if no row is left out."""
        lost = self._lost + len(self._without_key)
        if not self._rows and not lost:
            return None
        return msgspec.json.encode(_StoredSkipped(list(self._rows), lost)).decode()

    @property
    def keys(self) -> list[Id]:
        """The keys of all rows that are left out."""
        return list(self._rows)

    @property
    def count(self) -> int:
        """How many rows are left out."""
        return len(self._rows) + len(self._without_key) + self._lost

    @property
    def bad_rows(self) -> list[BadRow]:
        """The rows that were received in this run and do not decode."""
        return [row for row in self._rows.values() if row is not None] + self._without_key

    def is_of_this_run(self, key: Id) -> bool:
        """Return whether the row was received in this run."""
        return self._rows.get(key) is not None

    def add(self, rows: Iterable[BadRow]) -> None:
        """Leave out rows that do not decode."""
        for row in rows:
            key = row.key if row.key is not None else self._key_of(bytes(row.raw))
            if key is None:
                self._without_key.append(row)
            else:
                self._rows[key] = row

    def discard(self, keys: Iterable[Id]) -> None:
        """Rows that decode now, or are gone."""
        plain = set(map(plain_key, keys))
        self._rows = {key: row for key, row in self._rows.items() if plain_key(key) not in plain}

    def begin_full(self) -> None:
        """All rows are read: what is still bad comes again."""
        self._rows, self._without_key, self._lost = {}, [], 0

    def problems(self) -> list[str]:
        """Return a sentence that names the rows, if there are any."""
        if not self.count:
            return []
        named = ", ".join(repr(key) for key in self.keys[:NAMED_KEYS])
        more = f", and {self.count - NAMED_KEYS} more" if self.count > NAMED_KEYS else ""
        which = f" ({named}{more})" if named else ""
        return [f"{self.count} rows do not decode and were left out{which}"]


class _StoredSkipped(msgspec.Struct, frozen=True):
    keys: list[Id]
    without_key: int = 0


class _StoredBookmark:
    """The bookmark as the table has it; it goes back there with the rows, in one transaction."""

    def __init__(self, text: str | None) -> None:
        self.text = text

    def get(self, _key: str, /) -> str | None:
        return self.text

    def put(self, _key: str, value: str, /) -> None:
        self.text = value


class _SyncJob:
    def __init__(self, rows: _Rows, table: SyncedTable, on_bad_row: OnBadRow) -> None:
        self._rows = rows
        self._table = table
        self._on_bad_row: OnBadRow = on_bad_row
        self._kept = _StoredBookmark(None)
        self._checkpoint: str | None = None
        self._awaited: dict[Id, Id] = {}
        """Keys of rows that were looked up and did not arrive yet, by their plain form."""
        self._problems: list[str] = []
        self.skipped = _Skipped(rows.key, None)
        self.counts = RowCounts()
        self.received = self.inserted = self.updated = 0

    @property
    def bookmark(self) -> str | None:
        """The instant from which the next run reads."""
        if self._kept.text is None:
            return None
        try:
            return str(Checkpoint.from_json(self._kept.text).position["bookmark"])
        except (CheckpointError, KeyError):
            return None

    def problems(self, source: Changes[Any] | Pull[Any]) -> list[str]:
        """All that speaks against the table's being complete."""
        if isinstance(source, Changes):
            found = [*source.blocking_problems(), *source.possible_gaps]
        else:
            found = source.report.blocking_problems(allow_rows_without_key=self._on_bad_row != "raise")
        return [*found, *self.skipped.problems(), *self._problems]

    async def read(self, overlap: float | timedelta | None, *, full: bool) -> Changes[Any] | Pull[Any]:
        """Merge what is new, and then the bookmark.

        A checkpoint or a bookmark that is damaged, or that another release wrote, is read as if there were
        none: rows that come again are merged to the same end.
        """
        before = await in_thread(self._table.bookkeeping)
        with contextlib.suppress(msgspec.MsgspecError):
            self.skipped = _Skipped(self._rows.key, before.skipped)
        for start in () if full else (before, Bookkeeping(before.bookmark)):
            with contextlib.suppress(CheckpointError):
                return await self._read(overlap, start)
        self.skipped.begin_full()
        return await self._read(overlap, Bookkeeping())

    async def _read(self, overlap: float | timedelta | None, start: Bookkeeping) -> Changes[Any] | Pull[Any]:
        self._kept.text = start.bookmark
        if start.bookmark is None and start.checkpoint is None:
            self.skipped.begin_full()
        source = self._source(overlap, start.checkpoint)
        try:
            await self._merge_all(source)
        except IncompleteError:
            # All but the ranges that could not be read is here; the next run asks for those alone.
            if source.checkpoint is not None:
                self._checkpoint = source.checkpoint.to_json()
                await self.keep()
            raise
        if isinstance(source, Changes):
            await self._acknowledge(source)
        self._checkpoint = None
        await self.keep()
        return source

    def _source(self, overlap: float | timedelta | None, resume: str | None) -> Changes[Any] | Pull[Any]:
        source: Changes[Any] | Pull[Any]
        if self._rows.have_changes:
            source = raw_pages(self._rows.changes(state=self._kept, overlap=overlap))
        else:
            source = raw_pages(self._rows.pull())
        return source if resume is None else source.resume_from(resume)

    async def keep(self) -> None:
        """Write how far this is."""
        await self._write([])

    async def retry_skipped(self) -> None:
        """Ask again for the rows that earlier runs left out and that did not come in this one."""
        keys = [key for key in self.skipped.keys if not self.skipped.is_of_this_run(key)]
        if keys:
            self.skipped.discard(await self._look_up(keys))

    async def reconcile(self) -> int:
        """Mark the rows that are gone, bring those that are missing or differ; how many were marked."""
        column = self._rows.modified_at_field
        if column is not None and not self._table.has_instants(column):
            column = None
        keys = await in_thread(lambda: self._table.keys(column))
        count, known = len(keys), iter(keys)
        del keys  # the iterator lets go of them at its end, before the sweep begins
        found = await self._rows.difference(known, column)
        absent = await self._look_up([*found.untracked, *found.changed], among=count)
        if absent:
            named = ", ".join(repr(key) for key in absent[:NAMED_KEYS])
            self._problems.append(
                f"{len(absent)} rows that differ on the server did not arrive when they were requested by "
                f"their keys ({named}): they were deleted since, or the server does not find them"
            )
        if found.unnamed:
            self._problems.append(
                f"no row was marked as deleted, since {found.unnamed} rows came without a readable key"
            )
        return await in_thread(lambda: self._table.mark_deleted(found.deleted)) if found.deleted else 0

    async def _look_up(self, keys: Sequence[Id], *, among: int | None = None) -> list[Id]:
        """Merge the rows of these keys; those that did not arrive."""
        self._awaited = {plain_key(key): key for key in keys}
        refused = self.counts.bad_rows
        for lookup in self._rows.lookups(keys, among=among):
            source = raw_pages(lookup)
            await self._merge_all(source)
            self._problems += source.report.blocking_problems(
                allow_rows_without_key=self._on_bad_row != "raise"
            )
        self.counts.bad_rows = refused  # the report counts those of the read itself; `skipped` has all
        absent, self._awaited = list(self._awaited.values()), {}
        return absent

    async def _acknowledge(self, source: Changes[Any]) -> None:
        if not source.blocking_problems():
            await source.ack()
        elif isinstance(source.report, PullReport):
            self._kept.text = None  # all rows are read again the next time

    async def _merge_all(self, source: Changes[Any] | Pull[Any]) -> None:
        keeps_place = isinstance(source, Changes) or not self._rows.have_changes
        held: list[Page[Any]] = []
        writing: asyncio.Future[None] | None = None
        async with aclosing(source.pages()) as batches:
            try:
                async for page in batches:
                    held.append(page)
                    if len(held) == PAGES_PER_TRANSACTION:
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
                self.skipped.add(source.bad_rows)
                if held:
                    await self._write(held, keeps_place=keeps_place)

    async def _write(self, pages: list[Page[Any]], *, keeps_place: bool = False) -> None:
        if keeps_place:
            self._checkpoint = pages[-1].checkpoint.to_json()
        await in_thread(lambda: self._write_now(pages))

    def _write_now(self, pages: list[Page[Any]]) -> None:
        table = self._table_of(pages) if pages else None
        keep = Bookkeeping(self._kept.text, self._checkpoint, self.skipped.to_json())
        written = self._table.write(table, keep)
        self.received += sum(map(len, pages))
        self.inserted += written.inserted
        self.updated += written.updated

    def _table_of(self, pages: list[Page[Any]]) -> Any:
        rows = PageRows.of(pages, self._on_bad_row)
        table = self._table.table_of(rows)
        rows.counts.add_to(self.counts)
        if self._awaited or self.skipped.count:
            keys: list[Id] = table[self._rows.key].to_pylist()
            self.skipped.discard(keys)
            self._mark_deleted(keys)
        self.skipped.add(rows.bad_rows)
        self._mark_deleted(self.skipped.keys)
        return table

    def _mark_deleted(self, keys: Iterable[Id]) -> None:
        if self._awaited:
            for key in keys:
                self._awaited.pop(plain_key(key), None)
