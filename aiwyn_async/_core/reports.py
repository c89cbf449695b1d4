"""What a read did, and every reason why it is not proven complete."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import msgspec

from aiwyn_async._html import changed_fields, fields_html
from aiwyn_async.models.base import Id

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "MIN_SCANS",
    "EarlierProblems",
    "KeyRange",
    "ListReport",
    "Method",
    "MissingRange",
    "PullReport",
    "ReadReport",
    "StopReason",
]

StopReason = Literal["empty_page", "count", "limit", "break", "error"]
Method = Literal["key_ranges", "full_scan"]

MIN_SCANS: Final = 2

_Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class EarlierProblems(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """Problem counts of the reads before a resumed read, stored in checkpoints."""

    duplicates: _Count = 0
    bad_rows: _Count = 0
    short_pages: _Count = 0
    unstable_pages: _Count = 0
    unused_rows: _Count = 0


class ReadReport(msgspec.Struct, kw_only=True):
    """Counters of a read, updated while it runs; seconds and bytes.

    Attributes:
        rows_received: rows received, duplicates and bad rows included.
        rows_yielded: rows yielded to the caller.
        duplicates: rows received more than once and yielded once.
        bad_rows: rows that do not decode and were left out.
        repaired_rows: rows that decode only after a value is converted to the form of its field.
        rounded_amounts: amounts rounded because of ``round_money``.
        unknown_fields: the fields that the row type does not declare, with the key of the first such row.
        total_count_at_start: the first count that the server reported, or None.
        resumed: the read started from a checkpoint.
        deduplicated: rows were compared by key, so ``duplicates`` is meaningful.
        short_pages: pages inside the list with fewer rows than their neighbors, empty pages included.
        unstable_pages: pages that were requested again and differed each time.
        earlier_problems: problem counts of the reads that this one continues.
    """

    rows_received: int = 0
    rows_yielded: int = 0
    duplicates: int = 0
    bad_rows: int = 0
    repaired_rows: int = 0
    rounded_amounts: int = 0
    unknown_fields: dict[str, Id | None] = msgspec.field(default_factory=dict[str, Id | None])
    total_count_at_start: int | None = None
    resumed: bool = False
    deduplicated: bool = True
    short_pages: int = 0
    unstable_pages: int = 0
    earlier_problems: EarlierProblems = EarlierProblems()
    pages: int = 0
    requests: int = 0
    bytes: int = 0
    seconds: float = 0.0

    @property
    def complete(self) -> bool:
        """True if the end was confirmed and no problem was found."""
        return not self.problems()

    @property
    def rows_per_second(self) -> float:
        """Rows received per second."""
        return self.rows_received / self.seconds if self.seconds else 0.0

    @property
    def changed_during_read(self) -> bool:
        """True if the list changed while it was read."""
        raise NotImplementedError  # abstract: a Struct cannot be an ABC

    def problems(self) -> list[str]:
        """Return every reason why the read is not proven complete; empty if there is none."""
        raise NotImplementedError  # as above

    def blocking_problems(self, *, allow_rows_without_key: bool = False) -> list[str]:
        """Return the problems apart from bad rows, which callers count themselves.

        Args:
            allow_rows_without_key: rows without a key count as bad rows too.
        """
        earlier = msgspec.structs.replace(self.earlier_problems, bad_rows=0)
        changes: dict[str, Any] = {"bad_rows": 0, "earlier_problems": earlier}
        if allow_rows_without_key and isinstance(self, PullReport):
            changes["rows_without_key"] = 0
        return msgspec.structs.replace(self, **changes).problems()

    def to_json(self) -> str:
        """Return the report as one line of JSON, with ``complete`` and ``problems``."""
        derived = {
            "complete": self.complete,
            "problems": self.problems(),
            "changed_during_read": self.changed_during_read,
        }
        return msgspec.json.encode(msgspec.structs.asdict(self) | derived).decode()

    def _repr_html_(self) -> str:
        problems = {"problems": self.problems()}
        return fields_html(f"{type(self).__name__}: {self}", changed_fields(self) | problems)

    def _page_problems(self, totals: EarlierProblems, total_count: int | None) -> list[str]:
        problems: list[str] = []
        if totals.short_pages and total_count != self.rows_yielded:
            problems.append(
                f"{totals.short_pages} pages had fewer rows than their neighbors, so rows may be missing"
            )
        if totals.unstable_pages:
            problems.append(f"{totals.unstable_pages} pages differed on each request, so rows may be missing")
        if totals.unused_rows:
            problems.append(f"{totals.unused_rows} rows were in a discarded response and in no later one")
        if totals.bad_rows:
            problems.append(f"{totals.bad_rows} rows do not decode and were left out")
        return problems


class ListReport(ReadReport, kw_only=True):
    """The report of ``list()`` and ``search()``.

    Attributes:
        rows_yielded: rows with a new key, up to the limit.
        total_count: the latest count that the server reported, or None.
        stop_reason: what ended the read; None while it runs.
        keyset_only: inserted rows cannot shift the pages, so a growing count is not a problem.
        unused_rows: rows in a discarded response and in no later one.
    """

    total_count: int | None = None
    stop_reason: StopReason | None = None
    keyset_only: bool = False
    unused_rows: int = 0

    @property
    def retries(self) -> int:
        """Requests beyond one per page."""
        return max(0, self.requests - self.pages)

    @property
    def changed_during_read(self) -> bool:
        """True if the server's count changed, or a row was received twice."""
        return self.total_count != self.total_count_at_start or self.duplicates > 0

    @property
    def missing(self) -> int:
        """Rows that the server counts and that were not received."""
        return 0 if self.total_count is None else max(0, self.total_count - self.rows_yielded)

    @property
    def all_problem_counts(self) -> EarlierProblems:
        """Problem counts of this read and of those that it continues."""
        return EarlierProblems(
            **{
                name: getattr(self, name) + getattr(self.earlier_problems, name)
                for name in EarlierProblems.__struct_fields__
            }
        )

    def problems(self) -> list[str]:
        """Return every reason why the read is not proven complete; empty if there is none."""
        problems: list[str] = []
        surplus = 0 if self.total_count is None else max(0, self.rows_yielded - self.total_count)
        if self.stop_reason not in {"empty_page", "count", "limit"}:
            problems.append("the read did not reach the end of the list")
        elif self.missing and self.stop_reason != "limit":
            problems.append(f"the server counts {self.total_count} rows, {self.rows_yielded} were received")
        elif surplus and not self.keyset_only:
            problems.append(
                f"the server counts {self.total_count} rows, {self.rows_yielded} were received: "
                "the count is capped, or the list changed"
            )
        has_grown = (self.total_count or 0) > (self.total_count_at_start or 0)
        if self.total_count != self.total_count_at_start and not (self.keyset_only and has_grown):
            problems.append(
                f"the count changed from {self.total_count_at_start} to {self.total_count} during the read"
            )
        totals = self.all_problem_counts
        if totals.duplicates:
            problems.append(
                f"{totals.duplicates} duplicate rows: the list changed while it was read, "
                "so other rows may have been skipped"
            )
        return problems + self._page_problems(totals, self.total_count)

    def __str__(self) -> str:
        of = "" if self.total_count is None else f" of {self.total_count}"
        end = "complete" if self.complete else "; ".join(self.problems())
        return f"{self.rows_yielded}{of} rows in {self.pages} pages, {self.requests} requests: {end}"


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

    @property
    def all_problem_counts(self) -> EarlierProblems:
        """Problem counts of this pull and of those that it continues."""
        earlier = self.earlier_problems
        return EarlierProblems(
            bad_rows=self.bad_rows + earlier.bad_rows,
            unstable_pages=self.unstable_pages + earlier.unstable_pages,
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
            problems.append("the order of the text keys is unknown, and there is no count to compare with")
        if self._is_short_of_first_count:
            problems.append(
                f"the server counted {self.total_count_at_start} rows at the start, "
                f"{self.rows_yielded} were received; the count at the end could not be read"
            )
        totals = msgspec.structs.replace(self.all_problem_counts, short_pages=self.short_pages)
        return problems + self._page_problems(totals, self.total_count)

    @property
    def _is_short_of_first_count(self) -> bool:
        has_no_count = self.finished and self.total_count_at_end is None and not self.missing
        return has_no_count and self.rows_yielded < (self.total_count_at_start or 0)

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
