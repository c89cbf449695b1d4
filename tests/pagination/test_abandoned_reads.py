"""Reads that are cancelled, left with ``break`` or slow leave nothing behind."""

# A leak test looks inside.
# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
import gc
import random
from typing import Any

import pytest

from aiwyn_async import AiwynClient, PaginationError
from aiwyn_async._pagination.page_iterator import PageIterator
from aiwyn_async._pagination.seen_keys import KeySet
from aiwyn_async.sandbox import Sandbox
from invoice_lists import request_bodies


def busy_connections(client: AiwynClient) -> int:
    pools = client._session.transport._pools.values()
    return sum(len(pool.session.connector._acquired) for pool in pools if pool.session.connector)


async def settled(client: AiwynClient) -> tuple[int, int, int]:
    """Assert that a read left no task, connection or limiter slot."""
    gc.collect()
    return (
        busy_connections(client),
        client._session.limiter.in_flight,
        len(client._session.limiter._waiting),
    )


async def own_tasks() -> set[str]:
    return {
        repr(task)
        for task in asyncio.all_tasks()
        if "_fetch" in repr(task.get_coro()) or "aclose" in repr(task)
    }


async def test_thousand_cancellations_leave_nothing(aiwyn: AiwynClient) -> None:
    """A pull is cancelled after a number of turns of the loop, random each time."""
    chosen = random.Random(7)
    cancelled = 0
    await aiwyn.invoices.list(limit=1).collect()
    for turn in range(1000):
        by_key = turn % 4 == 3
        pager = aiwyn.invoices.search(page_size=7) if by_key else aiwyn.invoices.list(page_size=7)
        task = asyncio.ensure_future(pager.collect())
        for _ in range(chosen.randrange(1, 35)):
            await asyncio.sleep(0)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            cancelled += 1
        assert await own_tasks() == set()
        assert busy_connections(aiwyn) == 0
    assert cancelled > 950
    assert await settled(aiwyn) == (0, 0, 0)
    assert len(await aiwyn.invoices.list().collect()) == 95


async def test_two_hundred_breaks_leave_nothing(aiwyn: AiwynClient) -> None:
    """The generator that a break leaves behind is closed when it is collected, without a warning."""
    for turn in range(200):
        number = 0
        async for _ in aiwyn.invoices.list(page_size=10):
            number += 1
            if number > turn % 40:
                break
        for _ in range(100):  # turns in which the loop closes what was collected
            await asyncio.sleep(0)
        assert await own_tasks() == set()
    assert await settled(aiwyn) == (0, 0, 0)
    assert len(await aiwyn.invoices.list().collect()) == 95


async def test_slow_consumer_limits_requests_in_flight(box: Sandbox) -> None:
    number = 0
    async with AiwynClient(base_url=box.url, token=box.token, max_concurrency=4) as aiwyn:
        async for _ in aiwyn.invoices.list(page_size=5):
            number += 1
            if number == 1:
                for _ in range(1_000_000):
                    if len(request_bodies(box)) == 5:
                        break
                    await asyncio.sleep(0)
                for _ in range(1000):  # turns of the loop in which a sixth request would go out
                    await asyncio.sleep(0)
                assert len(request_bodies(box)) == 5
    assert number == 95


async def test_finished_read_is_freed_without_a_garbage_collection(aiwyn: AiwynClient) -> None:
    """The keys of a read may be megabytes."""
    gc.collect()
    gc.disable()
    try:
        async for _ in aiwyn.invoices.list(page_size=7):
            pass
        await aiwyn.invoices.search(page_size=7).collect()
        assert [each for each in gc.get_objects() if isinstance(each, (PageIterator, KeySet))] == []
    finally:
        gc.enable()


@pytest.mark.parametrize("verb", ["list", "search", "pull"])
def test_read_whose_loop_ended_does_not_end_as_complete(verb: str) -> None:
    with Sandbox(invoices=95, seed=7) as box:
        client = AiwynClient(base_url=box.url, api_key=box.api_key)
        reads: list[Any] = []

        async def begin() -> None:
            reads.append(aiter(getattr(client.invoices, verb)()))
            await anext(reads[0])

        async def go_on() -> None:
            with pytest.raises(PaginationError, match="the event loop ended"):
                async for _ in reads[0]:
                    pass
            await client.aclose()

        asyncio.run(begin())
        asyncio.run(go_on())


async def test_checkpoint_of_a_pager_is_that_of_its_latest_iteration(aiwyn: AiwynClient) -> None:
    expected = [row.id for row in await aiwyn.invoices.list().collect()]
    pager = aiwyn.invoices.list(page_size=10)
    older = pager.pages()
    for _ in range(5):
        await anext(older)
    newer = pager.pages()
    received = [row.id for _ in range(2) for row in (await anext(newer)).items]
    await anext(older)
    assert pager.checkpoint is not None
    received += [row.id async for row in aiwyn.invoices.list(page_size=10, resume=pager.checkpoint)]
    assert set(received) == set(expected)
    await older.aclose()
    await newer.aclose()
