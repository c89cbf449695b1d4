"""The plan of a pull, with responses in any order from a changing list."""

from __future__ import annotations

import random
from bisect import bisect_left, bisect_right
from collections import deque
from itertools import accumulate
from typing import Any

import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from aiwyn_async._core.pull_report import KeyRange
from aiwyn_async._pull.key_ranges import KeyFilterIgnored
from aiwyn_async._pull.range_plan import RangePlan
from aiwyn_async._pull.segments import RangeRequest


class Server:
    """Keys in order. A request fails if its page contains an unreadable one."""

    def __init__(self, keys: set[int], unreadable: set[int], count: str = "exact") -> None:
        self.keys = sorted(keys)
        self.unreadable = unreadable
        self.count = count
        self.requests = 0

    def respond(self, request: RangeRequest) -> tuple[list[int], int | None] | None:
        """Return the keys and count of a page, or None if the request fails."""
        self.requests += 1
        low = 0 if request.after is None else bisect_right(self.keys, int(request.after))
        high = len(self.keys) if request.until is None else bisect_right(self.keys, int(request.until))
        rows = (
            self.keys[max(low, high - request.size) : high]
            if request.purpose == "last"
            else self.keys[low:high]
        )
        page = rows[: request.size]
        if self.unreadable.intersection(page):
            return None
        left = max(0, high - low)
        return page, {"exact": left, "none": None, "capped": min(left, 7)}[self.count]

    def insert(self, key: int) -> None:
        index = bisect_left(self.keys, key)
        if index == len(self.keys) or self.keys[index] != key:
            self.keys.insert(index, key)

    def delete(self, key: int) -> None:
        self.keys.pop(bisect_left(self.keys, key))


def pull(plan: RangePlan, server: Server, choose: random.Random, depth: int, move: Any = None) -> list[int]:
    """Execute a plan with responses in any order, and return the yielded keys."""
    in_flight: list[tuple[RangeRequest, Any]] = []
    yielded: list[int] = []
    for _ in range(20_000):
        while len(in_flight) < depth and (request := plan.next_request()) is not None:
            in_flight.append((request, server.respond(request)))
            if move is not None:
                move()
        if not in_flight:
            assert not plan.remaining
            return yielded
        request, page = in_flight.pop(choose.randrange(len(in_flight)))
        if request.purpose == "last":
            plan.receive_last_key(() if page is None else page[0])
        elif request.purpose == "probe":
            plan.receive_probe(request, works=page is not None)
        elif page is None:
            if request.size == 1 and request.until is None and plan.last_key is None and server.keys:
                plan.receive_last_key(server.keys[-1:])  # as the reader requests it in this case
            plan.fail_page(request, "failure", may_be_page_size=True)
        else:
            accepted = plan.receive_page(request, page[0], page[1])
            yielded += page[0][:accepted]
    raise AssertionError("the plan does not end")


def pull_in_order(plan: RangePlan, server: Server, depth: int) -> list[int]:
    """Execute an ordered plan with responses in order, urgent requests first."""
    in_flight: deque[RangeRequest] = deque()
    yielded: list[int] = []
    for _ in range(20_000):
        while len(in_flight) < depth and (request := plan.next_request()) is not None:
            (in_flight.appendleft if request.urgent else in_flight.append)(request)
        if not in_flight:
            return yielded
        request = in_flight.popleft()
        page = server.respond(request)
        assert page is not None
        if request.purpose == "last":
            plan.receive_last_key(page[0])
        else:
            yielded += page[0][: plan.receive_page(request, *page)]
    raise AssertionError("the plan does not end")


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
def test_every_row_is_yielded_once(rows: set[int], shape: tuple[int, int, bool, str], seed: int) -> None:
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
def test_ordered_plan_yields_rows_in_order(rows: set[int], page_size: int, ranges: int, count: str) -> None:
    plan = RangePlan(page_size, ranges=ranges, ordered=True)
    assert pull_in_order(plan, Server(rows, set(), count), ranges) == sorted(rows)


