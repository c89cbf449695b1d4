"""Every combination of a small list, a server, one fault and one stop."""

from __future__ import annotations

from itertools import product
from typing import Any, NamedTuple

from aiwyn_async.errors import PaginationError
from list_model import Count, ListModel

ROWS = 4
FAULTS = ("empty", "short", "headless", "repeated")


class Case(NamedTuple):
    """A list and its server, how it is read, the faulty response, and after which page the read stops."""

    keys: bool
    skips: bool
    counts: Count
    size: int
    limit: int | None
    fault: tuple[int, str] | None = None
    stop: int | None = None


class Outcome(NamedTuple):
    """What a read, in parts if it stopped, returned."""

    rows: list[int]
    problems: list[str]
    pages: int
    requests: int


async def read(case: Case) -> Outcome:
    """Read a list; if it stops after some pages, with another read from its checkpoint."""
    rows: list[dict[str, Any]] = [{"id": x if case.keys else None, "x": x} for x in range(ROWS)]
    model = ListModel([], skips=case.skips, count=case.counts, rows=rows)
    right, at = model.pages, case.fault or (None, "")

    def served(fields: dict[str, Any]) -> list[dict[str, Any]]:
        page, number = right(fields), len(model.requests) - 1
        before = right(model.requests[max(0, number - 1)])
        faulty = {"empty": [], "short": page[:-1], "headless": page[1:], "repeated": before}
        return faulty[at[1]] if number == at[0] else page

    model.pages = served
    received: list[int] = []
    pages, checkpoint, report = 0, None, None
    for stop in (case.stop, None) if case.stop else (None,):
        pager = model.pager(case.size, limit=case.limit, resume=checkpoint)
        steps, number = pager.pages(), 0
        try:
            while number != stop and (page := await anext(steps, None)) is not None:
                received += [row["x"] for row in page.items]
                checkpoint, number = page.checkpoint, number + 1
        except PaginationError as error:
            return Outcome(received, [str(error)], pages, len(model.requests))
        await steps.aclose()
        pages, report = pages + number, pager.report
    return Outcome(received, [] if report is None else report.problems(), pages, len(model.requests))


async def check(case: Case) -> Outcome:
    outcome = await read(case)
    assert outcome.rows == list(range(ROWS))[: case.limit] or outcome.problems, case
    return outcome


async def test_every_row_of_a_small_list_arrives_once_or_a_problem_is_named() -> None:
    counts: tuple[Count, ...] = ("exact", "absent")
    for options in product((True, False), (False, True), counts, (2, 3), (None, 3)):
        case = Case(*options)
        whole = await check(case)
        assert whole.problems == [], case
        for fault in product(range(whole.requests), FAULTS):
            await check(case._replace(fault=fault))
        for stop in range(1, whole.pages + 1) if case.keys else ():
            stopped = await check(case._replace(stop=stop))
            assert stopped.problems == [], (case, stop)
            for fault in product(range(stopped.requests), FAULTS):
                await check(case._replace(stop=stop, fault=fault))
