"""A run that fails loads nothing, moves no bookmark, and leaves nothing open."""

from __future__ import annotations

import gc
import json
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dlt
import pytest
from dlt.pipeline.exceptions import PipelineStepFailed

from aiwyn_async import (
    AiwynClient,
    IncompleteError,
    PullReport,
)
from aiwyn_async.dlt import aiwyn_source
from aiwyn_async.errors import DecodeError, ServerError
from aiwyn_async.sandbox import Drift, Sandbox
from aiwyn_async.testing import FakeClock
from duckdb_files import query
from loaded_tables import cause_in, loaded_rows, sandbox_rows
from looking_inside import session_of

Connect = Callable[[], AiwynClient]


@pytest.mark.parametrize(("resource", "refresh"), [("invoices", "drop_resources"), ("clients", None)])
def test_incomplete_read_loads_nothing_and_keeps_table_and_state(
    resource: str, refresh: Any, pipeline: Any, path: Path
) -> None:
    rows = f"SELECT * FROM books.{resource} ORDER BY id"
    with Sandbox(invoices=2500, sizes={"clients": 2500}, seed=7) as box:

        def connect() -> AiwynClient:
            return AiwynClient(
                base_url=box.url, api_key=box.api_key, clock=FakeClock(), warn_undocumented=False
            )

        def run() -> None:
            pipeline.run(aiwyn_source([resource], connect=connect), refresh=refresh)

        run()
        before, state = query(path, rows), pipeline.state["sources"]
        (new,) = box.insert(resource)
        keys = [int(str(key)) for (key,) in box.query(f"SELECT id FROM {resource} ORDER BY id")]
        box.faults.add(
            f"{resource}.search", times=10_000, status=500, match=lambda body: reads(body, keys, keys[1200])
        )
        with pytest.raises(PipelineStepFailed) as raised:
            run()
        error = cause_in(raised.value, IncompleteError)
        assert raised.value.step == "extract"
        assert isinstance(error.report, PullReport)
        assert error.report.missing
        assert query(path, rows) == before
        assert pipeline.state["sources"] == state

        box.faults.clear()
        run()
        assert query(path, f"SELECT id FROM books.{resource} ORDER BY id") == [(key,) for key in keys]
        assert new in keys


def reads(body: Any, keys: list[int], key: int) -> bool:
    """Whether the response to a search by key contains this key."""
    where = body.get("where", {})
    bounds = [term["id"] for term in where.get("_and", [where]) if "id" in term]
    after = max((bound["_gt"] for bound in bounds if "_gt" in bound), default=0)
    until = min((bound["_lte"] for bound in bounds if "_lte" in bound), default=keys[-1])
    return (
        body["orderBy"] == [{"id": "asc"}]
        and key in [each for each in keys if after < each <= until][: body["pageSize"]]
    )


def test_changes_that_are_not_proven_complete_load_nothing(
    box: Sandbox, connect: Connect, pipeline: Any, path: Path
) -> None:
    pipeline.run(aiwyn_source(["invoices"], connect=connect))
    before, state = loaded_rows(path, "invoices"), pipeline.state["sources"]
    box.insert("invoices", count=3)
    no_rows = b'{"deid_invoice": [], "deid_invoice_aggregate": {"aggregate": {"count": 0}}}'
    box.faults.add(
        "invoices.search",
        times=10_000,
        body=no_rows,
        match=lambda body: body["orderBy"][0] == {"updatedAt": "asc"},  # type: ignore[index]
    )
    with pytest.raises(PipelineStepFailed) as raised:
        pipeline.run(aiwyn_source(["invoices"], connect=connect))
    assert "the bookmark is not moved" in str(cause_in(raised.value, IncompleteError))
    assert loaded_rows(path, "invoices") == before
    assert pipeline.state["sources"] == state


def test_list_that_keeps_changing_loads_nothing(
    box: Sandbox, connect: Connect, pipeline: Any, path: Path
) -> None:
    pipeline.run(aiwyn_source(["payments"], connect=connect))
    before = loaded_rows(path, "payments")
    box.drift = Drift(insert=1)
    with pytest.raises(PipelineStepFailed) as raised:
        pipeline.run(aiwyn_source(["payments"], connect=connect))
    assert "the list keeps changing" in str(cause_in(raised.value, IncompleteError))
    assert loaded_rows(path, "payments") == before


def test_failed_list_loads_nothing_and_keeps_the_table(
    box: Sandbox, connect: Connect, pipeline: Any, path: Path
) -> None:
    pipeline.run(aiwyn_source(["payments"], connect=connect))
    before = loaded_rows(path, "payments")
    box.insert("payments", count=3)
    box.faults.add("payments.list", times=10_000, status=500)
    with pytest.raises(PipelineStepFailed) as raised:
        pipeline.run(aiwyn_source(["payments"], connect=connect))
    assert cause_in(raised.value, ServerError).status == 500
    assert loaded_rows(path, "payments") == before


