"""Which range of keys to ask for next, and what is left. Pure: told what came, it says what to ask.

The key line is cut into ranges, each read upwards: a page holds the first rows above the last key that
came. So a range needs no count to be whole, and rows that come, go or change cannot shift it. Where nothing
more can be asked, the largest range under way is cut in half, and its upper half is read beside it.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from operator import le, lt
from typing import Any, Final, Literal, TypeGuard

import msgspec

from aiwyn_async._core.reports import KeyRange, MissingRange
from aiwyn_async._pagination.confirm import Evidence
from aiwyn_async._pull.progress import RangeProgress
from aiwyn_async.models.base import Id

__all__ = ["KeyFilterIgnored", "RangePlan", "RangeRequest", "highest_of", "lowest_of"]

MAX_PROBES: Final = 400
"""Requests of one row that look for the end of what cannot be read; then the rest of it is given up."""

Purpose = Literal["page", "last", "first", "count", "probe", "end"]


class KeyFilterIgnored(Exception):  # noqa: N818 (never leaves this package)
    """The server does not keep to the key filter or to the order; its text says how."""


class RangeRequest(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """One request: rows with keys above ``after`` up to ``until``, from the lowest (or highest) on.

    Attributes:
        purpose: "page" brings rows; "last" and "first" show the ends of the list and that the server answers;
            "count" the number of rows; "probe" whether what begins after a key can be read; "end" the last
            rows of a range, downwards.
        size: rows asked for.
        segment: the one that it reads, for a page and a probe.
        urgent: in an ordered pull, ahead of what is in flight.
    """

    purpose: Purpose
    after: Id | None = None
    until: Id | None = None
    size: int = 1
    segment: Segment | None = None
    urgent: bool = False


class Segment:
    """A range that is being read. ``after`` moves up with every page; ``until`` comes down when it is cut."""

    __slots__ = (
        "after",
        "lacks_last",
        "page_size",
        "reason",
        "requested",
        "rows",
        "search",
        "span",
        "start",
        "until",
    )

    def __init__(self, after: Id | None, until: Id | None, page_size: int, span: int) -> None:
        self.start = after
        self.after = after
        self.until = until
        self.page_size = page_size
        self.rows = 0
        self.span = span
        """How much of the key line a page takes, by the last one."""
        self.requested = False
        self.reason = ""
        self.lacks_last = False
        """It ended once below the highest key, which has to be in it, and is read again from there."""
        self.search: Search | None = None
        """Under way when even a page of one row fails, as ``why`` tells."""


class Search:
    """For the end of what cannot be read, by rising steps and then by halves.

    ``fails`` is the highest key after which reading fails, ``works`` the lowest after which it does not.
    """

    __slots__ = ("end", "fails", "step", "works")

    def __init__(self, fails: int, end: int) -> None:
        self.fails = fails
        self.works: int | None = None
        self.end = end
        self.step = 1

    @property
    def next(self) -> int:
        """The key to try."""
        if self.works is None:
            return min(self.fails + self.step, self.end)
        return (self.fails + self.works) // 2

    @property
    def is_done(self) -> bool:
        """True when the end is known to the key."""
        return self.works is not None and self.works - self.fails <= 1

    def record(self, key: int, *, works: bool) -> None:
        """What came of trying it."""
        if works:
            self.works = key
        else:
            self.fails = key
            self.step *= 2


class RangePlan:
    """All ranges of one pull.

    Args:
        page_size: rows a request, at most.
        ranges: how many may be read at once.
        ordered: cut narrow ranges off the lower end, so that rows can be given in the order of their keys.
        left: the ranges that an earlier pull left; all keys by default.
        last_key: the highest key, as far as the earlier pull knew.
    """

    def __init__(
        self,
        page_size: int,
        *,
        ranges: int,
        ordered: bool,
        left: Sequence[KeyRange] | None = None,
        last_key: int | None = None,
    ) -> None:
        self.missing: list[MissingRange] = []
        self.done = 0
        """Ranges read to their end."""
        self.last_key = last_key
        """The highest key when the pull began, where keys are integers and there was need to ask."""
        self.order_checked = True
        """False once keys came that are in no order known here: text, by a collation of the server's."""
        self.has_started = left is not None
        self.min_page_size = page_size
        self._page_size = page_size
        self._ranges = ranges
        self._ordered = ordered
        begin = [KeyRange(None, None)] if left is None else left
        self._start = begin
        self._segments = [Segment(each.after, each.until, page_size, page_size) for each in begin]
        is_open = left is not None and any(each.until is None for each in left)
        self._needs_last = is_open and ranges > 1 and last_key is None
        self._waits_for_last = False
        self._verified: Segment | None = None
        """The range that ended twice below the highest key, which is asked for again."""
        self._max_rows_seen = 0
        """Rows of the longest page: the server may have a smaller page size of its own."""
        self._received: list[tuple[int, int]] = []
        """The lowest and the highest key of each page."""
        self._rejected: set[int] = set()
        """Keys of the responses that were not used, which have to arrive in others."""
        self._probes = 0
        self._count_above_last = 0
        """The highest count that was of more rows than came with it, so that it was not of the page alone."""
        self._stride = page_size
        """How much of the key line to cut off for a page, in an ordered pull."""

    @property
    def is_finished(self) -> bool:
        """True when nothing is left to read."""
        return not self._segments

    @property
    def active(self) -> list[KeyRange]:
        """What is left, the part that is in flight included; ranges that touch are one."""
        return _merged([KeyRange(each.after, each.until) for each in self._segments])

    def progress(self) -> tuple[RangeProgress, ...]:
        """How far each range is that is being read."""
        return tuple(self._progress(each) for each in self._segments)

    def _progress(self, segment: Segment) -> RangeProgress:
        until = self.last_key if segment.until is None else segment.until
        at, begin = segment.after, segment.start
        share = 0.0
        if isinstance(at, int) and isinstance(until, int):
            low = begin if isinstance(begin, int) else 0
            share = min(1.0, max(0.0, (at - low) / max(1, until - low)))
        return RangeProgress(str(KeyRange(begin, segment.until)), share, segment.rows)

    def next_request(self) -> RangeRequest | None:
        """The next request, or None when none may be added now."""
        if self._needs_last:
            self._needs_last = False
            self._waits_for_last = True
            after = self._segments[0].start if self._verified is None else None
            return RangeRequest(purpose="last", after=after)
        if not self._segments:
            self._verify_suspect()
        if self._waits_for_last or not self._segments:
            return None
        segment = self._next_segment()
        if segment is None:
            return None
        segment.requested = True
        urgent = self._ordered and segment is self._segments[0]
        if segment.search is not None:
            self._probes += 1
            key = segment.search.next
            until = segment.until
            return RangeRequest(purpose="probe", after=key, until=until, segment=segment, urgent=urgent)
        size = segment.page_size
        self.min_page_size = min(self.min_page_size, size)
        after, until = segment.after, segment.until
        return RangeRequest(
            purpose="page", after=after, until=until, size=size, segment=segment, urgent=urgent
        )

    def evidence(self, ask: RangeRequest, keys: Sequence[Id | None], count: int | None) -> Evidence:
        """Rate a page before it is told."""
        if not keys:
            return Evidence.UNPROVEN
        if _refusal(ask, keys) is not None:
            return Evidence.WRONG
        if self.order_checked and not _are_integers(keys) and not _follow(ask.after, keys):
            return Evidence.UNPROVEN
        length = len(keys)
        if length >= ask.size or self._is_all(length, count):
            return Evidence.SUFFICIENT
        is_short = length < self._max_rows_seen or (
            not self._max_rows_seen and (count is None or count <= length)
        )
        return Evidence.UNPROVEN if is_short else Evidence.SUFFICIENT

    def reject(self, keys: Sequence[Id | None]) -> None:
        """Note a response that is not used: its rows have to arrive in another."""
        self._rejected.update(key for key in keys if isinstance(key, int))

    def receive_page(
        self, ask: RangeRequest, keys: Sequence[Id | None], count: int | None, *, is_last: bool = False
    ) -> int:
        """Take in a page; how many of its rows, from the first on, belong to the range that it was asked for.

        The others belong to a range that was cut off meanwhile.

        Args:
            ask: the request.
            keys: of its rows; a page without any ends the range.
            count: the server's.
            is_last: the page is known to be the last one of the range.

        Raises:
            KeyFilterRefused: the rows are not those that were asked for, or not in order.
        """
        segment = ask.segment
        assert segment is not None  # noqa: S101 (a page has one)
        self._check(ask, keys)
        segment.requested = False
        segment.page_size = min(self._page_size, 2 * segment.page_size)
        is_whole = not keys or is_last or (self._is_all(len(keys), count) and len(keys) < ask.size)
        kept = len(keys)
        self._max_rows_seen = max(self._max_rows_seen, kept)
        if _are_integers(keys):
            if len(keys) > 1:
                segment.span = max(1, (keys[-1] - keys[0]) * self._page_size // (len(keys) - 1))
                # Where keys have gaps, a little less, so that a page more often holds all that was cut off.
                self._stride = segment.span if segment.span <= self._page_size else segment.span * 9 // 10
            if isinstance(segment.until, int):
                kept = bisect_right(keys, segment.until)
                # A response that begins beyond the range may be that of another request.
                is_whole = kept > 0 and (is_whole or keys[-1] >= segment.until)
            if kept:
                self._received.append((keys[0], keys[kept - 1]))
        if kept:
            segment.after = keys[kept - 1]
            segment.rows += kept
        if is_whole and self._ends_below_last(segment):
            self._look_for_last(segment)
        elif is_whole:
            if 2 * segment.rows < self._page_size:
                self._stride *= 2
            self._finish(segment)
        elif not self.has_started and _are_integers(keys):
            # Without a count, it alone shows whether there are rows without a key: no filter finds those.
            self._needs_last = count is None or (self._ranges > 1 and count - len(keys) > self._page_size)
        self.has_started = True
        return kept

    def receive_last_key(self, keys: Sequence[Id | None] | None) -> None:
        """Take in the highest key there is; None if the request failed.

        Raises:
            KeyFilterRefused: the last row has no key, which no key filter would find.
        """
        self._waits_for_last = False
        if keys is not None and None in keys:
            raise KeyFilterIgnored("rows come without their key")
        if self._verified is not None:
            self._verify_last(self._verified, keys)
            return
        if keys is None:
            return
        reached = [each.after for each in self._segments if isinstance(each.after, int)]
        if _are_integers(keys) and keys[0] >= max(reached, default=keys[0]):  # else it is not the last
            self.last_key = keys[0]
        else:
            self.reject(keys)

    def receive_probe(self, ask: RangeRequest, *, works: bool) -> None:
        """Take in whether the row after a key could be read."""
        segment = ask.segment
        assert segment is not None and segment.search is not None and isinstance(ask.after, int)  # noqa: S101, PT018
        segment.requested = False
        segment.search.record(ask.after, works=works)
        self._continue_search(segment, segment.search)

    def fail_page(self, ask: RangeRequest, why: str, *, can_be_the_size: bool) -> None:
        """A page failed after its attempts: ask for half as many rows, or find how far it cannot be read."""
        segment = ask.segment
        assert segment is not None  # noqa: S101 (a page has one)
        segment.requested = False
        if ask.size > 1:
            segment.page_size = ask.size // 2
            if not can_be_the_size and not self.has_started:
                self._page_size = segment.page_size  # before any page came, it is of every page as large
            return
        segment.reason = why
        lowest = -1 if segment.after is None else segment.after
        highest = self.last_key if segment.until is None else segment.until
        if isinstance(lowest, int) and isinstance(highest, int) and lowest < highest:
            segment.search = Search(lowest, highest)
            self._continue_search(segment, segment.search)
        else:
            self._skip_to(segment, segment.until)

    def _ends_below_last(self, segment: Segment) -> bool:
        """Whether the highest key lies in the rest of this range, which has no more rows."""
        if self.last_key is None or isinstance(segment.after, str) or isinstance(segment.until, str):
            return False
        is_above = segment.after is None or segment.after < self.last_key
        return is_above and (segment.until is None or segment.until >= self.last_key)

    def _look_for_last(self, segment: Segment) -> None:
        """Read the rest of a range again, and then ask for the highest key again: it may be deleted."""
        if not segment.lacks_last:
            segment.lacks_last = True
            return
        segment.requested = True
        self._verified = segment
        self._needs_last = True

    def _verify_last(self, segment: Segment, keys: Sequence[Id | None] | None) -> None:
        self._verified = None
        highest = keys[0] if keys and _are_integers(keys) else None
        is_there = isinstance(highest, int) and lowest_of(segment) < highest <= (self.last_key or 0)
        if keys is not None and not is_there:
            self._finish(segment)  # it was deleted
            return
        segment.reason = f"the highest key, {self.last_key}, was not received"
        self._skip_to(segment, segment.until)

    @property
    def suspect(self) -> list[KeyRange]:
        """Ranges without a row between others, of which a response that was not used held rows."""
        found: list[KeyRange] = []
        for key in sorted(self._rejected):
            begin = next((each for each in self._start if _is_within(key, each)), None)
            is_received = any(low <= key <= high for low, high in self._received)
            is_left = any(_is_within(key, each) for each in [*self.active, *self.missing, *found])
            if begin is None or is_received or is_left:
                continue
            lower = [high for _, high in self._received if lowest_of(begin) < high < key]
            upper = [low - 1 for low, _ in self._received if key < low <= highest_of(begin)]
            found.append(KeyRange(max(lower, default=begin.after), min(upper, default=begin.until)))
        return found

    def _verify_suspect(self) -> None:
        """Read such ranges again; an ordered pull, which is past them, names them as missing."""
        suspect = self.suspect
        self._rejected.clear()
        for each in suspect:
            if self._ordered:
                why = "its rows were in a response that was not used"
                self._mark_missing(MissingRange(each.after, each.until, why))
            else:
                self._segments.append(Segment(each.after, each.until, self._page_size, self._page_size))

    def _is_all(self, rows: int, count: int | None) -> bool:
        """Whether these rows are all there are by the count that came with them.

        A server that caps its pages may count no further than its cap, so only a count is believed that is
        lower than one that was seen to go beyond its page.
        """
        if count is not None and count > rows:
            self._count_above_last = max(self._count_above_last, count)
        return count == rows < self._count_above_last

    def _continue_search(self, segment: Segment, search: Search) -> None:
        if not search.is_done and search.next == segment.until:
            search.record(search.next, works=True)  # nothing is above it in this range
        if search.is_done:
            self._skip_to(segment, search.works)
        elif search.fails >= search.end or (self._probes >= MAX_PROBES and search.works is None):
            self._skip_to(segment, segment.until)
        elif self._probes >= MAX_PROBES:
            self._skip_to(segment, search.works)

    def _skip_to(self, segment: Segment, until: Id | None) -> None:
        """What is in this range up to a key is missing; go on above it."""
        self._mark_missing(MissingRange(segment.after, until, segment.reason))
        if until == segment.until:
            self._segments.remove(segment)
        else:
            segment.after, segment.page_size, segment.search = until, 1, None
        self.has_started = True

    def _mark_missing(self, lost: MissingRange) -> None:
        """Name what is missing; with a range that it touches it is one."""
        for place, other in enumerate(self.missing):
            if other.until is not None and other.until == lost.after:
                lost = MissingRange(other.after, lost.until, other.reason)
            elif lost.until is not None and lost.until == other.after:
                lost = MissingRange(lost.after, other.until, lost.reason)
            else:
                continue
            del self.missing[place]
            self._mark_missing(lost)
            return
        self.missing.append(lost)

    def _finish(self, segment: Segment) -> None:
        self._segments.remove(segment)
        self.done += 1

    def _next_segment(self) -> Segment | None:
        for place, segment in enumerate(self._segments):
            if not segment.requested:
                return self._split_off_head(place, segment) if self._ordered else segment
        return None if self._ordered else self._split_largest()

    def _width(self, segment: Segment) -> int:
        """How much of the key line is left of it; 0 where that is not known or it cannot be cut."""
        until = self.last_key if segment.until is None else segment.until
        if segment.search is not None or not isinstance(segment.after, int) or not isinstance(until, int):
            return 0
        return until - segment.after

    def _split_off_head(self, place: int, segment: Segment) -> Segment:
        """As much from its lower end as a page holds, so that the ranges above it can come meanwhile."""
        if self._ranges == 1 or self._width(segment) <= self._stride or not isinstance(segment.after, int):
            return segment
        if any(each.requested for each in self._segments[place + 1 :]):
            return segment  # what is cut off above would be asked for after the ranges that follow it
        end = segment.after + self._stride
        low = Segment(segment.after, end, segment.page_size, segment.span)
        segment.after = end
        self._segments.insert(place, low)
        return low

    def _split_largest(self) -> Segment | None:
        """The upper half of the range that has most left."""
        largest = max(self._segments, key=self._width)
        width = self._width(largest)
        if len(self._segments) >= self._ranges or width <= 2 * largest.span:
            return None
        assert isinstance(largest.after, int)  # noqa: S101 (it has a width)
        middle = largest.after + width // 2
        upper = Segment(middle, largest.until, largest.page_size, largest.span)
        largest.until = middle
        self._segments.insert(self._segments.index(largest) + 1, upper)
        return upper

    def _check(self, ask: RangeRequest, keys: Sequence[Id | None]) -> None:
        refusal = _refusal(ask, keys)
        if refusal is not None:
            raise KeyFilterIgnored(refusal)
        if keys and not _are_integers(keys):
            self.order_checked = self.order_checked and _follow(ask.after, keys)


def _refusal(ask: RangeRequest, keys: Sequence[Id | None]) -> str | None:
    """Why a request does not allow these rows; None if it does."""
    if None in keys:
        return "rows come without their key"
    if _are_integers(keys):
        if not all(map(lt, keys, keys[1:])):
            return "rows do not come in the order of their keys"
        is_above = not isinstance(ask.after, int) or keys[0] > ask.after
        is_below = not isinstance(ask.until, int) or keys[-1] <= ask.until
        return (
            None if is_above and is_below else "rows come from outside the range of keys that was asked for"
        )
    return "rows come again" if ask.after is not None and ask.after in keys else None


def _follow(after: Id | None, keys: Sequence[Id | None]) -> bool:
    """Whether text keys are in an order known here, after the key before them."""
    return _are_in_an_order(map(str, [*([] if after is None else [after]), *keys]))


def lowest_of(each: KeyRange | Segment) -> float:
    """The bound below a range, for comparison."""
    return each.after if isinstance(each.after, int) else -math.inf


def highest_of(each: KeyRange) -> float:
    """The bound above a range, for comparison."""
    return each.until if isinstance(each.until, int) else math.inf


def _is_within(key: int, each: KeyRange) -> bool:
    return lowest_of(each) < key <= highest_of(each)


def _are_integers(keys: Sequence[Id | None]) -> TypeGuard[Sequence[int]]:
    return set(map(type, keys)) == {int}


def _are_in_an_order(texts: Iterable[str]) -> bool:
    """Whether they rise by code points, without regard to case, or as numbers."""
    exact = list(texts)
    forms: list[list[Any]] = [exact, [text.casefold() for text in exact]]
    if all(text.isdecimal() for text in exact):
        forms.append([(len(text.lstrip("0")), text.lstrip("0")) for text in exact])
    return any(all(map(le, form, form[1:])) for form in forms)


def _merged(ranges: Sequence[KeyRange]) -> list[KeyRange]:
    """Ranges in their order, with those that touch made one."""
    found: list[KeyRange] = []
    for each in ranges:
        if found and found[-1].until is not None and found[-1].until == each.after:
            found[-1] = KeyRange(found[-1].after, each.until)
        else:
            found.append(each)
    return found
