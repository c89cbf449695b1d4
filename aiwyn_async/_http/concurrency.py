"""A client's limit of requests in flight, and its shared pause after a 429."""

from __future__ import annotations

import asyncio
from collections import OrderedDict

from aiwyn_async._http import forks
from aiwyn_async._http.call import Call
from aiwyn_async._http.limits import AdaptiveLimit, FixedLimit, Sample
from aiwyn_async.config import Clock


class ConcurrencyLimiter:
    """Admits requests: at most ``limit`` in flight, none before ``paused_until``.

    A burst of rejections counts once: only a request admitted after the last cut cuts the limit again. If
    ``max_limit`` is None, the limit adapts to the server.
    """

    def __init__(self, max_limit: int | None, clock: Clock) -> None:
        self._limit = AdaptiveLimit(clock) if max_limit is None else FixedLimit(max_limit)
        self.in_flight: int = 0
        self.peak_in_flight: int = 0
        self.paused_until: float = float("-inf")
        self._clock = clock
        self._last_cut = float("-inf")
        # In order of admission; a dict, so that a cancelled waiter is removed at once.
        self._waiting: OrderedDict[asyncio.Future[None], None] = OrderedDict()
        # Slots by event loop, since a closed loop never releases its own: those of the loop used last, and of
        # the others.
        self._loop: asyncio.AbstractEventLoop | None = None
        self._held_here = 0
        self._held_elsewhere: dict[asyncio.AbstractEventLoop, int] = {}
        self._fork = forks.generation

    def __repr__(self) -> str:
        waiting = len(self._waiting)
        return f"<ConcurrencyLimiter {self.in_flight} in flight of {int(self.limit)}, {waiting} waiting>"

    @property
    def max_limit(self) -> int:
        return self._limit.max_limit

    @property
    def limit(self) -> float:
        """How many requests may be in flight now; it grows by fractions."""
        return self._limit.limit

    def slots(self) -> int:
        """Return how many requests may be in flight now, rounded down."""
        return int(self._limit.limit)

    async def acquire(
        self, call: Call, *, loop: asyncio.AbstractEventLoop | None = None, priority: bool = False
    ) -> float:
        """Wait for a slot and the end of a pause; return the time of admission. Pair with ``release()``.

        ``priority`` goes ahead of the queue, for what queued requests need, such as a token.
        """
        if self._fork != forks.generation:
            self._reset_after_fork()
        loop = loop or asyncio.get_running_loop()
        if loop is not self._loop:
            self._change_loop(loop)
        if self.in_flight >= int(self._limit.limit) or self._waiting:
            call.phase = "queue"
            await self._wait_for_slot(loop, priority)
        else:
            self.in_flight += 1
            self._held_here += 1
        try:
            while (left := self.paused_until - (now := self._clock.monotonic())) > 0:
                await call.wait("pause", left)
        except BaseException:
            self.release(loop)
            raise
        self.peak_in_flight = max(self.peak_in_flight, self.in_flight)
        return now

    def release(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        """Release a slot of ``loop``, by default the running one.

        A coroutine that outlived its loop is closed by the garbage collector, where none runs.
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
        """Delay all requests of this client by that many seconds."""
        self.paused_until = max(self.paused_until, self._clock.monotonic() + seconds)

    def succeeded(self, sample: Sample | None = None) -> None:
        self._limit.succeeded(sample, self.in_flight)

    def throttled(self, admitted_at: float) -> None:
        """Halve the slots: the server was too busy for a request admitted then."""
        if admitted_at > self._last_cut:
            self._last_cut = self._clock.monotonic()
            self._limit.throttled()

    def out_of_sockets(self) -> None:
        """Remove one slot: this process could not open a socket for its request."""
        self._limit.out_of_sockets(self.in_flight)

    def _reset_after_fork(self) -> None:
        """Reset in a forked child: requests in flight belong to the parent."""
        self._fork = forks.generation
        self.in_flight = 0
        self._held_here = 0
        self._held_elsewhere.clear()
        self._waiting.clear()

    def _change_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        """Count the slots of another loop; release those and the waiters of closed loops."""
        if self._loop is not None and self._held_here:
            self._held_elsewhere[self._loop] = self._held_here
        self._loop, self._held_here = loop, self._held_elsewhere.pop(loop, 0)
        for other in [other for other in self._held_elsewhere if other.is_closed()]:
            self.in_flight -= self._held_elsewhere.pop(other)
        for turn in [turn for turn in self._waiting if turn.get_loop().is_closed()]:
            del self._waiting[turn]
        self._admit()

    async def _wait_for_slot(self, loop: asyncio.AbstractEventLoop, priority: bool) -> None:
        turn: asyncio.Future[None] = loop.create_future()
        self._waiting[turn] = None
        if priority:
            self._waiting.move_to_end(turn, last=False)
        try:
            await turn
        except BaseException:
            self._waiting.pop(turn, None)
            if turn.done() and not turn.cancelled():  # the slot was assigned and not used: pass it on
                self.release(loop)
            raise

    def _admit(self) -> None:
        while self._waiting and self.in_flight < int(self.limit):
            turn, _ = self._waiting.popitem(last=False)
            loop = turn.get_loop()
            if not turn.done() and not loop.is_closed():
                self.in_flight += 1
                if loop is self._loop:
                    self._held_here += 1
                else:
                    self._held_elsewhere[loop] = self._held_elsewhere.get(loop, 0) + 1
                turn.set_result(None)
