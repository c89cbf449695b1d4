"""Combine the reports of the runs of a resumed export."""

from __future__ import annotations

from typing import Any

import msgspec

from aiwyn_async._core.reports import ListReport, combine_fields


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
