"""Progress of a command over all resources: one row per resource on a terminal, otherwise lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeAlias

from rich import progress as rich_progress

from aiwyn_async._cli.output import write_message
from aiwyn_async._cli.progress import Bars, ProgressLines, shows_bars
from aiwyn_async._pull.progress import Progress

BAR_WIDTH: Final = 12
"""Cells; a row fits into 60 columns with rows and rate."""


def create_all_progress(resources: Sequence[str]) -> AllProgress:
    """Return bars on a terminal, otherwise lines."""
    return AllBars(resources) if shows_bars() else AllLines()


class AllLines(ProgressLines):
    """A line every few seconds, and one at the end of each resource."""

    def __init__(self) -> None:
        super().__init__("")

    def start(self, resource: str) -> None:
        self._noun = resource
        self._started = self._last_line = self._clock()

    def finish(self, state: str, message: str, *, is_written: bool) -> None:  # noqa: ARG002 (the message says it)
        if message:
            write_message(message)


class AllBars(Bars):
    """A row per resource: name, bar, and rows or state."""

    def __init__(self, resources: Sequence[str]) -> None:
        super().__init__(rich_progress.BarColumn(BAR_WIDTH))
        self._tasks = {name: self._bars.add_task(name, total=1, details="waiting") for name in resources}
        self._current = self._tasks[resources[0]]

    def start(self, resource: str) -> None:
        self._current = self._tasks[resource]
        self._bars.reset(self._current, details="starting")
        self._bars.update(self._current, total=None)

    def update(self, progress: Progress) -> None:
        self._show(self._current, progress)

    def finish(self, state: str, message: str, *, is_written: bool) -> None:  # noqa: ARG002 (the row says it)
        self._bars.update(self._current, completed=int(is_written), total=1, details=state)


AllProgress: TypeAlias = AllBars | AllLines
"""``update()`` is of the resource that was started last."""
