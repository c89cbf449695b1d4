"""Requests in flight together, their answers in the order of asking."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from aiwyn_async._core.threads import running_loop

__all__ = ["Window"]

AskT = TypeVar("AskT")
AnswerT = TypeVar("AnswerT")


class Window(Generic[AskT, AnswerT]):
    """At most ``depth`` fetches under way, each a task that only fetches.

    It holds no task group and no cancel scope, so that a generator may yield while it is open. Who opens one
    ends it with ``aclose()``.
    """

    def __init__(self, fetch: Callable[[AskT], Awaitable[AnswerT]], depth: int) -> None:
        self.depth = depth
        self._fetch = fetch
        self._under_way: deque[tuple[AskT, asyncio.Task[AnswerT]]] = deque()

    def __len__(self) -> int:
        return len(self._under_way)

    @property
    def is_full(self) -> bool:
        """True when as many fetches are under way as may be."""
        return len(self._under_way) >= self.depth

    def fill(self, next_ask: Callable[[], AskT | None]) -> None:
        """Begin fetches until the window is full or there is nothing to ask."""
        while not self.is_full:
            ask = next_ask()
            if ask is None:
                return
            self.begin(ask)

    def begin(self, ask: AskT, *, first: bool = False) -> None:
        """Begin one fetch, whatever the depth; ``first`` makes it the one that ``take()`` gives next."""
        loop = running_loop()
        add = self._under_way.appendleft if first else self._under_way.append
        add((ask, asyncio.ensure_future(self._fetch(ask), loop=loop)))

    async def take(self) -> tuple[AskT, AnswerT]:
        """The oldest fetch's answer, or its error."""
        await self._turn()
        ask, fetching = self._under_way.popleft()
        try:
            return ask, await fetching
        except BaseException:
            fetching.cancel()
            raise

    async def take_first_done(self) -> tuple[AskT, AnswerT]:
        """The answer that is there first, of those that are there the oldest; or its error."""
        if not await self._turn():
            await asyncio.wait([each for _, each in self._under_way], return_when=asyncio.FIRST_COMPLETED)
        place = next(place for place, (_, each) in enumerate(self._under_way) if each.done())
        self._under_way.rotate(-place)
        taken = self._under_way.popleft()
        self._under_way.rotate(place)
        return taken[0], taken[1].result()

    async def _turn(self) -> bool:
        """Whether the oldest answer is there; then the loop turns once, which to await it would not make it.

        Else what was begun since would not be sent, and nobody else would run, as long as there are answers.
        """
        is_there = self._under_way[0][1].done()
        if is_there:
            await asyncio.sleep(0)
        return is_there

    async def aclose(self) -> None:
        """End all that is under way, and wait until it has ended."""
        if not self._under_way:
            return
        fetches = [fetching for _, fetching in self._under_way]
        for fetching in fetches:
            fetching.cancel()
        # gather also takes the errors that nobody will ask for any more. When this wait is cancelled itself,
        # the fetches are still here for the next aclose() to wait for.
        await asyncio.gather(*fetches, return_exceptions=True)
        self._under_way.clear()
