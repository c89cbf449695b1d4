"""Concurrent requests whose responses are returned in the order of the requests."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final, Generic, Protocol, TypeVar

from aiwyn_async._core.threads import running_loop

RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")

LONG_WAIT: Final = 0.1
"""As a fraction of the time that decoding a page and the caller's work on its rows take."""


class Timer(Protocol):
    """The clocks that measure waits and work; the module ``time`` is one."""

    def perf_counter(self) -> float:
        """Return the time in seconds."""
        ...

    def thread_time(self) -> float:
        """Return the CPU time of this thread in seconds."""
        ...


class Prefetcher(Generic[RequestT, ResponseT]):
    """Keeps up to ``depth`` requests in flight, each in a task of its own.

    It holds no task group and no cancel scope, so a generator may yield while requests are in flight. Close
    it with ``aclose()``.

    Args:
        fetch: sends a request.
        depth: requests in flight, or completed and not returned.
        max_depth: returns the largest depth allowed now; a limit may be lowered during a read.

    Attributes:
        peak: the most requests in flight at once; 1 before the first.
    """

    def __init__(
        self,
        fetch: Callable[[RequestT], Awaitable[ResponseT]],
        depth: int,
        max_depth: Callable[[], int] | None = None,
    ) -> None:
        self.depth = depth
        self.peak = 1
        self._max_depth = max_depth
        self._fetch = fetch
        self._in_flight: deque[tuple[RequestT, asyncio.Task[ResponseT]]] = deque()
        self._lone: RequestT | None = None

    def __len__(self) -> int:
        return len(self._in_flight)

    @property
    def is_full(self) -> bool:
        """True if no more requests may be sent."""
        return len(self._in_flight) >= self.allowed_depth

    @property
    def allowed_depth(self) -> int:
        """The depth, or the largest one allowed now."""
        return self.depth if self._max_depth is None else min(self.depth, self._max_depth())

    def fill(self, next_request: Callable[[], RequestT | None]) -> None:
        """Send requests until ``depth`` is reached or there is no further one."""
        while not self.is_full:
            request = next_request()
            if request is None:
                return
            self.begin(request)

    def fill_and_await(self, next_request: Callable[[], RequestT | None]) -> None:
        """Send requests as ``fill()`` does, just before ``next_in_order()``; a lone one needs no task."""
        if not self._in_flight and (lone := next_request()) is not None:
            second = next_request() if self.allowed_depth > 1 else None
            if second is None:
                self._lone = lone
                return
            self.begin(lone)
            self.begin(second)
        self.fill(next_request)

    def begin(self, request: RequestT, *, first: bool = False) -> None:
        """Send one request at any depth; ``first`` makes it the next in order."""
        loop = running_loop()
        add = self._in_flight.appendleft if first else self._in_flight.append
        add((request, asyncio.ensure_future(self._fetch(request), loop=loop)))
        self.peak = max(self.peak, sum(not fetching.done() for _, fetching in self._in_flight))

    async def next_in_order(self) -> tuple[RequestT, ResponseT]:
        """Return the response to the oldest request, or raise its error."""
        if self._lone is not None:
            lone, self._lone = self._lone, None
            return lone, await self._fetch(lone)
        await self._yield_to_loop()
        request, fetching = self._in_flight.popleft()
        try:
            return request, await fetching
        except BaseException:
            fetching.cancel()
            raise

    async def next_completed(self) -> tuple[RequestT, ResponseT]:
        """Return the response to the oldest completed request, or raise its error."""
        if not await self._yield_to_loop():
            await asyncio.wait([each for _, each in self._in_flight], return_when=asyncio.FIRST_COMPLETED)
        index = next(index for index, (_, each) in enumerate(self._in_flight) if each.done())
        self._in_flight.rotate(-index)
        request, fetching = self._in_flight.popleft()
        self._in_flight.rotate(index)
        return request, fetching.result()

    async def _yield_to_loop(self) -> bool:
        """Return whether the oldest response has arrived; if so, let the loop run once.

        Awaiting a completed task does not suspend, so new requests would not be sent and no other task would
        run as long as responses are ready.
        """
        is_done = self._in_flight[0][1].done()
        if is_done:
            await asyncio.sleep(0)
        return is_done

    async def aclose(self) -> None:
        """Cancel all requests in flight and wait until they have ended."""
        if not self._in_flight:
            return
        fetches = [fetching for _, fetching in self._in_flight]
        for fetching in fetches:
            fetching.cancel()
        # gather also retrieves the errors that nobody awaits. If this wait is cancelled itself, the requests
        # are still here for the next aclose().
        await asyncio.gather(*fetches, return_exceptions=True)
        self._in_flight.clear()


class AdaptiveDepth(Generic[RequestT, ResponseT]):
    """Deepens a prefetcher whose waits are long compared to the work.

    If decoding is the bottleneck, more pages in flight only use memory. So the time in which this thread
    works on other responses does not count as waiting.

    Args:
        prefetcher: its depth is raised, never lowered.
        max_depth: returns the largest depth allowed now.
        timer: measures waits and work.
    """

    def __init__(
        self,
        prefetcher: Prefetcher[RequestT, ResponseT],
        max_depth: Callable[[], int],
        timer: Timer,
    ) -> None:
        self._prefetcher = prefetcher
        self._max_depth = max_depth
        self._timer = timer
        self._first_wait: float | None = None
        self._received_at = timer.perf_counter()

    async def next_in_order(self) -> tuple[RequestT, ResponseT]:
        """Return the oldest request's response, and deepen after a long wait."""
        timer, is_full = self._timer, self._prefetcher.is_full
        waiting_since, cpu = timer.perf_counter(), timer.thread_time()
        response = await self._prefetcher.next_in_order()
        worked, self._received_at = waiting_since - self._received_at, timer.perf_counter()
        waited = self._received_at - waiting_since - (timer.thread_time() - cpu)
        if self._first_wait is None:
            self._first_wait = waited  # compared when the work on the first page is done
        elif is_full:
            self._deepen(waited, worked)
        return response

    def first_page_processed(self) -> None:
        """Compare the first wait with the work on the first page, requested alone."""
        self._deepen(self._first_wait or 0, self._timer.perf_counter() - self._received_at)

    def _deepen(self, waited: float, worked: float) -> None:
        """Add as many pages as could have been worked on during a long wait."""
        if waited <= LONG_WAIT * worked:
            return
        depth = self._prefetcher.depth
        more = math.ceil(waited / worked) if worked else depth
        self._prefetcher.depth = max(depth, min(depth + more, self._max_depth()))
