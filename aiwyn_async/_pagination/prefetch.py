"""Requests in flight together, their answers in the order of asking."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from aiwyn_async._core.threads import running_loop

__all__ = ["Prefetcher"]

RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")


class Prefetcher(Generic[RequestT, ResponseT]):
    """At most ``depth`` fetches under way, each a task that only fetches.

    It holds no task group and no cancel scope, so that a generator may yield while it is open. Who opens one
    ends it with ``aclose()``.
    """

    def __init__(self, fetch: Callable[[RequestT], Awaitable[ResponseT]], depth: int) -> None:
        self.depth = depth
        self._fetch = fetch
        self._in_flight: deque[tuple[RequestT, asyncio.Task[ResponseT]]] = deque()

    def __len__(self) -> int:
        return len(self._in_flight)

    @property
    def is_full(self) -> bool:
        """True when as many fetches are under way as may be."""
        return len(self._in_flight) >= self.depth

    def fill(self, next_ask: Callable[[], RequestT | None]) -> None:
        """Begin fetches until the window is full or there is nothing to ask."""
        while not self.is_full:
            ask = next_ask()
            if ask is None:
                return
            self.begin(ask)

    def begin(self, ask: RequestT, *, first: bool = False) -> None:
        """Begin one fetch, whatever the depth; ``first`` makes it the one that ``take()`` gives next."""
        loop = running_loop()
        add = self._in_flight.appendleft if first else self._in_flight.append
        add((ask, asyncio.ensure_future(self._fetch(ask), loop=loop)))

    async def next_in_order(self) -> tuple[RequestT, ResponseT]:
        """The oldest fetch's answer, or its error."""
        await self._turn()
        ask, fetching = self._in_flight.popleft()
        try:
            return ask, await fetching
        except BaseException:
            fetching.cancel()
            raise

    async def next_completed(self) -> tuple[RequestT, ResponseT]:
        """The answer that is there first, of those that are there the oldest; or its error."""
        if not await self._turn():
            await asyncio.wait([each for _, each in self._in_flight], return_when=asyncio.FIRST_COMPLETED)
        place = next(place for place, (_, each) in enumerate(self._in_flight) if each.done())
        self._in_flight.rotate(-place)
        taken = self._in_flight.popleft()
        self._in_flight.rotate(place)
        return taken[0], taken[1].result()

    async def _turn(self) -> bool:
        """Whether the oldest answer is there; then the loop turns once, which to await it would not make it.

        Else what was begun since would not be sent, and nobody else would run, as long as there are answers.
        """
        is_there = self._in_flight[0][1].done()
        if is_there:
            await asyncio.sleep(0)
        return is_there

    async def aclose(self) -> None:
        """End all that is under way, and wait until it has ended."""
        if not self._in_flight:
            return
        fetches = [fetching for _, fetching in self._in_flight]
        for fetching in fetches:
            fetching.cancel()
        # gather also takes the errors that nobody will ask for any more. When this wait is cancelled itself,
        # the fetches are still here for the next aclose() to wait for.
        await asyncio.gather(*fetches, return_exceptions=True)
        self._in_flight.clear()
