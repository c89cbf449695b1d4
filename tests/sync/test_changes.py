"""changes() yields what changed since a bookmark, which only ack() moves."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import pytest

from aiwyn_async import (
    AiwynClient,
    Checkpoint,
    CheckpointError,
    ConfigurationError,
    F,
    FileState,
    IncompleteError,
    ListReport,
    PermissionDeniedError,
    StorageError,
)
from aiwyn_async._changes.checks import ChangesIteration
from aiwyn_async.errors import ServerError
from aiwyn_async.models.base import Id
from aiwyn_async.sandbox import Sandbox, Variant
from aiwyn_async.sync import sync
from model_firm import FirmServer, exact_firm
from number_likes import Timedelta64


class MemoryState:
    """An async state in memory."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}

    async def get(self, key: str, /) -> str | None:
        return self.values.get(key)

    async def put(self, key: str, value: str, /) -> None:
        self.values[key] = value


async def ids_of(changes: Any) -> list[int]:
    return [row.id async for row in changes]


@pytest.fixture(params=["file", "object"])
def state(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    return FileState(tmp_path / "state.json") if request.param == "file" else MemoryState()


async def test_changes_sends_nothing_before_first_await(aiwyn: AiwynClient, firm: Any) -> None:
    changes = aiwyn.invoices.changes(since="2024-01-01T00:00:00")
    assert changes.bookmark is None
    assert firm.box.calls() == 0


async def test_changes_yields_rows_again_without_ack(aiwyn: AiwynClient, firm: Any, state: Any) -> None:
    first = aiwyn.invoices.changes(state=state, overlap=0)
    assert sorted(await ids_of(first)) == firm.ids()
    assert first.complete
    await first.ack()
    changed = firm.ids()[:5]
    for row_id in changed:
        firm.update(row_id)
    changed += firm.insert(2)
    unacknowledged = aiwyn.invoices.changes(state=state, overlap=0, page_size=2)
    again = aiwyn.invoices.changes(state=state, overlap=0, page_size=2)
    for each in (unacknowledged, again):
        assert (await ids_of(each))[-7:] == changed, "in the order of their changes"
    await again.ack()
    last = aiwyn.invoices.changes(state=state, overlap=0)
    assert await ids_of(last) == changed[-1:], "the row at the bookmark is yielded again"
    assert last.bookmark == again.bookmark


async def test_changes_during_a_read_are_yielded_the_next_time(aiwyn: AiwynClient, firm: Any) -> None:
    memory = MemoryState()
    await ids_of(first := aiwyn.invoices.changes(state=memory, overlap=0))
    await first.ack()
    changed = firm.ids()[:30]
    for row_id in changed:
        firm.update(row_id)
    moved = changed[20:25]
    seen: list[Id] = []
    changes = aiwyn.invoices.changes(state=memory, overlap=0, page_size=5)
    async for page in changes.pages():
        if not seen:
            for row_id in moved:
                firm.update(row_id)
        seen += [row.id for row in page.items]
    assert set(changed) - set(moved) <= set(seen)
    assert not set(moved) & set(seen)
    await changes.ack()
    assert set(moved) <= set(await ids_of(aiwyn.invoices.changes(state=memory, overlap=0)))


@pytest.mark.parametrize("where", [None, {"currency": {"_eq": "USD"}}])
async def test_response_without_the_row_at_the_bookmark_is_reported(
    aiwyn: AiwynClient, firm: Any, where: Any
) -> None:
    """The response to another page of the same read looks like all changes."""
    state = MemoryState()
    first = aiwyn.invoices.changes(state=state, where=where)
    await ids_of(first)
    await first.ack()
    firm.insert(4)

    def is_changes(body: Any) -> bool:
        return "orderBy" in body and {"updatedAt": "asc"} in body["orderBy"]

    def last_two(body: bytes) -> bytes:
        page = json.loads(body)
        page["deid_invoice"] = page["deid_invoice"][-2:]
        page["deid_invoice_aggregate"]["aggregate"]["count"] = 2
        return json.dumps(page).encode()

    firm.box.faults.add("invoices.search", match=is_changes, mutate=last_two)
    cut = aiwyn.invoices.changes(state=state, where=where)
    await ids_of(cut)
    assert "the newest at the last read" in cut.problems()[0]
    with pytest.raises(IncompleteError):
        await cut.ack()
    firm.box.faults.add("invoices.search", match=is_changes, mutate=last_two)
    with pytest.raises(IncompleteError, match="not counted completely"):
        await cut.count()
    again = aiwyn.invoices.changes(state=state, where=where)
    assert set(firm.ids()[-4:]) <= set(await ids_of(again))
    await again.ack()


async def test_row_at_the_bookmark_that_left_the_condition_is_no_problem(
    aiwyn: AiwynClient, firm: Any
) -> None:
    state = MemoryState()
    where = {"notes": {"_is_null": True}}
    firm.box.update("invoices", firm.ids()[-1], {"notes": None, "updatedAt": firm.tick()})
    first = aiwyn.invoices.changes(state=state, where=where)
    await ids_of(first)
    await first.ack()
    firm.update(firm.ids()[-1])
    firm.box.update("invoices", firm.ids()[0], {"notes": None, "updatedAt": firm.tick()})
    after = aiwyn.invoices.changes(state=state, where=where)
    assert firm.ids()[0] in await ids_of(after)
    assert after.complete, after.problems()


async def test_ack_is_refused_before_the_end(aiwyn: AiwynClient, firm: Any) -> None:
    memory = MemoryState()
    changes = aiwyn.invoices.changes(state=memory, page_size=10)
    with pytest.raises(IncompleteError):
        await changes.ack()
    pages = changes.pages()
    await anext(pages)
    with pytest.raises(IncompleteError):
        await changes.ack()
    await pages.aclose()
    firm.break_row(firm.ids()[50])
    broken = aiwyn.with_options(retries=0).invoices.changes(state=memory, page_size=10)
    with pytest.raises(IncompleteError):
        await ids_of(broken)
    with pytest.raises(IncompleteError):
        await broken.ack()
    assert memory.values == {}
    with pytest.raises(ConfigurationError, match="state="):
        await aiwyn.invoices.changes().ack()


async def test_changes_resume_within_their_bounds(aiwyn: AiwynClient, firm: Any) -> None:
    changed = firm.ids()[:40]
    since = firm.tick()
    for row_id in changed:
        firm.update(row_id)
    firm.box.faults.add("invoices.search", nth=4, status=500)
    broken = aiwyn.with_options(retries=0).invoices.changes(since=since, page_size=10)
    seen: list[Id] = []

    async def read() -> None:
        async for row in broken:
            seen.append(row.id)  # noqa: PERF401 (rows before the failure count)

    with pytest.raises(ServerError) as failure:
        await read()
    assert seen == changed[:20]
    assert failure.value.checkpoint is not None
    firm.update(changed[0])
    text = failure.value.checkpoint.to_json()
    rest = aiwyn.invoices.changes(since=since, page_size=10, resume=text)
    assert await ids_of(rest) == changed[20:]
    assert rest.bookmark == broken.bookmark
    others = aiwyn.invoices.changes(since=since, page_size=10).decode_as(dict).resume_from(text)
    assert [row["id"] for row in await others.collect()] == changed[20:]
    with pytest.raises(CheckpointError):
        aiwyn.invoices.changes(where=F.status == "PAID", resume=text)
    damaged = json.loads(text) | {"position": {"start": 5}}
    with pytest.raises(CheckpointError, match="damaged"):
        aiwyn.invoices.changes(resume=json.dumps(damaged))


async def test_full_read_of_changes_resumes_with_the_same_row_type(aiwyn: AiwynClient, firm: Any) -> None:
    patient = aiwyn.with_options(retries=0)
    firm.box.faults.add("invoices.search", nth=6, times=99, status=500)
    broken = patient.invoices.changes(page_size=5).decode_as(dict)
    with pytest.raises((ServerError, IncompleteError)):
        await broken.collect()
    firm.box.faults.clear()
    assert broken.checkpoint is not None
    yielded = broken.report.rows_yielded

    rest = aiwyn.invoices.changes(page_size=5).decode_as(dict).resume_from(broken.checkpoint)
    assert 0 < len(await rest.collect()) == len(firm.ids()) - yielded
    with pytest.raises(CheckpointError):
        aiwyn.invoices.changes(page_size=5).resume_from(broken.checkpoint)


@pytest.mark.parametrize("reads", [0, 2])
async def test_count_of_the_page_alone_ends_no_part_of_changes(
    reads: int, served: FirmServer, reader: AiwynClient
) -> None:
    for number in range(1, 20):
        served.firm.put(number, "2025-03-01T10:00:00Z" if number < 9 else None)

    def clamp(_: Any, content: bytes) -> bytes:
        response = msgspec.json.decode(content)
        rows = response["deid_invoice"][:3]
        return msgspec.json.encode(
            {"deid_invoice": rows, "deid_invoice_aggregate": {"aggregate": {"count": len(rows)}}}
        )

    served.alter = clamp
    changes = reader.invoices.changes(since="2025-03-01T00:00:00Z")
    keys: list[Id] = []
    for _ in range(reads):  # and then in another process
        page = await anext(changes.pages())
        keys += [row.id for row in page.items]
        changes = changes.resume_from(page.checkpoint)
    keys += [row.id for row in await changes.collect()]
    assert sorted(map(int, keys)) == list(range(1, 20))
    assert changes.blocking_problems() == []


@pytest.mark.parametrize("fails_at", [0, 1])
async def test_changes_resume_after_an_error_of_the_final_checks(
    firm: Any, aiwyn: AiwynClient, fails_at: int
) -> None:
    (newest,) = firm.insert()
    spoilt = partial(re.sub, rb'("id":%d,.*?"totalAmount":)[^,]*' % newest, rb'\1"a lot"')
    firm.box.faults.add("invoices.search", every=1, mutate=spoilt)
    lookups = count()  # the row of a key: its timestamp, then whether it decodes

    def fails(body: Any) -> bool:
        return "_eq" in str(body) and next(lookups) == fails_at

    firm.box.faults.add("invoices.search", every=1, status=403, match=fails)
    changes = aiwyn.invoices.changes(since="2000-01-01T00:00:00Z", page_size=50, on_bad_row="skip")
    with pytest.raises(PermissionDeniedError) as failure:
        await changes.collect()
    assert failure.value.checkpoint is not None
    rest = changes.resume_from(failure.value.checkpoint)
    assert await rest.collect() == []
    assert rest.blocking_problems() == []


async def test_state_is_bound_to_query_and_server(aiwyn: AiwynClient, tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    paid = aiwyn.invoices.changes(where=F.status == "PAID", state=FileState(path))
    await ids_of(paid)
    await paid.ack()
    with pytest.raises(CheckpointError, match="another query"):
        await ids_of(aiwyn.invoices.changes(state=FileState(path)))
    states = json.loads(path.read_text())
    assert path.stat().st_mode & 0o777 == 0o600
    (endpoint,) = states
    checkpoint = Checkpoint.from_json(states[endpoint])
    assert checkpoint.position["bookmark"] == paid.bookmark
    assert [each.name for each in tmp_path.iterdir()] == ["state.json"]


async def test_state_file_is_read_in_another_process(aiwyn: AiwynClient, firm: Any, tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    first = aiwyn.invoices.changes(state=FileState(path), overlap=0)
    await ids_of(first)
    await first.ack()
    program = (
        f"from aiwyn_async import FileState; state = FileState({str(path)!r});"
        "text = state.get('/gql/v1/invoices/search'); state.put('/other', 'value'); print(text)"
    )
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert first.bookmark is not None
    assert first.bookmark in done.stdout
    row_id = firm.ids()[0]
    firm.update(row_id)
    assert row_id in await ids_of(aiwyn.invoices.changes(state=FileState(path), overlap=0))


def test_state_refuses_an_unrelated_file(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    for text in (b"[1]", b"{", b"\xff", b'{"a": 1}'):
        path.write_bytes(text)
        with pytest.raises(CheckpointError):
            FileState(path).put("a", "b")
        assert path.read_bytes() == text
    with pytest.raises(StorageError):
        FileState(tmp_path).get("a")
    with pytest.raises(StorageError):
        FileState(tmp_path / "nowhere" / "state.json").put("a", "b")


@pytest.mark.parametrize(
    "call",
    [
        lambda invoices: invoices.changes(since="yesterday"),
        lambda invoices: invoices.changes(since=5),
        lambda invoices: invoices.changes(overlap=-1),
        lambda invoices: invoices.changes(overlap=timedelta(seconds=-1)),
        lambda invoices: invoices.changes(overlap=float("nan")),
        lambda invoices: invoices.changes(overlap=Timedelta64()),
        lambda invoices: invoices.changes(page_size=0),
        lambda invoices: invoices.changes(on_bad_row="no"),
        lambda invoices: invoices.changes(resume="{}"),
    ],
)
async def test_changes_refuses_invalid_arguments_before_any_request(
    call: Callable[[Any], Any], aiwyn: AiwynClient, firm: Any
) -> None:
    with pytest.raises(ConfigurationError):
        call(aiwyn.invoices)
    assert firm.box.calls() == 0


async def test_changes_refuses_resource_without_modified_at_field(aiwyn: AiwynClient, firm: Any) -> None:
    for resource in (aiwyn.clients, aiwyn.engagements, aiwyn.staff, aiwyn.wip):
        with pytest.raises(ConfigurationError, match="no documented last-modified field"):
            resource.changes()
    assert firm.box.calls() == 0


async def test_changes_sends_naive_since_and_decodes_dicts(aiwyn: AiwynClient, firm: Any) -> None:
    row_id = firm.ids()[0]
    firm.update(row_id, "2031-01-01T00:00:00+00:00")
    changes = aiwyn.invoices.changes(since=datetime(2030, 12, 31), overlap=1).decode_as(dict)  # noqa: DTZ001
    assert [row["id"] for row in await changes.collect()] == [row_id]
    sent = [str(request.body) for request in firm.box.requests]
    assert any("'2030-12-30T23:59:59'" in body for body in sent)


async def test_changes_without_timestamps_yield_all_rows_each_time() -> None:
    async with (
        Sandbox(invoices=30, variant=Variant(nulls=True)) as box,
        AiwynClient(base_url=box.url, api_key=box.api_key) as aiwyn,
    ):
        memory = MemoryState()
        for _ in range(2):
            changes = aiwyn.invoices.changes(state=memory)
            assert len(await ids_of(changes)) == 30
            await changes.ack()
        assert memory.values == {}


async def test_reconcile_keys_returns_deleted_and_untracked_keys(aiwyn: AiwynClient, firm: Any) -> None:
    known = firm.ids()
    firm.box.delete("invoices", known[4])
    (fresh,) = firm.insert()
    diff = await aiwyn.invoices.reconcile_keys([*known, str(known[5])])
    assert (diff.deleted, diff.untracked) == ([known[4]], [fresh])

    async def streamed() -> AsyncIterator[str]:
        for key in known:
            yield str(key)

    assert (await aiwyn.invoices.reconcile_keys(streamed())).deleted == [str(known[4])]
    paid = aiwyn.invoices.pull(F.status == "PAID")
    assert len((await aiwyn.invoices.reconcile_keys([], paid)).untracked) == firm.box.scalar(
        "SELECT count(*) FROM invoices WHERE status = 'PAID'"
    )
    payments = [row.id async for row in aiwyn.payments.list()]
    assert (await aiwyn.payments.reconcile_keys(payments)).untracked == []


async def test_reconcile_keys_refuses_an_incomplete_sweep(aiwyn: AiwynClient, firm: Any) -> None:
    firm.break_row(firm.ids()[30])
    brief = aiwyn.with_options(retries=0)
    with pytest.raises(IncompleteError):
        await brief.invoices.reconcile_keys(firm.ids(), brief.invoices.pull(page_size=10))


async def test_modified_at_field_can_be_configured(firm: Any, tmp_path: Path) -> None:
    firm.box.insert("invoices", {"createdAt": "2025-06-01T00:00:00Z", "updatedAt": "2020-01-01T00:00:00Z"})
    endpoints = {
        "invoices": {"modified_at_field": "createdAt"},
        "payments": {"modified_at_field": "paymentDate"},
    }
    async with AiwynClient(base_url=firm.box.url, api_key=firm.box.api_key, endpoints=endpoints) as aiwyn:
        changes = aiwyn.invoices.changes(since="2025-05-31T00:00:00Z")
        assert await ids_of(changes) == [firm.ids()[-1]]
        assert changes.bookmark is not None
        assert changes.bookmark.startswith("2025-06-01")
        with pytest.raises(ConfigurationError, match="payments have no documented search endpoint"):
            await sync(aiwyn.payments, tmp_path / "x.duckdb")


@pytest.mark.parametrize("zone", ["", "Z"])
async def test_changes_since_a_time_after_the_newest_change_are_complete(
    zone: str, served: FirmServer, reader: AiwynClient
) -> None:
    served.firm = exact_firm(zone=zone)
    served.firm.put(1, "2025-03-02T05:00:00Z")
    memory = MemoryState()
    changes = reader.invoices.changes(since="2025-03-02T05:00:01" + zone, state=memory)
    assert await changes.collect() == []
    assert (changes.problems(), len(changes.notes)) == ([], 1)
    assert "is earlier than 2025-03-02T05:00:01" in changes.notes[0]
    await changes.ack()
    served.firm.put(2, "2025-03-02T06:00:00Z")
    assert 2 in await ids_of(reader.invoices.changes(state=memory))


@pytest.mark.parametrize("count", ["short_pages", "unstable_pages", "unused_rows"])
def test_report_of_changes_has_the_problems_of_each_part(count: str) -> None:
    class Part:
        def __init__(self, **counts: Any) -> None:
            self.report = ListReport(**counts)

    iteration: Any = ChangesIteration(None, leaves_bad_rows=False)
    iteration.reads = [Part(**{count: 2}), Part()]

    assert getattr(iteration.report, count) == 2
