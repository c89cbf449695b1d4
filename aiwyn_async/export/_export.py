"""``export()``: a pager's or a pull's pages into a file of the format that its suffix names."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any, Final, Literal, cast

import msgspec

from aiwyn_async._core.files import local_path, storage_notes
from aiwyn_async._core.reports import ListReport, PullReport
from aiwyn_async._core.threads import in_thread, to_its_end
from aiwyn_async._decoding.pages import BadRow
from aiwyn_async._pagination.page import Checkpoint, Page
from aiwyn_async._pull.full_scan import RESTART
from aiwyn_async._pull.progress import Progress, to_progress
from aiwyn_async.arrow._options import column_options
from aiwyn_async.errors import CheckpointError, ConfigurationError, ExportError, IncompleteError
from aiwyn_async.export._joining import AppendedFile, FileAssembler
from aiwyn_async.export._part_writers import InProcesses, InThreads, PartWriter
from aiwyn_async.export._partial import Staging
from aiwyn_async.export._parts import Parts
from aiwyn_async.export._source import Readable, Report, Source
from aiwyn_async.export._target import Target
from aiwyn_async.export._writers import Writer, writer_for

__all__ = ["ExportResult", "export"]

PAGES_PER_PART: Final = 10
"""A part is what a crash can cost. Small parts are joined into one row group of Parquet at the end."""


class ExportResult(msgspec.Struct, frozen=True):
    """A finished export: the file, its rows and bytes, the report of all its runs, seconds of this one."""

    path: str
    rows: int
    bytes: int
    report: ListReport | PullReport
    seconds: float


async def export(
    rows: Readable,
    to: str | Path,
    *,
    force: bool = False,
    resume: bool = False,
    replace: bool = False,
    table: str | None = None,
    processes: int = 0,
    ids: Literal["auto", "text"] = "auto",
    date_columns: Iterable[str] = (),
    round_money: int | None = None,
    extra: Literal["json"] | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> ExportResult:
    """Write all rows of a walk or a pull into a file: ``.jsonl``, ``.csv``, ``.parquet`` or ``.duckdb``.

    The file appears under its name only when it is whole. Until then the work lies in parts in a hidden
    folder beside it, and ``resume`` goes on after the last whole part; a pull by passes begins anew, since
    no small checkpoint can tell the rows it gave. Where ranges of a pull could not be read, all other rows
    are kept there, and a resumed export asks for those ranges alone. A finished export leaves a small hidden
    file, ``.<name>.done``, by which ``resume`` recognizes it.

    An existing file is refused unless one of these is given:

    - ``force`` writes it new, and discards an unfinished export.
    - ``resume`` continues the unfinished export of the same query. If that export is finished, and the file
      is as it left it, the same result is returned and nothing is requested.
    - ``replace`` is for schedulers: it writes the file new each time, and continues only what the last run of
      the same query did not finish in the 12 hours before. It does not fail because something exists.

    In an existing ``.duckdb`` file, ``force`` and ``replace`` replace the one table in a transaction and keep
    all others. A table that ``sync()`` keeps up to date is refused.

    Rows are written from the bytes of the pages. JSONL has each as the server sent it, with every field, also
    one that does not fit the row's type. The others have the fields of that type; a row that does not fit it
    is refused, left out or collected, as ``on_bad_row`` of the walk or pull says, and counted in the report.
    Names are those of the wire in all four. Money is decimal128(38, 9) in Parquet and DuckDB, times are UTC
    microseconds, a naive time being taken as UTC; a value that a column cannot hold exactly is refused.

    Args:
        rows: what ``list()``, ``search()`` or ``pull()`` gave. Its ``report`` and ``bad_rows`` are, in the
            end, those of the export.
        to: the file; its suffix names the format.
        force: replace an existing file, and discard an unfinished export.
        resume: continue the unfinished export of the same query; return the result of a finished one.
        replace: replace an existing file; continue an unfinished export of the same query if it is recent.
        table: name of the table in a DuckDB file; by default what the endpoint is called.
        processes: have parts written by so many other processes, 0 to 64; 0 writes them in threads of this
            one. For CSV, which Python's lock bounds: the other formats gain nothing. Each takes about 80 MB.
        ids: "auto" makes a column of ids an integer column, or text if one of them is text; "text" makes it
            text always, so that files of different days have the same columns.
        date_columns: wire names of columns that hold the calendar day of a timestamp, as it is on the wire;
            otherwise a time without a zone becomes midnight or another instant in UTC, which a reader in
            New York may show as the day before.
        round_money: decimal places, 0 to 9, that amounts are rounded to in Parquet and DuckDB, half to even.
            Rounded amounts are counted. Otherwise an amount that a column cannot hold refuses its row.
        extra: "json" adds the column ``extra``: the fields that the row type does not have, as JSON. The
            report names them in any case, as ``unknown_fields``.
        on_progress: called after each page.

    Raises:
        ExportError: the target exists, cannot be written, is in use, or has an unfinished export; the disk is
            full; a value does not fit its column.
        DecodeError: a row does not fit its type.
        IncompleteError: ranges of a pull could not be read; or ``strict``, and something is in doubt.
        CheckpointError: resumed with another query.
        ConfigurationError: the suffix is unknown, or an extra is missing; the target is a URL; more than one
            of force, resume and replace is given; other processes cannot import the type of the rows.
        AiwynError: whatever the walk or pull raises; what was written stays for ``resume``.
    """
    mode = _mode(force=force, resume=resume, replace=replace)
    source, path = Source(rows), local_path(to)
    options = column_options(
        source.row_type, ids=ids, date_columns=date_columns, round_money=round_money, extra=extra
    )
    writer = writer_for(path, source.row_type, table or source.name, options)
    target = Target(path, writer.shared_file)
    if writer.takes_documents:
        source.read_documents()
    others = (
        InProcesses(target.path, source.row_type, table or source.name, processes, options)
        if processes
        else None
    )
    run = _Export(source, target, writer, others, on_progress)
    with storage_notes():
        try:
            await in_thread(lambda: run.prepare(mode))
            return await run.run()
        finally:
            run.release()


_Mode = Literal["new", "force", "resume", "replace"]


def _mode(**given: bool) -> _Mode:
    names = [name for name, is_given in given.items() if is_given]
    if len(names) > 1:
        raise ConfigurationError(
            f"{' and '.join(f'{name}=True' for name in names)} exclude each other; "
            "pass replace=True alone for an export that runs again and again"
        )
    return cast("_Mode", names[0]) if names else "new"


class _Export:
    def __init__(
        self,
        source: Source,
        target: Target,
        writer: Writer,
        others: InProcesses | None,
        on_progress: Callable[[Progress], None] | None,
    ) -> None:
        self._source = source
        self._target = target
        self._writer = writer
        self._others = others
        self._on_progress = on_progress
        self._partial = Staging(
            target, writer.identity, source.server, limit=source.limit, grows=writer.join is None
        )
        self._is_finished = False
        """An earlier run finished the file."""
        self._report: Report = None
        self._unread_before = 0
        self._started = time.perf_counter()

    def prepare(self, mode: _Mode) -> None:
        """Refuse what cannot end well before anything is requested."""
        self._target.check_folder()
        self._partial.lock()
        if mode == "resume" and self._find_finished():
            self._is_finished = True
        elif mode == "resume" and self._partial.exists:
            self._continue(self._load(), may_replace=self._partial.may_replace)
        elif not (mode == "replace" and self._continue_recent()):
            self._start(mode)

    def _start(self, mode: _Mode) -> None:
        may_replace = mode in {"force", "replace"}
        self._target.check_file(may_replace=may_replace)
        if self._partial.exists and not may_replace:
            raise ExportError(
                f"an unfinished export of {self._target.path} exists; "
                "pass resume=True to continue it or force=True to discard it"
            )
        self._partial.start(may_replace=may_replace)

    def _load(self) -> Checkpoint:
        checkpoint = self._partial.load()
        self._source.resume(checkpoint)
        return checkpoint

    def _continue(self, checkpoint: Checkpoint, *, may_replace: bool) -> None:
        self._target.check_file(may_replace=may_replace)
        self._partial.may_replace = may_replace
        if checkpoint.position == RESTART:
            self._partial.start(may_replace=may_replace)

    def _continue_recent(self) -> bool:
        """Continue the export that the last run left, unless that is too old, damaged or of another query."""
        if not self._partial.is_recent(self._target.path):
            return False
        try:
            checkpoint = self._load()
        except (ExportError, CheckpointError):
            return False
        self._continue(checkpoint, may_replace=True)
        return True

    def _find_finished(self) -> bool:
        ended_at = self._partial.find_finished(self._target.path)
        if ended_at is None:
            return False
        try:
            self._source.resume(ended_at)
        except CheckpointError:
            if self._partial.exists:
                raise
            return False  # the file is refused like any other that exists
        return True

    def release(self) -> None:
        """Let other exports at the file."""
        self._partial.release()

    async def run(self) -> ExportResult:
        """Read, write, and give the file its name."""
        if self._is_finished:
            return await self._finished_before()
        written_before = self._partial.rows
        before = self._partial.report
        async with (
            self._joining() as joining,
            self._writing_parts() as part_writer,
        ):
            parts = Parts(self._partial, part_writer, self._source.on_bad_row, before, joining)
            try:
                await self._read(parts, written_before)
                self._check_whole(parts.added_up(self._source.report))
            except IncompleteError as error:
                raise IncompleteError(
                    f"{error}; all other rows are kept beside {self._target.path}, go on with resume=True",
                    checkpoint=error.checkpoint,
                    report=parts.added_up(self._source.report),
                ) from error
            finally:
                self._source.tell(parts.added_up(self._source.report), self._partial.bad_rows)
            # What is whole gets its name even when the caller gives up at this moment.
            self._report = parts.added_up(self._source.report)
            size = await to_its_end(self._finish(joining))
        self._tell(written_before)
        return self._result(size, self._report)

    def _check_whole(self, report: Report) -> None:
        """Refuse what ``strict`` refuses: the read checked itself, but not the values that are written."""
        if self._source.strict and report is not None and not report.complete:
            raise IncompleteError(
                f"{self._target.path} would not be complete: {'; '.join(report.problems())}", report=report
            )

    async def _finished_before(self) -> ExportResult:
        report = self._partial.report
        self._source.tell(report, self._partial.bad_rows)
        await in_thread(self._partial.finish)
        if self._source.strict and not (report and report.complete):
            raise IncompleteError(
                f"{self._target.path} is finished but was not proven complete: {report}", report=report
            )
        return self._result(self._target.path.stat().st_size, report)

    @asynccontextmanager
    async def _writing_parts(self) -> AsyncGenerator[PartWriter]:
        if self._others is None:
            yield InThreads(self._writer)
        else:
            async with self._others.started(self._partial.locks) as others:
                yield others

    def _result(self, size: int, report: Report) -> ExportResult:
        return ExportResult(
            path=str(self._target.path),
            rows=self._partial.rows,
            bytes=size,
            report=report,
            seconds=time.perf_counter() - self._started,
        )

    async def _read(self, parts: Parts, written_before: int) -> None:
        held: list[Page[Any]] = []
        try:
            async with aclosing(self._source.pages(self._on_progress)) as pages:
                async for page in pages:
                    held.append(page)
                    if len(held) == PAGES_PER_PART:
                        full, held = held, []
                        await parts.add(full, self._source.report, self._unread())
                    if not self._source.tells_progress:
                        self._tell(written_before)
        finally:
            # Also when the walk broke: what came is kept, so that a resumed export need not ask for it again.
            await to_its_end(self._write_rest(parts, held, self._source.report))

    async def _write_rest(self, parts: Parts, held: list[Page[Any]], report: Report) -> None:
        try:
            if held:
                await parts.add(held, report, self._unread())
        finally:
            await parts.drain()

    def _unread(self) -> list[BadRow]:
        """Rows that could not be read from their pages, since the last part."""
        found = self._source.bad_rows[self._unread_before :]
        self._unread_before += len(found)
        return found

    def _joining(self) -> FileAssembler | AppendedFile:
        join = self._writer.join
        if join is None:
            return AppendedFile(self._take)

        def joined(parts: Iterator[Path]) -> int:
            def write(path: Path) -> None:
                join(parts, path)
                self._partial.record_assembled(path, self._report)

            size = self._target.replace(self._partial.folder, write)
            # It is another file if its table was written into an existing one.
            self._partial.record_assembled(self._target.path, self._report)
            return size

        return FileAssembler(joined, [place.path for place in self._partial.locations()])

    def _take(self) -> int:
        path = self._partial.assembled()
        self._partial.record_assembled(path, self._report)
        return self._target.take(path)

    async def _finish(self, joining: FileAssembler | AppendedFile) -> int:
        size = await joining.finish()
        await in_thread(self._partial.finish)
        return size

    def _tell(self, written_before: int) -> None:
        if self._on_progress is not None:
            seconds = time.perf_counter() - self._started
            self._on_progress(to_progress(self._source.report, seconds=seconds, rows_before=written_before))