@given(keys, shapes, st.integers(0, 2**32))
@settings(deadline=None, max_examples=300)
def test_rows_present_throughout_are_yielded_once_while_the_list_changes(
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
            key = choose.choice(server.keys)
            server.delete(key)
            deleted.add(key)

    plan = RangePlan(page_size, ranges=ranges, ordered=ordered)
    try:
        yielded = pull(plan, server, choose, ranges, move)
    except KeyFilterIgnored as error:
        if str(error) != "the server did not order rows by descending key":
            raise
        reject()  # twice, the highest key was below the first page: its rows were deleted
    assert len(yielded) == len(set(yielded))
    assert rows - deleted <= set(yielded)


@given(keys, shapes, st.data(), st.integers(0, 2**32))
@settings(deadline=None, max_examples=300)
def test_unreadable_range_is_missing_and_a_resume_requests_only_it(
    rows: set[int], shape: tuple[int, int, bool, str], data: st.DataObject, seed: int
) -> None:
    page_size, ranges, ordered, count = shape
    line = sorted(rows) or [0]
    low = data.draw(st.integers(0, len(line) - 1))
    high = data.draw(st.integers(low, len(line) - 1))
    bad = set(line[low : high + 1]) & rows
    server = Server(rows, bad, count)
    plan = RangePlan(page_size, ranges=ranges, ordered=ordered)
    yielded = pull(plan, server, random.Random(seed), ranges)
    assert sorted(yielded) == sorted(rows - bad)
    left = [KeyRange(each.after, each.until) for each in plan.missing]
    assert all(any(_is_in(key, each) for each in left) for key in bad)

    server.unreadable = set()
    again = pull(
        RangePlan(page_size, ranges=ranges, ordered=ordered, left=left), server, random.Random(seed), ranges
    )
    assert sorted(again) == sorted(bad)


@given(keys, shapes, st.integers(0, 2**32), st.integers(1, 30))
@settings(deadline=None, max_examples=300)
def test_remaining_ranges_contain_exactly_the_rows_not_yielded(
    rows: set[int], shape: tuple[int, int, bool, str], seed: int, stop_after: int
) -> None:
    page_size, ranges, ordered, count = shape
    server, choose = Server(rows, set(), count), random.Random(seed)
    plan = RangePlan(page_size, ranges=ranges, ordered=ordered)
    received: list[int] = []
    in_flight: list[tuple[RangeRequest, Any]] = []
    for _ in range(stop_after):
        while len(in_flight) < ranges and (request := plan.next_request()) is not None:
            in_flight.append((request, server.respond(request)))
        if not in_flight:
            break
        request, page = in_flight.pop(choose.randrange(len(in_flight)))
        if request.purpose == "last":
            plan.receive_last_key(page[0])
        else:
            received += page[0][: plan.receive_page(request, *page)]
    left = plan.remaining
    assert [key for key in sorted(rows) if any(_is_in(key, each) for each in left)] == sorted(
        rows - set(received)
    )
    rest = pull(RangePlan(page_size, ranges=ranges, ordered=ordered, left=left), server, choose, ranges)
    assert sorted(received + rest) == sorted(rows)


def test_plan_that_may_not_split_sends_no_other_request() -> None:
    plan = RangePlan(10, ranges=3, ordered=False, left=[KeyRange(10, None)], last_key=1000)
    assert plan.next_request(may_split=False) is not None
    assert plan.next_request(may_split=False) is None
    assert plan.next_request() is not None


def test_idle_plan_splits_the_largest_range() -> None:
    plan = RangePlan(10, ranges=3, ordered=False)
    first = plan.next_request()
    assert first is not None
    assert plan.next_request() is None  # one request until more rows are known
    plan.receive_page(first, list(range(1, 11)), 1000)
    last = plan.next_request()
    assert last is not None
    assert last.purpose == "last"
    plan.receive_last_key([1000])
    requests = [plan.next_request() for _ in range(4)]
    assert [(each.after, each.until) for each in requests if each is not None] == [
        (10, None),  # its upper end is 257 after the splits
        (505, None),
        (257, 505),
    ]
    assert requests[3] is None


@pytest.mark.parametrize(
    "rows",
    [[5, 4], [5, 5], [3, 11], [1, 2], [7, None]],
    ids=["order", "twice", "above", "below", "no key"],
)
def test_rows_that_violate_the_key_filter_are_detected(rows: list[int | None]) -> None:
    plan = RangePlan(2, ranges=1, ordered=False, left=[KeyRange(2, 10)])
    request = plan.next_request()
    assert request is not None
    with pytest.raises(KeyFilterIgnored):
        plan.receive_page(request, rows, None)


def test_text_keys_are_read_in_one_range() -> None:
    plan = RangePlan(2, ranges=8, ordered=False)
    request = plan.next_request()
    assert request is not None
    plan.receive_page(request, ["b", "a"], 9)
    again = plan.next_request()
    assert again is not None
    assert (again.purpose, again.after) == ("page", "a")
    assert plan.next_request() is None


def _is_in(key: int, each: KeyRange) -> bool:
    return (each.after is None or key > int(each.after)) and (each.until is None or key <= int(each.until))
