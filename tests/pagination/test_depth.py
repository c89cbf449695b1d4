"""How many pages are in flight: more where the walk waits for the server, no more where it is at work itself."""

from __future__ import annotations

from itertools import count, groupby
from types import SimpleNamespace

import pytest

from aiwyn_async import AiwynClient
from aiwyn_async.sandbox import Sandbox
from looking_inside import session_of

FIRST_DEPTH = 4
PAGES = 60


@pytest.mark.parametrize(
    ("wall", "cpu", "deepest"),
    [
        (2, 0, 16),  # as long a wait as the work: one page more at each
        (2, 2, FIRST_DEPTH),  # all of the wait was work of this thread
        (0, 0, FIRST_DEPTH),
    ],
)
async def test_only_a_wait_for_the_server_deepens_the_window(
    wall: int, cpu: int, deepest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    walls, cpus = count(0, wall), count(0, cpu)
    clock = SimpleNamespace(perf_counter=walls.__next__, thread_time=cpus.__next__)
    async with (
        Sandbox(invoices=PAGES * 10, seed=3) as box,
        AiwynClient(base_url=box.url, token=box.token, max_concurrency=16) as aiwyn,
    ):
        monkeypatch.setattr("aiwyn_async.pagination.run.time", clock)
        rows = await aiwyn.invoices.list(page_size=10).collect()
        assert len(rows) == PAGES * 10
        assert session_of(aiwyn).governor.peak_in_flight == deepest


async def test_a_wait_longer_than_the_work_doubles_it(monkeypatch: pytest.MonkeyPatch) -> None:
    # Even calls begin a wait of 3, odd ones end it and begin work of 1.
    walls = (turn // 2 * 4 + turn % 2 * 3 for turn in count(1))
    clock = SimpleNamespace(perf_counter=walls.__next__, thread_time=count(0, 0).__next__)
    async with (
        Sandbox(invoices=PAGES * 10, seed=3) as box,
        AiwynClient(base_url=box.url, token=box.token, max_concurrency=16) as aiwyn,
    ):
        monkeypatch.setattr("aiwyn_async.pagination.run.time", clock)
        reached: list[int] = []
        async for _ in aiwyn.invoices.list(page_size=10).pages():
            reached.append(session_of(aiwyn).governor.peak_in_flight)
    assert [deep for deep, _ in groupby(reached)][:3] == [1, 4, 8]
