"""Which range of keys to request next. Pure: responses in, requests out.

The key line is cut into segments, each read in ascending key order: a page holds the first rows above the
last key received. A segment needs no count to be complete, and rows inserted, deleted or changed during the
read cannot shift it. If every segment has a request in flight, the largest one is split in half.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Final

from aiwyn_async._core.pull_report import KeyRange, MissingRange
from aiwyn_async._pagination.confirm import Evidence
from aiwyn_async._pull.key_ranges import (
    KeyFilterIgnored,
    PageHistory,
    add_missing,
    are_integers,
    contains,
    find_violation,
    follows_in_order,
    lower_bound,
    merge_adjacent,
)
from aiwyn_async._pull.progress import RangeProgress
from aiwyn_async._pull.segments import RangeRequest, Search, Segment, Segments
from aiwyn_async.models.base import Id

MAX_PROBES: Final = 400
"""Probes for the end of keys that cannot be read; after that, the rest of the range is missing."""


class RangePlan:
    """All key ranges of one pull.

    Args:
        page_size: maximum rows per request.
        key_range: what to read if no earlier pull left ranges; all keys by default.
        ranges: maximum number of ranges read at the same time.
        ordered: request short ranges from the lower end, so that rows can be yielded in key order.
        left: the ranges that an earlier pull left, or None.
        last_key: the highest key that the earlier pull knew.

    Attributes:
        last_key: the highest key at the start, if keys are integers and it was needed.
        order_checked: False after text keys in an unknown order, such as a collation of the server.
        has_started: a page was received or is missing.
    """

    def __init__(
        self,
        page_size: int,
        key_range: KeyRange | None = None,
        *,
        ranges: int,
        ordered: bool,
        left: Sequence[KeyRange] | None = None,
        last_key: int | None = None,
    ) -> None:
        self.missing: list[MissingRange] = []
        self.ranges_completed = 0
        self.last_key = last_key
        self.order_checked = True
        self.min_page_size = page_size
        self._max_ranges = ranges
        self._ordered = ordered
        whole = [key_range or KeyRange(None, None)]
        self._start = whole if left is None else left
        # A checkpoint before the first page has neither a count nor a highest key to resume with.
        self.has_started = self._start != whole
        self._segments = Segments(self._start, page_size, max_segments=ranges, ordered=ordered)
        self._history = PageHistory()
        self._probes = 0
        is_open = any(each.until is None for each in self._start)
        self._needs_last = self.has_started and is_open and last_key is None
        self._waits_for_last = False
        self._last_was_doubtful = False
        self._last_text: str | None = None
        """The highest key at the start, if it is text, until it is received."""
        self._unverified: Segment | None = None
        """The segment that ended twice below the highest key, which is requested again."""

    @property
    def has_urgent(self) -> bool:
        """True if the next request must be sent before another response is used, to keep the order."""
        is_idle = bool(self._segments) and not self._segments[0].requested
        return self._ordered and is_idle and not self._waits_for_last

    @property
    def remaining(self) -> list[KeyRange]:
        """What is left to read, requests in flight included."""
        return merge_adjacent(each.remaining for each in self._segments)

    @property
    def suspects(self) -> list[KeyRange]:
        """Ranges without received rows, of which a discarded response had rows."""
        if not self._history.rejected:
            return []
        return self._history.find_suspect_ranges(self._start, [*self.remaining, *self.missing])

    def progress(self) -> tuple[RangeProgress, ...]:
        return tuple(each.progress(self.last_key) for each in self._segments)

    def next_request(self, *, may_split: bool = True) -> RangeRequest | None:
        """Return the next request, or None if no other one is allowed now; divide ranges if ``may_split``."""
        if self._needs_last and self._segments:
            self._needs_last = False
            self._waits_for_last = True
            return RangeRequest(purpose="last")  # of all rows, since no filter matches those without a key
        if not self._segments:
            self._reread_suspects()
        if self._waits_for_last or not self._segments:
            return None
        segment = self._segments.next_idle(self.last_key, may_split=may_split)
        return None if segment is None else self._request(segment)

    def _request(self, segment: Segment) -> RangeRequest:
        segment.requested = True
        urgent = self._ordered and segment is self._segments[0]
        until = segment.until
        if segment.search is not None:
            self._probes += 1
            key = segment.search.next_key
            return RangeRequest(purpose="probe", after=key, until=until, segment=segment, urgent=urgent)
        after, size = segment.after, segment.page_size
        self.min_page_size = min(self.min_page_size, size)
        return RangeRequest(
            purpose="page", after=after, until=until, size=size, segment=segment, urgent=urgent
        )

    def rate_page(self, request: RangeRequest, keys: Sequence[Id | None], count: int | None) -> Evidence:
        """Rate a page before it is received."""
        if not keys:
            return Evidence.UNPROVEN
        if find_violation(request.after, request.until, keys) is not None:
            return Evidence.WRONG
        if self.order_checked and not are_integers(keys) and not follows_in_order(request.after, keys):
            return Evidence.UNPROVEN
        if len(keys) == 1 and keys[0] in {self.last_key, self._last_text}:
            return Evidence.UNPROVEN  # it may be the response to the request for the highest key
        if len(keys) >= request.size or self._history.is_all(len(keys), count):
            return Evidence.SUFFICIENT
        return Evidence.UNPROVEN if self._history.is_short(len(keys)) else Evidence.SUFFICIENT

    def reject(self, keys: Sequence[Id | None]) -> None:
        """Record a discarded response: another response has to contain its rows.

        Raises:
            KeyFilterIgnored: it had rows without a key, which no other response of this pull contains.
        """
        if None in keys:
            raise KeyFilterIgnored("the server returned rows without a key")
        self._history.reject(keys)

    def receive_page(
        self, request: RangeRequest, keys: Sequence[Id | None], count: int | None, *, is_last: bool = False
    ) -> int:
        """Record a page and return how many of its leading rows belong to the range.

        The others belong to a segment that was split off after the request. A page without rows, or one that
        is the last one (``is_last``), ends the range.

        Raises:
            KeyFilterIgnored: the rows are not those requested, or not in order.
        """
        segment = request.segment
        assert segment is not None  # noqa: S101 (a page has one)
        self._validate(request, keys)
        segment.requested = False
        segment.page_size = min(self._segments.page_size, 2 * segment.page_size)
        is_end = not keys or is_last or (self._history.is_all(len(keys), count) and len(keys) < request.size)
        accepted, is_end = self._advance(segment, keys, is_end=is_end)
        if not is_end and len(keys) < request.size:  # the last page of a range may have any length
            self._history.record_length(len(keys))
        if is_end:
            self._end(segment)
        elif not self.has_started:
            # Without a count, or with that of the page, only the last row shows rows without a key, which no
            # filter matches.
            rest = (count or 0) - len(keys)
            is_divided = self._max_ranges > 1 and are_integers(keys)
            self._needs_last = rest <= 0 or (is_divided and rest > self._segments.page_size)
        if accepted and segment.until is None and self._history.doubts_highest():
            self._needs_last = True
        self.has_started = True
        return accepted

    def _validate(self, request: RangeRequest, keys: Sequence[Id | None]) -> None:
        violation = find_violation(request.after, request.until, keys)
        if violation is not None:
            raise KeyFilterIgnored(violation)
        is_mixed = keys and request.after is not None and type(request.after) is not type(keys[0])
        if is_mixed or (keys and not are_integers(keys)):
            is_ordered = not is_mixed and follows_in_order(request.after, keys)
            self.order_checked = self.order_checked and is_ordered

    def _advance(self, segment: Segment, keys: Sequence[Id | None], *, is_end: bool) -> tuple[int, bool]:
        """Move a segment beyond a page; return its number of rows, and if it ends."""
        accepted = len(keys)
        if are_integers(keys):
            self._segments.estimate_span(segment, keys)
            if isinstance(segment.until, int):
                accepted = bisect_right(keys, segment.until)
                # A response that starts above the range may belong to another request.
                is_end = accepted > 0 and (is_end or keys[-1] >= segment.until)
            if accepted:
                self._history.record_keys(keys[0], keys[accepted - 1])
        if self._last_text in keys:
            self._last_text = None
        if accepted:
            segment.after = keys[accepted - 1]
            segment.rows += accepted
        return accepted, is_end

    def _end(self, segment: Segment) -> None:
        if self._ends_below_last(segment):
            self._reread_rest(segment)
        else:
            self._segments.widen_stride(segment)
            self._complete(segment)

    def receive_last_key(self, keys: Sequence[Id | None] | None) -> None:
        """Record the highest key; None if the request failed.

        Raises:
            KeyFilterIgnored: the last row has no key, so no key filter would match it, or twice a lower one.
        """
        self._waits_for_last = False
        if keys is not None and None in keys:
            raise KeyFilterIgnored("the server returned rows without a key")
        is_below = self._unverified is None and self._history.is_below_received(keys or ())
        if (keys == [] or is_below) and not self._last_was_doubtful:  # a single one may be a fault
            self._last_was_doubtful = self._needs_last = True
            self.reject(keys or ())
            return
        if is_below:
            raise KeyFilterIgnored("the server did not order rows by descending key")
        if self._unverified is not None:
            self._verify_last(self._unverified, keys)
            return
        if keys is None or not self._segments:
            return
        self._history.record_highest(keys, self._segments[-1].after)
        if self.last_key is not None:
            return
        if are_integers(keys) and all(lower_bound(each.remaining) <= keys[0] for each in self._segments):
            self.last_key = keys[0]
        elif len(keys) == 1 and isinstance(keys[0], str):
            after = self._segments[-1].after
            # One that is not above the keys received is the highest since others were deleted.
            if keys[0] != after and follows_in_order(after, keys):
                self._last_text = keys[0]
        else:  # not the last row
            self.reject(keys)

    def receive_probe(self, request: RangeRequest, *, works: bool) -> None:
        segment = request.segment
        assert segment is not None and segment.search is not None and isinstance(request.after, int)  # noqa: S101, PT018
        segment.requested = False
        segment.search.record(request.after, works=works)
        self._continue_search(segment, segment.search)

    def fail_page(self, request: RangeRequest, reason: str, *, may_be_page_size: bool) -> None:
        """Record a failed page: halve the page size, or search for the next readable row."""
        segment = request.segment
        assert segment is not None  # noqa: S101 (a page has one)
        segment.requested = False
        if request.size > 1:
            segment.page_size = request.size // 2
            if not may_be_page_size and not self.has_started:
                self._segments.page_size = segment.page_size  # the server's limit: no page was received yet
            return
        segment.reason = reason
        lowest = -1 if segment.after is None else segment.after
        highest = self.last_key if segment.until is None else segment.until
        if isinstance(lowest, int) and isinstance(highest, int) and lowest < highest:
            segment.search = Search(lowest, highest)
            self._continue_search(segment, segment.search)
        else:
            self._skip_to(segment, segment.until)

    def _ends_below_last(self, segment: Segment) -> bool:
        """Return whether a segment without more rows should still contain the highest key."""
        if self._last_text is not None:
            return self.order_checked and segment.until is None
        if self.last_key is None or isinstance(segment.after, str) or isinstance(segment.until, str):
            return False
        return contains(segment.remaining, self.last_key)

    def _reread_rest(self, segment: Segment) -> None:
        """Read the rest of a segment again, then the highest key, which may be deleted."""
        if not segment.reread:
            segment.reread = True
            return
        segment.requested = True
        self._unverified = segment
        self._needs_last = True

    def _verify_last(self, segment: Segment, keys: Sequence[Id | None] | None) -> None:
        self._unverified = None
        highest = keys[0] if keys and are_integers(keys) else None
        exists = isinstance(highest, int) and lower_bound(segment.remaining) < highest <= (self.last_key or 0)
        if self._last_text is not None:
            exists = keys == [self._last_text]
        if keys is not None and not exists:
            self._complete(segment)  # the row was deleted
            return
        segment.reason = f"the highest key, {self._last_text or self.last_key}, was not received"
        self._skip_to(segment, segment.until)

    def _reread_suspects(self) -> None:
        """Read suspect ranges again; an ordered pull, which is beyond them, cannot."""
        suspects, size = self.suspects, self._segments.page_size
        self._history.rejected.clear()
        for each in suspects:
            if self._ordered:
                reason = "its rows were in a discarded response and in no later one"
                add_missing(self.missing, MissingRange(each.after, each.until, reason))
            else:
                self._segments.append(Segment(each.after, each.until, size, size))

    def _continue_search(self, segment: Segment, search: Search) -> None:
        if not search.is_done and search.next_key == segment.until:
            search.record(search.next_key, works=True)  # the segment ends there
        if search.is_done or search.fails >= search.end or self._probes >= MAX_PROBES:
            self._skip_to(segment, segment.until if search.works is None else search.works)

    def _skip_to(self, segment: Segment, until: Id | None) -> None:
        """Mark the keys of a segment up to ``until`` as missing, and continue above."""
        add_missing(self.missing, MissingRange(segment.after, until, segment.reason))
        if until == segment.until:
            self._segments.remove(segment)
        else:
            segment.after, segment.page_size, segment.search = until, 1, None
        self.has_started = True

    def _complete(self, segment: Segment) -> None:
        self._segments.remove(segment)
        self.ranges_completed += 1
