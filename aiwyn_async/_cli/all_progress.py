"""Progress of a command over all resources: a row each on a terminal, otherwise lines."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import TracebackType
from typing import Final, Protocol, Self

from rich import progress as rich_progress
from rich.console import Console

from aiwyn_async._cli.output import write_message
from aiwyn_async._cli.progress import ProgressLines, details_of
from aiwyn_async._pull.progress import Progress

__all__ = ["AllBars", "AllLines", "AllProgress", "create_all_progress"]

BAR_WIDTH: Final = 12
"""Cells; a row fits into 60 columns with rows and rate."""


class AllProgress(Protocol):
    """Shows the progress of one resource after another while it is entered."""

    def __enter__(self) -> Self:
        """Start."""
        ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop, and restore the terminal."""
        ...

    def start(self, resource: str) -> None:
        """Begin with a resource."""
        ...

    def update(self, progress: Progress) -> None:
        """Show the progress of the resource that was started last."""
        ...

    def finish(self, state: str, message: str, *, is_written: bool) -> None:
        """End the resource that was started last.

        Args:
            state: a few words, such as ``400 rows, complete``.
            message: a line for a log; empty if it was written already.
            is_written: its rows are written.
        """
        ...


def create_all_progress(resources: Sequence[str]) -> AllProgress:
    """Return bars on a terminal, otherwise lines."""
    is_terminal = sys.stderr is not None and sys.stderr.isatty()
    return AllBars(resources) if is_terminal else AllLines()


class AllLines:
    """A line every few seconds, and one at the end of each resource."""

    def __init__(self) -> None:
        self._lines = ProgressLines("")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        pass

    def start(self, resource: str) -> None:
        """Begin with a resource."""
        self._lines = ProgressLines(resource)

    def update(self, progress: Progress) -> None:
        """Write a line with the progress, if one is due."""
        self._lines.update(progress)

    def finish(self, state: str, message: str, *, is_written: bool) -> None:  # noqa: ARG002 (the message says it)
        """Write the message."""
        if message:
            write_message(message)


class AllBars:
    """A row per resource: name, bar, and rows or state.

    Args:
        resources: in their order.
        console: the terminal; stderr by default.
    """

    def __init__(self, resources: Sequence[str], *, console: Console | None = None) -> None:
        self._bars = rich_progress.Progress(
            rich_progress.TextColumn("{task.description}"),
            rich_progress.BarColumn(BAR_WIDTH),
            rich_progress.TextColumn("{task.fields[details]}"),
            console=console or Console(file=sys.stderr, highlight=False),
            transient=True,
        )
        self._tasks = {name: self._bars.add_task(name, total=1, details="waiting") for name in resources}
        self._current = self._tasks[resources[0]]

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bars.stop()

    def start(self, resource: str) -> None:
        """Begin with a resource."""
        self._current = self._tasks[resource]
        self._bars.reset(self._current, details="starting")
        self._bars.update(self._current, total=None)

    def update(self, progress: Progress) -> None:
        """Show rows, rate, time left and retries."""
        self._bars.update(
            self._current,
            completed=progress.rows,
            total=progress.total,
            details=" ".join([f"{progress.rows:,} rows", *details_of(progress)]),
        )

    def finish(self, state: str, message: str, *, is_written: bool) -> None:  # noqa: ARG002 (the row says it)
        """Show the state."""
        self._bars.update(self._current, completed=int(is_written), total=1, details=state)
