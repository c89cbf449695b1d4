"""What a pull did: key ranges or full scans, and what is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

import msgspec

from aiwyn_async._core.reports import ReadReport
from aiwyn_async.models.base import Id

if TYPE_CHECKING:
    from collections.abc import Iterator

Method = Literal["key_ranges", "full_scan"]

MIN_SCANS: Final = 2


class KeyRange(msgspec.Struct, frozen=True):
    """The keys greater than ``after`` up to ``until``; None is unbounded."""

    after: Id | None
    until: Id | None

    def __str__(self) -> str:
        low = "" if self.after is None else f"above {self.after}"
        high = "" if self.until is None else f"up to {self.until}"
        return f"keys {' '.join(filter(None, [low, high]))}" if low or high else "all keys"


class MissingRange(KeyRange, frozen=True):
    """A range of keys whose rows could not be read, and the reason."""

    reason: str = ""

    def __str__(self) -> str:
        return f"{super().__str__()}: {self.reason}"


class PullReport(ReadReport, kw_only=True):
    """The report of ``pull()``.

    Attributes:
        method: "key_ranges", or "full_scan": by page number until two scans yield the same keys.
        fallback_reason: why the pull switched from key ranges to a full scan, or None.
        rows_yielded: rows yielded by this pull and by those that it continues, bad rows included.
        total_count_at_end: the count that the server reported at the end, or None.
        unaccounted_rows: rows counted by the server at the end, among the keys known at the start, that were
            not received: inserted behind the read, or matching since, or not listed by the server.
        ranges_completed: key ranges read to their end.
        missing: key ranges that could not be read.
        scans: reads of the whole list.
        scans_agree: whether the last two scans had the same keys; None for key ranges.
        rows_without_key: rows of a scan that have no key.
        order_checked: the order of the keys could be verified.
        retries: requests sent again.
        peak_concurrency: the most requests in flight at once.
        min_page_size: the smallest number of rows requested per page.
        finished: the pull reached its end, with or without missing ranges.
        partition: the fingerprint of the partition that was read; None for a whole pull.
    """

    method: Method = "key_ranges"
    fallback_reason: str | None = None
    total_count_at_end: int | None = None
    unaccounted_rows: int = 0
    ranges_completed: int = 0
    missing: list[MissingRange] = msgspec.field(default_factory=list[MissingRange])
    scans: int = 0
    scans_agree: bool | None = None
    rows_without_key: int = 0
    order_checked: bool = True
    retries: int = 0
    peak_concurrency: int = 0
    min_page_size: int = 0
    finished: bool = False
    partition: str | None = None
    _continued: ClassVar[tuple[str, ...]] = ("bad_rows", "unstable_pages")

    @property
    def total_count(self) -> int | None:
        """The latest count that the server reported, or None."""
        return self.total_count_at_start if self.total_count_at_end is None else self.total_count_at_end

    @property
    def changed_during_read(self) -> bool:
        """True if the list changed while it was read."""
        start, end = self.total_count_at_start, self.total_count_at_end
        has_other_count = start != end or (self.finished and self.rows_yielded != end)
        return (
            (None not in {start, end} and has_other_count and not self.missing)
            or self.duplicates > 0
            or self.scans > MIN_SCANS
            or self.unaccounted_rows > 0
        )

    @property
    def guarantee(self) -> str:
        """What a complete pull by this method guarantees, and what it does not."""
        if self.method == "key_ranges":
            return (
                "Each range of keys was read to its end in key order. A row that existed under one key "
                "throughout the read was yielded once, as it was at some time during the read. A row "
                "inserted during the read under a key already passed was not."
            )
        return (
            "The list was read by page number until two scans had the same keys, and the union was yielded. "
            "A row that both scans skipped, because the list moved in the same way twice, is missing."
        )

    def problems(self) -> list[str]:
        """Return every reason why the pull is not proven complete; empty if there is none."""
        problems = [] if self.finished else ["the pull did not reach its end"]
        problems += [f"missing {each}" for each in self.missing]
        if self.unaccounted_rows:
            problems.append(f"{self.unaccounted_rows} rows counted by the server were not received")
        if self.scans_agree is False:
            problems.append(f"no two of {self.scans} full scans had the same keys: the list keeps changing")
        if not self.deduplicated and not self.scans_agree:
            problems.append("rows have no key, so duplicates cannot be detected")
        if self.rows_without_key:
            problems.append(f"{self.rows_without_key} rows have no key, so duplicates cannot be detected")
        if not self.order_checked and self.total_count_at_end is None:
            problems.append("the order of the text keys is unknown, and the server returned no count")
        highest_count = max(self.total_count_at_start or 0, self.total_count_at_end or 0)
        if not self.order_checked and 0 < highest_count < self.rows_yielded:
            problems.append(
                f"the order of the text keys is unknown, and {self.rows_yielded} rows were received where "
                f"the server counts {highest_count}: rows may be repeated, and others missing"
            )
        if self._is_short_of_first_count:
            at_end = "could not be read" if self.total_count_at_end is None else "is 0"
            problems.append(
                f"the server counted {self.total_count_at_start} rows at the start, "
                f"{self.rows_yielded} were received; the count at the end {at_end}"
            )
        totals = msgspec.structs.replace(self.all_problem_counts, short_pages=self.short_pages)
        return problems + self._page_problems(totals, self.total_count)

    @property
    def _is_short_of_first_count(self) -> bool:
        # A count of 0 after rows is that of a server that fails, rather than of an emptied list.
        is_doubtful = self.total_count_at_end == 0 < self.rows_yielded
        has_no_count = self.total_count_at_end is None or is_doubtful
        is_short = self.rows_yielded < (self.total_count_at_start or 0)
        return self.finished and has_no_count and is_short and not self.missing

    def __str__(self) -> str:
        of = "" if self.total_count is None else f" of {self.total_count}"
        by = f"{self.ranges_completed} key ranges" if self.method == "key_ranges" else f"{self.scans} scans"
        end = "complete" if self.complete else "; ".join(self.problems())
        return f"{self.rows_yielded}{of} rows in {by}, {self.requests} requests: {end}"

    def __rich__(self) -> Any:
        """Return a table for ``rich.print(pull.report)``."""
        from rich.table import Table  # noqa: PLC0415 (an extra: who calls this has it)

        table = Table(title=str(self), title_justify="left", show_header=False)
        for name, value in self._lines():
            table.add_row(name, value)
        return table

    def _lines(self) -> Iterator[tuple[str, str]]:
        rows = f"{self.rows_received:,} received, {self.rows_yielded:,} yielded"
        yield "rows", f"{rows}, {self.duplicates:,} duplicates"
        yield "count", f"{self.total_count_at_start} at the start, {self.total_count_at_end} at the end"
        yield "method", f"{self.method}{'' if self.fallback_reason is None else f': {self.fallback_reason}'}"
        requests = f"{self.requests:,}, {self.retries:,} of them retries"
        yield "requests", f"{requests}; {self.peak_concurrency} at once"
        yield "speed", f"{self.rows_per_second:,.0f} rows/s, {self.bytes / 1e6:,.1f} MB, {self.seconds:.1f} s"
        for each in self.missing:
            yield "missing", str(each)
        for problem in self.problems():
            yield "problem", problem
