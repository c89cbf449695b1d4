"""Decisions of keyset pagination, page by page, without a server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from aiwyn_async._pagination.confirm import Evidence
from aiwyn_async._pagination.keyset import KeysetPagination
from aiwyn_async._pagination.strategy import MAX_STALE_PAGES, PageResult
from aiwyn_async._pagination.ties import Order, Ties
from aiwyn_async.errors import PaginationError, PaginationLoopError
from aiwyn_async.models.base import Id

TIME = "2024-05-01T10:00:00"
BY_TIME: Order = ((("updatedAt",), "desc"), (("id",), "desc"))


def fields(after: tuple[Any, ...] | None, ties: Ties | None, passed: Sequence[Id]) -> dict[str, Any]:
    return {"after": after, "ties": ties, "passed": passed}


def page(keys: Sequence[int], count: int | None = None, *, new: Sequence[int] | None = None) -> PageResult:
    return PageResult(keys, range(len(keys)) if new is None else new, count, [(key,) for key in keys])


def of_time(*keys: int, new: bool = True) -> PageResult:
    return PageResult(keys, range(len(keys)) if new else (), None, [(TIME, key) for key in keys])


def receive(pagination: KeysetPagination, result: PageResult) -> None:
    assert pagination.next_request() is not None
    pagination.receive(pagination.normalized(result))


def rate(received: Sequence[PageResult], result: PageResult, *, known: bool = False) -> Evidence:
    """Rate a response to the request after these pages of up to five rows."""
    pagination = KeysetPagination(5, fields)
    for each in received:
        receive(pagination, each)
    assert pagination.next_request() is not None
    return pagination.evidence(pagination.normalized(result), known=known)


@pytest.mark.parametrize(
    ("received", "result", "expected"),
    [
        ([], page([1, 2]), Evidence.UNPROVEN),
        ([], page([1, 2], 2), Evidence.SUFFICIENT),
        ([], page([1, 2], 9), Evidence.UNPROVEN),
        ([], page([1, 2, 3, 4, 5]), Evidence.SUFFICIENT),
        ([], page([2, 1]), Evidence.WRONG),
        ([page([1, 2, 3])], page([4, 5]), Evidence.UNPROVEN),
        ([page([1, 2, 3])], page([4, 5], 9), Evidence.UNPROVEN),
        ([page([1, 2, 3])], page([4, 5], 2), Evidence.SUFFICIENT),
        ([page([1, 2, 3])], page([4, 5, 6]), Evidence.SUFFICIENT),
        ([page([1, 2, 3])], page([3, 4, 5]), Evidence.SUFFICIENT),
        ([page([1, 2, 3])], page([3]), Evidence.WRONG),
        ([page([1, 2, 3])], page([2, 4, 5]), Evidence.WRONG),
        ([page([1, 2, 3])], page([]), Evidence.UNPROVEN),
        ([page([1, 2, 3, 4, 5], 10), page([6, 7, 8, 9, 10], 5)], page([], 0), Evidence.SUFFICIENT),
        ([page([1, 2, 3, 4, 5], 5)], page([], 0), Evidence.UNPROVEN),
        ([page([1, 2, 3, 4, 5], 5)], page([6, 7], 2), Evidence.UNPROVEN),
        ([], page([1, 2], 4), Evidence.UNPROVEN),
        ([page([1, 2, 3, 4, 5], 6)], page([], 0), Evidence.UNPROVEN),
    ],
)
def test_evidence_of_a_page(received: list[PageResult], result: PageResult, expected: Evidence) -> None:
    assert rate(received, result) is expected
    if result.keys:
        assert rate(received, result, known=True) is Evidence.WRONG


@pytest.mark.parametrize(
    ("limit", "last", "finished"),
    [(None, page([3]), False), (None, page([3], 1), True), (3, page([3]), False)],
)
def test_finished_read_resumes_without_a_request_unless_a_limit_ended_it(
    limit: int | None, last: PageResult, finished: bool
) -> None:
    pagination = KeysetPagination(2, fields, limit=limit)
    receive(pagination, page([1, 2]))
    receive(pagination, last)
    resumed = KeysetPagination(2, fields, resume=pagination.position())
    assert (resumed.next_request() is None) is finished


@pytest.mark.parametrize("limit", [1, 2])
def test_read_resumed_at_or_beyond_its_limit_requests_nothing(limit: int) -> None:
    pagination = KeysetPagination(2, fields)
    receive(pagination, page([1, 2]))
    resumed = KeysetPagination(2, fields, limit=limit, resume=pagination.position())
    assert (resumed.next_request(), resumed.stop_reason) == (None, "limit")


def test_known_rows_in_ever_other_orders_of_text_end_the_read() -> None:
    """As of a server that ignores the filter; text keys are in an order that only the server knows."""
    pagination = KeysetPagination(2, fields)
    receive(pagination, PageResult(["a", "b"], range(2), None, [("a",), ("b",)]))
    known = [PageResult(keys, (), None, [(key,) for key in keys]) for keys in (["b", "a"], ["a", "b"])]
    for index in range(MAX_STALE_PAGES - 1):
        receive(pagination, known[index % 2])
    with pytest.raises(PaginationLoopError):
        receive(pagination, known[1])


def test_rows_beyond_a_limit_are_not_known_to_the_resumed_read() -> None:
    """A server may return more rows than requested; those of the same instant are not excluded later."""
    options: Any = {"order": BY_TIME, "instants": frozenset({("updatedAt",)})}
    pagination = KeysetPagination(5, fields, limit=2, **options)
    receive(pagination, of_time(9, 8, 7, 6))
    assert pagination.stop_reason == "limit"
    request = KeysetPagination(5, fields, resume=pagination.position(), **options).next_request()
    assert request is not None
    assert request.fields["after"] == (TIME, 8)
    assert {key for keys in request.fields["ties"].known.values() for key in keys} == {9, 8}


def test_omitted_zeros_are_digits_that_a_server_shows() -> None:
    """Else every row of the second before would be requested again, and be a duplicate after a resume."""
    order: Order = ((("updatedAt",), "asc"), (("id",), "asc"))
    options: Any = {"order": order, "instants": frozenset({("updatedAt",)})}
    pagination = KeysetPagination(2, fields, **options)
    receive(pagination, PageResult([1, 2], range(2), 4, [(f"{TIME}.989998Z", 1), (f"{TIME}.99Z", 2)]))
    assert pagination.position()["after"] == [f"{TIME}.990000Z", 2]
    resumed = KeysetPagination(1, fields, resume=pagination.position(), **options)
    receive(resumed, PageResult([3], range(1), 2, [("2024-05-01T10:00:01Z", 3)]))
    request = resumed.next_request()
    assert request is not None
    assert request.fields["after"] == ("2024-05-01T10:00:01.000000Z", 3)
    assert request.fields["ties"].known == {"2024-05-01T10:00:01.000000Z": [3]}


def test_count_of_a_page_with_a_row_without_order_values_is_that_of_the_page() -> None:
    pagination = KeysetPagination(5, fields)
    receive(pagination, PageResult([1, 2, 3, 4, None], range(5), 5, [(1,), (2,), (3,), (4,)], unordered=[4]))
    assert pagination.next_request() is not None
    short = page([6, 7, 8], 3)
    assert pagination.evidence(short, known=False) is not Evidence.SUFFICIENT
    pagination.receive(short)
    assert pagination.stop_reason is None


def reading_by_key() -> KeysetPagination:
    """Return a pagination whose instant has more rows than its order shows."""
    pagination = KeysetPagination(2, fields, order=BY_TIME, instants=frozenset({("updatedAt",)}))
    receive(pagination, of_time(2, 1))
    receive(pagination, of_time(2, 1, new=False))
    return pagination


def test_rows_of_one_instant_are_read_by_ascending_key() -> None:
    pagination = reading_by_key()
    receive(pagination, of_time(1, 2, new=False))
    receive(pagination, of_time(3, 4))
    request = pagination.next_request()
    assert request is not None
    assert request.fields["ties"].last_key == 4
    pagination.receive(of_time())
    assert pagination.stop_reason is None
    request = pagination.next_request()
    assert request is not None
    assert request.fields["ties"] == Ties(column=0, known={}, past=TIME)


def test_limit_among_rows_of_one_instant_counts_those_without_a_key() -> None:
    before = reading_by_key().position()
    options: Any = {"order": BY_TIME, "instants": frozenset({("updatedAt",)})}
    pagination = KeysetPagination(2, fields, limit=3, resume=before, **options)
    values = [(TIME, key) for key in (3, 4, 5)]
    receive(pagination, PageResult([3, 4, None, None, 5], range(5), None, values, unordered=[2, 3]))
    assert pagination.stop_reason == "limit"
    request = KeysetPagination(2, fields, resume=pagination.position(), **options).next_request()
    assert request is not None
    assert request.fields["ties"].last_key == 3


@pytest.mark.parametrize("keys", [(5, 4), (3, 4), (2, 5)])
def test_rows_of_one_instant_must_follow_the_last_key(keys: tuple[int, int]) -> None:
    pagination = reading_by_key()
    receive(pagination, of_time(3, 4))
    assert pagination.next_request() is not None
    with pytest.raises(PaginationError):
        pagination.receive(pagination.normalized(of_time(*keys)))


def test_rows_without_order_values_in_an_instant_read_by_key_do_not_end_it() -> None:
    pagination = KeysetPagination(2, fields, order=BY_TIME, instants=frozenset({("updatedAt",)}))
    receive(pagination, of_time(9, 8))
    receive(pagination, of_time(9, 8, new=False))
    assert pagination.next_request() is not None
    decision = pagination.receive(PageResult([3], [0], None, [], [0]))
    assert (decision.use, decision.counts_all) == (True, False)
    request = pagination.next_request()
    assert request is not None
    assert (request.fields["ties"].by_key, request.fields["passed"]) == (True, [3])
    pagination.receive(PageResult([], []))
    request = pagination.next_request()
    assert request is not None
    assert (request.fields["ties"].by_key, request.fields["passed"]) == (False, [])


def test_moved_row_without_order_values_is_not_a_repeated_page() -> None:
    pagination = KeysetPagination(2, fields)
    receive(pagination, page([1, 2]))
    receive(pagination, PageResult([1], [], None, [], [0]))
    with pytest.raises(PaginationLoopError):
        receive(pagination, PageResult([1], [], None, [], [0]))
