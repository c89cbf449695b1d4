"""Decisions of offset pagination, page by page, without a server."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from aiwyn_async._pagination.confirm import Evidence
from aiwyn_async._pagination.offset import OffsetPagination
from aiwyn_async._pagination.offset_state import PageKeys
from aiwyn_async._pagination.strategy import PageDecision, PageResult
from list_model import ListModel, keys_of


def receive(
    pagination: OffsetPagination,
    keys: Sequence[int | None],
    count: int | None = None,
    new: Sequence[int] | None = None,
) -> PageDecision:
    """Receive a page as the response to a new request."""
    assert pagination.next_request() is not None
    return pagination.receive(PageResult(keys, range(len(keys)) if new is None else new, count))


def rate(
    pagination: OffsetPagination, keys: Sequence[int], count: int | None = None, *, known: bool = False
) -> Evidence:
    """Rate a response to a new request."""
    assert pagination.next_request() is not None
    return pagination.evidence(PageResult(keys, (), count), known=known)


def test_count_that_becomes_smaller_does_not_prove_a_short_page() -> None:
    pagination = OffsetPagination(2, page_style="page")
    receive(pagination, [1, 2], 6)
    assert rate(pagination, [3], 3) is Evidence.UNPROVEN
    pagination = OffsetPagination(2, page_style="page")
    receive(pagination, [1, 2], 3)
    assert rate(pagination, [3], 3) is Evidence.SUFFICIENT


def test_count_as_low_as_the_first_page_does_not_prove_an_empty_page() -> None:
    """The server may have a smaller page size of its own, and count no more rows than that."""
    for trust_first_count, evidence in ((True, Evidence.SUFFICIENT), (False, Evidence.UNPROVEN)):
        pagination = OffsetPagination(3, page_style="page", trust_first_count=trust_first_count)
        receive(pagination, [1, 2, 3], 3)
        assert rate(pagination, [], 3) is evidence


def test_known_rows_after_a_short_page_are_not_after_a_gap() -> None:
    pagination = OffsetPagination(2, page_style="page")
    receive(pagination, [1, 2], 9)
    receive(pagination, [3], 9)
    assert not receive(pagination, [1, 2], 9, new=()).after_gap
    pagination = OffsetPagination(2, page_style="page")
    receive(pagination, [1, 2], 9)
    receive(pagination, [3], 9)
    assert receive(pagination, [4, 5], 9).after_gap


def test_resumed_rows_without_a_key_may_equal_those_of_the_page_before() -> None:
    pagination = OffsetPagination(1, limit=1)
    receive(pagination, [7], 3)
    options = {"limit": None, "resume": pagination.position()}
    assert rate(OffsetPagination(1, **options), [7], 3) is Evidence.WRONG  # type: ignore[arg-type]
    without_keys = OffsetPagination(1, **options, has_keys=False)  # type: ignore[arg-type]
    assert rate(without_keys, [7], 3) is Evidence.SUFFICIENT


def test_rows_are_streamed_from_the_third_page_of_page_numbers_without_limit() -> None:
    pagination = OffsetPagination(2, page_style="page")
    for page in range(2):
        assert not pagination.can_stream_rows
        receive(pagination, [2 * page, 2 * page + 1])
    assert pagination.can_stream_rows
    for other in (OffsetPagination(2, page_style="offset"), OffsetPagination(2, limit=9, page_style="page")):
        for page in range(2):
            receive(other, [2 * page, 2 * page + 1])
        assert not other.can_stream_rows


def test_page_of_another_length_discards_offset_requests_in_flight() -> None:
    """They begin at another row than the one after this page."""
    pagination = OffsetPagination(3, page_style="offset")
    receive(pagination, [1, 2, 3], 9)
    in_flight = [pagination.next_request() for _ in range(3)]
    assert [each and each.fields["page"] for each in in_flight] == [3, 6, 9]
    decision = pagination.receive(PageResult([4, 5], range(2), 9))
    assert decision.discard_in_flight
    request = pagination.next_request()
    assert request is not None
    assert request.fields["page"] == 5


def test_pages_of_rows_whose_keys_are_null_are_not_repeats() -> None:
    pagination = OffsetPagination(2, page_style="page")
    for _ in range(5):
        receive(pagination, [None, None])
    assert pagination.stop_reason is None


def test_empty_page_ends_a_list_unless_its_count_has_rows_beyond_it() -> None:
    pagination = OffsetPagination(2, page_style="page")
    receive(pagination, [1, 2], 4)
    receive(pagination, [], 4)
    assert pagination.stop_reason == "empty_page"
    pagination = OffsetPagination(2, page_style="page")
    receive(pagination, [1, 2], 5)
    receive(pagination, [], 5)
    assert pagination.stop_reason is None
    receive(pagination, [], 5)
    assert pagination.stop_reason == "empty_page"


def test_second_empty_page_is_sufficient_only_if_no_page_has_a_count() -> None:
    for first_count, count, expected in (
        (None, None, Evidence.SUFFICIENT),
        (None, 9, Evidence.UNPROVEN),
        (9, None, Evidence.UNPROVEN),
        (9, 9, Evidence.UNPROVEN),
    ):
        pagination = OffsetPagination(2, page_style="page")
        receive(pagination, [1, 2], first_count)
        assert rate(pagination, []) is Evidence.UNPROVEN
        pagination.receive(PageResult([], (), first_count))
        assert rate(pagination, [], count) is expected


def test_short_page_is_unproven_whatever_its_count() -> None:
    """The server's own page size may be smaller, but a faulty page may lack rows, too."""
    assert rate(OffsetPagination(3, page_style="page"), [1, 2], 9) is Evidence.UNPROVEN
    assert rate(OffsetPagination(3, page_style="page"), [1, 2]) is Evidence.UNPROVEN
    pagination = OffsetPagination(3, page_style="page")
    receive(pagination, [1, 2, 3], 9)
    assert rate(pagination, [4, 5], 9) is Evidence.UNPROVEN


