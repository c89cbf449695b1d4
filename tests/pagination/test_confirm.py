"""Which of several responses to a page request is used, and whether it is confirmed."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from aiwyn_async._core.reports import ListReport
from aiwyn_async._pagination.confirm import Evidence, confirm

WRONG, UNPROVEN, SUFFICIENT = Evidence.WRONG, Evidence.UNPROVEN, Evidence.SUFFICIENT


class Rated(NamedTuple):
    """A response with its evidence."""

    evidence: Evidence
    keys: list[int]


@pytest.mark.parametrize(
    ("responses", "used", "is_confirmed", "rejected"),
    [
        ([Rated(SUFFICIENT, [1])], 0, True, []),
        ([Rated(UNPROVEN, []), Rated(UNPROVEN, [])], 0, True, []),
        ([Rated(UNPROVEN, [1]), Rated(SUFFICIENT, [1, 2])], 1, True, [0]),
        ([Rated(UNPROVEN, []), Rated(SUFFICIENT, [1])], 1, True, [0]),
        ([Rated(UNPROVEN, [9]), Rated(SUFFICIENT, [1])], 1, True, [0]),
        ([Rated(UNPROVEN, [1]), Rated(UNPROVEN, []), Rated(UNPROVEN, [1])], 0, True, [1]),
        ([Rated(UNPROVEN, []), Rated(UNPROVEN, [1]), Rated(UNPROVEN, [])], 1, False, [0]),
        ([Rated(UNPROVEN, [1]), Rated(UNPROVEN, [1, 2]), Rated(UNPROVEN, [1, 2])], 1, True, [0]),
        ([Rated(WRONG, [7, 8, 9]), Rated(UNPROVEN, [1]), Rated(UNPROVEN, [1])], 1, True, [0]),
        ([Rated(UNPROVEN, [1]), Rated(WRONG, [7, 8, 9]), Rated(WRONG, [7, 8, 9])], 0, False, [1]),
        ([Rated(UNPROVEN, [1]), Rated(UNPROVEN, [1, 2]), Rated(UNPROVEN, [1, 2, 3])], 2, False, [0, 1]),
        ([Rated(UNPROVEN, [1, 2]), Rated(UNPROVEN, [1]), Rated(UNPROVEN, [2])], 0, False, [1, 2]),
    ],
)
async def test_response_is_confirmed_by_itself_or_by_an_equal_one(
    responses: list[Rated], used: int, is_confirmed: bool, rejected: list[int]
) -> None:
    later = iter(responses[1:])
    unused: list[Rated] = []

    async def again() -> Rated:
        return next(later)

    report = ListReport()
    best = await confirm(responses[0], lambda each: each.evidence, again, reject=unused.append, report=report)
    assert (best, report.unstable_pages) == (responses[used], not is_confirmed)
    assert unused == [responses[index] for index in rejected]
    assert list(later) == [], "each is requested"
