"""Why a read is not proven complete, apart from rows that were left out because they do not decode."""

from __future__ import annotations

import msgspec

from aiwyn_async._pagination.report import WalkReport
from aiwyn_async._pull.report import PullReport

__all__ = ["unproven"]


def unproven(report: PullReport | WalkReport, *, allow_without_key: bool = False) -> list[str]:
    """Return the problems of a report without those of bad rows, which are counted and named elsewhere.

    Args:
        report: of a read that ended.
        allow_without_key: rows without a key are bad rows too.
    """
    earlier = msgspec.structs.replace(report.earlier, bad_rows=0)
    if isinstance(report, WalkReport):
        return msgspec.structs.replace(report, bad_rows=0, earlier=earlier).doubts()
    without_key = 0 if allow_without_key else report.without_key
    return msgspec.structs.replace(report, bad_rows=0, without_key=without_key, earlier=earlier).doubts()
