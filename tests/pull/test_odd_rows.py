"""Pulls and lists with malformed rows, unusual keys and repeated pages."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest

from aiwyn_async import AiwynClient, PaginationError
from aiwyn_async.sandbox import Sandbox

MALFORMED = {
    "a control character": b'"bad":"\t",',
    "not a number": b'"bad":NaN,',
    "nesting": b'"bad":' + b"[" * 20_000 + b"]" * 20_000 + b",",
}


@pytest.fixture
async def box() -> AsyncIterator[Sandbox]:
    async with Sandbox(invoices=1_500, seed=5) as running:
        yield running


@pytest.mark.parametrize("fault", MALFORMED)
@pytest.mark.parametrize("name", ["list", "search", "pull"])
async def test_malformed_row_is_collected_by_its_key_and_no_other_row_is_lost(
    name: str, fault: str, box: Sandbox, aiwyn: AiwynClient
) -> None:
    key = int(str(box.query("SELECT id FROM invoices ORDER BY id LIMIT 1 OFFSET 1201")[0][0]))
    for route in ("invoices.list", "invoices.search"):
        box.faults.add(
            route,
            every=1,
            mutate=lambda body: re.sub(rb'("id":%d,)' % key, lambda match: match[1] + MALFORMED[fault], body),
        )
    read = getattr(aiwyn.invoices, name)(on_bad_row="collect", page_size=100)

    assert len(await read.collect()) == 1_499
    assert [row.key for row in read.bad_rows] == [key]
    assert read.report.problems() == ["1 rows do not decode and were left out"]


@pytest.mark.parametrize("is_nested", [True, False], ids=["data", "without count"])
@pytest.mark.parametrize("name", ["list", "pull"])
async def test_row_with_unbalanced_brackets_is_collected_in_any_envelope(
    name: str, is_nested: bool, box: Sandbox, aiwyn: AiwynClient
) -> None:
    key = int(str(box.query("SELECT id FROM invoices ORDER BY id LIMIT 1 OFFSET 1201")[0][0]))

    def mutate(body: bytes) -> bytes:
        body = re.sub(rb'("id":%d,)' % key, rb'\1"x":[1,', body)
        if is_nested:
            return b'{"data":%b}' % body
        return re.sub(rb',"deid_invoice_aggregate":.*', b"}", body)

    for route in ("invoices.list", "invoices.search"):
        box.faults.add(route, every=1, mutate=mutate)
    read = getattr(aiwyn.invoices, name)(on_bad_row="collect", page_size=100)

    assert len(await read.collect()) == 1_499
    assert [row.key for row in read.bad_rows] == [key]


@pytest.mark.parametrize("name", ["search", "pull"])
async def test_key_written_as_an_integral_decimal_is_an_integer(
    name: str, box: Sandbox, aiwyn: AiwynClient
) -> None:
    box.faults.add(
        "invoices.search", every=1, mutate=lambda body: re.sub(rb'\{"id":(\d+),', rb'{"id":\1.0,', body)
    )
    read = getattr(aiwyn.invoices, name)(page_size=500)

    assert len({row.id for row in await read.collect()}) == 1_500
    assert (read.report.complete, read.report.repaired_rows) == (True, 1_500)


async def test_count_ignores_a_malformed_first_row(box: Sandbox, aiwyn: AiwynClient) -> None:
    malformed = b'"bad":\t,"id":'
    box.faults.add("invoices.list", every=1, mutate=lambda body: body.replace(b'"id":', malformed, 1))

    assert await aiwyn.invoices.list().count() == 1_500


async def test_pull_ends_if_pages_of_text_keys_repeat(box: Sandbox, aiwyn: AiwynClient) -> None:
    repeated = b'{"deid_invoice":[%b]}' % b",".join(b'{"id":"k%02d"}' % number for number in range(100))
    requests: list[int] = []

    def mutate(body: bytes) -> bytes:
        requests.append(1)
        return repeated if len(requests) > 2 else body

    box.faults.add("invoices.search", every=1, mutate=mutate)

    with pytest.raises(PaginationError):
        await aiwyn.invoices.pull(page_size=100, ranges=1).collect()

    assert len(requests) < 50
