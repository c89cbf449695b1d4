"""The segments of the key line that are read at the same time. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from aiwyn_async._core.pull_report import KeyRange
from aiwyn_async._pull.progress import RangeProgress
from aiwyn_async.models.base import Id

Purpose = Literal["page", "last", "first", "count", "probe", "end"]


class RangeRequest(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """A request for rows with keys above ``after``, up to ``until``, in key order.

    Attributes:
        purpose: "page" reads rows of a segment; "last" and "first" read one row at either end of the list,
            which also shows that the server responds; "count" reads the number of rows; "probe" tests whether
            the row after a key can be read; "end" reads the last rows of a range in descending order.
        other_than: a key that the rows do not have, or None.
        size: rows requested.
        page: how many pages of that size to skip, or None.
        segment: the segment that a page or a probe belongs to.
        urgent: the response is needed before those in flight, in an ordered pull.
        once: it is not retried.
    """

    purpose: Purpose
    after: Id | None = None
    until: Id | None = None
    other_than: Id | None = None
    size: int = 1
    page: int | None = None
    segment: Segment | None = None
    urgent: bool = False
    once: bool = False


class Search(msgspec.Struct):
    """A search for the next readable row, by doubled steps and then by bisection.

    Attributes:
        fails: the highest key after which reading fails.
        works: the lowest key after which reading works, or None.
    """

    fails: int
    end: int
    works: int | None = None
    step: int = 1

    @property
    def next_key(self) -> int:
        if self.works is None:
            return min(self.fails + self.step, self.end)
        return (self.fails + self.works) // 2

    @property
    def is_done(self) -> bool:
        """True if the end is known exactly."""
        return self.works is not None and self.works - self.fails <= 1

    def record(self, key: int, *, works: bool) -> None:
        if works:
            self.works = key
        else:
            self.fails = key
            self.step *= 2


class Segment(msgspec.Struct, eq=False):
    """A key range under way. Pages raise ``after``, and splits lower ``until``.

    Attributes:
        page_size: rows to request next.
        span: the keys that a full page covers, estimated from the latest page.
        rows: rows received.
        requested: a request for it is in flight.
        reason: why a page of one row failed.
        reread: it ended below the highest key once, and the rest of it is read again.
        search: under way if a page of one row failed.
    """

    after: Id | None
    until: Id | None
    page_size: int
    span: int
    start: Id | None = None
    rows: int = 0
    requested: bool = False
    reason: str = ""
    reread: bool = False
    search: Search | None = None

    def __post_init__(self) -> None:
        self.start = self.after

    @property
    def remaining(self) -> KeyRange:
        """The keys that are not received yet."""
        return KeyRange(self.after, self.until)

    def width(self, last_key: int | None) -> int:
        """Return how many keys remain; 0 if unknown or if it cannot be split."""
        until = last_key if self.until is None else self.until
        if self.search is not None or not isinstance(self.after, int) or not isinstance(until, int):
            return 0
        return until - self.after

    def progress(self, last_key: int | None) -> RangeProgress:
        until = last_key if self.until is None else self.until
        fraction = 0.0
        if isinstance(self.after, int) and isinstance(until, int):
            low = self.start if isinstance(self.start, int) else 0
            fraction = min(1.0, max(0.0, (self.after - low) / max(1, until - low)))
        return RangeProgress(str(KeyRange(self.start, self.until)), fraction, self.rows)


class Segments(list[Segment]):
    """The segments that are not read completely, in key order.

    ``page_size`` is lowered if the server has a lower limit. If ``ordered``, short segments are split off the
    lower end, so that rows can be yielded in key order.
    """

    def __init__(
        self, ranges: Sequence[KeyRange], page_size: int, *, max_segments: int, ordered: bool
    ) -> None:
        super().__init__(Segment(each.after, each.until, page_size, page_size) for each in ranges)
        self.page_size = page_size
        self._max_segments = max_segments
        self._ordered = ordered
        self._stride = page_size
        """The keys to split off for one page, in an ordered pull."""

    def estimate_span(self, segment: Segment, keys: Sequence[int]) -> None:
        """Estimate from a page how many keys the next one covers."""
        if len(keys) > 1:
            segment.span = max(1, (keys[-1] - keys[0]) * self.page_size // (len(keys) - 1))
            # Slightly less if keys have gaps, so that one page is more often enough for the stride.
            self._stride = segment.span if segment.span <= self.page_size else segment.span * 9 // 10

    def widen_stride(self, segment: Segment) -> None:
        """Split off more keys from now on if a segment had less than half a page of rows."""
        if 2 * segment.rows < self.page_size:
            self._stride *= 2

    def next_idle(self, last_key: int | None, *, may_split: bool) -> Segment | None:
        """Return a segment to request, split off another one if necessary and allowed, or None."""
        for index, segment in enumerate(self):
            if not segment.requested:
                is_split = self._ordered and may_split
                return self._split_off_head(index, segment, last_key) if is_split else segment
        return self._split_largest(last_key) if may_split and not self._ordered else None

    def _split_off_head(self, index: int, segment: Segment, last_key: int | None) -> Segment:
        """Split one page off the lower end, so that the rest can be requested next."""
        is_narrow = self._max_segments == 1 or segment.width(last_key) <= self._stride
        if is_narrow or not isinstance(segment.after, int):
            return segment
        if any(each.requested for each in self[index + 1 :]):
            return segment  # the upper part would be requested after the segments that follow it
        end = segment.after + self._stride
        head = Segment(segment.after, end, segment.page_size, segment.span)
        segment.after = end
        self.insert(index, head)
        return head

    def _split_largest(self, last_key: int | None) -> Segment | None:
        """Split off and return the upper half of the largest segment."""
        largest = max(self, key=lambda each: each.width(last_key))
        width = largest.width(last_key)
        if len(self) >= self._max_segments or width <= 2 * largest.span:
            return None
        assert isinstance(largest.after, int)  # noqa: S101 (it has a width)
        middle = largest.after + width // 2
        upper = Segment(middle, largest.until, largest.page_size, largest.span)
        largest.until = middle
        self.insert(self.index(largest) + 1, upper)
        return upper
