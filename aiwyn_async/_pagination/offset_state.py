"""The state of an offset pagination for checkpoints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec

from aiwyn_async._pagination.strategy import (
    MAX_PAGE_SIZE,
    FinalReason,
    PageStyle,
    RowCount,
)
from aiwyn_async.models.base import Id


class PageKeys(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The keys that identify a page, few enough for a checkpoint."""

    head: Annotated[list[Id | None], msgspec.Meta(min_length=1, max_length=4)]
    last: Id | None
    length: Annotated[int, msgspec.Meta(ge=1)]

    @classmethod
    def of(cls, keys: Sequence[Id | None]) -> PageKeys:
        return cls(list(keys[:4]), keys[-1], len(keys))

    def is_followed_by_shift(self, keys: Sequence[Id | None]) -> bool:
        """Return whether the next page begins with the second row of this one."""
        head = list(keys[:4])
        overlap = min(len(self.head) - 1, len(head))
        if set(head[:overlap]) <= {None} or self.head[1 : 1 + overlap] != head[:overlap]:
            return False
        return len(keys) < self.length - 1 or keys[self.length - 2] == self.last


class Probe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The request that tests if ``page`` is an offset; if so, ``row`` begins with ``first_key``.

    ``fresh`` and ``repeated`` count the rows of the page before it.
    """

    row: Annotated[int, msgspec.Meta(ge=1)]
    first_key: Id | None
    fresh: RowCount
    repeated: RowCount


class OffsetState(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The state that a checkpoint stores.

    Attributes:
        pages_received: pages processed.
        size: rows per request; the server's own page size if that is smaller.
        style: what ``page`` means to the server; "auto" until the second page shows it.
        rows: rows received.
        yielded: rows yielded.
        next: the next page number, or the next offset.
        yielded_before: leading rows of the next page that were yielded before.
        before: the page received last.
        probe: set while ``style`` is being decided.
        stop_reason: what ended the list.
    """

    pages_received: RowCount = 0
    size: Annotated[int, msgspec.Meta(ge=1, le=MAX_PAGE_SIZE)]
    style: PageStyle
    rows: RowCount = 0
    yielded: RowCount = 0
    next: RowCount = 0
    yielded_before: RowCount = 0
    before: PageKeys | None = None
    probe: Probe | None = None
    stop_reason: FinalReason | None = None

    def __post_init__(self) -> None:
        if (self.pages_received > 0) != (self.before is not None):
            raise ValueError("a read that has begun has a previous page")
        if self.probe is not None and self.style != "auto":
            raise ValueError("only an undecided style has a probe")

    @property
    def step(self) -> int:
        """The distance between the ``page`` values of two pages."""
        return self.size if self.style == "offset" else 1
