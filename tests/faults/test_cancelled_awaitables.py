"""Every public awaitable, cancelled at any point and then used again, has the result of the first use."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from aiwyn_async import AiwynClient, Request
from aiwyn_async.sandbox import Sandbox
from cancelling import run_cancelled
from looking_inside import assert_nothing_is_held, until

Keys = list[int]
Use = Callable[[], Awaitable[Any]]


def field(name: str, make: Callable[[], Awaitable[Any]]) -> Use:
    """Await an object, and return one attribute of the result."""

    async def use() -> Any:
        return getattr(await make(), name)

    return use


def same(make: Callable[[], Awaitable[Any]]) -> Callable[[], Awaitable[Any]]:
    """Make one object, which is awaited each time."""
    made = make()
    return lambda: made


async def ranges_of_plan(aiwyn: AiwynClient) -> list[Any]:
    """Plan, and return what is the same in each plan of the same rows."""
    plan = await aiwyn.invoices.plan(parts=3)
    return [(partition.after, partition.until) for partition in plan.partitions]


LIST = Request(method="POST", path="/gql/v1/invoices", body=b"{}")
RECORDS = [{"type": "T", "systemRef": 1}]
# Each makes an object, and returns how to use it.
AWAITABLES: dict[str, Callable[[AiwynClient, Keys], Use]] = {
    "list": lambda aiwyn, _: field("items", same(lambda: aiwyn.invoices.list(page_size=40))),
    "list.collect": lambda aiwyn, _: aiwyn.invoices.list(page_size=40).collect,
    "list.first": lambda aiwyn, _: aiwyn.invoices.list().first,
    "list.count": lambda aiwyn, _: aiwyn.payments.list(page_size=40).count,
    "search.collect": lambda aiwyn, _: aiwyn.invoices.search(page_size=40).collect,
    "search.count": lambda aiwyn, _: aiwyn.invoices.search(page_size=40).count,
    "pull.collect": lambda aiwyn, _: aiwyn.invoices.pull(page_size=40, ordered=True).collect,
    "pull.first": lambda aiwyn, _: aiwyn.invoices.pull(page_size=40).first,
    "pull.count": lambda aiwyn, _: aiwyn.payments.pull(page_size=40).count,
    "changes.collect": lambda aiwyn, _: aiwyn.invoices.changes(since="2000-01-01").collect,
    "changes.count": lambda aiwyn, _: aiwyn.invoices.changes(since="2000-01-01").count,
    "get": lambda aiwyn, keys: lambda: aiwyn.invoices.get(keys[0]),
    "plan": lambda aiwyn, _: lambda: ranges_of_plan(aiwyn),
    "reconcile_keys": lambda aiwyn, keys: field("deleted", lambda: aiwyn.invoices.reconcile_keys([*keys, 1])),
    "request": lambda aiwyn, _: field("content", lambda: aiwyn.request(LIST)),
    "update": lambda aiwyn, _: field("failed", lambda: aiwyn.records.update(RECORDS)),
    "catalog": lambda aiwyn, _: aiwyn.event_subscriptions.catalog,
}


@pytest.fixture
def box() -> Iterator[Sandbox]:
    """A sandbox in a separate thread, so that all tasks of this loop are the client's."""
    with Sandbox(invoices=95, seed=7) as running:
        yield running


async def cancel(awaitable: Awaitable[Any], at: int) -> None:
    """Cancel at a suspension, from 1 on; at 0 before the first step, at -1 by a timeout of 0."""
    if at > 0:
        await run_cancelled(awaitable, at)
    elif at == 0:
        task = asyncio.ensure_future(awaitable)
        task.cancel()
        await asyncio.wait([task])
    else:
        with suppress(TimeoutError):
            async with asyncio.timeout(0):
                await awaitable


@pytest.mark.parametrize("name", AWAITABLES)
async def test_awaitable_can_be_used_again_after_each_cancellation(box: Sandbox, name: str) -> None:
    keys = [int(str(row[0])) for row in box.query("SELECT id FROM invoices")]
    async with AiwynClient(base_url=box.url, api_key=box.api_key, warn_undocumented=False) as aiwyn:
        expected = await AWAITABLES[name](aiwyn, keys)()
        use = AWAITABLES[name](aiwyn, keys)
        points = await run_cancelled(use(), 0)
        assert points
        before = asyncio.all_tasks()
        for at in range(-1, points + 1):
            await cancel(use(), at)
            await until(lambda: asyncio.all_tasks() <= before)
            await assert_nothing_is_held(aiwyn)
            assert await use() == expected
    gc.collect()  # warns of coroutines that were not awaited


@pytest.mark.parametrize("at", range(-1, 4))
async def test_client_can_be_closed_again_after_a_cancelled_close(box: Sandbox, at: int) -> None:
    aiwyn = AiwynClient(base_url=box.url, api_key=box.api_key)
    await aiwyn.invoices.list(limit=1)
    await cancel(aiwyn.aclose(), at)
    await aiwyn.aclose()
    gc.collect()


async def test_write_cancelled_before_its_first_step_can_be_awaited(box: Sandbox) -> None:
    async with AiwynClient(base_url=box.url, api_key=box.api_key) as aiwyn:
        write = aiwyn.records.upsert(RECORDS)
        await cancel(write, 0)
        assert (await write).total == 1
