"""When a request is retried, and after how long. Only this module uses backoff."""

from __future__ import annotations

import functools
import itertools
import random
from collections.abc import Awaitable, Callable
from typing import Final

import backoff
import msgspec

from aiwyn_async._http.call import Call
from aiwyn_async._http.error_mapping import find_failure, may_have_been_applied
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

# Cloudflare sends 520 to 524 for what others call 502 or 504; an overloaded server may send 529.
RETRIED_STATUSES: Final = {408, 409, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529}
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
    """Retry after ``wait`` seconds, for ``cost`` tokens of the retry budget."""

    wait: float
    cost: int


def is_final(request: Request, outcome: Outcome) -> bool:
    """Return whether the outcome is a complete success and needs no decision.

    A write may have an empty response, as with 204; a read may not.
    """
    if not (isinstance(outcome, Response) and is_success(outcome.status)):
        return False
    if _is_json(outcome):
        return find_failure(request, outcome) is None
    return request.retry_class is RetryClass.WRITE and not outcome.body


def is_throttled(outcome: Outcome) -> bool:
    """Return whether the server asks for fewer requests, or does not respond in time."""
    if isinstance(outcome, Failure):
        return outcome.kind.is_timeout
    return outcome.status in THROTTLED_STATUSES


def retry_decision(
    request: Request, outcome: Outcome, attempt: int, config: Config, *, draw: float = 1.0
) -> Retry | None:
    """Decide when to retry; None if the outcome is final. Pure: ``attempt`` counts from 1.

    Full jitter: the wait is ``draw``, in [0, 1), times the backoff, which doubles per attempt. Retry-After is
    a floor.
    """
    if not _may_be_repeated(request, outcome, config):
        return None
    # An unreadable body may have been truncated; if it happens twice, it was not.
    max_attempts = 1 + (min(config.retries, 1) if _is_unreadable(outcome) else config.retries)
    if attempt >= max_attempts:
        return None
    throttled = isinstance(outcome, Response) and outcome.status == 429
    base = config.throttled_backoff_base if throttled else config.backoff_base
    wait = draw * _backoff(base, config.backoff_cap, attempt)
    cost = THROTTLED_COST if throttled else COST
    if isinstance(outcome, Response) and outcome.status >= 400:
        requested = requested_wait(outcome.status, outcome.headers, config.clock.time())
        if requested is not None:
            if requested > config.max_retry_after:
                return None
            wait = max(wait, requested)
            if throttled:
                cost = 0  # all requests wait for as long as the server asks, which protects it
    if isinstance(outcome, Failure) and outcome.out_of_sockets:
        cost = 0  # the server, which the budget protects, was not reached
    return Retry(wait, cost)


@functools.lru_cache(maxsize=256)
def _backoff(base: float, cap: float, attempt: int) -> float:
    """Return ``base``, doubled with each attempt up to ``cap``, before jitter."""
    schedule = backoff.expo(base=2, factor=base, max_value=cap)
    next(schedule)  # backoff's generators expect to be started
    return next(itertools.islice(schedule, min(attempt, 64) - 1, None))


def _may_be_repeated(request: Request, outcome: Outcome, config: Config) -> bool:
    if isinstance(outcome, Failure):
        repeatable = outcome.kind in RETRIED_FAILURES
    else:
        repeatable = outcome.status in RETRIED_STATUSES or _is_unreadable(outcome)
        if outcome.status == 409 and request.retry_class is RetryClass.WRITE:
            return False
    return repeatable and (config.retry_writes or not may_have_been_applied(request, outcome))


def _is_unreadable(outcome: Outcome) -> bool:
    if isinstance(outcome, Failure):
        return outcome.kind is FailureKind.ENCODING
    return is_success(outcome.status) and looks_cut(outcome.body)


def _is_json(response: Response) -> bool:
    """Check the ends of the body only; decoding sees the rest."""
    content = response.content
    first, last = (content[0], content[-1]) if isinstance(content, tuple) else (content, content)
    if first.startswith((b"{", b"[")) and last.endswith((b"}", b"]")):
        return True
    body = response.body
    return body.strip()[:1] in {b"{", b"["} and not looks_cut(body)


class RetryBudget:
    """Limits a client's retries, so that a failing server is not overloaded. As in botocore.

    A retry takes tokens; a first success returns one, a success after retries returns its last cost.
    """

    def __init__(self, tokens: int) -> None:
        self.capacity: int = tokens
        self.tokens: int = tokens

    def take(self, cost: int) -> bool:
        """Take ``cost`` tokens; return False, and take none, if there are too few."""
        if cost > self.tokens:
            return False
        self.tokens -= cost
        return True

    def refund(self, tokens: int) -> None:
        if self.tokens < self.capacity:
            self.tokens = min(self.capacity, self.tokens + tokens)


async def retry_until_final(
    call: Call,
    outcome: Outcome,
    once: Callable[[Call, float], Awaitable[Outcome]],
    config: Config,
    budget: RetryBudget,
) -> Outcome:
    """Send again until the outcome is final, and return it.

    ``outcome`` is that of the first attempt; ``once`` waits for some seconds, then sends.
    """
    cost = 1  # so a first success returns one token
    attempt = 0
    while True:
        attempt += 1
        if is_final(call.request, outcome):
            call.succeeded = True
            budget.refund(cost)
            return outcome
        decision = retry_decision(call.request, outcome, attempt, config, draw=random.random())  # noqa: S311
        if decision is None:
            return outcome
        if not budget.take(decision.cost):
            call.retry_budget_exhausted = True
            return outcome
        cost = decision.cost
        outcome = await once(call, decision.wait)
