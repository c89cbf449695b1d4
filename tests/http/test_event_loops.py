"""The client under other event loops: uvloop, and tasks that start eagerly."""

from __future__ import annotations

import asyncio
import multiprocessing
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from aiwyn_async import AiwynClient, ServerError
from aiwyn_async.sandbox import Sandbox
from looking_inside import assert_nothing_is_held

LoopFactory = Callable[[], asyncio.AbstractEventLoop]


def eager_loop() -> asyncio.AbstractEventLoop:
    if sys.version_info < (3, 12):
        pytest.skip("eager tasks need Python 3.12")
    loop = asyncio.new_event_loop()
    loop.set_task_factory(asyncio.eager_task_factory)
    return loop


def uvloop_loop() -> asyncio.AbstractEventLoop:
    uvloop: Any = pytest.importorskip("uvloop", reason="uvloop does not run on Windows")
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with Sandbox(invoices=300, seed=7) as running:
        yield running


async def use_everything(box: Sandbox) -> None:
    expected: list[Any] = [row[0] for row in box.query("SELECT id FROM invoices ORDER BY id")]
    async with AiwynClient(base_url=box.url, api_key=box.api_key, backoff_base=0.001, retries=5) as aiwyn:
        box.faults.add("*", every=5, status=503)
        box.faults.add("invoices.search", nth=2, action="reset")
        for read in (
            aiwyn.invoices.list(page_size=20),
            aiwyn.invoices.search(page_size=20),
            aiwyn.invoices.pull(page_size=20),
            aiwyn.invoices.changes(page_size=20),
        ):
            assert sorted([row.id async for row in read]) == expected
        looked_up = [result.key async for result in aiwyn.invoices.get_many(expected[:40])]
        assert looked_up == expected[:40]
        reading = asyncio.ensure_future(aiwyn.invoices.list(page_size=20).collect())
        await asyncio.sleep(0.005)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        box.faults.clear()
        box.faults.add("invoices.list", every=1, action="stall")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await aiwyn.invoices.list(limit=1)
        box.faults.clear()
        box.faults.add("invoices.list", every=1, status=500)
        with pytest.raises(ServerError):
            await aiwyn.invoices.list(limit=1)
        box.faults.clear()
        report = await aiwyn.records.upsert(
            {"type": "TEST", "systemRef": number, "attributes": {}} for number in range(250)
        )
        assert (report.ok, report.total) == (True, 250)
        await assert_nothing_is_held(aiwyn)


@pytest.mark.parametrize("factory", [uvloop_loop, eager_loop])
def test_client_works_on_another_event_loop(factory: LoopFactory, box: Sandbox) -> None:
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(use_everything(box))


def _count(url: str, api_key: str) -> int:
    async def count() -> int:
        async with AiwynClient(base_url=url, api_key=api_key) as aiwyn:
            return await aiwyn.invoices.search().count()

    return asyncio.run(count())


def test_spawned_processes_have_clients_of_their_own(box: Sandbox) -> None:
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        assert pool.starmap(_count, [(box.url, box.api_key)] * 4) == [300] * 4
        pool.close()
        pool.join()
