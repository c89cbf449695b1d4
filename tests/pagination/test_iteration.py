"""A cancelled step of an iteration loses nothing and never ends the loop quietly."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from aiwyn_async import AiwynClient
from aiwyn_async.errors import PaginationError
from aiwyn_async.pagination.iteration import Iteration


async def cancelled_at(awaitable: Any, turns: int) -> tuple[bool, Any]:
    """Run one step, cancelled after so many turns of the loop."""

    async def step() -> Any:
        return await awaitable

    task = asyncio.ensure_future(step())
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    try:
        return True, await task
    except asyncio.CancelledError:
        return False, None


@pytest.mark.parametrize("turns", range(1, 12))
async def test_rows_after_cancelled_steps_arrive_exactly_once(aiwyn: AiwynClient, turns: int) -> None:
    expected = [row.id for row in await aiwyn.invoices.search(page_size=7).collect()]
    rows = aiter(aiwyn.invoices.search(page_size=7))
    received = []
    try:
        while True:
            has_item, row = await cancelled_at(anext(rows), turns)
            if not has_item:
                row = await anext(rows)
            received.append(row.id)
    except StopAsyncIteration:
        pass
    assert received == expected


async def test_pull_after_a_cancelled_step_yields_every_row(aiwyn: AiwynClient) -> None:
    rows = aiter(aiwyn.invoices.pull(page_size=7))
    has_item, _ = await cancelled_at(anext(rows), 1)
    assert not has_item
    received = [row.id async for row in rows]
    assert len(set(received)) == len(received) == 95


async def test_a_failed_iteration_keeps_raising() -> None:
    async def chunks() -> AsyncGenerator[list[int], None]:
        yield [1]
        raise ValueError("broken")

    items = Iteration(chunks())
    assert await anext(items) == 1
    with pytest.raises(ValueError, match="broken"):
        await anext(items)
    for _ in range(2):
        with pytest.raises(PaginationError, match="failed before its end"):
            await anext(items)


async def test_a_page_survives_pickling(aiwyn: AiwynClient) -> None:
    page = await aiwyn.invoices.list(page_size=3)
    copied = pickle.loads(pickle.dumps(page))
    assert copied.items == page.items
    assert [bytes(row) for row in copied.raw_items()] == [bytes(row) for row in page.raw_items()]


def test_a_plain_for_loop_names_async_for(aiwyn: AiwynClient) -> None:
    with pytest.raises(TypeError, match="async for"):
        iter(aiwyn.invoices.list())
