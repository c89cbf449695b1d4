"""How many pages are in flight: more where the walk waits for the server, no more where it works itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count, groupby
from types import SimpleNamespace
from typing import Any

import pytest

from aiwyn_async import AiwynClient
from aiwyn_async.pagination.window import Window
from aiwyn_async.sandbox import Sandbox

PAGES = 60


async def depths_of_a_walk(
    monkeypatch: pytest.MonkeyPatch, *, walls: Iterator[int], cpus: Iterator[int]
) -> list[int]:
    """The depths that its window has, one after the other, by such clocks."""
    depths: list[int] = []
    fill = Window[Any, Any].fill

    def noted(self: Window[Any, Any], next_ask: Callable[[], Any]) -> None:
        depths.append(self.depth)
        fill(self, next_ask)

    monkeypatch.setattr(Window, "fill", noted)
    clock = SimpleNamespace(perf_counter=walls.__next__, thread_time=cpus.__next__)
    async with (
        Sandbox(invoices=PAGES * 10, seed=3) as box,
        AiwynClient(base_url=box.url, token=box.token, max_concurrency=16) as aiwyn,
    ):
        monkeypatch.setattr("aiwyn_async.pagination.run.time", clock)
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


@pytest.mark.parametrize(("waits", "depths"), [(3, [4, 7, 10, 13, 16]), (8, [4, 12, 16]), (100, [4, 16])])
async def test_a_wait_adds_as_many_pages_as_it_is_longer_than_the_work(
    monkeypatch: pytest.MonkeyPatch, waits: int, depths: list[int]
) -> None:
    # The odd turns end a wait, and the even ones work of 1.
    walls = (turn // 2 * (waits + 1) + turn % 2 * waits for turn in count(1))
    found = await depths_of_a_walk(monkeypatch, walls=walls, cpus=count(0, 0))
    assert found[-len(depths) :] == depths
