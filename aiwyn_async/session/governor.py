"""How many requests of a client are in flight, and the pause they share after a 429."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import Final, Protocol

from aiwyn_async.config import Clock
from aiwyn_async.session import forks

__all__ = ["Governor", "Phased"]

FEWEST: Final = 1.0


class Phased(Protocol):
    """What waits here. It knows what it waits for and until when it may, so that a deadline can name it."""

    phase: str

    async def wait(self, phase: str, seconds: float) -> None:
        """Sleep that long, unless the deadline comes first."""
        ...


class Governor:
    """Admits requests: at most ``limit`` in flight, none before ``paused_until``.

    The limit halves when the server throttles and creeps back by one a round of successes, as TCP's window
    does. One burst of refusals counts once: only a request that was admitted after the last cut cuts again.
    """

    def __init__(self, most: int, clock: Clock) -> None:
        self.most = most
        self.limit = float(most)
        self.in_flight = 0
        self.peak_in_flight = 0
        self.paused_until = float("-inf")
        self._clock = clock
        self._last_cut = float("-inf")
        # By order of admission; a dict, so that one who gives up leaves the queue at once.
        self._waiting: OrderedDict[asyncio.Future[None], None] = OrderedDict()
        self._fork = forks.generation()

    def __repr__(self) -> str:
        return f"<Governor {self.in_flight} in flight of {int(self.limit)}, {len(self._waiting)} waiting>"

    async def enter(self, caller: Phased, *, ahead: bool = False) -> float:
        """Wait for a slot and for the end of a pause; the time of admission. Pair it with ``leave()``.

        ``ahead`` of the queue goes what those in it need, as a new token.
        """
        if self._fork != forks.generation():
            self._forget_the_parents_requests()
        if self.in_flight >= int(self.limit) or self._waiting:
            caller.phase = "queue"
            await self._wait_for_slot(ahead)
        else:
            self.in_flight += 1
        try:
            while (left := self.paused_until - (now := self._clock.monotonic())) > 0:
                await caller.wait("pause", left)
        except BaseException:
            self.leave()
            raise
        self.peak_in_flight = max(self.peak_in_flight, self.in_flight)
        return now

    def leave(self) -> None:
        """Give the slot back."""
        self.in_flight -= 1
        if self._waiting:
            self._admit()

    def pause(self, seconds: float) -> None:
        """Let nobody of this client send before that many seconds have passed."""
        self.paused_until = max(self.paused_until, self._clock.monotonic() + seconds)

    def succeeded(self) -> None:
        """An answer came: one more slot a round of successes."""
        if self.limit < self.most:
            self.limit = min(float(self.most), self.limit + 1 / self.limit)

    def throttled(self, admitted_at: float) -> None:
        """The server was too busy for a request admitted then: half the slots."""
        if admitted_at > self._last_cut:
            self._last_cut = self._clock.monotonic()
            self.limit = max(FEWEST, self.limit / 2)

    def _forget_the_parents_requests(self) -> None:
        """In a forked child: what was in flight or waiting then is the parent's and never comes back."""
        self._fork = forks.generation()
        self.in_flight = 0
        self._waiting.clear()

    async def _wait_for_slot(self, ahead: bool) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[turn] = None
        if ahead:
            self._waiting.move_to_end(turn, last=False)
        try:
            await turn
        except BaseException:
            self._waiting.pop(turn, None)
            if turn.done() and not turn.cancelled():  # the slot was given and refused at once: pass it on
                self.leave()
            raise

    def _admit(self) -> None:
        while self._waiting and self.in_flight < int(self.limit):
            turn, _ = self._waiting.popitem(last=False)
            if not turn.done():
                self.in_flight += 1
                turn.set_result(None)
