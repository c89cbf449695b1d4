"""Reads by key go on past rows whose key is odd, and end where they come again and again."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest

from aiwyn_async import AiwynClient, PaginationError
from aiwyn_async.sandbox import Sandbox

TORN = {
    "a control character": b'"torn":"\t",',
    "not a number": b'"torn":NaN,',
    "nesting": b'"torn":' + b"[" * 20_000 + b"]" * 20_000 + b",",
}


@pytest.fixture
async def box() -> AsyncIterator[Sandbox]:
    async with Sandbox(invoices=1_500, seed=5) as found:
        yield found


@pytest.mark.parametrize("fault", TORN)
@pytest.mark.parametrize("name", ["list", "search", "pull"])
async def test_torn_row_costs_no_other_row_and_is_named_by_its_key(
    name: str, fault: str, box: Sandbox, aiwyn: AiwynClient
) -> None:
    key = int(str(box.query("SELECT id FROM invoices ORDER BY id LIMIT 1 OFFSET 1201")[0][0]))
    for route in ("invoices.list", "invoices.search"):
        box.faults.add(
            route,
            every=1,
            mutate=lambda body: re.sub(rb'("id":%d,)' % key, lambda found: found[1] + TORN[fault], body),
        )
    read = getattr(aiwyn.invoices, name)(on_bad_row="collect", page_size=100)

    assert len(await read.collect()) == 1_499
    assert [row.key for row in read.bad_rows] == [key]
    assert read.report.problems() == ["1 rows do not decode and were left out"]


@pytest.mark.parametrize("name", ["search", "pull"])
async def test_key_written_as_a_whole_decimal_is_that_number(
    name: str, box: Sandbox, aiwyn: AiwynClient
) -> None:
    box.faults.add(
        "invoices.search", every=1, mutate=lambda body: re.sub(rb'\{"id":(\d+),', rb'{"id":\1.0,', body)
    )
    read = getattr(aiwyn.invoices, name)(page_size=500)

    assert len({row.id for row in await read.collect()}) == 1_500
    assert read.report.complete


async def test_count_does_not_depend_on_the_first_row(box: Sandbox, aiwyn: AiwynClient) -> None:
    torn = b'"torn":\t,"id":'
    box.faults.add("invoices.list", every=1, mutate=lambda body: body.replace(b'"id":', torn, 1))

    assert await aiwyn.invoices.list().count() == 1_500


async def test_pull_ends_if_pages_of_text_keys_come_again(box: Sandbox, aiwyn: AiwynClient) -> None:
    again = b'{"deid_invoice":[%b]}' % b",".join(b'{"id":"k%02d"}' % number for number in range(100))
    asked: list[int] = []

    def answer(body: bytes) -> bytes:
        asked.append(1)
        return again if len(asked) > 2 else body

    box.faults.add("invoices.search", every=1, mutate=answer)

    with pytest.raises(PaginationError):
        await aiwyn.invoices.pull(page_size=100, ranges=1).collect()

    assert len(asked) < 50
