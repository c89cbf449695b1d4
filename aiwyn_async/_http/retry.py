"""When a request is sent again, and after how long. The only module that imports backoff."""

from __future__ import annotations

import itertools
import random
from collections.abc import Awaitable, Callable, Generator
from typing import Any, Final, Protocol, TypeVar

import backoff
import msgspec

from aiwyn_async._http.error_mapping import find_failure, is_refused_for_now
from aiwyn_async._http.messages import (
    Failure,
    FailureKind,
    Outcome,
    Request,
    Response,
    RetryClass,
    is_success,
    looks_cut,
)
from aiwyn_async._http.retry_after import THROTTLED_STATUSES, requested_wait
from aiwyn_async.config import Config

__all__ = ["Retry", "RetryBudget", "Stop", "is_final", "is_throttled", "retry_decision", "send_until_final"]

# Cloudflare sends 520 to 524 for what others call 502 or 504; an overloaded server may send 529.
RETRIED_STATUSES: Final = {408, 409, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529}
# The server is sure not to have applied a write that it answers so.
NOT_APPLIED_STATUSES: Final = {425, 429}
RETRIED_FAILURES: Final = {
    FailureKind.CONNECT,
    FailureKind.DNS,
    FailureKind.CONNECT_TIMEOUT,
    FailureKind.READ_TIMEOUT,
    FailureKind.ATTEMPT_TIMEOUT,
    FailureKind.DISCONNECTED,
    FailureKind.TRUNCATED,
    FailureKind.ENCODING,
}

COST: Final = 14
THROTTLED_COST: Final = 5


class Retry(msgspec.Struct, frozen=True):
    """Send once more, after ``wait`` seconds, for ``cost`` tokens of the quota."""

    wait: float
    cost: int


class Stop(msgspec.Struct, frozen=True):
    """The outcome is final, ``because`` of this."""

    reason: str


def is_final(request: Request, outcome: Outcome) -> bool:
    """True for a success that looks whole and says nothing else: nothing more is to be decided about it.

    A write may be answered without a body, as by 204; a read that brings none is no answer.
    """
    if not (isinstance(outcome, Response) and is_success(outcome.status)):
        return False
    if _is_json(outcome):
        return find_failure(request, outcome) is None
    return request.retry_class is RetryClass.WRITE and not outcome.body


def is_throttled(outcome: Outcome) -> bool:
    """True when the server asks for fewer requests, or is too busy to answer in time."""
    if isinstance(outcome, Failure):
        return outcome.kind.is_timeout
    return outcome.status in THROTTLED_STATUSES


def retry_decision(
    request: Request, outcome: Outcome, attempt: int, config: Config, *, draw: float = 1.0
) -> Retry | Stop:
    """Pure: send again, and when, or give up. ``attempt`` counts from 1; ``draw`` is in [0, 1).

    Full jitter: the wait is ``draw`` of the back-off, which doubles with each attempt; a Retry-After is
    its floor.
    """
    if not _may_be_repeated(request, outcome, config):
        return Stop("it is not one to be repeated")
    # A body that cannot be read may have been cut on its way; twice the same is no accident.
    most = 1 + (min(config.retries, 1) if _is_unreadable(outcome) else config.retries)
    if attempt >= most:
        return Stop("the attempts are used up")
    throttled = isinstance(outcome, Response) and outcome.status == 429
    base = config.throttled_backoff_base if throttled else config.backoff_base
    wait = draw * min(config.backoff_cap, base * 2.0 ** min(attempt - 1, 64))
    if isinstance(outcome, Response) and outcome.status >= 400:
        asked = requested_wait(outcome.status, outcome.headers, config.clock.time())
        if asked is not None:
            if asked > config.max_retry_after:
                return Stop("the server asks for a longer wait than max_retry_after")
            wait = max(wait, asked)
    if isinstance(outcome, Failure) and outcome.out_of_sockets:
        return Retry(wait, 0)  # the budget spares the server, which this did not reach
    return Retry(wait, THROTTLED_COST if throttled else COST)


