"""How many requests may be in flight: a fixed number, or one that adapts to the server.

The adaptive limit compares latencies with those at low load, like Netflix's concurrency-limits and Envoy's
adaptive concurrency: requests beyond what a server processes at once only wait for each other.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from time import thread_time
from typing import Final

import msgspec

from aiwyn_async.config import Clock

MIN_LIMIT: Final = 1.0
INITIAL_LIMIT: Final = 16.0
MAX_LIMIT: Final = 64
MIN_LIMIT_BY_LATENCY: Final = 2.0
"""Rising latency does not lower the limit further; throttling does."""
TOLERANCE: Final = 1.25
"""A response is slow if its latency exceeds the reference by this factor,"""
SLACK: Final = 0.005
"""and by this many seconds, which the event loop of either side may add."""
MIN_SAMPLES: Final = 8
"""Responses that a reference, and the share of slow responses, represent at least."""
CUT: Final = 0.8
REFERENCE_AGE: Final = 10.0
"""Seconds after which references are measured again,"""
REFERENCE_ROUNDS: Final = 40
"""but not before that many times the latency."""
CEILING: Final = 0.9
"""After throttling, the limit stays below this share of the throttled one,"""
CEILING_AGE: Final = 30.0
"""for this many seconds."""
CPU_TIME_RESOLUTION: Final = 0.001
"""Seconds; the CPU time of a thread is a system call, of 0.4 us."""


class Sample(msgspec.Struct, frozen=True, gc=False):
    """The latency of a successful request.

    Attributes:
        kind: latencies are compared with those of the same kind.
        seconds: from sending the request to the end of the response.
        busy: seconds of these in which this thread worked, and so may have delayed the response; only needed
            if there are more than ``SLACK`` of them.
        admitted_at: when the request was admitted.
    """

    kind: Hashable
    seconds: float
    busy: float
    admitted_at: float


class ThreadCpuTime:
    """The CPU time of the thread of one event loop, rounded up by at most ``CPU_TIME_RESOLUTION``."""

    __slots__ = ("_cpu", "_read_at")

    def __init__(self) -> None:
        self._cpu = 0.0
        self._read_at = float("-inf")

    def begin(self, now: float) -> float:
        """Return the CPU time at ``now``, by the performance counter, or shortly before."""
        if now - self._read_at > CPU_TIME_RESOLUTION:
            self._read_at, self._cpu = now, thread_time()
        return self._cpu


class FixedLimit:
    """Halves when the server throttles; grows by one per round of successes, like the window of TCP."""

    def __init__(self, max_limit: int) -> None:
        self.max_limit: int = max_limit
        self.limit: float = float(max_limit)

    def succeeded(self, sample: Sample | None, in_flight: int) -> None:  # noqa: ARG002 (of adaptive limits)
        """Count a success, of which ``in_flight`` requests were in flight."""
        if self.limit < self.max_limit:
            self.limit = min(float(self.max_limit), self.limit + 1 / self.limit)

    def throttled(self) -> None:
        self.limit = max(MIN_LIMIT, self.limit / 2)

    def out_of_sockets(self, in_flight: int) -> None:
        """Allow one request less than were in flight."""
        self.limit = max(MIN_LIMIT, min(self.limit, float(in_flight)) - 1)


class AdaptiveLimit(FixedLimit):
    """Grows while latency is normal, and is cut when most responses are slow or the server throttles.

    It doubles per round of responses until the first cut; then a round adds its square root. It grows only
    if more than half of it is in use. A response that is slow because this thread was busy, with decoding for
    example, neither raises nor lowers it. After a while, a few requests are sent at half the limit, to
    measure the latency at low load again.
    """

    def __init__(self, clock: Clock) -> None:
        super().__init__(MAX_LIMIT)
        self.limit = INITIAL_LIMIT
        self._clock = clock
        self._doubles = True
        self._slow_share = 0.0
        self._ceiling = float(MAX_LIMIT)
        self._ceiling_until = float("-inf")
        self._latencies: dict[Hashable, list[float]] = {}
        self._normal: dict[Hashable, float] = {}
        """The longest normal latency of each kind whose reference is measured."""
        self._limit_after: float | None = None
        """During a measurement at half the limit: the limit after it."""
        self._measure()
        self._since = float("-inf")

    def succeeded(self, sample: Sample | None, in_flight: int) -> None:
        """Adjust the limit to the latency of a success."""
        if sample is None or sample.admitted_at <= self._since:
            return  # its latency is that of an earlier limit
        normal = self._normal.get(sample.kind) or self._measured(sample)
        is_slow = sample.seconds - sample.busy > normal
        if self._limit_after is not None or (sample.seconds > normal and not is_slow):
            return
        self._slow_share += (is_slow - self._slow_share) / max(MIN_SAMPLES, self.limit)
        if self._slow_share > 0.5:
            if self._doubles:
                self._measured_at = float("-inf")  # references of the first rounds may be of higher load
            self._cut(0.5 if self._doubles else CUT)
            if self.limit <= MIN_LIMIT_BY_LATENCY:  # so few requests are not the cause
                self.limit = MIN_LIMIT_BY_LATENCY
                self._measure()
        elif not is_slow and 2 * in_flight > self.limit:
            self._grow()
        if self._clock.monotonic() - self._measured_at > max(REFERENCE_AGE, REFERENCE_ROUNDS * normal):
            self._limit_after = self.limit
            self.limit = max(MIN_LIMIT, self.limit / 2)
            self._measure()

    def throttled(self) -> None:
        """Halve the limit, and do not return to it for a while."""
        self._set_ceiling(CEILING * self.limit)
        self._cut(0.5)

    def out_of_sockets(self, in_flight: int) -> None:
        """Allow one request less than were in flight, for a while."""
        super().out_of_sockets(in_flight)
        self._set_ceiling(self.limit)

    def _measured(self, sample: Sample) -> float:
        """Return the longest normal latency, by that at low load: the median of the first samples."""
        latencies = self._latencies.setdefault(sample.kind, [])
        latencies.append(sample.seconds)
        latencies.sort()
        normal = TOLERANCE * latencies[(len(latencies) - 1) // 2] + SLACK
        if len(latencies) >= self._samples_needed:
            self._normal[sample.kind] = normal
            if self._limit_after is not None:
                self.limit, self._limit_after = self._limit_after, None
        return normal

    def _measure(self) -> None:
        """Measure references again."""
        self._latencies.clear()
        self._normal.clear()
        # Of two rounds: the first responses of one are its fastest.
        self._samples_needed = max(MIN_SAMPLES, math.ceil(2 * self.limit))
        self._measured_at = self._since = self._clock.monotonic()
        self._slow_share = 0.0

    def _grow(self) -> None:
        if self._clock.monotonic() >= self._ceiling_until:
            self._ceiling = float(self.max_limit)
        growth = 1.0 if self._doubles else 1 / math.sqrt(self.limit)
        self.limit = max(self.limit, min(self.limit + growth, self._ceiling))

    def _cut(self, factor: float) -> None:
        self.limit = max(MIN_LIMIT, self.limit * factor)
        self._since = self._clock.monotonic()
        self._doubles = False
        self._slow_share = 0.0

    def _set_ceiling(self, ceiling: float) -> None:
        self._limit_after = None
        self._ceiling = max(MIN_LIMIT, ceiling)
        self._ceiling_until = self._clock.monotonic() + CEILING_AGE
