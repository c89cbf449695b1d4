"""How far a long read is."""

from __future__ import annotations

import msgspec

from aiwyn_async._core.reports import ListReport, PullReport

__all__ = ["Progress", "RangeProgress", "progress_of"]


class RangeProgress(msgspec.Struct, frozen=True):
    """One range of keys that is being read: ``at`` is how far it is, from 0 to 1; ``rows`` came of it."""

    name: str
    fraction: float
    rows: int


class Progress(msgspec.Struct, frozen=True):
    """How far a pull or an export is, told after each page.

    Attributes:
        rows: given so far, in all runs of what was resumed.
        expected: rows in all, by the server's count; None where it gives none.
        rows_per_second: of this run.
        eta: seconds left; None while it cannot be told.
        retries: requests sent again.
        bytes: received.
        ranges: the ranges under way, when there are several.
    """

    rows: int
    total: int | None
    rows_per_second: float
    eta: float | None
    retries: int
    bytes: int
    ranges: tuple[RangeProgress, ...] = ()


def progress_of(
    report: ListReport | PullReport,
    *,
    seconds: float,
    given_before: int = 0,
    ranges: tuple[RangeProgress, ...] = (),
) -> Progress:
    """How far a read is by its report, so many seconds after it began with rows given before."""
    rate = (report.rows_yielded - given_before) / max(seconds, 1e-9)
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
