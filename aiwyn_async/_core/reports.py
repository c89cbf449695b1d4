"""What a read did, and every reason why it is not proven complete."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Sequence
from operator import add, attrgetter
from typing import Annotated, Any, ClassVar, Final, Literal

import msgspec

from aiwyn_async._html import changed_fields, fields_html
from aiwyn_async.models.base import Id

StopReason = Literal["empty_page", "count", "limit", "break", "error"]
SUMMED: Final = (
    *("duplicates", "bad_rows", "repaired_rows", "rounded_amounts", "unstable_pages"),
    *("pages", "requests", "bytes", "seconds"),
)
"""What the report of several reads has the sum of, whatever the reads have in common."""

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
        duplicates: rows received more than once and yielded once; also rows without keys of a repeated page,
            which are yielded again.
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
    _continued: ClassVar[tuple[str, ...]] = EarlierProblems.__struct_fields__
    """The problem counts that a resumed read continues."""

    @property
    def all_problem_counts(self) -> EarlierProblems:
        """Problem counts of this read and of those that it continues."""
        counts_of = attrgetter(*self._continued)
        totals = map(add, counts_of(self), counts_of(self.earlier_problems))
        return EarlierProblems(**dict(zip(self._continued, totals, strict=True)))

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
        counts = ["bad_rows"]
        if allow_rows_without_key and "rows_without_key" in self.__struct_fields__:
            counts.append("rows_without_key")
        earlier = msgspec.structs.replace(self.earlier_problems, bad_rows=0)
        changes: dict[str, Any] = dict.fromkeys(counts, 0)
        return msgspec.structs.replace(self, earlier_problems=earlier, **changes).problems()

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


def combine_fields(reports: Sequence[ReadReport], *summed: str) -> dict[str, Any]:
    """Return fields for one report of several reads: the sums of ``SUMMED`` and of more, and what all share.

    A sum is None if one of its numbers is. An unknown field that several reports have is named with the row
    of the first one.
    """
    numbers = {name: [getattr(each, name) for each in reports] for name in (*SUMMED, *summed)}
    sums = {name: None if None in each else sum(each) for name, each in numbers.items()}
    return sums | {
        "unknown_fields": dict(ChainMap(*(each.unknown_fields for each in reports))),
        "deduplicated": all(each.deduplicated for each in reports),
    }


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
