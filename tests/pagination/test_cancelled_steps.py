"""A step of any read, cancelled at any of its suspension points, can be repeated without losing a row."""

# The slots of the client's limiter are private.
# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from aiwyn_async import AiwynClient, Page
from aiwyn_async.errors import PaginationError, ServerError
from aiwyn_async.sandbox import Sandbox
from cancelling import Cancellation, When
from looking_inside import until

Read = Callable[[AiwynClient, list[Any]], AsyncIterator[Any]]


@pytest.fixture
def box() -> Iterator[Sandbox]:
    """A sandbox in a separate thread, so that all tasks of this loop are the client's."""
    with Sandbox(invoices=95, seed=7) as running:
        yield running


READS: dict[str, Read] = {
    "list rows": lambda aiwyn, _: aiter(aiwyn.invoices.list(page_size=40)),
    "search rows": lambda aiwyn, _: aiter(aiwyn.invoices.search(page_size=40)),
    "list pages": lambda aiwyn, _: aiwyn.invoices.list(page_size=40).pages(),
    "search pages": lambda aiwyn, _: aiwyn.invoices.search(page_size=40).pages(),
    "pull rows": lambda aiwyn, _: aiter(aiwyn.invoices.pull(page_size=40)),
    "pull batches": lambda aiwyn, _: aiwyn.invoices.pull(page_size=40, ranges=2, ordered=True).pages(),
    "pull of a list": lambda aiwyn, _: aiter(aiwyn.payments.pull(page_size=40)),
    "changes": lambda aiwyn, _: aiter(aiwyn.invoices.changes(since="2000-01-01", page_size=40)),
    "changes batches": lambda aiwyn, _: aiwyn.invoices.changes(page_size=40).pages(),
    "get_many": lambda aiwyn, keys: aiwyn.invoices.get_many(keys),
}
MAX_POINTS = 40


def keys_of(item: Any) -> list[int]:
    if isinstance(item, Page):
        page: Page[Any] = item
        return [row.id for row in page.items]
    return [item.key if hasattr(item, "key") else item.id]


async def read_through(items: AsyncIterator[Any], cancellation: Cancellation) -> list[int]:
    """The keys of all items; a cancelled step is repeated."""
    received: list[int] = []
    while True:
        try:
            item = await cancellation.step(anext(items))
        except asyncio.CancelledError:
            await asyncio.sleep(0)
        except StopAsyncIteration:
            return received
        else:
            received += keys_of(item)


async def settle(before: set[asyncio.Task[Any]]) -> set[asyncio.Task[Any]]:
    """The tasks that are left after a few turns of the loop."""
    for _ in range(100):
        if not asyncio.all_tasks() - before:
            break
        await asyncio.sleep(0)
    return asyncio.all_tasks() - before


@pytest.mark.parametrize("when", ["suspended", "woken"])
@pytest.mark.parametrize("name", READS)
async def test_read_continues_after_a_cancelled_step(
    aiwyn: AiwynClient, box: Sandbox, name: str, when: When
) -> None:
    table = "payments" if name == "pull of a list" else "invoices"
    expected = [row[0] for row in box.query(f"SELECT id FROM {table} ORDER BY id")]
    wanted = expected if name != "get_many" else expected[:40]
    plain = Cancellation(0, "never")
    assert sorted(await read_through(READS[name](aiwyn, wanted), plain)) == wanted
    assert plain.suspensions
    before = asyncio.all_tasks()
    for at in [*range(1, min(plain.suspensions, MAX_POINTS) + 1), None]:
        cancellation = Cancellation(at, when)
        received = await read_through(READS[name](aiwyn, wanted), cancellation)
        assert cancellation.cancelled or at == plain.suspensions
        assert sorted(received) == wanted, (at, when)
        assert aiwyn._session.limiter.in_flight == 0
    assert not await settle(before)


@pytest.mark.parametrize("rows_before", [0, 3])
@pytest.mark.parametrize("name", READS)
async def test_read_continues_after_steps_cancelled_before_they_begin(
    aiwyn: AiwynClient, box: Sandbox, name: str, rows_before: int
) -> None:
    """As ``asyncio.wait_for(anext(rows), 0)`` does."""
    table = "payments" if name == "pull of a list" else "invoices"
    expected = [row[0] for row in box.query(f"SELECT id FROM {table} ORDER BY id")]
    wanted = expected if name != "get_many" else expected[:40]
    items, received = READS[name](aiwyn, wanted), list[int]()
    for _ in range(rows_before):
        item = await anext(items, None)
        received += [] if item is None else keys_of(item)
    for _ in range(3):
        step = asyncio.ensure_future(anext(items, None))
        step.cancel()
        with pytest.raises(asyncio.CancelledError):
            await step
    received += await read_through(items, Cancellation(0, "never"))
    assert sorted(received) == wanted


async def test_write_continues_after_steps_cancelled_before_they_begin(aiwyn: AiwynClient) -> None:
    items = aiter(aiwyn.records.upsert([{"type": "TEST", "systemRef": 1}]))
    for _ in range(3):
        step = asyncio.ensure_future(anext(items, None))
        step.cancel()
        with pytest.raises(asyncio.CancelledError):
            await step
    assert [outcome.index async for outcome in items] == [0]


