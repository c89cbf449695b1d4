"""Whether a response proves its content, or its page must be requested again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from enum import IntEnum
from typing import Final, Protocol, TypeVar

from aiwyn_async._core.reports import ReadReport
from aiwyn_async.models.base import Id

MAX_REPEATS: Final = 2
"""Requests beyond the first: the second shows a difference, the third decides it."""


class Evidence(IntEnum):
    """How far a response can be relied on by itself."""

    WRONG = 0
    """Rows that the request does not allow, or only rows received before."""
    UNPROVEN = 1
    """No rows, or fewer than requested, without a count that agrees."""
    SUFFICIENT = 2


class HasKeys(Protocol):
    """A decoded page."""

    @property
    def keys(self) -> Sequence[Id | None]: ...


PageT = TypeVar("PageT", bound=HasKeys)


async def confirm(
    page: PageT,
    evidence_of: Callable[[PageT], Evidence],
    again: Callable[[], Awaitable[PageT]],
    *,
    reject: Callable[[PageT], None],
    report: ReadReport,
) -> PageT:
    """Return the page to use: one that is confirmed by itself, or by two responses of the same keys.

    A page that is not sufficient by itself is requested again, at most twice.

    Args:
        page: the first response.
        evidence_of: rates a response.
        again: requests the same page again.
        reject: is called with each response that is not used.
        report: counts the page if it is not confirmed.
    """
    best, evidence = page, evidence_of(page)
    candidates: list[PageT] = [page]
    is_confirmed = evidence == Evidence.SUFFICIENT
    while not is_confirmed and len(candidates) <= MAX_REPEATS:
        other = await again()
        same = next((each for each in candidates if list(each.keys) == list(other.keys)), None)
        if same is not None:
            is_confirmed = same is best
            break
        candidates.append(other)
        other_evidence = evidence_of(other)
        # Of two that the request allows, the one with more rows: the list may have become shorter.
        other_rank = (other_evidence > Evidence.WRONG, len(other.keys), other_evidence)
        if other_rank > (evidence > Evidence.WRONG, len(best.keys), evidence):
            best, evidence = other, other_evidence
        is_confirmed = other_evidence == Evidence.SUFFICIENT
    for each in candidates:
        if each is not best:
            reject(each)
    report.unstable_pages += not is_confirmed
    return best
