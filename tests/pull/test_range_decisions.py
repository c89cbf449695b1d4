"""Decisions of the plan of a pull, response by response, without a server."""

from __future__ import annotations

import pytest

from aiwyn_async._core.pull_report import KeyRange, MissingRange
from aiwyn_async._pagination.confirm import Evidence
from aiwyn_async._pull.key_ranges import KeyFilterIgnored
from aiwyn_async._pull.range_plan import RangePlan
from aiwyn_async._pull.segments import RangeRequest
from aiwyn_async.models.base import Id


def next_request(plan: RangePlan) -> RangeRequest:
    request = plan.next_request()
    assert request is not None
    return request


def test_search_for_a_readable_row_does_not_probe_the_end_of_its_range() -> None:
    """No row follows there."""
    plan = RangePlan(1, ranges=1, ordered=False, left=[KeyRange(0, 2)])
    plan.fail_page(next_request(plan), "failure", may_be_page_size=True)
    probe = next_request(plan)
    assert (probe.purpose, probe.after, probe.until) == ("probe", 1, 2)
    plan.receive_probe(probe, works=False)
    assert plan.next_request() is None
    assert not plan.remaining
    assert plan.missing == [MissingRange(0, 2, "failure")]


@pytest.mark.parametrize("start", [0, 1, 2])
def test_probes_of_a_pull_are_limited(start: int) -> None:
    plan = RangePlan(1, ranges=1, ordered=False, left=[KeyRange(start, 50_000)])
    probes = 0
    while (request := plan.next_request()) is not None:
        if request.purpose == "page":
            plan.fail_page(request, "failure", may_be_page_size=True)
        else:
            probes += 1
            plan.receive_probe(request, works=int(str(request.after)) % 3 == 0)
    assert probes == 400
    assert plan.missing == [MissingRange(start, 50_000, "failure")]


def test_page_as_long_as_the_longest_proves_itself_and_a_shorter_one_does_not() -> None:
    """A server may have a smaller page size of its own, and no count."""
    plan = RangePlan(10, ranges=1, ordered=False, left=[KeyRange(0, 1000)])
    request = next_request(plan)
    assert plan.rate_page(request, [1, 2, 3], None) is Evidence.UNPROVEN
    for received in ([1, 2, 3], [4, 5]):
        plan.receive_page(request, received, None)
        request = next_request(plan)
        assert plan.rate_page(request, [6, 7, 8], None) is Evidence.SUFFICIENT
        assert plan.rate_page(request, [6, 7], None) is Evidence.UNPROVEN


def test_page_of_a_smaller_size_does_not_prove_another_as_short_as_it() -> None:
    """It was as long as requested, so the server has no smaller page size of its own."""
    plan = RangePlan(2, ranges=1, ordered=False, left=[KeyRange(0, 1000)])
    plan.fail_page(next_request(plan), "failure", may_be_page_size=True)
    request = next_request(plan)
    assert request.size == 1
    plan.receive_page(request, [1], None)
    request = next_request(plan)
    assert request.size == 2
    assert plan.rate_page(request, [5], None) is Evidence.UNPROVEN


def test_no_range_is_requested_before_the_highest_key_is_known() -> None:
    plan = RangePlan(2, ranges=3, ordered=False)
    plan.receive_page(next_request(plan), [1, 2], 1000)
    assert next_request(plan).purpose == "last"
    assert plan.next_request() is None
    plan.receive_last_key([1000])
    assert [next_request(plan).purpose for _ in range(3)] == ["page"] * 3


def test_highest_key_is_requested_again_after_an_empty_response() -> None:
    plan = RangePlan(2, ranges=1, ordered=False)
    plan.receive_page(next_request(plan), [1, 2], None)
    assert next_request(plan).purpose == "last"
    plan.receive_last_key([])
    assert next_request(plan).purpose == "last"
    plan.receive_last_key([])
    assert next_request(plan).purpose == "page"


def test_highest_key_below_the_first_page_is_requested_again() -> None:
    plan = RangePlan(2, ranges=1, ordered=False)
    plan.receive_page(next_request(plan), [5, 9], None)
    assert next_request(plan).purpose == "last"
    plan.receive_last_key([5])
    assert next_request(plan).purpose == "last"
    with pytest.raises(KeyFilterIgnored, match="descending"):
        plan.receive_last_key([5])


def test_rows_above_a_range_that_was_split_are_not_received() -> None:
    """A discarded response has such a row, and no page of its range: the range is read again."""
    plan = RangePlan(10, ranges=2, ordered=False, left=[KeyRange(0, 1000)])
    lower, upper = next_request(plan), next_request(plan)
    assert (lower.until, upper.after, upper.until) == (1000, 500, 1000)
    plan.reject([600])
    assert plan.receive_page(lower, [600], None) == 0
    plan.receive_page(upper, [], None)
    plan.receive_page(next_request(plan), [], None)
    again = next_request(plan)
    assert (again.after, again.until) == (0, 1000)


def test_text_key_is_not_compared_with_the_highest_integer() -> None:
    plan = RangePlan(2, ranges=1, ordered=False, last_key=9)
    plan.receive_page(next_request(plan), ["a", "b"], 3)
    plan.receive_page(next_request(plan), [], None)
    assert not plan.remaining


def test_probes_end_at_the_highest_key() -> None:
    plan = RangePlan(1, ranges=1, ordered=False, last_key=2)
    plan.fail_page(next_request(plan), "failure", may_be_page_size=True)
    for key in (0, 2):
        probe = next_request(plan)
        assert (probe.purpose, probe.after) == ("probe", key)
        plan.receive_probe(probe, works=False)
    assert not plan.remaining
    assert plan.missing == [MissingRange(None, None, "failure")]


