"""What an export needs of a file or a dataset that it writes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, NamedTuple, Protocol

from aiwyn_async._decoding.pages import BadRow
from aiwyn_async._pagination.page import Checkpoint
from aiwyn_async.arrow._rows import PageRows
from aiwyn_async.export._source import Report


class ReadState(NamedTuple):
    """How far an export is after some pages: checkpoint, report of all runs, and bad rows of these pages."""

    checkpoint: Checkpoint
    report: Report
    bad_rows: list[BadRow]


class State(Protocol):
    """The stored state of an unfinished or finished export."""

    @property
    def may_replace(self) -> bool:
        """True if the output may replace an existing one."""
        ...

    @may_replace.setter
    def may_replace(self, may_replace: bool) -> None: ...

    @property
    def exists(self) -> bool:
        """True if there is an unfinished export with at least one part."""
        ...

    @property
    def is_recent(self) -> bool:
        """True for an unfinished export young enough to continue by ``replace=True``."""
        ...

    @property
    def rows(self) -> int:
        """Rows in all committed parts."""
        ...

    @property
    def rows_before(self) -> int:
        """Rows that the report counts, yielded before the export."""
        ...

    @property
    def parts(self) -> int:
        """The number of committed parts."""
        ...

    @property
    def report(self) -> Report:
        """The report of all runs, up to the last committed part; None before the first."""
        ...

    @property
    def bad_rows(self) -> list[BadRow]:
        """All collected bad rows."""
        ...

    def lock(self) -> None:
        """Exclude other exports to the same output.

        Raises:
            ExportError: another export is running.
        """
        ...

    def release(self) -> None:
        """Release the lock."""
        ...

    def start(self, *, may_replace: bool, rows_before: int = 0) -> None:
        """Discard an unfinished export and start with no parts.

        Args:
            may_replace: the output may replace an existing one.
            rows_before: rows that the report counts, yielded before this export.
        """
        ...

    def check_rows(self, report: Report) -> None:
        """Compare the rows in all parts with those that were read.

        Raises:
            ExportError: they differ, so an earlier part is missing or was read twice.
        """
        ...

    def load(self) -> Checkpoint:
        """Load and verify an unfinished export, and return where to resume the read.

        Raises:
            ExportError: it is damaged, belongs to other columns or another server, or has more rows than the
                limit.
        """
        ...

    def find_finished(self) -> Checkpoint | None:
        """Load the state of the finished output; return the checkpoint at its end.

        None if there is none, if another export wrote it, or if it was changed since.
        """
        ...

    def finish(self) -> None:
        """Remove what only an unfinished export needs."""
        ...


class Writer(Protocol):
    """Writes parts. ``write()`` runs in threads, concurrently; ``commit()`` is called in order.

    Attributes:
        max_concurrent: parts written at the same time.
    """

    max_concurrent: int

    def write(self, number: int, rows: PageRows) -> Any:
        """Write a part, or prepare it, and return what ``commit()`` needs."""
        ...

    async def commit(self, part: Any, state: ReadState) -> None:
        """Commit a part after all parts before it."""
        ...

    async def flush(self) -> None:
        """Commit what waits for more rows."""
        ...

    async def finish(self) -> int:
        """Complete the output under its name, and return its size in bytes."""
        ...


class Output(Protocol):
    """A file or a dataset.

    Attributes:
        path: of the file or folder, or its URL.
        reads_raw_pages: it needs whole response bodies instead of single rows.
    """

    path: str
    reads_raw_pages: bool

    @property
    def state(self) -> State:
        """The stored state of this export."""
        ...

    def check_writable(self) -> None:
        """Check that it can be written, before a request is sent.

        Raises:
            ExportError: it cannot.
        """
        ...

    def check_existing(self, *, may_replace: bool) -> None:
        """Check that an existing output may and can be replaced.

        Raises:
            ExportError: it exists and may not be replaced, or it is in use.
        """
        ...

    def size(self) -> int:
        """Return the bytes of the finished output."""
        ...

    def open(self, report: Callable[[], Report]) -> AbstractAsyncContextManager[Writer]:
        """Start to write; leaving the context without ``finish()`` leaves only what a resumed export needs.

        Args:
            report: returns the final report, once all rows are read.
        """
        ...
