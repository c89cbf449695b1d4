"""A simulated server with a number of workers and a queue, and a client that always has another request."""

from __future__ import annotations

import heapq
import itertools
import random
from collections import deque
from collections.abc import Callable

from aiwyn_async._http.limits import AdaptiveLimit, Sample
from aiwyn_async.testing import FakeClock

REJECTED_AFTER = 0.005


class QueueingServer:
    """Processes ``workers`` requests at once, each for about ``seconds``; others wait.

    Args:
        workers: requests processed at once.
        seconds: for each of them.
        jitter: the seconds of a request vary by up to this fraction.
        max_in_flight: further requests are rejected, or None.
        demand: requests in flight that the client needs at most.

    Attributes:
        in_flight: pairs of the time and the requests in flight from then on.
        served: the times of all successes.
        rejected: the times of all rejections.
    """

    def __init__(
        self,
        workers: int,
        seconds: float,
        *,
        jitter: float = 0.0,
        max_in_flight: int | None = None,
        demand: int = 1000,
        seed: int = 1,
    ) -> None:
        self.clock = FakeClock()
        self.limit = AdaptiveLimit(self.clock)
        self.workers = workers
        self.seconds = seconds
        self.busy: Callable[[float], float] = lambda _: 0.0
        self.in_flight: list[tuple[float, int]] = [(0.0, 0)]
        self.served: list[float] = []
        self.rejected: list[float] = []
        self._jitter = jitter
        self._max_in_flight = max_in_flight
        self._demand = demand
        self._random = random.Random(seed)
        self._order = itertools.count()
        self._events: list[tuple[float, int, Callable[[float], None], float]] = []
        self._queue: deque[float] = deque()
        self._processing = 0
        self._last_cut = -1.0

    def run(self, seconds: float) -> None:
        """Let the time pass."""
        end = self.clock.passed + seconds
        self._send()
        while self._events and self._events[0][0] <= end:
            self.clock.passed, _, end_request, admitted_at = heapq.heappop(self._events)
            end_request(admitted_at)
            assert 1 <= self.limit.limit <= self.limit.max_limit
            self._send()
        self.clock.passed = end

    def mean_in_flight(self, since: float) -> float:
        """Return the average number of requests in flight."""
        points = [(max(at, since), number) for at, number in self.in_flight]
        points.append((self.clock.passed, 0))
        area = sum(number * (after - at) for (at, number), (after, _) in itertools.pairwise(points))
        return area / (self.clock.passed - since)

    def rate(self, since: float) -> float:
        """Return the successes per second."""
        return sum(at > since for at in self.served) / (self.clock.passed - since)

    def _send(self) -> None:
        now = self.clock.passed
        while (number := self.in_flight[-1][1]) < min(int(self.limit.limit), self._demand):
            self.in_flight.append((now, number + 1))
            if self._max_in_flight is not None and number >= self._max_in_flight:
                self._at(now + REJECTED_AFTER, self._reject, now)
            elif self._processing < self.workers:
                self._process(now)
            else:
                self._queue.append(now)

    def _process(self, admitted_at: float) -> None:
        self._processing += 1
        seconds = self.seconds * (1 + self._random.uniform(-self._jitter, self._jitter))
        self._at(self.clock.passed + seconds, self._succeed, admitted_at)

    def _at(self, time: float, end: Callable[[float], None], admitted_at: float) -> None:
        heapq.heappush(self._events, (time, next(self._order), end, admitted_at))

    def _succeed(self, admitted_at: float) -> None:
        now, number = self.clock.passed, self.in_flight[-1][1]
        self.served.append(now)
        self.limit.succeeded(
            Sample("page", now - admitted_at, self.busy(now - admitted_at), admitted_at), number
        )
        self.in_flight.append((now, number - 1))
        self._processing -= 1
        if self._queue and self._processing < self.workers:
            self._process(self._queue.popleft())

    def _reject(self, admitted_at: float) -> None:
        now, number = self.clock.passed, self.in_flight[-1][1]
        self.rejected.append(now)
        if admitted_at > self._last_cut:
            self._last_cut = now
            self.limit.throttled()
        self.in_flight.append((now, number - 1))
