"""Progress on stderr: a bar on a terminal, nothing but the last line elsewhere."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Self

from rich import progress as bars
from rich.console import Console

from aiwyn_async.cli.exits import printable
from aiwyn_async.pull.progress import Progress

__all__ = ["ProgressBar", "console", "say"]


def console() -> Console:
    """stderr; NO_COLOR is honoured by rich."""
    return Console(file=sys.stderr, highlight=False)


def say(text: str) -> None:
    """A line on stderr, as it is: never wrapped, no markup, nothing that steers a terminal."""
    console().print(printable(text), soft_wrap=True, markup=False)


class ProgressBar:
    """Rows, rows a second, the time left, retries."""

    def __init__(self, text: str) -> None:
        self._bar = bars.Progress(
            bars.TextColumn("{task.description}"),
            bars.BarColumn(),
            bars.TaskProgressColumn(),
            bars.TextColumn("{task.completed:,.0f} rows"),
            bars.TextColumn("{task.fields[rate]:,.0f} rows/s"),
            bars.TimeRemainingColumn(),
            bars.TextColumn("{task.fields[retries]}"),
            console=console(),
            transient=True,
            disable=not sys.stderr.isatty(),
        )
        self._task = self._bar.add_task(text, total=None, rate=0.0, retries="")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def count(self, rows: int) -> None:
        """Show how many rows are done, of a number that is not known."""
        self._bar.update(self._task, completed=rows)

    def update(self, progress: Progress) -> None:
        """Show how far it is."""
        retries = f"{progress.retries} retries" if progress.retries else ""
        self._bar.update(
            self._task,
            completed=progress.rows,
            total=progress.expected,
            rate=progress.rows_per_second,
            retries=retries,
        )
