"""``export()``: walk a pager's pages into a file of the format that its suffix names."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import anyio.to_thread
import msgspec

from aiwyn_async.errors import ConfigurationError, ExportError
from aiwyn_async.export.partial import Partial
from aiwyn_async.export.target import Target
from aiwyn_async.export.writers import WRITERS, Writer
from aiwyn_async.pagination.page import Page
from aiwyn_async.pagination.pager import Pager
from aiwyn_async.pagination.report import WalkReport

__all__ = ["ExportProgress", "ExportResult", "export"]

ResultT = TypeVar("ResultT")

PAGES_A_PART: Final = 10
"""A part is what a crash can cost, and in Parquet a row group."""


class ExportProgress(msgspec.Struct, frozen=True):
    """How far an export is. ``expected`` and ``eta`` (seconds) are None where the server gives no count."""

    rows: int
    expected: int | None
    rows_per_second: float
    eta: float | None
    retries: int
    bytes: int


class ExportResult(msgspec.Struct, frozen=True):
    """A finished export: the file, its rows and bytes, the report of the walk, seconds."""

    path: str
    rows: int
    bytes: int
    report: WalkReport
    seconds: float


async def export(
    pager: Pager[Any],
    to: str | Path,
    *,
    force: bool = False,
    resume: bool = False,
    on_progress: Callable[[ExportProgress], None] | None = None,
) -> ExportResult:
    """Write all rows of a walk into a file: ``.jsonl``, ``.csv`` or ``.parquet``.

    The file appears under its name only when it is whole. Until then the work lies in parts in a hidden
    folder beside it, and ``resume`` goes on after the last whole part. Rows are written from the bytes of
    the pages, so JSONL has every field that the server sent; CSV and Parquet have the fields of the row's
    type. Names are those of the wire in all three.

    Args:
        pager: what ``list()`` or ``search()`` gave.
        to: the file; its suffix names the format.
        force: replace a file that exists, and drop the parts of an unfinished export.
        resume: go on with the unfinished export of the same query.
        on_progress: called after each page.

    Raises:
        ExportError: the target exists, cannot be written, or has an unfinished export; the disk is full.
        CheckpointError: resumed with another query.
        ConfigurationError: the suffix is unknown, or an extra is missing.
        AiwynError: whatever the walk raises; what was written stays for ``resume``.
    """
    target = Target(Path(to))
    make_writer = WRITERS.get(target.path.suffix.lower())
    if make_writer is None:
        raise ConfigurationError(f"{target.path.name}: the suffix must be one of {', '.join(WRITERS)}")
    writer = make_writer(pager.row_type)
    run = _Export(pager, target, writer, on_progress)
    try:
        await _in_thread(lambda: run.prepare(force=force, resume=resume))
        return await run.run()
    finally:
        run.release()


class _Export:
    def __init__(
        self,
        pager: Pager[Any],
        target: Target,
        writer: Writer,
        on_progress: Callable[[ExportProgress], None] | None,
    ) -> None:
        self._pager = pager
        self._target = target
        self._writer = writer
        self._on_progress = on_progress
        self._partial = Partial(target, writer.identity, pager.server)
        self._before: WalkReport | None = None
        self._started = time.perf_counter()

    def prepare(self, *, force: bool, resume: bool) -> None:
        """Refuse what cannot end well before anything is asked for."""
        self._target.check(force=force)
        self._partial.hold()
        if resume and self._partial.exists:
            checkpoint = self._partial.load()
            self._before = self._partial.report
            if checkpoint is not None:
                self._pager = self._pager.resumed_at(checkpoint)
            return
        if self._partial.exists and not force:
            raise ExportError(
                f"{self._target.path} has an unfinished export beside it; resume it (--resume), "
                "or drop it and start anew (--force)"
            )
        self._partial.start()

    def release(self) -> None:
        """Let other exports at the file."""
        self._partial.release()

    async def run(self) -> ExportResult:
        """Walk, write, and give the file its name."""
        written_before = self._partial.rows
        held: list[Page[Any]] = []
        try:
            async for page in self._pager.pages():
                held.append(page)
                if len(held) == PAGES_A_PART:
                    full, held = held, []
                    await self._write(full)
                self._tell(written_before)
        finally:
            # Also when the walk broke: what came is kept, so that a resumed export need not ask for it again.
            if held:
                await self._write(held)
        # What is whole gets its name even when the caller gives up at this moment.
        size = await _in_thread(self._finish)
        self._tell(written_before)
        return ExportResult(
            path=str(self._target.path),
            rows=self._partial.rows,
            bytes=size,
            report=added_up(self._before, self._pager.report),
            seconds=time.perf_counter() - self._started,
        )

    async def _write(self, pages: list[Page[Any]]) -> None:
        # In a thread, so that the next pages come meanwhile. A part is begun and finished in one call, and a
        # cancellation waits for it: there is no half part to tell from a whole one.
        report = added_up(self._before, self._pager.report)
        await _in_thread(lambda: self._write_part(pages, report))

    def _write_part(self, pages: list[Page[Any]], report: WalkReport) -> None:
        rows = [row for page in pages for row in page.raw_items()]
        self._partial.add(
            lambda file: self._writer.write_part(file, rows), len(rows), pages[-1].checkpoint, report
        )

    def _finish(self) -> int:
        size = self._target.replace(lambda file: self._writer.join(self._partial.parts(), file))
        self._partial.drop()
        return size

    def _tell(self, written_before: int) -> None:
        if self._on_progress is None:
            return
        report = self._pager.report
        seconds = max(time.perf_counter() - self._started, 1e-9)
        rate = (report.distinct - written_before) / seconds
        left = None if report.expected is None else max(0, report.expected - report.distinct)
        self._on_progress(
            ExportProgress(
                rows=report.distinct,
                expected=report.expected,
                rows_per_second=rate,
                eta=None if left is None or rate <= 0 else left / rate,
                retries=report.retries,
                bytes=report.bytes,
            )
        )


async def _in_thread(work: Callable[[], ResultT]) -> ResultT:
    """Run work in a thread; a cancellation waits for its end, and goes on then.

    A cancel scope of anyio would not do: it does not hold off a cancellation of the task, which Ctrl-C is.
    """
    running = asyncio.ensure_future(anyio.to_thread.run_sync(work))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        raise


def added_up(before: WalkReport | None, now: WalkReport) -> WalkReport:
    """One report of the runs before and of the one that resumed them, so that no doubt is forgotten.

    A resumed walk begins its count of rows with those given before, and knows nothing else of them.
    """
    if before is None:
        return msgspec.structs.replace(now)
    return msgspec.structs.replace(
        now,
        rows=before.rows + now.rows - before.distinct,
        duplicates=before.duplicates + now.duplicates,
        bad_rows=before.bad_rows + now.bad_rows,
        repaired_rows=before.repaired_rows + now.repaired_rows,
        expected=before.expected if now.expected is None else now.expected,
        expected_at_start=(
            now.expected_at_start if before.expected_at_start is None else before.expected_at_start
        ),
        keys_checked=before.keys_checked and now.keys_checked,
        pages=before.pages + now.pages,
        requests=before.requests + now.requests,
        bytes=before.bytes + now.bytes,
        seconds=before.seconds + now.seconds,
    )
