"""What a walk over pages saw, and whether anything speaks against its being complete."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from aiwyn_async.models.base import Id

__all__ = ["Earlier", "EndedBy", "WalkReport"]

EndedBy = Literal["empty_page", "count", "limit", "break", "error"]


_Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class Earlier(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The problems of the runs that a resumed read continues. A checkpoint holds them."""

    duplicates: _Count = 0
    bad_rows: _Count = 0
    gaps: _Count = 0
    unconfirmed: _Count = 0
    misplaced: _Count = 0


class WalkReport(msgspec.Struct, kw_only=True):
    """Counted while a walk goes on; whole when it has ended. Times are seconds, sizes bytes.

    Attributes:
        rows: rows received, repeated ones and bad ones included.
        distinct: rows with a key not seen before; what was given to the caller, up to the limit.
        duplicates: rows received again and not given again.
        bad_rows: rows that do not decode, left out.
        repaired_rows: rows that decode only after a value was brought to its field's form.
        rounded_amounts: amounts that were rounded, where that was asked for.
        unknown_fields: the fields that the row type does not have, and the key of the first row with each.
        expected: the newest count of the server, or None when it gives none.
        expected_at_start: its first count.
        ended_by: what ended the walk; None while it goes on.
        resumed: the walk began at a checkpoint; its keys from before are not known here.
        keys_checked: rows were compared by key, so that ``duplicates`` means something.
        by_key_alone: rows inserted meanwhile cannot shift the walk, so that a count that grows tells nothing.
        gaps: pages within a numbered list with fewer rows than the pages around them, or none.
        unconfirmed: pages that were requested again because of what they lacked, and differed.
        misplaced: rows in a response that was not used, and in no other.
        earlier: problems of the runs that this one continues.
    """

    rows: int = 0
    distinct: int = 0
    duplicates: int = 0
    bad_rows: int = 0
    repaired_rows: int = 0
    rounded_amounts: int = 0
    unknown_fields: dict[str, Id | None] = msgspec.field(default_factory=dict[str, Id | None])
    expected: int | None = None
    expected_at_start: int | None = None
    ended_by: EndedBy | None = None
    resumed: bool = False
    keys_checked: bool = True
    by_key_alone: bool = False
    gaps: int = 0
    unconfirmed: int = 0
    misplaced: int = 0
    earlier: Earlier = Earlier()
    pages: int = 0
    requests: int = 0
    bytes: int = 0
    seconds: float = 0.0

    @property
    def retries(self) -> int:
        """Requests beyond one a page."""
        return max(0, self.requests - self.pages)

    @property
    def drift(self) -> bool:
        """True when the server's count changed during the walk, or a row came twice: the list moved."""
        return self.expected != self.expected_at_start or self.duplicates > 0

    @property
    def missing(self) -> int:
        """Rows that the server counts and that did not come."""
        return 0 if self.expected is None else max(0, self.expected - self.distinct)

    @property
    def _surplus(self) -> int:
        return 0 if self.expected is None else max(0, self.distinct - self.expected)

    @property
    def _grew(self) -> bool:
        return (self.expected or 0) > (self.expected_at_start or 0)

    @property
    def complete(self) -> bool:
        """True when the walk ended by a fact and nothing speaks against its being complete."""
        return not self.doubts()

    @property
    def problems_so_far(self) -> Earlier:
        """The problems of this run and of those before it, as a later run has to know them."""
        return Earlier(
            **{name: getattr(self, name) + getattr(self.earlier, name) for name in Earlier.__struct_fields__}
        )

    def doubts(self) -> list[str]:
        """All that speaks against this being a complete read, in sentences; empty when nothing does."""
        found: list[str] = []
        every = self.problems_so_far
        if self.ended_by not in {"empty_page", "count", "limit"}:
            found.append("the walk did not reach the end")
        elif self.missing and self.ended_by != "limit":
            found.append(f"the server counts {self.expected} rows and {self.distinct} came")
        elif self._surplus and not self.by_key_alone:
            found.append(
                f"the server counts {self.expected} rows and {self.distinct} came: "
                "its count is capped, or the list moved"
            )
        if self.expected != self.expected_at_start and not (self.by_key_alone and self._grew):
            found.append(f"the count went from {self.expected_at_start} to {self.expected} during the walk")
        if every.duplicates:
            found.append(
                f"{every.duplicates} rows came twice: the list moved, so others may have been passed over"
            )
        if every.gaps and self.expected != self.distinct:
            found.append(
                f"{every.gaps} pages had fewer rows than the pages around them, so rows may be missing"
            )
        if every.unconfirmed:
            found.append(
                f"{every.unconfirmed} pages differed each time they were requested, so rows may be missing"
            )
        if every.misplaced:
            found.append(
                f"{every.misplaced} rows were in a response that was not used, and did not arrive in another"
            )
        if every.bad_rows:
            found.append(f"{every.bad_rows} rows do not decode and were left out")
        return found

    def __str__(self) -> str:
        of = "" if self.expected is None else f" of {self.expected}"
        end = "complete" if self.complete else "; ".join(self.doubts())
        return f"{self.distinct}{of} rows in {self.pages} pages, {self.requests} requests: {end}"
