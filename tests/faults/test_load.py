"""A thousand tasks on one client, while requests fail; more exports than a pool has threads."""

from __future__ import annotations

import asyncio
import os
import statistics
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from aiwyn_async import AiwynClient, RequestError
from aiwyn_async.export import export
from aiwyn_async.sandbox import Sandbox
from looking_inside import assert_nothing_is_held
from recording_observer import RecordingObserver

TASKS = int(os.environ.get("AIWYN_LOAD_TASKS", "1000"))
FAULTS: list[dict[str, Any]] = [
    {"status": 503},
    {"status": 429, "headers": {"Retry-After": "0.01"}},
    {"action": "truncate"},
    {"action": "reset"},
]


@pytest.fixture
def box() -> Iterator[Sandbox]:
    """A sandbox in a thread of its own, so that the client does not wait for its server's work."""
    with Sandbox(invoices=500, seed=7, log_bodies=False) as running:
        yield running


async def test_thousand_tasks_lose_and_repeat_nothing(box: Sandbox) -> None:
    observer = RecordingObserver()
    keys: list[Any] = [row[0] for row in box.query("SELECT id FROM invoices ORDER BY id")]
    received: Counter[Any] = Counter()
    written: Counter[str] = Counter()
    errors: list[RequestError] = []
    waits: list[float] = []

    async def get(number: int) -> None:
        key = keys[number % len(keys)]
        assert (await aiwyn.invoices.get(key)).id == key
        received["get"] += 1

    async def search(_: int) -> None:
        assert [row.id async for row in aiwyn.invoices.search(page_size=200)] == keys
        received["search"] += 1

    async def upsert(number: int) -> None:
        records = [{"type": "LOAD", "systemRef": f"{number}-{n}", "attributes": {}} for n in range(4)]
        async for outcome in aiwyn.records.upsert(records, batch_size=2):
            written[outcome.status] += 1
        received["upsert"] += 1

    async def measure(work: Callable[[int], Awaitable[None]], number: int) -> None:
        started = time.perf_counter()
        try:
            await work(number)
        except RequestError as error:
            errors.append(error)
        waits.append(time.perf_counter() - started)

    async with AiwynClient(
        base_url=box.url,
        api_key=box.api_key,
        backoff_base=0.01,
        throttled_backoff_base=0.01,
        deadline=50,
        observer=observer,
    ) as aiwyn:
        await aiwyn.invoices.list(limit=1)
        calls_before, attempts_before = box.calls(), len(observer.attempts)
        planned = [box.faults.add("*", every=20 * len(FAULTS), **fault) for fault in FAULTS]
        for number, fault in enumerate(planned):
            fault.seen = 20 * number  # one after the other
        works = [search if n % 20 == 0 else upsert if n % 20 == 1 else get for n in range(TASKS)]
        await asyncio.gather(*(measure(work, number) for number, work in enumerate(works)))
        await assert_nothing_is_held(aiwyn)
    print(f"{TASKS} tasks, {box.calls()} requests, {sum(fault.hits for fault in planned)} faults")  # noqa: T201
    print(f"a task took {statistics.median(waits):.2f} s, the longest {max(waits):.2f} s")  # noqa: T201
    assert sum(received.values()) + len(errors) == TASKS
    observer.assert_all_ended()
    counted = Counter(attempt.error_type or str(attempt.status) for attempt in observer.attempts)
    unavailable, throttled, truncated, reset = (fault.hits for fault in planned)
    assert (counted["503"], counted["429"], counted["truncated"]) == (unavailable, throttled, truncated)
    resent = reset - counted["disconnected"]  # on a connection that was kept alive: not an attempt
    assert box.calls() - calls_before == counted.total() - attempts_before + resent
    applied = box.query("SELECT times_applied FROM records WHERE type = 'LOAD'")
    assert set(applied) <= {(1,)}
    assert written["created"] <= len(applied) <= written["created"] + written["ambiguous"]


async def test_exports_of_many_files_at_once_do_not_wait_for_each_other(box: Sandbox, tmp_path: Path) -> None:
    """Each holds a thread that writes its file; a pool has 40 threads or fewer."""
    async with AiwynClient(base_url=box.url, api_key=box.api_key) as aiwyn:
        exports = [export(aiwyn.invoices.list(limit=2), tmp_path / f"{number}.csv") for number in range(41)]
        assert [result.rows for result in await asyncio.gather(*exports)] == [2] * 41
