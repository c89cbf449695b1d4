"""Combine the reports of the runs of a resumed export."""

from __future__ import annotations

from typing import Any

import msgspec

from aiwyn_async._core.pull_report import PullReport
from aiwyn_async._core.reports import ListReport, combine_fields


def combine(before: Any, now: Any) -> Any:
    """Return a copy of this run's report, combined with that of earlier runs (of the same type) if any."""
    if before is None:
        return msgspec.structs.replace(now, unknown_fields=dict(now.unknown_fields))
    changes = combine_fields([before, now])
    changes["earlier_problems"] = before.earlier_problems  # this run's are summed already
    changes |= _combine_list(before, now) if isinstance(now, ListReport) else _combine_pull(before, now)
    return msgspec.structs.replace(now, **changes)


def _combine_list(before: ListReport, now: ListReport) -> dict[str, Any]:
    # A resumed list starts its row count at the rows yielded before, and all other counts at zero.
    return {
        "rows_received": before.rows_received + now.rows_received - before.rows_yielded,
        "short_pages": before.short_pages + now.short_pages,
        "unused_rows": before.unused_rows + now.unused_rows,
        "total_count": before.total_count if now.total_count is None else now.total_count,
    }


def _combine_pull(before: PullReport, now: PullReport) -> dict[str, Any]:
    # Its ``rows_yielded`` counts all runs already. An export by full scans starts again.
    return {
        "rows_received": before.rows_received + now.rows_received,
        "retries": before.retries + now.retries,
        "ranges_completed": before.ranges_completed + now.ranges_completed,
        "peak_concurrency": max(before.peak_concurrency, now.peak_concurrency),
        "min_page_size": min(before.min_page_size, now.min_page_size),
    }
