"""Which range of keys to ask for next, and what is left. Pure: told what came, it says what to ask.

The key line is cut into ranges, each read upwards: a page holds the first rows above the last key that
came. So a range needs no count to be whole, and rows that come, go or change cannot shift it. Where nothing
more can be asked, the largest range under way is cut in half, and its upper half is read beside it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from operator import le, lt
from typing import Any, Final, Literal, TypeGuard

import msgspec

from aiwyn_async.models.base import Id
from aiwyn_async.pull.progress import RangeProgress
from aiwyn_async.pull.report import KeyRange, MissingRange

__all__ = ["Ask", "KeyFilterRefused", "Plan"]

MOST_PROBES: Final = 400
"""Requests of one row that look for the end of what cannot be read; then the rest of it is given up."""

Purpose = Literal["page", "last", "first", "count", "probe"]


class KeyFilterRefused(Exception):  # noqa: N818 (never leaves this package)
    """The server does not keep to the key filter or to the order; its text says how."""


class Ask(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """One request: rows with keys above ``after`` up to ``until``, from the lowest (or highest) on.

    Attributes:
        purpose: "page" brings rows; "last" and "first" show the ends of the list and that the server answers;
            "count" the number of rows; "probe" whether what begins after a key can be read.
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

    __slots__ = ("after", "asked", "begin", "page_size", "rows", "search", "span", "until", "why")

    def __init__(self, after: Id | None, until: Id | None, page_size: int, span: int) -> None:
        self.begin = after
        self.after = after
        self.until = until
        self.page_size = page_size
        self.rows = 0
        self.span = span
        """How much of the key line a page takes, by the last one."""
        self.asked = False
        self.why = ""
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
    def is_found(self) -> bool:
        """True when the end is known to the key."""
        return self.works is not None and self.works - self.fails <= 1

    def tell(self, key: int, *, works: bool) -> None:
        """What came of trying it."""
        if works:
            self.works = key
        else:
            self.fails = key
            self.step *= 2


