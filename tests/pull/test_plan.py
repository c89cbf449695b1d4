"""The plan of a pull, told answers in any order by a list of keys that moves and fails in places."""

from __future__ import annotations

import random
from bisect import bisect_left, bisect_right
from collections import deque
from itertools import accumulate
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiwyn_async._core.reports import KeyRange
from aiwyn_async._pull.range_plan import KeyFilterIgnored, RangePlan, RangeRequest


class Server:
    """Keys in order. A request fails that would bring a poisoned one."""

    def __init__(self, keys: set[int], poisoned: set[int], count: str = "exact") -> None:
        self.keys = sorted(keys)
        self.poisoned = poisoned
        self.count = count
        self.requests = 0

    def answer(self, ask: RangeRequest) -> tuple[list[int], int | None] | None:
        """Keys and count, or None for a failure."""
        self.requests += 1
        low = 0 if ask.after is None else bisect_right(self.keys, int(ask.after))
        high = len(self.keys) if ask.until is None else bisect_right(self.keys, int(ask.until))
        rows = self.keys[max(low, high - ask.size) : high] if ask.purpose == "last" else self.keys[low:high]
        found = rows[: ask.size]
        if self.poisoned.intersection(found):
            return None
        left = max(0, high - low)
        return found, {"exact": left, "none": None, "capped": min(left, 7)}[self.count]

    def insert(self, key: int) -> None:
        place = bisect_left(self.keys, key)
        if place == len(self.keys) or self.keys[place] != key:
            self.keys.insert(place, key)

    def delete(self, key: int) -> None:
        self.keys.pop(bisect_left(self.keys, key))


def pull(plan: RangePlan, server: Server, choose: random.Random, depth: int, move: Any = None) -> list[int]:
    """Drive a plan to its end, answers coming in any order; the keys given."""
    in_flight: list[tuple[RangeRequest, Any]] = []
    given_keys: list[int] = []
    for _ in range(20_000):
        while len(in_flight) < depth and (ask := plan.next_request()) is not None:
            in_flight.append((ask, server.answer(ask)))
            if move is not None:
                move()
        if not in_flight:
            assert plan.is_finished
            return given_keys
        ask, found = in_flight.pop(choose.randrange(len(in_flight)))
        if ask.purpose == "last":
            plan.receive_last_key(() if found is None else found[0])
        elif ask.purpose == "probe":
            plan.receive_probe(ask, works=found is not None)
        elif found is None:
            if ask.size == 1 and ask.until is None and plan.last_key is None and server.keys:
                plan.receive_last_key(server.keys[-1:])  # as whoever drives it asks for it then
            plan.fail_page(ask, "it fails", may_be_page_size=True)
        else:
            kept = plan.receive_page(ask, found[0], found[1])
            given_keys += found[0][:kept]
    raise AssertionError("the plan comes to no end")


def pull_in_order(plan: RangePlan, server: Server, depth: int) -> list[int]:
    """Drive an ordered plan as its reader does: the oldest answer first, what is urgent before all."""
    in_flight: deque[RangeRequest] = deque()
    given_keys: list[int] = []
    for _ in range(20_000):
        while len(in_flight) < depth and (ask := plan.next_request()) is not None:
            (in_flight.appendleft if ask.urgent else in_flight.append)(ask)
        if not in_flight:
            return given_keys
        ask = in_flight.popleft()
        found = server.answer(ask)
        assert found is not None
        if ask.purpose == "last":
            plan.receive_last_key(found[0])
        else:
            given_keys += found[0][: plan.receive_page(ask, *found)]
    raise AssertionError("the plan comes to no end")


keys = st.one_of(
    st.sets(st.integers(0, 400), max_size=200),
    st.sets(st.integers(0, 10**12), max_size=60),
    # Dense at the bottom, sparse above.
    st.builds(
        lambda few, many: set(range(many)) | few,
        st.sets(st.integers(0, 10**9), max_size=9),
        st.integers(0, 150),
    ),
)
shapes = st.tuples(
    st.integers(1, 40), st.integers(1, 9), st.booleans(), st.sampled_from(["exact", "none", "capped"])
)


@given(keys, shapes, st.integers(0, 2**32))
@settings(deadline=None, max_examples=300)
def test_every_row_is_given_once(rows: set[int], shape: tuple[int, int, bool, str], seed: int) -> None:
    page_size, ranges, ordered, count = shape
    server = Server(rows, set(), count)
    plan = RangePlan(page_size, ranges=ranges, ordered=ordered)
    assert sorted(pull(plan, server, random.Random(seed), ranges)) == sorted(rows)
    assert plan.missing == []


gapped = st.builds(
    lambda gaps: set(accumulate(gaps)), st.lists(st.integers(1, 30), min_size=50, max_size=400)
)


@given(keys | gapped, st.integers(1, 40), st.integers(1, 9), st.sampled_from(["exact", "none", "capped"]))
@settings(deadline=None, max_examples=500)
def test_an_ordered_pull_gives_rows_in_order(rows: set[int], page_size: int, ranges: int, count: str) -> None:
    plan = RangePlan(page_size, ranges=ranges, ordered=True)
    assert pull_in_order(plan, Server(rows, set(), count), ranges) == sorted(rows)


