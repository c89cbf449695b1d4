"""Methods that lists, searches, pulls and changes share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import pytest

from aiwyn_async import AiwynClient, AiwynError, ConfigurationError, F, Read, ReadReport
from aiwyn_async.sandbox import Sandbox

Make = Callable[[AiwynClient], Read[Any]]

READS: dict[str, Make] = {
    "list": lambda aiwyn: aiwyn.invoices.list(page_size=7),
    "search": lambda aiwyn: aiwyn.invoices.search(page_size=7),
    "pull": lambda aiwyn: aiwyn.invoices.pull(page_size=7),
    "full scan": lambda aiwyn: aiwyn.payments.pull(page_size=7),
    "changes": lambda aiwyn: aiwyn.invoices.changes(page_size=7),
}
each_read = pytest.mark.parametrize("make", READS.values(), ids=READS.keys())


@pytest.fixture
async def box() -> AsyncIterator[Sandbox]:
    async with Sandbox(invoices=60, seed=5) as box:
        yield box


@pytest.fixture
async def aiwyn(box: Sandbox) -> AsyncIterator[AiwynClient]:
    async with AiwynClient(base_url=box.url, api_key=box.api_key, retries=0) as aiwyn:
        yield aiwyn


@each_read
async def test_rows_pages_and_collect_agree(make: Make, aiwyn: AiwynClient) -> None:
    rows = sorted([row.id async for row in make(aiwyn)])
    paged = [row.id async for page in make(aiwyn).pages() for row in page.items]
    read = make(aiwyn)
    assert sorted(row.id for row in await read.collect()) == rows == sorted(paged)
    assert isinstance(read.report, ReadReport)
    assert (read.report.complete, read.report.rows_yielded, read.error) == (True, len(rows), None)


@each_read
async def test_count_is_the_number_of_rows(make: Make, aiwyn: AiwynClient) -> None:
    assert await make(aiwyn).count() == len(await make(aiwyn).collect())


@each_read
async def test_first_is_a_row_or_none(make: Make, aiwyn: AiwynClient) -> None:
    row = await make(aiwyn).first()
    assert row is not None
    assert row.id in {each.id for each in await make(aiwyn).collect()}
    assert await aiwyn.invoices.search(F.id == -1).first() is None
    assert await aiwyn.invoices.pull(F.id == -1).first() is None


@each_read
async def test_resume_from_yields_the_rest(make: Make, aiwyn: AiwynClient) -> None:
    read = make(aiwyn)
    pages = read.pages()
    page = await anext(pages)
    await pages.aclose()
    rest = make(aiwyn).resume_from(page.checkpoint.to_json())
    assert rest.is_resumed
    keys = [row.id for row in page.items] + [row.id for row in await rest.collect()]
    # A full scan yields rows again after a checkpoint: it starts from the beginning.
    assert set(keys) == {row.id for row in await make(aiwyn).collect()}


@each_read
async def test_error_is_the_one_that_ended_the_latest_use(
    make: Make, aiwyn: AiwynClient, box: Sandbox
) -> None:
    read = make(aiwyn)
    box.faults.add("*", status=501, times=1000)
    with pytest.raises(AiwynError) as caught:
        await read.collect()
    assert read.error is caught.value
    box.faults.clear()
    await read.collect()
    assert read.error is None


@each_read
def test_read_is_not_iterated_synchronously(make: Make) -> None:
    client = AiwynClient(base_url="http://127.0.0.1:1", token="t")
    with pytest.raises(TypeError, match="async for"):
        list(cast("Any", make(client)))


@pytest.mark.parametrize(
    ("call", "verb"),
    [
        (lambda aiwyn: aiwyn.invoices.list(pagesize=3), "invoices.list"),
        (lambda aiwyn: aiwyn.invoices.search(ranges=3), "invoices.search"),
        (lambda aiwyn: aiwyn.invoices.pull(limit=3), "invoices.pull"),
        (lambda aiwyn: aiwyn.invoices.pull(client_id=3), "invoices.pull"),
        (lambda aiwyn: aiwyn.contacts.pull(client_id=3), "contacts.pull"),
        (lambda aiwyn: aiwyn.invoices.changes(ordered=True), "invoices.changes"),
    ],
)
def test_unknown_option_names_the_verb(call: Callable[[Any], object], verb: str) -> None:
    client = AiwynClient(base_url="http://127.0.0.1:1", token="t")
    with pytest.raises(TypeError, match=rf"^{verb}\(\) got an .*see help\(aiwyn\.{verb}\) for its"):
        call(client)


@pytest.mark.parametrize("where", [F.id == 1, {"id": {"_eq": 1}}, {}])
async def test_where_without_a_search_is_refused_before_anything_is_sent(
    where: Any, aiwyn: AiwynClient, box: Sandbox
) -> None:
    with pytest.raises(ConfigurationError, match="payments has no documented search endpoint"):
        aiwyn.payments.pull(where)
    with pytest.raises(ConfigurationError, match="payments has no documented search endpoint"):
        aiwyn.payments.pull(where=where)
    assert not box.requests


async def test_pull_without_a_search_takes_the_filters_of_list(aiwyn: AiwynClient) -> None:
    payments = await aiwyn.payments.list().collect()
    client = payments[0].client_id
    assert client is not None
    pull = aiwyn.payments.pull(client_id=client)
    assert sorted(row.id or 0 for row in await pull.collect()) == sorted(
        row.id or 0 for row in payments if row.client_id == client
    )
    assert pull.report.method == "full_scan"
