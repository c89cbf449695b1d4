"""Progress on stderr: bars on a terminal, otherwise a line every few seconds."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Final, Self

from rich import progress as rich_progress
from rich.console import Console

from aiwyn_async._cli.output import is_quiet, note_output, write_message
from aiwyn_async._pull.progress import Progress, details_of

SECONDS_PER_LINE: Final = 5.0


def create_progress(noun: str) -> ProgressBars | ProgressLines:
    """Return bars on a terminal, otherwise lines; ``noun`` names the rows."""
    return ProgressBars(noun) if shows_bars() else ProgressLines(noun)


def shows_bars() -> bool:
    """Return whether progress is shown as bars: on a terminal, without ``--quiet``."""
    return sys.stderr is not None and sys.stderr.isatty() and not is_quiet()


class ProgressLines:
    """Lines such as ``12,000 of 100,000 invoices, 45,000 rows/s, 2 s left``."""

    def __init__(
        self,
        noun: str,
        *,
        clock: Callable[[], float] = time.monotonic,
        write: Callable[[str], None] = write_message,
    ) -> None:
        self._noun = noun
        self._clock = clock
        self._write = write
        self._started = self._last_line = clock()

    def __enter__(self) -> Self:
        self._started = self._last_line = self._clock()
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def count(self, rows: int) -> None:
        """Write a line with a number of rows of an unknown total, if one is due."""
        rate = rows / max(self._clock() - self._started, 1e-9)
        self.update(Progress(rows, None, rate, None, 0, 0))

    def update(self, progress: Progress) -> None:
        """Write a line with the progress of a read, if one is due."""
        now = self._clock()
        if now - self._last_line < SECONDS_PER_LINE:
            return
        self._last_line = now
        of = "" if progress.total is None else f" of {progress.total:,}"
        self._write(", ".join([f"{progress.rows:,}{of} {self._noun}", *details_of(progress)]))


class Bars:
    """Bars on a terminal while it is entered."""

    def __init__(self, *columns: rich_progress.ProgressColumn, console: Console | None = None) -> None:
        self._bars = rich_progress.Progress(
            rich_progress.TextColumn("{task.description}"),
            *columns,
            rich_progress.TextColumn("{task.fields[details]}"),
            console=console or Console(file=sys.stderr, highlight=False),
            transient=True,
        )

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def _show(self, task: rich_progress.TaskID, progress: Progress) -> None:
        """Show rows, rate, time left and retries of a read."""
        note_output()
        self._bars.update(
            task,
            completed=progress.rows,
            total=progress.total,
            details=" ".join([f"{progress.rows:,} rows", *details_of(progress)]),
        )


class ProgressBars(Bars):
    """A bar with rows, rate, time left and retries, and one per key range."""

    def __init__(self, noun: str, *, console: Console | None = None) -> None:
        super().__init__(rich_progress.BarColumn(), rich_progress.TaskProgressColumn(), console=console)
        self._total = self._bars.add_task(noun, total=None, details="")
        self._ranges: dict[str, rich_progress.TaskID] = {}

    def count(self, rows: int) -> None:
        """Show a number of rows of an unknown total."""
        self._bars.update(self._total, completed=rows, details=f"{rows:,} rows")

    def update(self, progress: Progress) -> None:
        self._show(self._total, progress)
        ranges = {each.name: each for each in progress.ranges} if len(progress.ranges) > 1 else {}
        for name in self._ranges.keys() - ranges.keys():
            self._bars.remove_task(self._ranges.pop(name))
        for name, each in ranges.items():
            if name not in self._ranges:
                self._ranges[name] = self._bars.add_task(f"  {name}", total=1.0, details="")
            self._bars.update(self._ranges[name], completed=each.fraction, details=f"{each.rows:,} rows")
