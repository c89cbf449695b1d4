"""Pulls in virtual time send the requests of real ones, and keep to what their servers allow."""

from __future__ import annotations

from bisect import bisect_left
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from aiwyn_async import AiwynClient
from aiwyn_async.sandbox import RateLimit, Sandbox

ROOT = Path(__file__).parents[2]
LATENCY = 0.02


@pytest.fixture
def virtual(monkeypatch: pytest.MonkeyPatch) -> Any:
    pytest.importorskip("resource", reason="the page server needs it")
    monkeypatch.syspath_prepend(ROOT)
    return import_module("benchmarks.virtual")


async def test_simulated_pull_sends_the_requests_of_a_real_one(virtual: Any) -> None:
    async with (
        Sandbox(invoices=3000, seed=7, latency=LATENCY) as box,
        AiwynClient(base_url=box.url, api_key=box.api_key) as aiwyn,
    ):
        keys = [row[0] for row in box.query("SELECT id FROM invoices ORDER BY id")]
        pull = aiwyn.invoices.pull(page_size=100)
        assert len(await pull.collect()) == 3000
        sent = [request.route for request in box.requests]

    firm = virtual.Firm(keys, LATENCY)
    # In a thread, which has no event loop yet.
    process = await virtual.asyncio.to_thread(virtual.Process([firm], page_size=100).run)

    assert len(firm.admitted) == len(sent) == 1 + pull.report.requests
    assert process.reports[0].requests == pull.report.requests
    assert process.reports[0].pages == pull.report.pages


@pytest.mark.parametrize("options", [{}, {"max_concurrency": 8}, {"max_concurrency": 32}])
def test_long_pull_under_a_low_limit_is_complete(virtual: Any, options: dict[str, int]) -> None:
    """More than half of its requests are refused, for longer than a retry budget lasts."""
    firm = virtual.Firm(range(1, 40_001), 0.05, RateLimit(1, burst=1))
    process = virtual.Process([firm], page_size=100, options=options).run()
    assert process.reports[0].complete
    assert firm.throttled >= 400


@pytest.mark.parametrize(("rate", "latency"), [(5, 0.05), (5, 0.2), (20, 0.05), (100, 0.2)])
def test_simulated_firms_are_complete_within_their_limits(virtual: Any, rate: int, latency: float) -> None:
    sizes = [20_000, 7000, 900, 1]
    firms = [virtual.Firm(range(1, size + 1), latency, RateLimit(rate, burst=rate)) for size in sizes]
    process = virtual.Process(firms, at_once=3, page_size=100, options={"retries": 20}).run()

    assert sorted(report.rows_yielded for report in process.reports) == sorted(sizes)
    assert all(report.complete for report in process.reports)
    assert process.held == 0
    for firm in firms:
        # No window of any length has more than a burst and the requests of its seconds.
        for first, start in enumerate(firm.admitted):
            for seconds in (0.5, 1.0, 10.0):
                last = bisect_left(firm.admitted, start + seconds)
                assert last - first <= rate + rate * seconds + 1e-6
    requests = sum(len(firm.admitted) + firm.throttled for firm in firms)
    retried_tokens = 0  # a burst always admits the first request, which is that of the token
    assert requests == len(firms) + retried_tokens + sum(report.requests for report in process.reports)
    bound = (len(firms[0].admitted) - rate) / rate
    assert bound <= process.seconds <= 1.5 * max(bound, len(firms[0].admitted) * latency / 8)


def test_computation_delays_all_firms_of_a_process(virtual: Any) -> None:
    firms = [virtual.Firm(range(1, 5001), 0.05) for _ in range(4)]
    process = virtual.Process(firms, row_seconds=0.001, page_size=1000).run()
    assert 20 <= process.seconds <= 21
    assert 8 < process.max_held <= 20
