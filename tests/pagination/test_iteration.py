"""A cancelled step of an iteration loses nothing and never ends the loop quietly."""

from __future__ import annotations

import asyncio
import gc
import pickle
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from aiwyn_async import AiwynClient
from aiwyn_async._pagination.iteration import Iteration
from aiwyn_async.errors import LoopMismatchError, PaginationError
from aiwyn_async.export import export


async def cancelled_at(awaitable: Any, turns: int) -> tuple[bool, Any]:
    """Run one step, cancelled after a number of turns of the loop."""

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


async def test_failed_iteration_raises_at_each_further_step() -> None:
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


async def test_page_survives_pickling(aiwyn: AiwynClient) -> None:
    page = await aiwyn.invoices.list(page_size=3)
    copied = pickle.loads(pickle.dumps(page))
    assert copied.items == page.items
    assert [bytes(row) for row in copied.raw_items()] == [bytes(row) for row in page.raw_items()]


@pytest.mark.parametrize(
    "make",
    [
        lambda aiwyn: aiwyn.invoices.list(),
        lambda aiwyn: aiwyn.invoices.list().pages(),
        lambda aiwyn: aiwyn.invoices.pull(),
        lambda aiwyn: aiwyn.invoices.pull().pages(),
        lambda aiwyn: aiwyn.invoices.changes(),
        lambda aiwyn: aiwyn.invoices.get_many([1]),
        lambda aiwyn: aiwyn.records.upsert([]),
    ],
)
def test_plain_for_loop_names_async_for(aiwyn: AiwynClient, make: Callable[[AiwynClient], Any]) -> None:
    with pytest.raises(TypeError, match="async for"):
        iter(make(aiwyn))


FIRST_CALLS: dict[str, Callable[[AiwynClient], Awaitable[Any]]] = {
    "rows": lambda client: anext(aiter(client.invoices.list())),
    "page": lambda client: client.invoices.search(),
    "collect": lambda client: client.invoices.search().collect(),
    "count": lambda client: client.invoices.list().count(),
    "pull": lambda client: anext(client.invoices.pull().pages()),
    "pull to a list": lambda client: client.invoices.pull().collect(),
    "changes": lambda client: client.invoices.changes().collect(),
    "get": lambda client: client.invoices.get(1),
    "get_many": lambda client: anext(client.invoices.get_many([1])),
    "keys": lambda client: client.invoices.reconcile_keys([1]),
    "write": lambda client: client.records.upsert([{"type": "TEST", "attributes": {}}]),
    "plan": lambda client: client.invoices.plan(parts=2),
    "with": lambda client: client.__aenter__(),
    "close": lambda client: client.aclose(),
    "export": lambda client: export(client.invoices.list(), "invoices.csv"),
}


@pytest.mark.parametrize("name", FIRST_CALLS)
def test_first_call_without_an_asyncio_loop_raises(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run a coroutine without an event loop of asyncio, as trio does."""
    monkeypatch.chdir(tmp_path)
    client = AiwynClient(base_url="http://127.0.0.1:9", api_key="key")
    with pytest.raises(LoopMismatchError, match=r"needs a running asyncio event loop; under trio"):
        next(FIRST_CALLS[name](client).__await__())


async def slow_chunks() -> AsyncGenerator[list[int], None]:
    yield [1]
    await asyncio.Event().wait()


@pytest.mark.parametrize("turns", [1, 2, 5])
async def test_step_raises_when_another_task_closes_the_iteration(turns: int) -> None:
    iteration = Iteration(slow_chunks())
    assert await anext(iteration) == 1
    step = asyncio.ensure_future(anext(iteration, None))
    for _ in range(turns):
        await asyncio.sleep(0)
    await iteration.aclose()
    with pytest.raises(PaginationError, match="another task closed this iteration"):
        await step


async def test_step_raises_while_another_task_closes_the_iteration() -> None:
    has_chunk = asyncio.Event()

    async def chunks() -> AsyncGenerator[list[int], None]:
        try:
            await has_chunk.wait()
            yield [1]
        finally:
            await turns(5)

    iteration = Iteration(chunks())
    reading = asyncio.ensure_future(_all_of(iteration))
    await turns(5)
    has_chunk.set()
    await turns(1)  # the chunk is there, and its reader has not run
    await iteration.aclose()
    with pytest.raises(PaginationError, match="another task closed this iteration"):
        await reading


async def turns(number: int) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


async def _all_of(iteration: Iteration[int]) -> list[int]:
    return [item async for item in iteration]


@pytest.mark.parametrize("step", [anext, lambda iteration: iteration.__anext__()], ids=["anext", "method"])
@pytest.mark.parametrize("timeout", [5, 0.01])
async def test_single_step_of_a_dropped_iteration_closes_it_without_a_garbage_collection(
    timeout: float,  # noqa: ASYNC109
    step: Callable[[Any], Any],
) -> None:
    closed = asyncio.Event()

    async def chunks() -> AsyncGenerator[list[int], None]:
        try:
            if timeout < 1:
                await asyncio.Event().wait()
            yield [1]
        finally:
            closed.set()

    gc.collect()
    gc.disable()
    try:
        with suppress(TimeoutError):
            await asyncio.wait_for(step(Iteration(chunks())), timeout)
        async with asyncio.timeout(5):
            await closed.wait()
    finally:
        gc.enable()


async def test_first_step_by_the_method_of_a_temporary_iteration_returns_an_item(aiwyn: AiwynClient) -> None:
    assert len((await aiwyn.invoices.list(page_size=3).pages().__anext__()).items) == 3
    assert (await aiter(aiwyn.invoices.list()).__anext__()).id


async def test_iteration_refuses_the_event_loop_of_another_thread() -> None:
    async def chunks() -> AsyncGenerator[list[int], None]:
        for number in (1, 2, 3):
            yield [number]

    iteration = Iteration(chunks())
    assert await anext(iteration) == 1
    with pytest.raises(LoopMismatchError, match="belongs to another event loop"):
        await asyncio.to_thread(lambda: asyncio.run(_next_of(iteration)))
    assert await anext(iteration) == 2  # its owner's steps are not affected
    with pytest.raises(LoopMismatchError, match="belongs to another event loop"):
        await asyncio.to_thread(lambda: asyncio.run(iteration.next_chunk()))
    assert await iteration.next_chunk() == [3]
    await iteration.aclose()


async def _next_of(iteration: Iteration[int]) -> int:
    return await asyncio.wait_for(anext(iteration), 5)