def test_rows_after_an_empty_page_are_after_a_gap() -> None:
    pagination = OffsetPagination(2, page_style="page")
    receive(pagination, [1, 2], 9)
    receive(pagination, [], 9)
    assert receive(pagination, [3, 4], 9).after_gap
    assert not receive(pagination, [5, 6], 9).after_gap


@pytest.mark.parametrize(
    ("page", "following", "is_shift"),
    [
        ([1, 2, 3, 4, 5], [2, 3, 4, 5, 6], True),
        ([1, 2, 3, 4, 5], [2, 3, 4, 5], True),
        ([1, 2, 3, 4, 5], [2, 3, 4], True),
        ([1, 2, 3, 4, 5], [2, 3], True),
        ([1, 2, 3, 4, 5], [2, 3, 9], False),
        ([1, 2, 3, 4, 5], [2, 3, 4, 6, 7], False),
        ([1, 2, 3, 4, 5], [6, 7, 8, 9], False),
        ([1, 2, 3, 4, 5], [], False),
        ([1, 2], [2, 3], True),
        ([1, 2], [2], True),
        ([1, 2], [3], False),
        ([1], [1], False),
        ([1], [2], False),
        ([1, None, 3], [None, 3, 4], True),
        ([1, None], [None, 3], False),
    ],
)
def test_second_page_of_an_offset_begins_with_the_second_row(
    page: list[int | None], following: list[int | None], is_shift: bool
) -> None:
    assert PageKeys.of(page).is_followed_by_shift(following) is is_shift


def test_resumed_read_may_begin_with_the_page_before() -> None:
    pagination = OffsetPagination(2, page_style="page")
    receive(pagination, [1, 2], 9)
    resumed = OffsetPagination(2, resume=pagination.position())
    receive(resumed, [1, 2], 9)
    assert resumed.stop_reason is None


@pytest.mark.parametrize(("row_3", "following"), [([4, 5, 6], 6), ([10, 11, 12], 2)])
def test_request_for_the_row_after_two_shifted_pages_decides_the_style(
    row_3: list[int], following: int
) -> None:
    pagination = OffsetPagination(3)
    receive(pagination, [1, 2, 3])
    assert receive(pagination, [2, 3, 4], new=[2]).use
    probe = pagination.next_request()
    assert probe is not None
    assert probe.fields["page"] == 3
    is_offset = row_3[0] == 4
    decision = pagination.receive(PageResult(row_3, [1, 2] if is_offset else [0, 1, 2]))
    assert decision.use is is_offset
    request = pagination.next_request()
    assert request is not None
    assert request.fields["page"] == following


@pytest.mark.parametrize("skips", [True, False])
@pytest.mark.parametrize(("size", "clamp", "limit"), [(2, 1000, 3), (1000, 25, 26), (26, 25, 26)])
async def test_limit_within_the_page_that_shows_the_style_has_no_problem(
    size: int, clamp: int, limit: int, skips: bool
) -> None:
    pager = ListModel(list(range(60)), skips=skips, clamp=clamp).pager(size, limit=limit)
    assert await keys_of(pager) == list(range(limit))
    assert (pager.report.stop_reason, pager.report.problems()) == ("limit", [])


@pytest.mark.parametrize("limit", [2, 3])
async def test_read_resumed_at_its_limit_still_decides_the_style(limit: int) -> None:
    model = ListModel(list(range(5)), skips=True)
    pages = model.pager(2, limit=3).pages()
    await anext(pages)
    page = await anext(pages)
    await pages.aclose()
    rest = model.pager(2, limit=limit, resume=page.checkpoint)
    assert await keys_of(rest) == []
    assert bool(rest.report.problems()) is (limit < 3)


async def test_limit_within_a_list_that_moved_has_a_problem() -> None:
    model = ListModel(list(range(60)))

    def insert(model: ListModel) -> None:
        if len(model.rows) == 60:
            model.rows.insert(0, {"id": 60})

    model.after_each = insert
    pager = model.pager(2, limit=3)
    assert await keys_of(pager) == [0, 1, 2]
    assert pager.report.duplicates == 1
