"""What a pull saw, what is missing of it, and what that proves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from aiwyn_async._http.messages import encode_json
from aiwyn_async._pagination.report import Earlier
from aiwyn_async.models.base import Id

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["KeyRange", "Method", "MissingRange", "PullReport"]

Method = Literal["key", "passes"]

PASSES_AT_LEAST: Final = 2


class KeyRange(msgspec.Struct, frozen=True):
    """The keys above ``after`` up to ``until``, this one included; None is no bound."""

    after: Id | None
    until: Id | None

    def __str__(self) -> str:
        low = "" if self.after is None else f"above {self.after}"
        high = "" if self.until is None else f"up to {self.until}"
        return f"keys {' '.join(filter(None, [low, high]))}" if low or high else "all keys"


class MissingRange(KeyRange, frozen=True):
    """Keys whose rows could not be read, and why."""

    why: str = ""

    def __str__(self) -> str:
        return f"{super().__str__()}: {self.why}"


class PullReport(msgspec.Struct, kw_only=True):
    """Counted while a pull goes on; whole when it has ended. Times are seconds, sizes bytes.

    Attributes:
        method: "key": by ranges of keys; "passes": by page number, again and again until two passes agree.
        why_passes: why not by key, where that was tried first.
        rows: rows received, those dropped as duplicates and bad ones included.
        distinct: rows given to the caller, in all runs of a resumed pull, bad ones included.
        duplicates: rows that came again and were dropped.
        bad_rows: rows that do not decode, left out.
        repaired_rows: rows that decode only after a value was brought to its field's form.
        rounded_amounts: amounts that were rounded, where that was asked for.
        unknown_fields: the fields that the row type does not have, and the key of the first row with each.
        expected_at_start, expected_at_end: the server's count at the beginning and at the end; None where it
            gives none.
        unseen: rows that the server counts at the end among the keys there were at the start, and that did
            not come: they were inserted behind the pull, or came to match, or it does not show them.
        ranges_done: ranges of keys read to their end.
        missing: ranges of keys that could not be read.
        passes: walks over the whole list.
        passes_agree: the last two gave the same keys; None for a pull by key.
        keys_checked: rows were told apart by a key.
        without_key: rows of a pass that lacked their key.
        order_checked: the keys came in an order that can be held against the one asked for.
        gaps: pages within the last full pass with fewer rows than the pages around them, or none.
        unconfirmed: pages that were requested again because of what they lacked, and differed.
        earlier: problems of the runs that this one continues.
        requests: sent, retries included.
        retries: requests sent again.
        peak_concurrency: most requests in flight at once.
        smallest_page: rows asked for at a time, at the least.
        ended: the pull got to its end, with or without missing ranges.
        resumed: it began at a checkpoint.
    """

    method: Method = "key"
    why_passes: str | None = None
    rows: int = 0
    distinct: int = 0
    duplicates: int = 0
    bad_rows: int = 0
    repaired_rows: int = 0
    rounded_amounts: int = 0
    unknown_fields: dict[str, Id | None] = msgspec.field(default_factory=dict[str, Id | None])
    expected_at_start: int | None = None
    expected_at_end: int | None = None
    unseen: int = 0
    ranges_done: int = 0
    missing: list[MissingRange] = msgspec.field(default_factory=list[MissingRange])
    passes: int = 0
    passes_agree: bool | None = None
    keys_checked: bool = True
    without_key: int = 0
    order_checked: bool = True
    gaps: int = 0
    unconfirmed: int = 0
    earlier: Earlier = Earlier()
    pages: int = 0
    requests: int = 0
    retries: int = 0
    bytes: int = 0
    seconds: float = 0.0
    peak_concurrency: int = 0
    smallest_page: int = 0
    ended: bool = False
    resumed: bool = False

    @property
    def expected(self) -> int | None:
        """The newest count of the server."""
        return self.expected_at_start if self.expected_at_end is None else self.expected_at_end

    @property
    def drift(self) -> bool:
        """True when the list was seen to change during the pull."""
        start, end = self.expected_at_start, self.expected_at_end
        counts_differ = None not in {start, end} and (start != end or (self.ended and self.distinct != end))
        return (
            (counts_differ and not self.missing)
            or self.duplicates > 0
            or self.passes > PASSES_AT_LEAST
            or self.unseen > 0
        )

    @property
    def rows_per_second(self) -> float:
        """Rows received a second."""
        return self.rows / self.seconds if self.seconds else 0.0

    @property
    def complete(self) -> bool:
        """True when nothing speaks against every row being here that was there throughout."""
        return not self.doubts()

    @property
    def proof(self) -> str:
        """What a complete pull of this method proves, and what it does not."""
        if self.method == "key":
            return (
                "Each range of keys was read to its end in the order of the keys. A row that was there "
                "throughout under one key is here, once, as it was at some time during the pull. A row "
                "inserted meanwhile under a key already passed is not."
            )
        return (
            "The list was read by page number until two passes gave the same keys; their union was given. "
            "A row that both of them passed over, because the list moved in the same way twice, is not here."
        )

    @property
    def problems_so_far(self) -> Earlier:
        """The problems of this run and of those before it, as a later run has to know them."""
        return Earlier(
            bad_rows=self.bad_rows + self.earlier.bad_rows,
            unconfirmed=self.unconfirmed + self.earlier.unconfirmed,
        )

    def doubts(self) -> list[str]:
        """All that speaks against this being a complete read, in sentences; empty when nothing does."""
        found: list[str] = []
        if not self.ended:
            found.append("the pull did not reach its end")
        found += [f"missing are {each}" for each in self.missing]
        if self.unseen:
            found.append(
                f"the server counts {self.unseen} rows more than came, among the keys there were at the start"
            )
        if self.passes_agree is False:
            found.append(f"no two of {self.passes} passes over the list gave the same keys: it keeps moving")
        if not self.keys_checked and not self.passes_agree:
            found.append("rows have no key to tell them apart by")
        if self.without_key:
            found.append(f"{self.without_key} rows came without the key to tell them apart by")
        if not self.order_checked and self.expected_at_end is None:
            found.append(
                "keys are text in an order not known here, and there is no count to hold them against"
            )
        return found + self._problems_of_pages()

    def _problems_of_pages(self) -> list[str]:
        found: list[str] = []
        every = self.problems_so_far
        if self.gaps and self.expected != self.distinct:
            found.append(
                f"{self.gaps} pages had fewer rows than the pages around them, so rows may be missing"
            )
        if self._is_short_of_first_count:
            found.append(
                f"the server counted {self.expected_at_start} rows at the start and {self.distinct} arrived; "
                "the count at the end could not be read"
            )
        if every.unconfirmed:
            found.append(
                f"{every.unconfirmed} pages differed each time they were requested, so rows may be missing"
            )
        if every.bad_rows:
            found.append(f"{every.bad_rows} rows do not decode and were left out")
        return found

    @property
    def _is_short_of_first_count(self) -> bool:
        is_uncounted = self.ended and self.expected_at_end is None and not self.missing
        return is_uncounted and self.distinct < (self.expected_at_start or 0)

    def to_json(self) -> str:
        """The report as one line of JSON, with ``complete``, ``doubts`` and ``drift``."""
        told = {"complete": self.complete, "doubts": self.doubts(), "drift": self.drift}
        return encode_json(msgspec.structs.asdict(self) | told).decode()

    def __str__(self) -> str:
        of = "" if self.expected is None else f" of {self.expected}"
        way = f"{self.ranges_done} ranges" if self.method == "key" else f"{self.passes} passes"
        end = "complete" if self.complete else "; ".join(self.doubts())
        return f"{self.distinct}{of} rows by {self.method} in {way}, {self.requests} requests: {end}"

    def __rich__(self) -> Any:
        """A table, for ``rich.print(pull.report)``."""
        from rich.table import Table  # noqa: PLC0415 (an extra: who calls this has it)

        table = Table(title=str(self), title_justify="left", show_header=False)
        for name, value in self._lines():
            table.add_row(name, value)
        return table

    def _lines(self) -> Iterator[tuple[str, str]]:
        yield "rows", f"{self.rows:,} received, {self.distinct:,} distinct, {self.duplicates:,} duplicates"
        yield "expected", f"{self.expected_at_start} at the start, {self.expected_at_end} at the end"
        yield "by", f"{self.method}{'' if self.why_passes is None else f': {self.why_passes}'}"
        yield (
            "requests",
            f"{self.requests:,}, {self.retries:,} of them again; {self.peak_concurrency} at once",
        )
        yield "speed", f"{self.rows_per_second:,.0f} rows/s, {self.bytes / 1e6:,.1f} MB, {self.seconds:.1f} s"
        for each in self.missing:
            yield "missing", str(each)
        for doubt in self.doubts():
            yield "doubt", doubt
