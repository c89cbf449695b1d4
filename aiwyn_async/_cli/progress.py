"""Progress on stderr: bars on a terminal, elsewhere a plain line now and then."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Final, Protocol, Self

from rich import progress as bars
from rich.console import Console

from aiwyn_async._cli.output import say
from aiwyn_async._pull.progress import Progress

__all__ = ["PlainLines", "ProgressBar", "Shown", "console", "progress_of_command"]

SECONDS_A_LINE: Final = 5.0
"""Work that is done sooner is told nothing of but its result."""


def console() -> Console:
    """stderr; NO_COLOR is honoured by rich."""
    return Console(file=sys.stderr, highlight=False)


class Shown(Protocol):
    """How far a command is, for a person to see while it is entered."""

    def __enter__(self) -> Self:
        """Begin."""
        ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Leave the terminal as it was."""
        ...

    def count(self, rows: int) -> None:
        """Show how many rows are done, of a number that is not known."""
        ...

    def update(self, progress: Progress) -> None:
        """Show how far it is."""
        ...


def progress_of_command(what: str) -> Shown:
    """Bars on a terminal, lines elsewhere; ``what`` is the rows' name."""
    is_seen = sys.stderr is not None and sys.stderr.isatty()
    return ProgressBar(what) if is_seen else PlainLines(what)


class PlainLines:
    """``12,000 of 100,000 invoices, 45,000 rows/s, 2 s left``, every few seconds.

    Args:
        what: the rows' name.
        now: the time in seconds.
        tell: takes a line.
    """

    def __init__(
        self, what: str, *, now: Callable[[], float] = time.monotonic, tell: Callable[[str], None] = say
    ) -> None:
        self._what = what
        self._now = now
        self._tell = tell
        self._began = self._told = now()

    def __enter__(self) -> Self:
        self._began = self._told = self._now()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        pass

    def count(self, rows: int) -> None:
        """Tell how many rows are done, when it is time to."""
        rate = rows / max(self._now() - self._began, 1e-9)
        self.update(Progress(rows, None, rate, None, 0, 0))

    def update(self, progress: Progress) -> None:
        """Tell how far it is, when it is time to."""
        now = self._now()
        if now - self._told < SECONDS_A_LINE:
            return
        self._told = now
        of = "" if progress.total is None else f" of {progress.total:,}"
        told = [f"{progress.rows:,}{of} {self._what}", _rate(progress), _left(progress), _retries(progress)]
        self._tell(", ".join(filter(None, told)))


class ProgressBar:
    """Rows, rows a second, the time left, retries; below it a bar for each range of keys under way.

    Args:
        what: the rows' name.
        to: the terminal.
    """

    def __init__(self, what: str, *, to: Console | None = None) -> None:
        self._bars = bars.Progress(
            bars.TextColumn("{task.description}"),
            bars.BarColumn(),
            bars.TaskProgressColumn(),
            bars.TextColumn("{task.fields[told]}"),
            console=to or console(),
            transient=True,
        )
        self._all = self._bars.add_task(what, total=None, told="")
        self._ranges: dict[str, bars.TaskID] = {}

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

    def count(self, rows: int) -> None:
        """Show how many rows are done, of a number that is not known."""
        self._bars.update(self._all, completed=rows, told=f"{rows:,} rows")

    def update(self, progress: Progress) -> None:
        """Show how far it is."""
        told = [f"{progress.rows:,} rows", _rate(progress), _left(progress), _retries(progress)]
        self._bars.update(
            self._all,
            completed=progress.rows,
            total=progress.total,
            told=" ".join(filter(None, told)),
        )
        shown = {each.name: each for each in progress.ranges} if len(progress.ranges) > 1 else {}
        for name in self._ranges.keys() - shown.keys():
            self._bars.remove_task(self._ranges.pop(name))
        for name, each in shown.items():
            if name not in self._ranges:
                self._ranges[name] = self._bars.add_task(f"  {name}", total=1.0, told="")
            self._bars.update(self._ranges[name], completed=each.fraction, told=f"{each.rows:,} rows")


def _rate(progress: Progress) -> str:
    return f"{progress.rows_per_second:,.0f} rows/s"


def _left(progress: Progress) -> str:
    return "" if progress.eta is None else f"{progress.eta:,.0f} s left"


def _retries(progress: Progress) -> str:
    return f"{progress.retries} retries" if progress.retries else ""
