"""Combine the reports of the partitions of a plan."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from aiwyn_async._core.pull_report import PullReport
from aiwyn_async._core.reports import EarlierProblems, combine_fields


def combine_parts(reports: Sequence[PullReport], total_count: int | None) -> PullReport:
    """Return one report of partitions that share no key.

    Args:
        reports: at least one.
        total_count: the server's count before all of them, or None.
    """
    first = reports[0]
    changes = combine_fields(
        reports,
        *("rows_received", "rows_yielded", "rows_without_key", "unaccounted_rows", "short_pages"),
        *("retries", "ranges_completed", "scans"),
    )
    for name in ("total_count_at_start", "total_count_at_end"):
        counts = [getattr(each, name) for each in reports]
        changes[name] = None if None in counts else sum(counts)
    for name in ("order_checked", "finished"):
        changes[name] = all(getattr(each, name) for each in reports)
    changes["earlier_problems"] = EarlierProblems(
        **{
            name: sum(getattr(each.earlier_problems, name) for each in reports)
            for name in EarlierProblems.__struct_fields__
        }
    )
    if total_count is not None:
        changes["total_count_at_start"] = total_count
    return msgspec.structs.replace(
        first,
        **changes,
        resumed=any(each.resumed for each in reports),
        missing=[missing for each in reports for missing in each.missing],
        peak_concurrency=max(each.peak_concurrency for each in reports),
        min_page_size=min(each.min_page_size for each in reports),
        partition=None,
    )
