"""One run of an export: prepare, read, write parts, complete the output."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from contextlib import aclosing
from typing import Any, Final, Literal

import msgspec

from aiwyn_async._core.pull_report import PullReport
from aiwyn_async._core.reports import ListReport
from aiwyn_async._core.threads import in_thread, shielded
from aiwyn_async._decoding.pages import BadRow
from aiwyn_async._html import changed_fields, fields_html
from aiwyn_async._pagination.page import Checkpoint, Page
from aiwyn_async._pull.full_scan import RESTART
from aiwyn_async._pull.progress import Progress, to_progress
from aiwyn_async.errors import CheckpointError, ExportError, IncompleteError
from aiwyn_async.export._dataset.output import DatasetOutput
from aiwyn_async.export._file import FileOutput
from aiwyn_async.export._part_files import AdvisedExportError
from aiwyn_async.export._part_queue import PartQueue, Writer
from aiwyn_async.export._source import Report, Source, combine

Output = FileOutput | DatasetOutput

PAGES_PER_PART: Final = 10
"""A crash loses the rows of a few parts. Small parts are merged into one row group of Parquet."""

Mode = Literal["new", "force", "resume", "replace"]


class ExportResult(msgspec.Struct, frozen=True):
    """A finished export: file or dataset, rows, bytes, report of all runs, seconds of this run."""

    path: str
    rows: int
    bytes: int
    report: ListReport | PullReport
    seconds: float

    def _repr_html_(self) -> str:
        # The URL of a dataset may have credentials.
        path = re.sub(r"^(\w+://)[^/]*@|\?.*", r"\1", self.path) if "://" in self.path else self.path
        fields = changed_fields(self.report) | {"problems": self.report.problems()}
        return fields_html(f"{path}: {self.rows:,} rows, {self.bytes:,} bytes, {self.seconds:.1f} s", fields)


class _ReadRestartedError(Exception):
    """A resumed read yields rows again that earlier runs have written."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        super().__init__()
        self.checkpoint = checkpoint


