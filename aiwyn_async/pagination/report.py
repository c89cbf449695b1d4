"""What a walk over pages saw, and whether anything speaks against its being complete."""

from __future__ import annotations

from typing import Literal

import msgspec

from aiwyn_async.models.base import Id

__all__ = ["EndedBy", "WalkReport"]

EndedBy = Literal["empty_page", "count", "limit", "break", "error"]


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

    def doubts(self) -> list[str]:
        """All that speaks against this being a complete read, in sentences; empty when nothing does."""
        found: list[str] = []
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
        if self.duplicates:
            found.append(
                f"{self.duplicates} rows came twice: the list moved, so others may have been passed over"
            )
        if self.bad_rows:
            found.append(f"{self.bad_rows} rows do not decode and were left out")
        return found

    def __str__(self) -> str:
        of = "" if self.expected is None else f" of {self.expected}"
        end = "complete" if self.complete else "; ".join(self.doubts())
        return f"{self.distinct}{of} rows in {self.pages} pages, {self.requests} requests: {end}"
