"""How many requests of a client are in flight, and the pause they share after a 429."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import Final, Protocol

from aiwyn_async._http import forks
from aiwyn_async.config import Clock

__all__ = ["ConcurrencyLimiter", "Phased"]

MIN_LIMIT: Final = 1.0


class Phased(Protocol):
    """What waits here. It knows what it waits for and until when it may, so that a deadline can name it."""

    phase: str

    async def wait(self, phase: str, seconds: float) -> None:
        """Sleep that long, unless the deadline comes first."""
        ...


class ConcurrencyLimiter:
    """Admits requests: at most ``limit`` in flight, none before ``paused_until``.

    The limit halves when the server throttles and creeps back by one a round of successes, as TCP's window
    does. One burst of refusals counts once: only a request that was admitted after the last cut cuts again.
    """

    def __init__(self, max_limit: int, clock: Clock) -> None:
        self.max_limit = max_limit
        self.limit = float(max_limit)
        self.in_flight = 0
        self.peak_in_flight = 0
        self.paused_until = float("-inf")
        self._clock = clock
        self._last_cut = float("-inf")
        # By order of admission; a dict, so that one who gives up leaves the queue at once.
        self._waiting: OrderedDict[asyncio.Future[None], None] = OrderedDict()
        # Slots by the event loop that holds them, since a closed loop never returns its own: those of the
        # loop that was used last, and of others.
        self._loop: asyncio.AbstractEventLoop | None = None
        self._held_here = 0
        self._held_elsewhere: dict[asyncio.AbstractEventLoop, int] = {}
        self._fork = forks.generation()

    def __repr__(self) -> str:
        return f"<Governor {self.in_flight} in flight of {int(self.limit)}, {len(self._waiting)} waiting>"

    async def acquire(self, caller: Phased, *, priority: bool = False) -> float:
        """Wait for a slot and for the end of a pause; the time of admission. Pair it with ``leave()``.

        ``ahead`` of the queue goes what those in it need, as a new token.
        """
        if self._fork != forks.generation():
            self._reset_after_fork()
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._change_loop(loop)
        if self.in_flight >= int(self.limit) or self._waiting:
            caller.phase = "queue"
            await self._wait_for_slot(loop, priority)
        else:
            self.in_flight += 1
            self._held_here += 1
        try:
            while (left := self.paused_until - (now := self._clock.monotonic())) > 0:
                await caller.wait("pause", left)
        except BaseException:
            self.release(loop)
            raise
        self.peak_in_flight = max(self.peak_in_flight, self.in_flight)
        return now

    def release(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        """Release a slot.

        Args:
            loop: that acquired it; the running one by default. A coroutine that outlived its loop is closed
                by the garbage collector, where none runs.
        """
        loop = loop or asyncio.get_running_loop()
        if loop is self._loop and self._held_here:
            self._held_here -= 1
        elif self._held_elsewhere.get(loop):
            self._held_elsewhere[loop] -= 1
        else:
            return  # the loop was closed, and its slots were released with it
        self.in_flight -= 1
        if self._waiting:
            self._admit()

    def pause(self, seconds: float) -> None:
        """Let nobody of this client send before that many seconds have passed."""
        self.paused_until = max(self.paused_until, self._clock.monotonic() + seconds)

    def succeeded(self) -> None:
        """An answer came: one more slot a round of successes."""
        if self.limit < self.max_limit:
            self.limit = min(float(self.max_limit), self.limit + 1 / self.limit)

    def throttled(self, admitted_at: float) -> None:
        """The server was too busy for a request admitted then: half the slots."""
        if admitted_at > self._last_cut:
            self._last_cut = self._clock.monotonic()
            self.limit = max(MIN_LIMIT, self.limit / 2)

    def out_of_sockets(self) -> None:
        """Release one slot for good: this process could not open a socket for a request that holds it."""
        self.limit = max(MIN_LIMIT, min(self.limit, float(self.in_flight)) - 1)

    def _reset_after_fork(self) -> None:
        """In a forked child: what was in flight or waiting then is the parent's and never comes back."""
        self._fork = forks.generation()
        self.in_flight = 0
        self._held_here = 0
        self._held_elsewhere.clear()
        self._waiting.clear()

    def _change_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        """Count the slots of another event loop; release those of closed loops, and drop their waiters."""
        if self._loop is not None and self._held_here:
            self._held_elsewhere[self._loop] = self._held_here
        self._loop, self._held_here = loop, self._held_elsewhere.pop(loop, 0)
        for other in [other for other in self._held_elsewhere if other.is_closed()]:
            self.in_flight -= self._held_elsewhere.pop(other)
        for turn in [turn for turn in self._waiting if turn.get_loop().is_closed()]:
            del self._waiting[turn]
        self._admit()

    def _take_slot(self, loop: asyncio.AbstractEventLoop) -> None:
        self.in_flight += 1
        if loop is self._loop:
            self._held_here += 1
        else:
            self._held_elsewhere[loop] = self._held_elsewhere.get(loop, 0) + 1

    async def _wait_for_slot(self, loop: asyncio.AbstractEventLoop, priority: bool) -> None:
        turn: asyncio.Future[None] = loop.create_future()
        self._waiting[turn] = None
        if priority:
            self._waiting.move_to_end(turn, last=False)
        try:
            await turn
        except BaseException:
            self._waiting.pop(turn, None)
            if turn.done() and not turn.cancelled():  # the slot was given and refused at once: pass it on
                self.release(loop)
            raise

    def _admit(self) -> None:
        while self._waiting and self.in_flight < int(self.limit):
            turn, _ = self._waiting.popitem(last=False)
            loop = turn.get_loop()
            if not turn.done() and not loop.is_closed():
                self._take_slot(loop)
                turn.set_result(None)
