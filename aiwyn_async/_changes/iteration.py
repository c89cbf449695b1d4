"""The state of one use of a ``Changes``."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Generic, TypeVar

import msgspec

from aiwyn_async._changes.bounds import Span
from aiwyn_async._core.pull_report import PullReport
from aiwyn_async._core.reports import ListReport, combine_fields
from aiwyn_async._pagination.page import Checkpoint
from aiwyn_async._pagination.pager import Pager
from aiwyn_async._pull.pull import Pull

RowT = TypeVar("RowT")


class ChangesIteration(Generic[RowT]):
    """One use of a ``Changes``: its reads, its progress and its problems."""

    def __init__(self, span: Span | None, *, leaves_bad_rows: bool) -> None:
        self.leaves_bad_rows = leaves_bad_rows
        self.reads: list[Pull[RowT] | Pager[RowT]] = []
        self.span = span
        self.checkpoint: Checkpoint | None = None
        self.has_ended = False
        self.problems: list[str] = [] if span is None else list(span.unproven)
        """Why the read is not proven complete, beyond what the reports say."""
        self.started = time.perf_counter()

    @property
    def report(self) -> PullReport | ListReport:
        """A ``PullReport`` if all rows were read, else one ``ListReport``."""
        reports = [read.report for read in self.reads]
        pulls = [report for report in reports if isinstance(report, PullReport)]
        lists = [report for report in reports if isinstance(report, ListReport)]
        return pulls[-1] if pulls else _sum_of(lists) if lists else PullReport()

    def blocking_problems(self) -> list[str]:
        """Return why the read is not proven complete; then the bookmark must not move."""
        if not self.has_ended:
            return ["the read did not reach its end"]
        return self.problems_so_far()

    def problems_so_far(self) -> list[str]:
        """Return why the parts that were read are not proven complete."""
        return [problem for read in self.reads for problem in self._problems_of(read)] + self.problems

    @property
    def bad_rows(self) -> int:
        """Rows that do not decode, or have no key to merge them by, if such are left out."""
        reports = [read.report for read in self.reads]
        without_key = sum(report.rows_without_key for report in reports if isinstance(report, PullReport))
        return sum(report.bad_rows for report in reports) + (without_key if self.leaves_bad_rows else 0)

    def _problems_of(self, read: Pull[RowT] | Pager[RowT]) -> list[str]:
        """Return why a read is not proven complete, apart from rows left out on purpose."""
        report = read.report
        if isinstance(report, ListReport) and report.missing == 0 and report.total_count is not None:
            # Rows that changed during the read have left the span.
            report = msgspec.structs.replace(report, total_count_at_start=report.total_count)
        return report.blocking_problems(allow_rows_without_key=self.leaves_bad_rows)


def _sum_of(reports: Sequence[ListReport]) -> ListReport:
    """Return one report of lists over parts of the rows."""
    changes = combine_fields(
        reports,
        *("rows_received", "rows_yielded", "short_pages", "unused_rows"),
        *("total_count", "total_count_at_start"),
    )
    return msgspec.structs.replace(reports[-1], **changes, keyset_only=False)
