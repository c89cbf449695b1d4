"""One report of an export that was resumed, of the runs before and of the last."""

from __future__ import annotations

from typing import Any

import msgspec

from aiwyn_async._pagination.report import WalkReport
from aiwyn_async._pull.report import PullReport

__all__ = ["added_up"]


def added_up(before: Any, now: Any) -> Any:
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
        "unconfirmed",
        "repaired_rows",
        "rounded_amounts",
        "pages",
        "requests",
        "bytes",
        "seconds",
    )
    changes: dict[str, Any] = {name: getattr(before, name) + getattr(now, name) for name in summed}
    changes["unknown_fields"] = now.unknown_fields | before.unknown_fields
    changes["earlier"] = before.earlier  # what this run continues is summed already
    changes["keys_checked"] = before.keys_checked and now.keys_checked
    if before.expected_at_start is not None:
        changes["expected_at_start"] = before.expected_at_start
    changes |= _of_walk(before, now) if isinstance(now, WalkReport) else _of_pull(before, now)
    return msgspec.structs.replace(now, **changes)


def _of_walk(before: WalkReport, now: WalkReport) -> dict[str, Any]:
    # A resumed walk begins its count of rows with those given before, and knows nothing else of them.
    return {
        "rows": before.rows + now.rows - before.distinct,
        "gaps": before.gaps + now.gaps,
        "misplaced": before.misplaced + now.misplaced,
        "expected": before.expected if now.expected is None else now.expected,
    }


def _of_pull(before: PullReport, now: PullReport) -> dict[str, Any]:
    # Its ``distinct`` is of all runs already.
    return {
        "rows": before.rows + now.rows,
        "retries": before.retries + now.retries,
        "order_checked": before.order_checked and now.order_checked,
        "ranges_done": before.ranges_done + now.ranges_done,
        "peak_concurrency": max(before.peak_concurrency, now.peak_concurrency),
        "smallest_page": min(before.smallest_page, now.smallest_page) or now.smallest_page,
        "why_passes": now.why_passes or before.why_passes,
    }
