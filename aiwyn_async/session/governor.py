"""How many requests of a client are in flight, and the pause they share after a 429."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final, Protocol

from aiwyn_async.config import Clock

__all__ = ["Governor", "Phased"]

FEWEST: Final = 1.0


class Phased(Protocol):
    """What waits here: it is told what it waits for, so that a deadline can name it."""

    phase: str


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
        self._waiting: deque[asyncio.Future[None]] = deque()

    def __repr__(self) -> str:
        return f"<Governor {self.in_flight} in flight of {int(self.limit)}, {len(self._waiting)} waiting>"

    async def enter(self, caller: Phased) -> float:
        """Wait for a slot and for the end of a pause; the time of admission. Pair it with ``leave()``."""
        if self.in_flight >= int(self.limit) or self._waiting:
            caller.phase = "queue"
            await self._wait_for_slot()
        else:
            self.in_flight += 1
        try:
            while (left := self.paused_until - self._clock.monotonic()) > 0:
                caller.phase = "pause"
                await self._clock.sleep(left)
        except BaseException:
            self.leave()
            raise
        self.peak_in_flight = max(self.peak_in_flight, self.in_flight)
        return self._clock.monotonic()

    def leave(self) -> None:
        """Give the slot back."""
        self.in_flight -= 1
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

    async def _wait_for_slot(self) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self._waiting.remove(turn)
            else:  # the slot was given and cancelled at once: pass it on
                self.leave()
            raise

    def _admit(self) -> None:
        while self._waiting and self.in_flight < int(self.limit):
            turn = self._waiting.popleft()
            if not turn.done():
                self.in_flight += 1
                turn.set_result(None)
