"""The progress of a long read."""

from __future__ import annotations

import msgspec

from aiwyn_async._core.pull_report import PullReport
from aiwyn_async._core.reports import ListReport


class RangeProgress(msgspec.Struct, frozen=True):
    """The progress of one key range.

    Attributes:
        name: the range.
        fraction: the part of it that is read, from 0 to 1.
        rows: rows received.
    """

    name: str
    fraction: float
    rows: int


class Progress(msgspec.Struct, frozen=True):
    """The progress of a pull or an export, reported after each page.

    Attributes:
        rows: rows yielded so far, those before a resume included.
        total: the server's count of all rows, or None.
        rows_per_second: the speed since the start or the resume.
        eta: estimated seconds left, or None.
        retries: requests sent again.
        bytes: bytes received.
        ranges: the key ranges under way, if there are several.
    """

    rows: int
    total: int | None
    rows_per_second: float
    eta: float | None
    retries: int
    bytes: int
    ranges: tuple[RangeProgress, ...] = ()


def to_progress(
    report: ListReport | PullReport,
    *,
    seconds: float,
    rows_before: int = 0,
    ranges: tuple[RangeProgress, ...] = (),
) -> Progress:
    """Derive the progress from a report, the seconds since the start, and the rows yielded before it."""
    rate = (report.rows_yielded - rows_before) / max(seconds, 1e-9)
    left = None if report.total_count is None else max(0, report.total_count - report.rows_yielded)
    return Progress(
        rows=report.rows_yielded,
        total=report.total_count,
        rows_per_second=rate,
        eta=None if left is None or rate <= 0 else left / rate,
        retries=report.retries,
        bytes=report.bytes,
        ranges=ranges,
    )


def details_of(progress: Progress) -> list[str]:
    """Return texts of the rate, and of the time left and the retries if there are any."""
    details = [f"{progress.rows_per_second:,.0f} rows/s"]
    if progress.eta:
        details.append(f"{progress.eta:,.0f} s left")
    if progress.retries:
        details.append(f"{progress.retries} retries")
    return details
