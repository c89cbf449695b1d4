"""The number of pages in flight: it grows only if the read waits for the server."""

# The iterator needs the client's session.
# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import groupby

import pytest

from aiwyn_async import AiwynClient, Invoice
from aiwyn_async._pagination.page_iterator import PageIterator
from aiwyn_async._pagination.prefetch import AdaptiveDepth, Prefetcher
from aiwyn_async._pagination.read_options import ReadOptions
from aiwyn_async.sandbox import Sandbox

PAGES = 60


class FakeTimer:
    """Clocks that only the test advances."""

    def __init__(self) -> None:
        self.now = 0.0
        self.cpu = 0.0

    def perf_counter(self) -> float:
        return self.now

    def thread_time(self) -> float:
        return self.cpu


class FakePrefetcher(Prefetcher[int, int]):
    """A full prefetcher, which returns each response after the same wait."""

    def __init__(self, timer: FakeTimer, wait: float, cpu: float) -> None:
        super().__init__(self._never, depth=4)
        self._timer = timer
        self._wait = wait
        self._cpu = cpu

    @property
    def is_full(self) -> bool:
        return True

    async def next_in_order(self) -> tuple[int, int]:
        self._timer.now += self._wait
        self._timer.cpu += self._cpu
        return 0, 0

    async def _never(self, request: int) -> int:
        raise AssertionError(request)


async def depths_of_read(*, wait: float, work: float, cpu: float = 0) -> list[int]:
    """Return the depths of a read with this wait and this work per page."""
    timer = FakeTimer()
    prefetcher = FakePrefetcher(timer, wait, cpu)
    adaptive = AdaptiveDepth(prefetcher, lambda: 16, timer)
    depths = [prefetcher.depth]
    for number in range(PAGES):
        await adaptive.next_in_order()
        timer.now += work
        if not number:
            adaptive.first_page_processed()
        depths.append(prefetcher.depth)
    return [depth for depth, _ in groupby(depths)]


async def test_wait_as_long_as_the_work_adds_a_page() -> None:
    assert await depths_of_read(wait=1, work=1) == list(range(4, 17))


async def test_wait_in_which_this_thread_works_adds_no_page() -> None:
    assert (await depths_of_read(wait=1, work=1, cpu=1)) == [4]


async def test_no_wait_adds_no_page() -> None:
    assert await depths_of_read(wait=0, work=0) == [4]
    assert await depths_of_read(wait=0, work=1) == [4]


@pytest.mark.parametrize(("wait", "depths"), [(3, [4, 7, 10, 13, 16]), (8, [4, 12, 16]), (100, [4, 16])])
async def test_wait_adds_pages_in_proportion_to_the_work(wait: int, depths: list[int]) -> None:
    assert await depths_of_read(wait=wait, work=1) == depths


@pytest.mark.parametrize(("max_pages_of_bytes", "depth"), [(100, 8), (5, 5), (1, 4)])
async def test_wait_for_the_first_page_deepens_the_read(
    max_pages_of_bytes: int, depth: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    timer = FakeTimer()
    async with (
        Sandbox(invoices=PAGES * 10, seed=3) as box,
        AiwynClient(base_url=box.url, token=box.token, max_concurrency=16) as aiwyn,
    ):
        page_bytes = (await aiwyn.invoices.list(page_size=10)).meta.bytes
        max_bytes = max_pages_of_bytes * page_bytes
        monkeypatch.setattr("aiwyn_async._pagination.page_iterator.MAX_BYTES_IN_FLIGHT", max_bytes)
        query = aiwyn.invoices.list().query
        pages = PageIterator(aiwyn._session, query, Invoice, ReadOptions(page_size=10), timer=timer)
        pages.prefetch()
        assert box.calls("invoices.list") == 1
        first_page = asyncio.ensure_future(pages.next_page())
        await asyncio.sleep(0)
        timer.now += 100
        assert await first_page is not None
        pages.prefetch()
        assert pages.peak_concurrency == depth
        await pages.aclose()


@pytest.mark.parametrize(
    "next_response", [Prefetcher[int, int].next_in_order, Prefetcher[int, int].next_completed]
)
async def test_prefetcher_lets_the_loop_run_if_responses_are_ready(
    next_response: Callable[[Prefetcher[int, int]], Awaitable[tuple[int, int]]],
) -> None:
    async def double(request: int) -> int:
        return 2 * request

    prefetcher = Prefetcher(double, depth=3)
    prefetcher.fill(iter([1, 2, 3]).__next__)
    assert await next_response(prefetcher) == (1, 2)
    turns: list[None] = []
    for request in 2, 3:
        asyncio.get_running_loop().call_soon(turns.append, None)
        assert await next_response(prefetcher) == (request, 2 * request)
        assert len(turns) == request - 1


@pytest.mark.parametrize(("depth", "requests", "tasks"), [(3, [1], 0), (1, [1, 2], 0), (3, [1, 2], 2)])
async def test_prefetcher_sends_a_lone_request_without_a_task(
    depth: int, requests: list[int], tasks: int
) -> None:
    running: list[int] = []
    caller = asyncio.current_task()

    async def count(request: int) -> int:
        if asyncio.current_task() is not caller:
            running.append(request)
        return 2 * request

    prefetcher = Prefetcher(count, depth)
    remaining = iter(requests)

    def next_request() -> int | None:
        return next(remaining, None)

    for request in requests:
        prefetcher.fill_and_await(next_request)
        assert await prefetcher.next_in_order() == (request, 2 * request)
    assert len(running) == tasks
    prefetcher.fill_and_await(next_request)
    assert not len(prefetcher)
