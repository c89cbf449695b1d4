"""One report of an export that was resumed, of the runs before and of the last."""

from __future__ import annotations

from typing import Any

import msgspec

from aiwyn_async._core.reports import ListReport, PullReport

__all__ = ["combine"]


def combine(before: Any, now: Any) -> Any:
    """A copy of the report of this run with what the runs before it saw, so that no doubt is forgotten.

    Args:
        before: the report of the runs before, or None.
        now: of the same kind.
    """
    if before is None:
        return msgspec.structs.replace(now, unknown_fields=dict(now.unknown_fields))
    summed = (
        "duplicates",
        "bad_rows",
        "unstable_pages",
        "repaired_rows",
        "rounded_amounts",
        "pages",
        "requests",
        "bytes",
        "seconds",
    )
    changes: dict[str, Any] = {name: getattr(before, name) + getattr(now, name) for name in summed}
    changes["unknown_fields"] = now.unknown_fields | before.unknown_fields
    changes["earlier_problems"] = before.all_problem_counts  # what this run continues is summed already
    changes["deduplicated"] = before.deduplicated and now.deduplicated
    if before.total_count_at_start is not None:
        changes["total_count_at_start"] = before.total_count_at_start
    changes |= _of_walk(before, now) if isinstance(now, ListReport) else _of_pull(before, now)
    return msgspec.structs.replace(now, **changes)


def _of_walk(before: ListReport, now: ListReport) -> dict[str, Any]:
    # A resumed walk begins its count of rows with those given before, and knows nothing else of them.
    return {
        "rows_received": before.rows_received + now.rows_received - before.rows_yielded,
        "short_pages": before.short_pages + now.short_pages,
        "unused_rows": before.unused_rows + now.unused_rows,
        "total_count": before.total_count if now.total_count is None else now.total_count,
    }


def _of_pull(before: PullReport, now: PullReport) -> dict[str, Any]:
    # Its ``rows_yielded`` is of all runs already.
    return {
        "rows_received": before.rows_received + now.rows_received,
        "retries": before.retries + now.retries,
        "order_checked": before.order_checked and now.order_checked,
        "ranges_completed": before.ranges_completed + now.ranges_completed,
        "peak_concurrency": max(before.peak_concurrency, now.peak_concurrency),
        "min_page_size": min(before.min_page_size, now.min_page_size) or now.min_page_size,
        "fallback_reason": now.fallback_reason or before.fallback_reason,
    }
