"""Retry decisions as a table, the retry budget, and the waits."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiwyn_async._http.messages import Failure, FailureKind, Outcome, Request, Response, RetryClass
from aiwyn_async._http.retry import Retry, RetryBudget, is_final, is_throttled, retry_decision
from aiwyn_async.config import Config, Secret
from aiwyn_async.testing import FakeClock

READ = Request(method="POST", path="/x")
WRITE = Request(method="POST", path="/x", retry_class=RetryClass.WRITE)
CONFIG = Config(base_url="https://a.test", token=Secret("t"), clock=FakeClock())
WITHOUT_RETRIES = Config(base_url="https://a.test", token=Secret("t"), clock=FakeClock(), retries=0)
REPEATING_WRITES = Config(base_url="https://a.test", token=Secret("t"), clock=FakeClock(), retry_writes=True)

UNREADABLE = Response(200, {}, b'{"a":', 0.0)
NEVER_SENT = {"connect", "dns", "connect_timeout"}
READS_REPEAT = NEVER_SENT | {"read_timeout", "attempt_timeout", "disconnected", "truncated", "encoding"}
STATUSES_REPEAT = {408, 409, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529}
ONCE = {"encoding"}


def table() -> Iterator[tuple[str, Outcome, int, int, int]]:
    """A name, an outcome, and how often a read, a write, and a write with retry_writes are sent."""
    for kind in FailureKind:
        times = (2 if kind.value in ONCE else 3) if kind.value in READS_REPEAT else 1
        yield kind.value, Failure(kind, "", 0.0), times, 3 if kind.value in NEVER_SENT else 1, times
    for status in range(100, 600):
        times = 3 if status in STATUSES_REPEAT else 1
        writes = 3 if status in {425, 429} else 1
        yield str(status), Response(status, {}, b"", 0.0), times, writes, 1 if status == 409 else times
    yield "503 and when", Response(503, {"Retry-After": "1"}, b"", 0.0), 3, 3, 3
    yield "429 for too long", Response(429, {"Retry-After": "121"}, b"", 0.0), 1, 1, 1
    yield "500 for too long", Response(500, {"Retry-After": "121"}, b"", 0.0), 1, 1, 1
    yield "cut", UNREADABLE, 2, 1, 2
    yield "400 and cut", Response(400, {}, b'{"a":', 0.0), 1, 1, 1


def test_outcome_determines_the_number_of_requests() -> None:
    for name, outcome, reads, writes, repeated_writes in table():
        for request, config, times in (
            (READ, CONFIG, reads),
            (WRITE, CONFIG, writes),
            (WRITE, REPEATING_WRITES, repeated_writes),
        ):
            decisions = [retry_decision(request, outcome, attempt, config) for attempt in range(1, 6)]
            again = [decision is not None for decision in decisions]
            assert again == [attempt < times for attempt in range(1, 6)], name
        assert retry_decision(READ, outcome, 1, WITHOUT_RETRIES) is None, name


@pytest.mark.parametrize(
    ("outcome", "attempt", "draw", "wait", "cost"),
    [
        (Response(503, {}, b"", 0.0), 1, 1.0, 0.5, 14),
        (Response(503, {}, b"", 0.0), 1, 0.5, 0.25, 14),
        (Response(503, {}, b"", 0.0), 1, 0.0, 0.0, 14),
        (Response(503, {}, b"", 0.0), 2, 1.0, 1.0, 14),
        (Response(503, {}, b"", 0.0), 5, 1.0, 8.0, 14),
        (Response(503, {}, b"", 0.0), 7, 1.0, 20.0, 14),
        (Response(503, {}, b"", 0.0), 5000, 1.0, 20.0, 14),
        (Response(429, {}, b"", 0.0), 1, 1.0, 1.0, 5),
        (Response(429, {"Retry-After": "2"}, b"", 0.0), 1, 0.0, 2.0, 0),
        (Response(429, {"Retry-After": "120"}, b"", 0.0), 1, 1.0, 120.0, 0),
        (Response(429, {"Retry-After": "nan"}, b"", 0.0), 1, 1.0, 1.0, 5),
        (Response(503, {"Retry-After": "3"}, b"", 0.0), 4, 1.0, 4.0, 14),
        (Response(200, {"Retry-After": "121"}, b'{"a":', 0.0), 1, 1.0, 0.5, 14),
        (Failure(FailureKind.DNS, "", 0.0), 1, 1.0, 0.5, 14),
        (Failure(FailureKind.CONNECT, "", 0.0, out_of_sockets=True), 1, 1.0, 0.5, 0),
    ],
)
def test_retry_has_a_wait_and_a_cost(
    outcome: Outcome, attempt: int, draw: float, wait: float, cost: int
) -> None:
    patient = Config(base_url="https://a.test", token=Secret("t"), clock=FakeClock(), retries=10_000)
    assert retry_decision(READ, outcome, attempt, patient, draw=draw) == Retry(wait, cost)


@given(st.integers(1, 10**6), st.floats(0, 1, exclude_max=True), st.text(max_size=40))
def test_wait_is_never_above_the_caps(attempt: int, draw: float, retry_after: str) -> None:
    patient = Config(base_url="https://a.test", token=Secret("t"), clock=FakeClock(), retries=10**7)
    decision = retry_decision(
        READ, Response(429, {"Retry-After": retry_after}, b"", 0.0), attempt, patient, draw=draw
    )
    if isinstance(decision, Retry):
        assert 0 <= decision.wait <= max(patient.backoff_cap, patient.max_retry_after)


@pytest.mark.parametrize(
    ("request_", "outcome", "final"),
    [
        (READ, Response(200, {}, b"{}", 0.0), True),
        (READ, Response(200, {}, b" [] \n", 0.0), True),
        (READ, Response(206, {}, b"{}", 0.0), True),
        (READ, Response(200, {}, (b'{"a":', b"1}"), 0.0), True),
        (READ, Response(200, {}, (b" [", b"] \n"), 0.0), True),
        (READ, Response(200, {}, (b'{"a":', b"1"), 0.0), False),
        (READ, Response(200, {}, b"", 0.0), False),
        (READ, Response(204, {}, b"", 0.0), False),
        (WRITE, Response(204, {}, b"", 0.0), True),
        (WRITE, Response(201, {}, b"", 0.0), True),
        (WRITE, Response(200, {}, b"<html>", 0.0), False),
        (READ, Response(200, {}, b"null", 0.0), False),
        (READ, UNREADABLE, False),
        (READ, Response(404, {}, b"{}", 0.0), False),
        (READ, Failure(FailureKind.DNS, "", 0.0), False),
    ],
)
def test_outcome_is_final(request_: Request, outcome: Outcome, final: bool) -> None:
    assert is_final(request_, outcome) is final


def test_timeouts_and_three_statuses_are_throttling() -> None:
    timeouts = {FailureKind.CONNECT_TIMEOUT, FailureKind.READ_TIMEOUT, FailureKind.ATTEMPT_TIMEOUT}
    assert {kind for kind in FailureKind if is_throttled(Failure(kind, "", 0.0))} == timeouts
    assert [status for status in range(100, 600) if is_throttled(Response(status, {}, b"", 0.0))] == [
        429,
        503,
        529,
    ]


def test_budget_of_500_covers_35_retries_or_100_after_429() -> None:
    for cost, times in ((14, 35), (5, 100)):
        budget = RetryBudget(500)
        assert sum(budget.take(cost) for _ in range(1000)) == times


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 600))))
def test_budget_stays_between_zero_and_its_capacity(moves: list[tuple[bool, int]]) -> None:
    budget = RetryBudget(500)
    for is_take, tokens in moves:
        before = budget.tokens
        if is_take:
            assert budget.take(tokens) is (tokens <= before)
        else:
            budget.refund(tokens)
            assert budget.tokens == min(500, before + tokens)
        assert 0 <= budget.tokens <= 500
