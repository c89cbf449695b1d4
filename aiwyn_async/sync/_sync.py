"""``sync()``: read all rows into a DuckDB table, and later only changes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import msgspec

from aiwyn_async._changes.bounds import to_timedelta
from aiwyn_async._changes.changes import Changes
from aiwyn_async._core.checks import check_flag, check_kind
from aiwyn_async._core.files import OTHER_DATABASE, local_path
from aiwyn_async._core.identity import JobIdentity
from aiwyn_async._core.pull_report import PullReport
from aiwyn_async._core.reports import ListReport
from aiwyn_async._core.urls import server_name
from aiwyn_async._decoding.pages import BadRow, OnBadRow
from aiwyn_async._pagination.read_options import ReadOptions
from aiwyn_async._pull.progress import Progress
from aiwyn_async._pull.pull import Pull
from aiwyn_async._resources.collection import Collection
from aiwyn_async.arrow._options import column_options
from aiwyn_async.filters import Where
from aiwyn_async.sync._job import SyncJob
from aiwyn_async.sync._reads import ResourceReads
from aiwyn_async.sync._table import SyncedTable


class SyncResult(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a sync.

    Attributes:
        path, table: the file, and the table in it.
        rows_received: the number of rows received.
        inserted, updated, unchanged: of these, by what the table contained before. Updated rows include those
            that were marked as deleted and exist again.
        deleted: the number of rows marked as deleted; None without ``reconcile_deletes``.
        bookmark: the time from which the next sync reads, as on the wire; None if rows have no time of their
            last change, or if the next sync reads all rows.
        report: the report of the read; of the changes since, if an interrupted run was continued. Its
            ``unknown_fields``, ``repaired_rows`` and ``rounded_amounts`` include all rows that this run
            wrote.
        problems: every reason why the table is not proven complete.
        seconds: the duration of the sync.
        skipped: the number of rows left out because they do not decode, those of earlier runs included; each
            run requests them again.
        bad_rows: the skipped rows of this run, if ``on_bad_row`` is "collect".
        notes: what happened that is not a problem, such as that all rows were read again.
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
        """True if no problem was found."""
        return not self.problems


async def sync(
    collection: Collection[Any, Any, Any],
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
    """Bring the table of a resource in a DuckDB file up to date.

    The table has the name of the resource, a column for each field of the row type, by its wire name, and
    ``_deleted_at``. The first run pulls all rows; later runs read what changed since the bookmark, or all
    rows if they have no time of their last change. Rows are merged by key, in transactions that also write
    the checkpoint or the bookmark, so a run that is killed at any moment is resumed by the next one, which
    then reads what changed since that run began. If the row type has a new field, all rows are read again.

    The bookmark moves only after a read that is proven complete, and never past the server's clock. If the
    newest change on the server is older than the bookmark, all rows are read again, and ``notes`` says so.

    Rows that were deleted on the server, or no longer match ``where``, stay as they are, unless
    ``reconcile_deletes`` reads all keys and sets their ``_deleted_at``. That sweep also compares the times of
    the last change, and reads rows that are missing or differ: those committed later than ``overlap``
    allows, or whose time was set back. A change that does not change this time is only read within
    ``overlap``, or by ``full``.

    If an id that is not an integer is received, its column becomes text (VARCHAR), integers included.

    Args:
        collection: the resource, such as ``aiwyn.invoices``.
        to: the file; it may contain other tables. It is created with mode 0600.
        where: a condition, for a resource with a search. Each file has one condition per resource.
        reconcile_deletes: mark rows that were deleted on the server.
        overlap: seconds or a timedelta to read again before the bookmark; by default 5 minutes, or 65 if
            times have no zone. If data arrives in batches every 4 to 24 hours, use a day.
        page_size: rows per request, 1 to 1000.
        on_progress: called after each page.
        full: read all rows, as if there were no bookmark. This also clears problems of earlier runs.
        on_bad_row: what to do with a row that does not decode: raise ``DecodeError``, leave it out ("skip"),
            or leave it out and return it in ``bad_rows`` ("collect"). Its key is stored in the file, and
            later runs request it again until it decodes or is deleted.
        ids: "auto" stores ids as integers until text is received; "text" stores them as text.
        date_columns: wire names of columns that hold only the calendar day of a timestamp, as on the wire.
            Pass the same names each time; other names are refused. A sweep compares only keys if the time of
            the last change is among them.
        round_money: decimal places, 0 to 9, to round amounts to, half to even. The report counts rounded
            amounts. Rows written before keep their amounts until they are read again, as by ``full``.
        extra: "json" adds the column ``extra`` with the fields that the row type does not have, as JSON. All
            rows are read again when it is added, and later syncs must pass it too. The report lists the
            fields as ``unknown_fields`` in any case.

    Raises:
        StorageError: the file cannot be written, is in use, or is not a DuckDB database; the table was not
            created by a sync, or its columns were altered; or the file is missing but its log is not.
        CheckpointError: the table was filled from another server or by another query.
        ConfigurationError: an argument is wrong, the target is a URL or has the suffix of another format, or
            rows have no key.
        IncompleteError: ranges of keys could not be read; all others are in the table, and the next run
            requests the missing ones. Or the sweep was not complete, so no row was marked.
        RequestError: a request failed; received rows are in the table, and the next run resumes.
    """
    started = time.perf_counter()
    full, reconcile_deletes = check_flag("full", full), check_flag("reconcile_deletes", reconcile_deletes)
    check_kind("collection", collection, Collection, "a resource, such as aiwyn.invoices")
    path = local_path(to, OTHER_DATABASE)
    ReadOptions.build("sync", on_bad_row=on_bad_row, page_size=page_size)
    reads = ResourceReads(
        collection,
        where,
        {
            "page_size": page_size,
            "on_progress": on_progress,
            "on_bad_row": "raise" if on_bad_row == "raise" else "collect",
        },
    )
    pull = reads.pull()
    # Refused before a file is created.
    pull.check_usable()
    if overlap is not None:
        to_timedelta(overlap)
    table = SyncedTable(
        path,
        reads.resource,
        reads.key,
        pull.row_type,
        identity=JobIdentity(server_name(pull.server), reads.fingerprint()),
        options=column_options(
            pull.row_type, ids=ids, date_columns=date_columns, round_money=round_money, extra=extra
        ),
    )
    job = SyncJob(reads, table)
    source = await pull.masking(job.run(overlap, full=full, reconcile_deletes=reconcile_deletes))
    result = _to_result(to, reads.resource, job, source, time.perf_counter() - started)
    return result if on_bad_row == "collect" else msgspec.structs.replace(result, bad_rows=[])


def _to_result(
    to: str | Path, resource: str, job: SyncJob, source: Changes[Any] | Pull[Any], seconds: float
) -> SyncResult:
    problems, report = job.problems(source), source.report  # a Changes combines its report on each access
    job.counts.add_to(report)
    return SyncResult(
        path=str(to),
        table=resource,
        rows_received=job.rows_received,
        inserted=job.inserted,
        updated=job.updated,
        unchanged=job.rows_received - job.inserted - job.updated - len(job.skipped.bad_rows),
        deleted=job.deleted,
        bookmark=job.bookmark,
        report=report,
        problems=problems,
        seconds=seconds,
        skipped=len(job.skipped),
        bad_rows=job.skipped.bad_rows,
        notes=job.notes,
    )