def test_row_that_does_not_decode_loads_nothing(box: Sandbox, connect: Connect, pipeline: Any) -> None:
    box.faults.add(
        "invoices.search", every=1, mutate=lambda body: body.replace(b'"subtotal":', b'"subtotal":[],"x":')
    )
    with pytest.raises(PipelineStepFailed) as raised:
        pipeline.run(aiwyn_source(["invoices"], connect=connect))
    assert "subtotal" in str(cause_in(raised.value, DecodeError))


def not_json(head: bytes, row: bytes) -> bytes:
    return head + b'"x":NaN,' + row


def of_another_type(head: bytes, row: bytes) -> bytes:
    """Return JSON that decodes only as long as nobody needs its amount."""
    return head + row.replace(b'mount":', b'mount":"a lot","x":', 1)


@pytest.mark.parametrize("spoil", [not_json, of_another_type])
@pytest.mark.parametrize("resource", ["invoices", "payments"])
def test_row_that_does_not_decode_can_be_skipped(
    *,
    resource: str,
    spoil: Callable[[bytes, bytes], bytes],
    box: Sandbox,
    connect: Connect,
    pipeline: Any,
    path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    odd = min(sandbox_rows(box, resource))
    head = b'{"id":%d,' % odd

    def mutate(body: bytes) -> bytes:
        before, start, row = body.partition(head)
        return before + spoil(start, row) if start else body

    for route in ("invoices.search", "payments.list"):
        box.faults.add(route, every=1, mutate=mutate)
    with pytest.raises(PipelineStepFailed):
        pipeline.run(aiwyn_source([resource], connect=connect))
    pipeline.run(aiwyn_source([resource], connect=connect, on_bad_row="skip"))
    assert set(sandbox_rows(box, resource)) - set(loaded_rows(path, resource)) == {odd}
    assert f"{resource}: 1 rows do not decode and were left out" in caplog.messages


def test_skipped_row_does_not_hide_a_missing_one(box: Sandbox, connect: Connect, pipeline: Any) -> None:
    def spoil(body: bytes) -> bytes:
        page = json.loads(body)
        (rows,) = (value for value in page.values() if isinstance(value, list))
        for row in rows[1:2]:
            row["amount"] = "a lot"
        del rows[:1]
        return json.dumps(page).encode()

    box.faults.add("payments.list", every=1, mutate=spoil)
    with pytest.raises(PipelineStepFailed) as raised:
        pipeline.run(aiwyn_source(["payments"], connect=connect, on_bad_row="skip"))
    assert "1 rows counted by the server were not received" in str(cause_in(raised.value, IncompleteError))


def test_bookmark_does_not_move_if_the_load_does_not_happen(
    box: Sandbox, connect: Connect, pipeline: Any, path: Path
) -> None:
    pipeline.run(aiwyn_source(["invoices"], connect=connect))
    new = box.insert("invoices", count=3)

    @dlt.resource(name="other")
    def fail() -> Any:
        yield {"id": 1}
        raise OSError("no disk")

    with pytest.raises(PipelineStepFailed, match="no disk"):
        pipeline.run([aiwyn_source(["invoices"], connect=connect), fail])
    assert not set(new) & set(loaded_rows(path, "invoices"))
    pipeline.run(aiwyn_source(["invoices"], connect=connect))
    assert loaded_rows(path, "invoices") == sandbox_rows(box, "invoices")


def portal_threads() -> set[threading.Thread]:
    """The threads with an event loop of a source; those of Dask come and go."""
    return {thread for thread in threading.enumerate() if thread.name.startswith("asyncio-portal")}


def test_source_that_is_closed_early_leaves_no_thread_and_no_open_client(
    connect: Connect, clients: list[AiwynClient]
) -> None:
    before = portal_threads()
    rows = iter(aiwyn_source(["invoices", "payments"], connect=connect))
    next(rows)
    own = portal_threads() - before
    assert own
    del rows
    gc.collect()  # an iterator of dlt may be in a cycle
    for thread in own:
        thread.join(10)
    assert not own & portal_threads()
    assert len(clients) == 2
    assert not any(session_of(client).transport.is_open for client in clients)


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_error_in_the_pipeline_leaves_no_thread_and_no_open_client(
    error: type[BaseException], connect: Connect, clients: list[AiwynClient], pipeline: Any
) -> None:
    before = set(threading.enumerate())
    source = aiwyn_source(["invoices", "payments"], connect=connect)

    def fail(_: object) -> object:
        raise error

    source.resources["invoices"].add_map(fail)
    with pytest.raises((PipelineStepFailed, KeyboardInterrupt)):
        pipeline.run(source)
    assert set(threading.enumerate()) == before
    assert not any(session_of(client).transport.is_open for client in clients)


def test_ctrl_c_during_a_request_leaves_no_thread_and_no_open_client(
    box: Sandbox, connect: Connect, clients: list[AiwynClient]
) -> None:
    before, main = set(threading.enumerate()), threading.get_ident()

    def interrupt(_: object) -> bool:
        signal.pthread_kill(main, signal.SIGINT)
        return True

    box.faults.add("payments.list", delay=60, times=9, match=interrupt)
    with pytest.raises(KeyboardInterrupt):
        list(aiwyn_source(["payments"], connect=connect))
    assert set(threading.enumerate()) == before
    assert not any(session_of(client).transport.is_open for client in clients)