class Plan:
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
        self.has_begun = left is not None
        self.smallest_page = page_size
        self._page_size = page_size
        self._ranges = ranges
        self._ordered = ordered
        begin = [KeyRange(None, None)] if left is None else left
        self._segments = [Segment(each.after, each.until, page_size, page_size) for each in begin]
        is_open = left is not None and any(each.until is None for each in left)
        self._needs_last = is_open and ranges > 1 and last_key is None
        self._waits_for_last = False
        self._probes = 0
        self._count_beyond = 0
        """The highest count that was of more rows than came with it, so that it was not of the page alone."""
        self._stride = page_size
        """How much of the key line to cut off for a page, in an ordered pull."""

    @property
    def is_finished(self) -> bool:
        """True when nothing is left to read."""
        return not self._segments

    @property
    def under_way(self) -> list[KeyRange]:
        """What is left, the part that is in flight included; ranges that touch are one."""
        return _joined([KeyRange(each.after, each.until) for each in self._segments])

    def progress(self) -> tuple[RangeProgress, ...]:
        """How far each range is that is being read."""
        return tuple(self._progress(each) for each in self._segments)

    def _progress(self, segment: Segment) -> RangeProgress:
        until = self.last_key if segment.until is None else segment.until
        at, begin = segment.after, segment.begin
        share = 0.0
        if isinstance(at, int) and isinstance(until, int):
            low = begin if isinstance(begin, int) else 0
            share = min(1.0, max(0.0, (at - low) / max(1, until - low)))
        return RangeProgress(str(KeyRange(begin, segment.until)), share, segment.rows)

    def ask(self) -> Ask | None:
        """The next request, or None when none may be added now."""
        if self._needs_last:
            self._needs_last = False
            self._waits_for_last = True
            return Ask(purpose="last", after=self._segments[0].begin)
        if self._waits_for_last or not self._segments:
            return None
        segment = self._next_segment()
        if segment is None:
            return None
        segment.asked = True
        urgent = self._ordered and segment is self._segments[0]
        if segment.search is not None:
            self._probes += 1
            key = segment.search.next
            until = segment.until
            return Ask(purpose="probe", after=key, until=until, segment=segment, urgent=urgent)
        size = segment.page_size
        self.smallest_page = min(self.smallest_page, size)
        after, until = segment.after, segment.until
        return Ask(purpose="page", after=after, until=until, size=size, segment=segment, urgent=urgent)

    def tell_page(self, ask: Ask, keys: Sequence[Id | None], count: int | None) -> int:
        """Take in a page; how many of its rows, from the first on, belong to the range that it was asked for.

        The others belong to a range that was cut off meanwhile.

        Raises:
            KeyFilterRefused: the rows are not those that were asked for, or not in order.
        """
        segment = ask.segment
        assert segment is not None  # noqa: S101 (a page has one)
        self._check(ask, keys)
        segment.asked = False
        segment.page_size = min(self._page_size, 2 * segment.page_size)
        is_whole = not keys or (self._is_all(len(keys), count) and len(keys) < ask.size)
        kept = len(keys)
        if _are_integers(keys):
            if len(keys) > 1:
                segment.span = max(1, (keys[-1] - keys[0]) * self._page_size // (len(keys) - 1))
                # Where keys have gaps, a little less, so that a page more often holds all that was cut off.
                self._stride = segment.span if segment.span <= self._page_size else segment.span * 9 // 10
            if isinstance(segment.until, int):
                kept = bisect_right(keys, segment.until)
                is_whole = is_whole or keys[-1] >= segment.until
        if kept:
            segment.after = keys[kept - 1]
            segment.rows += kept
        if is_whole:
            if 2 * segment.rows < self._page_size:
                self._stride *= 2
            self._finish(segment)
        elif not self.has_begun and _are_integers(keys):
            # Without a count, it alone shows whether there are rows without a key: no filter finds those.
            self._needs_last = count is None or (self._ranges > 1 and count - len(keys) > self._page_size)
        self.has_begun = True
        return kept

    def tell_last(self, keys: Sequence[Id | None]) -> None:
        """Take in the highest key there is.

        Raises:
            KeyFilterRefused: the last row has no key, which no key filter would find.
        """
        self._waits_for_last = False
        if None in keys:
            raise KeyFilterRefused("rows come without their key")
        reached = [each.after for each in self._segments if isinstance(each.after, int)]
        if _are_integers(keys) and keys[0] >= max(reached, default=keys[0]):  # else it is not the last
            self.last_key = keys[0]

    def tell_probe(self, ask: Ask, *, works: bool) -> None:
        """Take in whether the row after a key could be read."""
        segment = ask.segment
        assert segment is not None and segment.search is not None and isinstance(ask.after, int)  # noqa: S101, PT018
        segment.asked = False
        segment.search.tell(ask.after, works=works)
        self._go_on_searching(segment, segment.search)

    def fail_page(self, ask: Ask, why: str, *, can_be_the_size: bool) -> None:
        """A page failed after its attempts: ask for half as many rows, or find how far it cannot be read."""
        segment = ask.segment
        assert segment is not None  # noqa: S101 (a page has one)
        segment.asked = False
        if ask.size > 1:
            segment.page_size = ask.size // 2
            if not can_be_the_size and not self.has_begun:
                self._page_size = segment.page_size  # before any page came, it is of every page as large
            return
        segment.why = why
        lowest = -1 if segment.after is None else segment.after
        highest = self.last_key if segment.until is None else segment.until
        if isinstance(lowest, int) and isinstance(highest, int) and lowest < highest:
            segment.search = Search(lowest, highest)
            self._go_on_searching(segment, segment.search)
        else:
            self._give_up(segment, segment.until)

    def _is_all(self, rows: int, count: int | None) -> bool:
        """Whether these rows are all there are by the count that came with them.

        A server that caps its pages may count no further than its cap, so only a count is believed that is
        lower than one that was seen to go beyond its page.
        """
        if count is not None and count > rows:
            self._count_beyond = max(self._count_beyond, count)
        return count == rows < self._count_beyond

    def _go_on_searching(self, segment: Segment, search: Search) -> None:
        if not search.is_found and search.next == segment.until:
            search.tell(search.next, works=True)  # nothing is above it in this range
        if search.is_found:
            self._give_up(segment, search.works)
        elif search.fails >= search.end or (self._probes >= MOST_PROBES and search.works is None):
            self._give_up(segment, segment.until)
        elif self._probes >= MOST_PROBES:
            self._give_up(segment, search.works)

    def _give_up(self, segment: Segment, until: Id | None) -> None:
        """What is in this range up to a key is missing; go on above it."""
        self._lose(MissingRange(segment.after, until, segment.why))
        if until == segment.until:
            self._segments.remove(segment)
        else:
            segment.after, segment.page_size, segment.search = until, 1, None
        self.has_begun = True

    def _lose(self, lost: MissingRange) -> None:
        """Name what is missing; with a range that it touches it is one."""
        for place, other in enumerate(self.missing):
            if other.until is not None and other.until == lost.after:
                lost = MissingRange(other.after, lost.until, other.why)
            elif lost.until is not None and lost.until == other.after:
                lost = MissingRange(lost.after, other.until, lost.why)
            else:
                continue
            del self.missing[place]
            self._lose(lost)
            return
        self.missing.append(lost)

    def _finish(self, segment: Segment) -> None:
        self._segments.remove(segment)
        self.done += 1

    def _next_segment(self) -> Segment | None:
        for place, segment in enumerate(self._segments):
            if not segment.asked:
                return self._cut_off(place, segment) if self._ordered else segment
        return None if self._ordered else self._stolen()

    def _width(self, segment: Segment) -> int:
        """How much of the key line is left of it; 0 where that is not known or it cannot be cut."""
        until = self.last_key if segment.until is None else segment.until
        if segment.search is not None or not isinstance(segment.after, int) or not isinstance(until, int):
            return 0
        return until - segment.after

    def _cut_off(self, place: int, segment: Segment) -> Segment:
        """As much from its lower end as a page holds, so that the ranges above it can come meanwhile."""
        if self._ranges == 1 or self._width(segment) <= self._stride or not isinstance(segment.after, int):
            return segment
        if any(each.asked for each in self._segments[place + 1 :]):
            return segment  # what is cut off above would be asked for after the ranges that follow it
        end = segment.after + self._stride
        low = Segment(segment.after, end, segment.page_size, segment.span)
        segment.after = end
        self._segments.insert(place, low)
        return low

    def _stolen(self) -> Segment | None:
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

    def _check(self, ask: Ask, keys: Sequence[Id | None]) -> None:
        if None in keys:
            raise KeyFilterRefused("rows come without their key")
        if _are_integers(keys):
            if not all(map(lt, keys, keys[1:])):
                raise KeyFilterRefused("rows do not come in the order of their keys")
            is_above = not isinstance(ask.after, int) or keys[0] > ask.after
            is_below = not isinstance(ask.until, int) or keys[-1] <= ask.until
            if not (is_above and is_below):
                raise KeyFilterRefused("rows come from outside the range of keys that was asked for")
        elif ask.after is not None and ask.after in keys:
            raise KeyFilterRefused("rows come again")
        elif keys:
            before = [] if ask.after is None else [ask.after]
            self.order_checked = self.order_checked and _are_in_an_order(map(str, [*before, *keys]))


def _are_integers(keys: Sequence[Id | None]) -> TypeGuard[Sequence[int]]:
    return set(map(type, keys)) == {int}


def _are_in_an_order(texts: Iterable[str]) -> bool:
    """Whether they rise by code points, without regard to case, or as numbers."""
    exact = list(texts)
    forms: list[list[Any]] = [exact, [text.casefold() for text in exact]]
    if all(text.isdecimal() for text in exact):
        forms.append([(len(text.lstrip("0")), text.lstrip("0")) for text in exact])
    return any(all(map(le, form, form[1:])) for form in forms)


def _joined(ranges: Sequence[KeyRange]) -> list[KeyRange]:
    """Ranges in their order, with those that touch made one."""
    found: list[KeyRange] = []
    for each in ranges:
        if found and found[-1].until is not None and found[-1].until == each.after:
            found[-1] = KeyRange(found[-1].after, each.until)
        else:
            found.append(each)
    return found
