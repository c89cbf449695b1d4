"""The read of an export, a pager or a pull, and the reports of its runs."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from typing import Any

import msgspec

from aiwyn_async._core.reports import ListReport, combine_fields
from aiwyn_async._core.urls import server_name
from aiwyn_async._decoding.pages import BadRow, OnBadRow
from aiwyn_async._decoding.plain_types import plain_type
from aiwyn_async._pagination.page import Checkpoint, Page
from aiwyn_async._pagination.pager import Pager
from aiwyn_async._pull.progress import Progress
from aiwyn_async._pull.pull import Pull
from aiwyn_async.arrow._rows import raw_pages, read_as
from aiwyn_async.errors import ConfigurationError
from aiwyn_async.export._manifest import ManifestT

Readable = Pager[Any] | Pull[Any]
Report = Any
"""A ``ListReport`` or a ``PullReport``."""


class Source:
    """Pages of a pager or pull, with undecoded rows for the file format.

    Args:
        original: the caller's object, which receives the report and the bad rows of the export.

    Raises:
        ConfigurationError: it is something else, such as a list of rows or ``changes()``.
    """

    def __init__(self, original: Readable) -> None:
        if not isinstance(original, (Pager, Pull)):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError(
                f"export() takes a list(), search() or pull(), got {type(original).__name__}; "
                "for changes() use sync() or an Arrow stream"
            )
        self._original = original
        self.row_type: type[Any] = plain_type(original.row_type)
        self.on_bad_row: OnBadRow = original.on_bad_row
        self.strict = original.strict
        self.key = original.query.key
        self._whole: Readable = read_as(original, msgspec.Raw)
        self._read = self._whole

    def read_raw_pages(self, row_type: Any) -> None:
        """Read response bodies instead of single rows, or the chosen fields of a row type."""
        self._whole = self._read = raw_pages(self._original, row_type)

    def manifest(self, kind: type[ManifestT], columns: str, **fields: Any) -> ManifestT:
        """Return the manifest of a new export of this read."""
        read = self._original
        position = {} if read.options.resume is None else read.options.resume.position
        query = msgspec.structs.replace(read.query, server="")  # which is named apart from it
        return kind(
            columns=columns,
            server=server_name(read.server),
            endpoint=query.path,
            query=query.fingerprint() if isinstance(read, Pager) else query.pull_fingerprint(),
            limit=read.options.limit,
            # Yielded before the caller's checkpoint: no part has them.
            rows_before=position.get("yielded", position.get("rows_yielded", 0)),
            **fields,
        )

    @property
    def name(self) -> str:
        """The last segment of the endpoint's path, without ``search``."""
        segments = self._original.query.path.strip("/").split("/")
        return next(segment for segment in reversed(segments) if segment != "search").replace("-", "_")

    def resume(self, checkpoint: Checkpoint) -> None:
        """Read only the rows after a checkpoint.

        Raises:
            CheckpointError: it belongs to another query.
        """
        self._read = self._whole.resume_from(checkpoint)

    def restart(self) -> None:
        """Read all rows, after a run that resumed."""
        self._read = self._whole

    def pages(self, on_progress: Callable[[Progress], None] | None) -> AsyncGenerator[Page[Any], None]:
        """Iterate over the pages; a pull calls ``on_progress`` itself."""
        read, original = self._read, self._original
        if isinstance(read, Pager) or isinstance(original, Pager):
            return read.pages()
        if on_progress is not None:
            own = original.on_progress

            def call_both(progress: Progress) -> None:
                if own is not None:
                    own(progress)
                on_progress(progress)

            read.on_progress = call_both
        return read.pages()

    @property
    def sends_progress(self) -> bool:
        """True if ``pages()`` calls ``on_progress``."""
        return isinstance(self._read, Pull)

    @property
    def report(self) -> Report:
        """The report of this run."""
        return self._read.report

    @property
    def bad_rows(self) -> list[BadRow]:
        """Rows that this run skipped when it read their pages."""
        return self._read.bad_rows

    def publish(self, report: Report, bad_rows: list[BadRow]) -> None:
        """Set report and bad rows of the caller's object."""
        self._original.adopt(report, bad_rows)


def combine(before: Any, now: Any) -> Any:
    """Return a copy of this run's report, combined with that of earlier runs (of the same type) if any."""
    if before is None:
        return msgspec.structs.replace(now, unknown_fields=dict(now.unknown_fields))
    if isinstance(now, ListReport):
        changes = combine_fields([before, now], "rows_received", "short_pages", "unused_rows")
        # A resumed list starts its row count at the rows yielded before, and all other counts at zero.
        changes["rows_received"] -= before.rows_yielded
        changes["total_count"] = before.total_count if now.total_count is None else now.total_count
    else:
        # Its ``rows_yielded`` counts all runs already. An export by full scans starts again.
        changes = combine_fields([before, now], "rows_received", "retries", "ranges_completed")
        changes["peak_concurrency"] = max(before.peak_concurrency, now.peak_concurrency)
        changes["min_page_size"] = min(before.min_page_size, now.min_page_size)
    changes["earlier_problems"] = before.earlier_problems  # this run's are summed already
    return msgspec.structs.replace(now, **changes)
