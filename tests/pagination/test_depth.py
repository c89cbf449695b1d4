"""How many pages are in flight: more where the walk waits for the server, no more where it works itself."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from itertools import count, groupby
from types import SimpleNamespace
from typing import Any

import pytest

from aiwyn_async import AiwynClient
from aiwyn_async._pagination.prefetch import Prefetcher
from aiwyn_async.sandbox import Sandbox

PAGES = 60


async def depths_of_a_walk(
    monkeypatch: pytest.MonkeyPatch, *, walls: Iterator[int], cpus: Iterator[int]
) -> list[int]:
    """The depths that its window has, one after the other, by such clocks."""
    depths: list[int] = []
    fill = Prefetcher[Any, Any].fill

    def noted(self: Prefetcher[Any, Any], next_ask: Callable[[], Any]) -> None:
        depths.append(self.depth)
        fill(self, next_ask)

    monkeypatch.setattr(Prefetcher, "fill", noted)
    clock = SimpleNamespace(perf_counter=walls.__next__, thread_time=cpus.__next__)
    async with (
        Sandbox(invoices=PAGES * 10, seed=3) as box,
        AiwynClient(base_url=box.url, token=box.token, max_concurrency=16) as aiwyn,
    ):
        monkeypatch.setattr("aiwyn_async._pagination.page_iterator.time", clock)
        assert len(await aiwyn.invoices.list(page_size=10).collect()) == PAGES * 10
    return [depth for depth, _ in groupby(depths)]


async def test_a_wait_as_long_as_the_work_adds_a_page(monkeypatch: pytest.MonkeyPatch) -> None:
    depths = await depths_of_a_walk(monkeypatch, walls=count(0, 1), cpus=count(0, 0))
    assert depths[-13:] == list(range(4, 17))


async def test_a_wait_in_which_this_thread_was_at_work_adds_none(monkeypatch: pytest.MonkeyPatch) -> None:
    depths = await depths_of_a_walk(monkeypatch, walls=count(0, 1), cpus=count(0, 1))
    assert depths[-1] == 4


async def test_no_wait_adds_none(monkeypatch: pytest.MonkeyPatch) -> None:
    depths = await depths_of_a_walk(monkeypatch, walls=count(0, 0), cpus=count(0, 0))
    assert depths[-1] == 4


def walls_of(waits: int) -> Iterator[int]:
    """A clock by which every page is waited for so long, and then takes a work of 1."""
    yield from (0, 0, waits, waits + 1)  # begun, asked, taken; and the first page's work is timed by itself
    yield from (turn // 2 * (waits + 1) + turn % 2 * waits for turn in count(2))


@pytest.mark.parametrize(("waits", "depths"), [(3, [4, 7, 10, 13, 16]), (8, [4, 12, 16]), (100, [4, 16])])
async def test_a_wait_adds_as_many_pages_as_it_is_longer_than_the_work(
    monkeypatch: pytest.MonkeyPatch, waits: int, depths: list[int]
) -> None:
    found = await depths_of_a_walk(monkeypatch, walls=walls_of(waits), cpus=count(0, 0))
    assert found == depths


async def test_the_wait_for_the_first_page_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    in_flight: list[int] = []
    take = Prefetcher[Any, Any].next_in_order

    async def noted(self: Prefetcher[Any, Any]) -> Any:
        in_flight.append(len(self))
        return await take(self)

    monkeypatch.setattr(Prefetcher, "next_in_order", noted)
    await depths_of_a_walk(monkeypatch, walls=walls_of(100), cpus=count(0, 0))
    assert in_flight[:2] == [1, 16]


@pytest.mark.parametrize("take", [Prefetcher[int, int].next_in_order, Prefetcher[int, int].next_completed])
async def test_the_loop_turns_for_answers_that_are_there(
    take: Callable[[Prefetcher[int, int]], Awaitable[tuple[int, int]]],
) -> None:
    async def double(ask: int) -> int:
        return 2 * ask

    window = Prefetcher(double, depth=3)
    window.fill(iter([1, 2, 3]).__next__)
    assert await take(window) == (1, 2)
    turns: list[None] = []
    for ask in 2, 3:
        asyncio.get_running_loop().call_soon(turns.append, None)
        assert await take(window) == (ask, 2 * ask)
        assert len(turns) == ask - 1