class ExportJob:
    def __init__(
        self, source: Source, output: Output, on_progress: Callable[[Progress], None] | None
    ) -> None:
        self._source = source
        self._output = output
        self._state = output.state
        self._on_progress = on_progress
        self._is_finished = False
        """An earlier run finished the output."""
        self._report: Report = None
        self._rows_before = 0
        self._bad_rows_taken = 0
        self._started = time.perf_counter()

    def prepare(self, mode: Mode) -> None:
        """Raise every error that can be found before a request is sent."""
        self._output.check_writable()
        self._state.lock()
        if mode == "resume" and self._state.find_finished():
            self._is_finished = True
        elif mode == "resume" and self._state.exists:
            self._continue(self._load(), may_replace=self._state.may_replace)
        elif not (mode == "replace" and self._continue_recent()):
            self._start(mode)

    async def run(self) -> ExportResult:
        if self._is_finished:
            return await self._finished_result()
        parts_before = self._state.parts
        try:
            return await self._write()
        except _ReadRestartedError as error:
            self._source.resume(error.checkpoint)
        except IncompleteError as error:
            # The read ended where it was resumed, so that to continue would not make it complete.
            added_parts = self._state.parts > parts_before
            if not parts_before or added_parts or _has_missing_ranges(error.report):
                raise
            self._source.restart()
        self._bad_rows_taken = 0
        await in_thread(lambda: self._state.start(may_replace=self._state.may_replace))
        return await self._write()

    async def _write(self) -> ExportResult:
        self._rows_before = self._state.rows
        async with self._output.open(lambda: self._report) as writer:
            parts = PartQueue(writer, self._source, self._state.report, self._state.parts)
            try:
                await self._read(parts)
                self._check_complete(parts.combined_report(self._source.report))
            except IncompleteError as error:
                report = parts.combined_report(self._source.report)
                to = "continue with what is missing" if _has_missing_ranges(report) else "start again"
                raise IncompleteError(
                    f"{error}; pass resume=True to {to}", checkpoint=error.checkpoint, report=report
                ) from error
            finally:
                self._source.publish(parts.combined_report(self._source.report), self._state.bad_rows)
            # Complete output gets its name even if the caller is cancelled now.
            self._report = parts.combined_report(self._source.report)
            self._state.check_rows(self._report)
            size = await shielded(self._finish(writer))
        self._send_progress()
        return self._result(size, self._report)

    def _start(self, mode: Mode) -> None:
        may_replace = mode in {"force", "replace"}
        self._output.check_existing(may_replace=may_replace)
        if self._state.exists and not may_replace:
            raise AdvisedExportError(
                f"an unfinished export of {self._output.path} exists; "
                "pass resume=True to continue it or force=True to discard it"
            )
        self._state.start(may_replace=may_replace)

    def _load(self) -> Checkpoint | None:
        checkpoint = self._state.load()
        if checkpoint is not None:
            self._source.resume(checkpoint)
        return checkpoint

    def _continue(self, checkpoint: Checkpoint | None, *, may_replace: bool) -> None:
        self._output.check_existing(may_replace=may_replace)
        self._state.may_replace = may_replace
        if checkpoint is None or checkpoint.position == RESTART:
            self._state.start(may_replace=may_replace)

    def _continue_recent(self) -> bool:
        """Continue the last run's export, unless too old, damaged or of another query."""
        if not self._state.is_recent:
            return False
        try:
            checkpoint = self._load()
        except (ExportError, CheckpointError):
            return False
        self._continue(checkpoint, may_replace=True)
        return True

    async def _finished_result(self) -> ExportResult:
        report = self._state.report
        self._source.publish(report, self._state.bad_rows)
        await in_thread(self._state.finish)
        if self._source.strict and not (report and report.complete):
            raise IncompleteError(
                f"{self._output.path} is finished but may be incomplete: {report}; "
                "pass force=True to export it again",
                report=report,
            )
        return self._result(self._output.size(), report)

    async def _read(self, parts: PartQueue) -> None:
        pages_of_part: list[Page[Any]] = []
        report = self._source.report
        has_parts = self._state.parts > 0
        try:
            async with aclosing(self._source.pages(self._on_progress)) as pages:
                async for page in pages:
                    if has_parts and page.checkpoint.position == RESTART:
                        raise _ReadRestartedError(page.checkpoint)
                    pages_of_part.append(page)
                    report = combine(None, self._source.report)  # a page that is cancelled is not written
                    if len(pages_of_part) == PAGES_PER_PART:
                        full, pages_of_part = pages_of_part, []
                        await parts.add(full, report, self._new_bad_rows())
                        del full  # released when they are written, not when the next part is full
                    if not self._source.sends_progress:
                        self._send_progress()
        finally:
            # Also after an error, so that a resumed export does not request these pages again.
            await shielded(self._write_rest(parts, pages_of_part, report))

    async def _write_rest(self, parts: PartQueue, pages: list[Page[Any]], report: Report) -> None:
        try:
            if pages:
                await parts.add(pages, report, self._new_bad_rows())
        finally:
            await parts.drain()

    def _new_bad_rows(self) -> list[BadRow]:
        """Return the rows that the read skipped since the last part."""
        rows = self._source.bad_rows[self._bad_rows_taken :]
        self._bad_rows_taken += len(rows)
        return rows

    def _check_complete(self, report: Report) -> None:
        """Apply ``strict`` to the written values; the read has checked itself."""
        if self._source.strict and report is not None and not report.complete:
            raise IncompleteError(
                f"{self._output.path} would be incomplete: {'; '.join(report.problems())}", report=report
            )

    async def _finish(self, writer: Writer) -> int:
        size = await writer.finish()
        await in_thread(self._state.finish)
        return size

    def _send_progress(self) -> None:
        if self._on_progress is not None:
            seconds = time.perf_counter() - self._started
            self._on_progress(
                to_progress(self._source.report, seconds=seconds, rows_before=self._rows_before)
            )

    def _result(self, size: int, report: Report) -> ExportResult:
        return ExportResult(
            path=self._output.path,
            rows=self._state.rows,
            bytes=size,
            report=report,
            seconds=time.perf_counter() - self._started,
        )


def _has_missing_ranges(report: Report) -> bool:
    """Return whether a resumed export has something to request."""
    return isinstance(report, PullReport) and bool(report.missing)