def test_page_size_grows_back_unless_the_server_refused_it_at_the_start() -> None:
    for starts, may_be_page_size, size in ((True, True, 8), (True, False, 4), (False, False, 8)):
        plan = RangePlan(8, ranges=1, ordered=False)
        if not starts:
            plan.receive_page(next_request(plan), list(range(-8, 0)), 20)
        plan.fail_page(next_request(plan), "failure", may_be_page_size=may_be_page_size)
        request = next_request(plan)
        assert request.size == 4
        plan.receive_page(request, list(range(4)), 12)
        assert next_request(plan).size == size


def test_range_below_the_highest_key_ends_with_an_empty_page() -> None:
    left = [KeyRange(0, 500), KeyRange(500, None)]
    plan = RangePlan(2, ranges=2, ordered=False, left=left, last_key=1000)
    lower, upper = next_request(plan), next_request(plan)
    plan.receive_page(lower, [], None)
    assert plan.remaining == left[1:]
    plan.receive_page(upper, [], None)
    assert plan.remaining == left[1:], "it should contain the highest key"
    assert (next_request(plan).after, plan.ranges_completed) == (500, 1)


def test_range_that_contains_the_highest_key_does_not_end_below_it() -> None:
    plan = RangePlan(2, ranges=1, ordered=False, left=[KeyRange(500, 1000)], last_key=1000)
    plan.receive_page(next_request(plan), [], None)
    assert plan.remaining == [KeyRange(500, 1000)]
    plan.receive_page(next_request(plan), [1000], None)
    assert not plan.remaining


def test_highest_key_is_verified_in_the_whole_list() -> None:
    plan = RangePlan(2, ranges=2, ordered=False, left=[KeyRange(5, None)])
    last = next_request(plan)
    assert (last.purpose, last.after) == ("last", None)
    plan.receive_last_key([9])
    for _ in range(2):
        plan.receive_page(next_request(plan), [], None)
    last = next_request(plan)
    assert (last.purpose, last.after) == ("last", None)
    plan.receive_last_key([9])
    assert plan.missing == [MissingRange(5, None, "the highest key, 9, was not received")]


def test_highest_key_is_not_requested_if_no_range_is_left() -> None:
    """The first page failed, and the server has no row."""
    plan = RangePlan(1, ranges=1, ordered=False)
    request = next_request(plan)
    plan.receive_last_key([])
    plan.fail_page(request, "failure", may_be_page_size=True)
    assert plan.next_request() is None
    assert plan.missing == [MissingRange(None, None, "failure")]


@pytest.mark.parametrize(("highest", "is_missing"), [("z", True), ("b", False)])
def test_highest_text_key_is_verified(highest: str, is_missing: bool) -> None:
    plan = RangePlan(2, ranges=1, ordered=False)
    plan.receive_page(next_request(plan), ["a", "b"], None)
    assert next_request(plan).purpose == "last"
    plan.receive_last_key(["z"])
    for _ in range(2):
        plan.receive_page(next_request(plan), [], None)
    assert next_request(plan).purpose == "last"
    plan.receive_last_key([highest])
    missing = MissingRange("b", None, "the highest key, z, was not received")
    assert plan.missing == [missing] * is_missing
    assert not plan.remaining


def test_highest_text_key_may_be_deleted_after_the_first_page() -> None:
    """The highest of the other keys was received."""
    plan = RangePlan(3, ranges=1, ordered=False)
    plan.receive_page(next_request(plan), ["a", "b", "c"], None)
    assert next_request(plan).purpose == "last"
    plan.receive_last_key(["a"])
    plan.receive_page(next_request(plan), [], None)
    assert plan.next_request() is None
    assert not plan.missing


@pytest.mark.parametrize("last_page", [[], ["z"]])
def test_received_highest_text_key_needs_no_other_request(last_page: list[Id]) -> None:
    plan = RangePlan(2, ranges=1, ordered=False)
    plan.receive_page(next_request(plan), ["a", "b"], None)
    assert next_request(plan).purpose == "last"
    plan.receive_last_key([*last_page, "b"][:1])
    for keys in [last_page, []] if last_page else [[]]:
        plan.receive_page(next_request(plan), keys, None)
    assert plan.next_request() is None


def test_ordered_pull_requests_short_ranges_from_the_lower_end() -> None:
    plan = RangePlan(10, ranges=4, ordered=True)
    plan.receive_page(next_request(plan), list(range(1, 11)), 1000)
    assert next_request(plan).purpose == "last"
    plan.receive_last_key([1000])
    heads = [next_request(plan) for _ in range(3)]
    assert [(each.after, each.until, each.urgent) for each in heads] == [
        (10, 20, True),
        (20, 30, False),
        (30, 40, False),
    ]
    plan.receive_page(heads[0], [20], None)  # few rows: the next ranges are wider
    assert next_request(plan).until == 60


def test_range_of_less_than_two_pages_is_not_split() -> None:
    for until, requests in ((30, 1), (31, 2)):
        plan = RangePlan(10, ranges=3, ordered=False, left=[KeyRange(0, until)])
        plan.receive_page(next_request(plan), list(range(1, 11)), None)
        assert len(list(iter(plan.next_request, None))) == requests


def test_progress_of_a_range_is_the_fraction_of_its_keys() -> None:
    plan = RangePlan(10, ranges=1, ordered=False, left=[KeyRange(100, 200)])
    plan.receive_page(next_request(plan), list(range(101, 111)), None)
    (progress,) = plan.progress()
    assert progress.fraction == pytest.approx(0.1)