def _may_be_repeated(request: Request, outcome: Outcome, config: Config) -> bool:
    if isinstance(outcome, Failure):
        repeatable = outcome.kind in RETRIED_FAILURES
        not_applied = outcome.kind.never_sent
    else:
        repeatable = outcome.status in RETRIED_STATUSES or _is_unreadable(outcome)
        not_applied = outcome.status in NOT_APPLIED_STATUSES or is_refused_for_now(outcome)
        if outcome.status == 409 and request.retry_class is RetryClass.WRITE:
            return False
    if request.retry_class is RetryClass.READ:
        return repeatable
    return repeatable and (not_applied or config.retry_writes)


def _is_unreadable(outcome: Outcome) -> bool:
    if isinstance(outcome, Failure):
        return outcome.kind is FailureKind.ENCODING
    return is_success(outcome.status) and looks_cut(outcome.body)


def _is_json(response: Response) -> bool:
    """Cheap, for every answer: the ends of the body. Decoding sees the rest."""
    pieces = response.pieces
    if pieces[0].startswith((b"{", b"[")) and pieces[-1].endswith((b"}", b"]")):
        return True
    body = response.body
    return body.strip()[:1] in {b"{", b"["} and not looks_cut(body)


class RetryBudget:
    """A client's budget of retries, so that a dead server is not stormed (as botocore's, with its figures).

    A retry takes tokens; a first success gives one back, a success after retries gives back its last cost.
    """

    def __init__(self, tokens: int) -> None:
        self.capacity = tokens
        self.tokens = tokens

    def take(self, cost: int) -> bool:
        """Take ``cost`` tokens; False, and nothing taken, when there are too few."""
        if cost > self.tokens:
            return False
        self.tokens -= cost
        return True

    def refund(self, tokens: int) -> None:
        """Give tokens back, up to the capacity."""
        if self.tokens < self.capacity:
            self.tokens = min(self.capacity, self.tokens + tokens)


class _NotFinal(Exception):  # noqa: N818 (never leaves this module; backoff asks for an exception)
    def __init__(self, outcome: Outcome) -> None:
        super().__init__()
        self.outcome = outcome


class Retryable(Protocol):
    """What is sent again and again: it knows its request, and is told how that ended."""

    request: Request
    succeeded: bool
    retry_budget_exhausted: bool


CallT = TypeVar("CallT", bound=Retryable)


async def send_until_final(
    call: CallT, once: Callable[[CallT, float], Awaitable[Outcome]], config: Config, quota: RetryBudget
) -> Outcome:
    """Send until the outcome is final, and return it, good or bad. ``once(call, wait)`` waits, then sends."""
    first = await once(call, 0.0)
    if is_final(call.request, first):
        call.succeeded = True
        quota.refund(1)
        return first
    unsettled: list[Outcome] = [first]
    planned = [Retry(0.0, 0)]

    async def attempt() -> Outcome:
        outcome = unsettled.pop() if unsettled else await once(call, planned[0].wait)
        if is_final(call.request, outcome):
            call.succeeded = True
            quota.refund(planned[0].cost)
            return outcome
        raise _NotFinal(outcome)

    def waits() -> Generator[float, Any, None]:  # backoff sends each exception
        # The wait itself is left to once(): backoff's own sleep knows neither the injected clock nor the
        # pause that all requests of a client share.
        failed: _NotFinal = yield 0.0
        for number in itertools.count(1):
            decision = retry_decision(call.request, failed.outcome, number, config, draw=random.random())  # noqa: S311
            if isinstance(decision, Stop):
                return
            if not quota.take(decision.cost):
                call.retry_budget_exhausted = True
                return
            planned[0] = decision
            failed = yield 0.0

    # jitter=None: backoff would shorten the wait below Retry-After. logger=None: it would log the request.
    repeated = backoff.on_exception(waits, _NotFinal, jitter=None, logger=None)(attempt)
    try:
        return await repeated()
    except _NotFinal as last:
        return last.outcome