async def test_read_works_with_a_task_factory_that_wraps_coroutines(aiwyn: AiwynClient) -> None:
    async def wrapped(work: Any) -> Any:
        try:
            return await work
        finally:
            await asyncio.sleep(0)

    def factory(loop: Any, work: Any, **options: Any) -> asyncio.Task[Any]:
        return asyncio.Task(wrapped(work), loop=loop, **options)

    loop = asyncio.get_running_loop()
    loop.set_task_factory(factory)
    try:
        assert len(await aiwyn.invoices.list(page_size=40).collect()) == 95
        assert len([row async for row in aiwyn.invoices.list(page_size=40)]) == 95
    finally:
        loop.set_task_factory(None)


@pytest.mark.parametrize("when", ["suspended", "woken"])
async def test_write_continues_after_a_cancelled_step(aiwyn: AiwynClient, box: Sandbox, when: When) -> None:
    records = [{"type": "TEST", "systemRef": number, "attributes": {}} for number in range(25)]
    for at in [*range(1, 12), None]:
        calls = box.calls("records.upsert")
        write = aiwyn.records.upsert(records, batch_size=5)
        outcomes: list[int] = []
        items, cancellation = aiter(write), Cancellation(at, when)
        while True:
            try:
                outcomes.append((await cancellation.step(anext(items))).index)
            except asyncio.CancelledError:
                await asyncio.sleep(0)
            except StopAsyncIteration:
                break
        assert outcomes == list(range(25))
        assert write.report.ok
        assert write.report.total == 25
        assert box.calls("records.upsert") == calls + 5  # no batch was sent twice


async def test_write_whose_close_is_cancelled_reports_records_in_flight(aiwyn: AiwynClient) -> None:
    write = aiwyn.records.upsert(
        [{"type": "TEST", "systemRef": number} for number in range(25)], batch_size=5
    )
    items = aiter(write)
    with pytest.raises(asyncio.CancelledError):
        await Cancellation(1, "suspended").step(anext(items))
    await until(lambda: write.report.total == 5)  # the cancelled step has ended
    with pytest.raises(asyncio.CancelledError):
        await Cancellation(1, "suspended").step(items.aclose())
    assert write.report.total >= 20  # four batches


@pytest.mark.parametrize("name", READS)
async def test_read_closed_after_a_cancelled_step_leaves_nothing(
    aiwyn: AiwynClient, box: Sandbox, name: str
) -> None:
    wanted = [row[0] for row in box.query("SELECT id FROM invoices LIMIT 40")]
    await aiwyn.invoices.list(limit=1)
    before = asyncio.all_tasks()
    for at in range(1, 6):
        for is_closed in (True, False):
            cancellation = Cancellation(at, "suspended")
            items: Any = READS[name](aiwyn, wanted)
            try:
                while True:
                    await cancellation.step(anext(items))
            except asyncio.CancelledError:
                pass
            except StopAsyncIteration:
                continue
            if is_closed:
                await items.aclose()
                with pytest.raises(StopAsyncIteration):
                    await anext(items)
            del items
            assert not await settle(before)
            assert aiwyn._session.limiter.in_flight == 0


@pytest.mark.parametrize("name", READS)
async def test_failed_read_raises_at_each_further_step(aiwyn: AiwynClient, box: Sandbox, name: str) -> None:
    wanted = [row[0] for row in box.query("SELECT id FROM invoices LIMIT 40")]
    client = aiwyn.with_options(retries=0)
    items: Any = READS[name](client, wanted)
    await anext(items)
    for route in ("invoices.list", "invoices.search", "invoices.get", "payments.list"):
        box.faults.add(route, status=500, every=1)
    error: Any = None
    try:
        while True:
            await anext(items)
    except (ServerError, PaginationError) as raised:
        error = raised
    except StopAsyncIteration:
        pytest.fail("the read ended as if it were complete")
    for _ in range(3):
        with pytest.raises(PaginationError, match="failed before its end") as again:
            await anext(items)
        assert again.value.checkpoint == error.checkpoint
        assert again.value.__cause__ is error


@pytest.mark.parametrize("cancelled", [False, True])
@pytest.mark.parametrize("name", READS)
def test_ending_loop_closes_an_abandoned_read(box: Sandbox, name: str, cancelled: bool) -> None:
    errors: list[Any] = []
    left: list[Any] = []

    async def begin() -> None:
        async with AiwynClient(base_url=box.url, api_key=box.api_key) as aiwyn:
            keys = [row[0] for row in box.query("SELECT id FROM invoices")]
            items = READS[name](aiwyn, keys)
            left.append(items)
            await anext(items)
            if cancelled:
                with contextlib.suppress(asyncio.CancelledError):
                    while True:
                        await Cancellation(1, "suspended").step(anext(items))

    with asyncio.Runner() as runner:
        runner.get_loop().set_exception_handler(lambda _, context: errors.append(context))
        runner.run(begin())
    left.clear()
    gc.collect()
    assert errors == []
