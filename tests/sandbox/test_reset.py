"""reset() returns a sandbox to the state of its start, and another thread may control it meantime."""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from aiwyn_async import AiwynClient, ServerError, WriteReport
from aiwyn_async.sandbox import Drift, RateLimit, Sandbox, Sender


def client(box: Sandbox) -> AiwynClient:
    return AiwynClient(base_url=box.url, api_key=box.api_key, retries=0, warn_undocumented=False)


async def everything(box: Sandbox) -> list[object]:
    """Return all that a client can see of the rows."""
    async with client(box) as aiwyn:
        return [await aiwyn.invoices.list().collect(), await aiwyn.payments.list().collect()]


async def change_rows(box: Sandbox) -> None:
    keys = box.insert("invoices", {"notes": "new"}, count=3)
    box.update("invoices", keys[0], {"status": "CANCELLED"})
    box.delete("invoices", keys[1])
    box.refresh()
    async with client(box) as aiwyn:
        assert (await write_a_record(aiwyn)).ok


async def write_a_record(aiwyn: AiwynClient) -> WriteReport:
    return await aiwyn.records.upsert([{"type": "thing", "systemRef": "1", "attributes": {}}])


FIRMS: dict[str, Callable[[Path], Sandbox]] = {
    "in memory": lambda _: Sandbox(40),
    "in a file": lambda folder: Sandbox(40, path=folder / "firm.sqlite3"),
    "with drift": lambda _: Sandbox(40, drift=Drift(insert=1, update=1, delete=1)),
}


@pytest.mark.parametrize("firm", FIRMS)
@pytest.mark.parametrize("threaded", [False, True])
async def test_reset_restores_rows(firm: str, tmp_path: Path, *, threaded: bool) -> None:
    box = FIRMS[firm](tmp_path)
    if threaded:
        box.__enter__()
    else:
        await box.start()
    try:
        ids, before = box.query("SELECT id FROM invoices"), await everything(box)
        box.reset()
        for _ in range(2):
            await change_rows(box)
            box.reset()
            assert box.query("SELECT id FROM invoices") == ids
            assert box.scalar("SELECT count(*) FROM records") == 0
            assert await everything(box) == before
            box.reset()
        assert box.insert("invoices") == box_of_the_same_firm(firm, tmp_path)
    finally:
        if threaded:
            box.__exit__(None, None, None)
        else:
            await box.stop()


def box_of_the_same_firm(firm: str, tmp_path: Path) -> list[int]:
    (tmp_path / "other").mkdir()
    with FIRMS[firm](tmp_path / "other") as other:
        return other.insert("invoices")


async def test_reset_restores_a_large_firm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aiwyn_async.sandbox._data.database._MAX_INVOICES_IN_MEMORY", 5)
    async with Sandbox(10) as box:
        before = await everything(box)
        await change_rows(box)
        box.reset()
        assert await everything(box) == before


async def test_reset_restores_faults_drift_latency_and_records_nothing() -> None:
    with Sandbox(10, latency=0.001, faults=["503@payments.list"], drift=Drift(insert=2)) as box:
        first = box.drift
        for _ in range(2):
            assert (len(box.requests), box.calls(), box.token_exchanges, len(box.faults)) == (0, 0, 0, 1)
            assert (box.drift, box.latency, box.record_failures) == (first, 0.001, [])
            assert first is not None
            assert (first.inserted, first.pages) == ([], 0)
            async with client(box) as aiwyn:
                with pytest.raises(ServerError):
                    await aiwyn.payments.list()
                await aiwyn.invoices.list()
            assert len(first.inserted) == 2
            box.faults.add("invoices.list", status=500, every=1)
            box.drift, box.latency = Drift(delete=1), 0.002
            box.fail_records(every=1)
            box.reset()


def test_reset_needs_a_running_sandbox() -> None:
    box = Sandbox(5)
    with pytest.raises(RuntimeError, match="not running"):
        box.reset()
    with box:
        box.reset()
    with pytest.raises(RuntimeError, match="not running"):
        box.reset()


async def test_reset_refills_the_rate_limit() -> None:
    with Sandbox(5, rate_limit=RateLimit(0.001, burst=2)) as box:
        for _ in range(3):
            async with client(box) as aiwyn:
                await aiwyn.invoices.list()
            box.reset()


async def test_tokens_remain_valid_after_reset() -> None:
    with Sandbox(5) as box:
        async with client(box) as aiwyn:
            await aiwyn.invoices.list()
            box.reset()
            await aiwyn.invoices.list()
        assert box.token_exchanges == 0


async def test_request_in_progress_at_a_reset_changes_and_records_nothing() -> None:
    with Sandbox(5) as box:
        arrived = threading.Event()

        def note(_: object) -> bool:
            arrived.set()
            return True

        box.faults.add("records.upsert", delay=0.2, match=note)
        async with client(box) as aiwyn:
            pending = asyncio.ensure_future(write_a_record(aiwyn))
            await asyncio.to_thread(arrived.wait, 10)
            box.reset()
            assert not (await pending).ok
        assert box.calls("records.upsert") == 0
        assert box.scalar("SELECT count(*) FROM records") == 0


async def test_reset_removes_subscriptions_and_deliveries() -> None:
    with Sandbox(5, sender=Sender(waits=())) as box:
        async with client(box) as aiwyn:
            await aiwyn.event_subscriptions.create(
                target_url=f"{box.url}/hook", entity_types=["invoices"], operations=["CREATE"]
            )
        box.insert("invoices")
        await box.delivered()
        assert [delivery.state for delivery in box.deliveries] == ["failed"]
        box.reset()
        box.insert("invoices")
        await box.delivered()
        assert len(box.deliveries) == 0


async def test_requests_can_be_iterated_over_while_others_are_served() -> None:
    with Sandbox(5) as box:
        async with client(box) as aiwyn:
            await aiwyn.invoices.list()
            seen: list[str] = []
            for request in box.requests:
                seen.append(request.route)
                await aiwyn.invoices.list()
        assert seen == ["auth.token", "invoices.list"]
        assert len(list(reversed(box.requests))) == 4


async def test_thread_that_changes_rows_never_breaks_a_page_or_drift() -> None:
    with Sandbox(60, drift=Drift(insert=1, update=2, delete=1)) as box:
        stop = threading.Event()
        errors: list[Exception] = []

        def change() -> None:
            try:
                while not stop.is_set():
                    (key,) = box.insert("invoices")
                    box.faults.add("payments.list", status=503)
                    with contextlib.suppress(KeyError):  # drift deleted the row first
                        box.delete("invoices", key)
                    box.query("SELECT count(*) FROM invoices")
            except Exception as error:  # noqa: BLE001 (the test fails with it)
                errors.append(error)

        thread = threading.Thread(target=change)
        thread.start()
        try:
            async with client(box) as aiwyn:
                for _ in range(60):
                    page = await aiwyn.invoices.list(page_size=1000)
                    assert len(page.items) == page.count
        finally:
            stop.set()
            await asyncio.to_thread(thread.join)
        assert not errors
        assert {request.status for request in box.requests} == {200}
