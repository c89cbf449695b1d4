"""The state of one call: what it waits for, its attempts, its last outcome."""

from __future__ import annotations

import time
from collections.abc import Callable

from aiwyn_async._core.observer import AttemptEnd, CallEnd, WaitStart
from aiwyn_async._http.error_mapping import may_have_been_applied
from aiwyn_async._http.messages import Outcome, Request, Response
from aiwyn_async._http.observation import Observation
from aiwyn_async._http.timeouts import TimeLimit
from aiwyn_async.config import Clock, Secret
from aiwyn_async.errors import Attempt, ConfigurationError


class DeadlinePassed(Exception):  # noqa: N818 (never leaves the session)
    """A wait would end after the deadline of its call."""


class Call:
    """The state of one call.

    Attributes:
        queued: seconds queued for a slot since the last attempt.
        waited: seconds waited for backoff, or because of Retry-After, since the last attempt.
        observation: reports the call; None if nobody listens.
    """

    __slots__ = (
        "_clock",
        "_last_end",
        "_phase",
        "_queued_at",
        "_sent_at",
        "ambiguous",
        "attempts",
        "bearer",
        "deadline_at",
        "last",
        "limit",
        "observation",
        "queued",
        "request",
        "retried",
        "retry_budget_exhausted",
        "started",
        "succeeded",
        "waited",
    )

    def __init__(
        self, request: Request, clock: Clock, deadline: float, observation: Observation | None = None
    ) -> None:
        self.request: Request = request
        self.started: float = clock.monotonic()
        self.deadline_at: float = self.started + deadline
        self.limit: TimeLimit = TimeLimit(deadline)
        self.bearer: Secret | None = None
        self.attempts: list[Attempt] = []
        self.last: Outcome | None = None
        self.retried: bool = False
        self.ambiguous: bool = False
        self.succeeded: bool = False
        self.retry_budget_exhausted: bool = False
        self.queued: float = 0.0
        self.waited: float = 0.0
        self.observation: Observation | None = observation
        self._clock = clock
        self._phase = "token"
        self._queued_at: float | None = None
        self._sent_at: float | None = None
        self._last_end: AttemptEnd | None = None

    @property
    def phase(self) -> str:
        """What the call waits for; the limiter sets it to "queue"."""
        return self._phase

    @phase.setter
    def phase(self, phase: str) -> None:
        self._phase = phase
        if self._queued_at is not None:
            self._leave_queue()
        if phase == "queue":
            self._queued_at = self._clock.monotonic()
            if self.observation is not None:
                self.observation.wait_started(WaitStart(reason="queue", seconds=None))
        elif phase == "response" and self.observation is not None:
            self._sent_at = time.perf_counter()

    def _leave_queue(self) -> None:
        if self._queued_at is not None:
            self.queued += self._clock.monotonic() - self._queued_at
            self._queued_at = None

    async def wait(self, phase: str, seconds: float) -> None:
        """Sleep, unless the deadline is earlier: nothing would be sent after it."""
        self.phase = phase
        if self._clock.monotonic() + seconds >= self.deadline_at:
            raise DeadlinePassed
        if self.observation is not None:
            self.observation.wait_started(
                WaitStart(reason="pause" if phase == "pause" else "retry", seconds=seconds)
            )
        since = self._clock.monotonic()
        try:
            await self._clock.sleep(seconds)
        except BaseException:
            seconds = self._clock.monotonic() - since
            raise
        finally:
            self.waited += seconds

    def record(self, outcome: Outcome) -> None:
        """Record the outcome of an attempt, and the waits before it."""
        status = str(outcome.status) if isinstance(outcome, Response) else outcome.kind.value
        attempt = Attempt(status, outcome.elapsed, self.waited, self.queued)
        self.queued = self.waited = 0.0
        self.attempts.append(attempt)
        self.last = outcome
        self.ambiguous = self.ambiguous or may_have_been_applied(self.request, outcome)

    def attempt_end(self, mask: Callable[[str | None], str | None]) -> AttemptEnd:
        self._sent_at = None
        attempt, outcome = self.attempts[-1], self.last
        status = outcome.status if isinstance(outcome, Response) else None
        self._last_end = AttemptEnd(
            number=len(self.attempts),
            status=status,
            error_type=None if status is not None and status < 400 else attempt.outcome,
            elapsed=attempt.elapsed,
            queued=attempt.queued,
            waited=attempt.waited,
            request_id=mask(outcome.request_id) if isinstance(outcome, Response) else None,
            bytes=outcome.length if isinstance(outcome, Response) else 0,
        )
        return self._last_end

    def interrupt(self, error: BaseException) -> AttemptEnd | None:
        """Return the attempt that an error interrupted, to be reported; None if nothing was in flight."""
        if isinstance(error, ConfigurationError):  # raised in place of sending
            self._sent_at = None
        if self._sent_at is None:
            return None
        return AttemptEnd(
            number=len(self.attempts) + 1,
            error_type=type(error).__name__,
            elapsed=time.perf_counter() - self._sent_at,
            queued=self.queued,
            waited=self.waited,
        )

    def end(self, error_type: str | None) -> CallEnd:
        self._leave_queue()
        last = self._last_end
        return CallEnd(
            status=None if last is None else last.status,
            error_type=error_type,
            attempts=len(self.attempts) + (self._sent_at is not None),
            elapsed=self._clock.monotonic() - self.started,
            queued=self.queued + sum(attempt.queued for attempt in self.attempts),
            waited=self.waited + sum(attempt.waited for attempt in self.attempts),
            request_id=None if last is None else last.request_id,
            bytes=0 if last is None else last.bytes,
        )