@given(keys, shapes, st.integers(0, 2**32))
@settings(deadline=None, max_examples=300)
def test_what_is_there_throughout_is_given_once_however_the_list_moves(
    rows: set[int], shape: tuple[int, int, bool, str], seed: int
) -> None:
    page_size, ranges, ordered, count = shape
    server, choose = Server(rows, set(), count), random.Random(seed)
    deleted: set[int] = set()
    moves = [200]

    def move() -> None:
        moves[0] -= 1
        if moves[0] < 0:
            return
        server.insert(choose.randrange(0, 500))
        if server.keys:
            gone = choose.choice(server.keys)
            server.delete(gone)
            deleted.add(gone)

    given_keys = pull(RangePlan(page_size, ranges=ranges, ordered=ordered), server, choose, ranges, move)
    assert len(given_keys) == len(set(given_keys))
    assert rows - deleted <= set(given_keys)


@given(keys, shapes, st.data(), st.integers(0, 2**32))
@settings(deadline=None, max_examples=300)
def test_one_bad_stretch_costs_itself_alone_and_a_resume_asks_for_nothing_else(
    rows: set[int], shape: tuple[int, int, bool, str], data: st.DataObject, seed: int
) -> None:
    page_size, ranges, ordered, count = shape
    line = sorted(rows) or [0]
    low = data.draw(st.integers(0, len(line) - 1))
    high = data.draw(st.integers(low, len(line) - 1))
    bad = set(line[low : high + 1]) & rows
    server = Server(rows, bad, count)
    plan = RangePlan(page_size, ranges=ranges, ordered=ordered)
    given_keys = pull(plan, server, random.Random(seed), ranges)
    assert sorted(given_keys) == sorted(rows - bad)
    left = [KeyRange(each.after, each.until) for each in plan.missing]
    assert all(any(_is_in(key, each) for each in left) for key in bad)

    server.poisoned = set()
    again = pull(
        RangePlan(page_size, ranges=ranges, ordered=ordered, left=left), server, random.Random(seed), ranges
    )
    assert sorted(again) == sorted(bad)


@given(keys, shapes, st.integers(0, 2**32), st.integers(1, 30))
@settings(deadline=None, max_examples=300)
def test_what_is_left_at_any_time_is_what_was_not_given(
    rows: set[int], shape: tuple[int, int, bool, str], seed: int, stop_after: int
) -> None:
    page_size, ranges, ordered, count = shape
    server, choose = Server(rows, set(), count), random.Random(seed)
    plan = RangePlan(page_size, ranges=ranges, ordered=ordered)
    told: list[int] = []
    in_flight: list[tuple[RangeRequest, Any]] = []
    for _ in range(stop_after):
        while len(in_flight) < ranges and (ask := plan.next_request()) is not None:
            in_flight.append((ask, server.answer(ask)))
        if not in_flight:
            break
        ask, found = in_flight.pop(choose.randrange(len(in_flight)))
        if ask.purpose == "last":
            plan.receive_last_key(found[0])
        else:
            told += found[0][: plan.receive_page(ask, *found)]
    left = plan.remaining
    assert [key for key in sorted(rows) if any(_is_in(key, each) for each in left)] == sorted(
        rows - set(told)
    )
    rest = pull(RangePlan(page_size, ranges=ranges, ordered=ordered, left=left), server, choose, ranges)
    assert sorted(told + rest) == sorted(rows)


def test_an_idle_reader_takes_half_of_the_largest_range() -> None:
    plan = RangePlan(10, ranges=3, ordered=False)
    first = plan.next_request()
    assert first is not None
    assert plan.next_request() is None  # alone until it is known that there is more
    plan.receive_page(first, list(range(1, 11)), 1000)
    last = plan.next_request()
    assert last is not None
    assert last.purpose == "last"
    plan.receive_last_key([1000])
    asked = [plan.next_request() for _ in range(4)]
    assert [(each.after, each.until) for each in asked if each is not None] == [
        (10, None),  # of which 257 is its upper end by now
        (505, None),
        (257, 505),
    ]
    assert asked[3] is None


@pytest.mark.parametrize(
    "rows",
    [[5, 4], [5, 5], [3, 11], [1, 2], [7, None]],
    ids=["order", "twice", "above", "below", "no key"],
)
def test_a_server_that_does_not_keep_to_the_filter_is_found_out(rows: list[int | None]) -> None:
    plan = RangePlan(2, ranges=1, ordered=False, left=[KeyRange(2, 10)])
    ask = plan.next_request()
    assert ask is not None
    with pytest.raises(KeyFilterIgnored):
        plan.receive_page(ask, rows, None)


def test_keys_that_are_text_are_read_in_one_range() -> None:
    plan = RangePlan(2, ranges=8, ordered=False)
    ask = plan.next_request()
    assert ask is not None
    plan.receive_page(ask, ["b", "a"], 9)
    again = plan.next_request()
    assert again is not None
    assert (again.purpose, again.after) == ("page", "a")
    assert plan.next_request() is None


def _is_in(key: int, each: KeyRange) -> bool:
    return (each.after is None or key > int(each.after)) and (each.until is None or key <= int(each.until))
