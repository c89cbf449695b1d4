"""After each run of a pipeline, its tables equal the sandbox."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import dlt
import pyarrow as pa
import pytest
from dlt.pipeline.exceptions import PipelineStepFailed

from aiwyn_async import (
    AiwynClient,
    CheckpointError,
    ConfigurationError,
    ExportError,
    F,
    IncompleteError,
    PullReport,
)
from aiwyn_async.dlt import aiwyn_source
from aiwyn_async.errors import DecodeError, RequestError, ServerError
from aiwyn_async.sandbox import Sandbox
from aiwyn_async.sandbox._http.variants import Variant
from duckdb_files import query
from fake_clock import FakeClock
from looking_inside import session_of
from secrecy import CANARY, assert_no_secret, chain_of

Connect = Callable[[], AiwynClient]
ErrorT = TypeVar("ErrorT", bound=BaseException)

MONEY = {"invoices": ("total_amount", "total_cents"), "payments": ("amount", "amount_cents")}


def sandbox_rows(box: Sandbox, resource: str) -> dict[int, Decimal]:
    """Return the amount of each row by id."""
    rows = box.query(f"SELECT id, {MONEY[resource][1]} FROM {resource}")
    return {int(str(key)): Decimal(str(cents)) / 100 for key, cents in rows}


def loaded_rows(path: Path, resource: str) -> dict[int, Decimal]:
    rows = query(path, f"SELECT id, {MONEY[resource][0]} FROM books.{resource}")
    assert len(rows) == len({key for key, _ in rows})
    return dict(rows)


def kinds(path: Path, table: str) -> dict[str, str]:
    return {name: kind for name, kind, *_ in query(path, f"DESCRIBE books.{table}")}


def loaded_now(pipeline: Any) -> dict[str, int]:
    """Return the number of rows that the last run loaded, by table."""
    counts: dict[str, int] = pipeline.last_trace.last_normalize_info.row_counts
    return {table: count for table, count in counts.items() if not table.startswith("_dlt")}


def cause_in(error: BaseException, kind: type[ErrorT]) -> ErrorT:
    return next(one for one in chain_of(error) if isinstance(one, kind))


def test_tables_equal_the_sandbox_after_each_of_three_runs(
    box: Sandbox, connect: Connect, pipeline: Any, path: Path
) -> None:
    def run() -> dict[str, int]:
        pipeline.run(aiwyn_source(["invoices", "payments"], connect=connect))
        return loaded_now(pipeline)

    assert run() == {"invoices": 120, "payments": len(sandbox_rows(box, "payments"))}
    for resource in MONEY:
        assert loaded_rows(path, resource) == sandbox_rows(box, resource)
        assert sum(loaded_rows(path, resource).values()) > 0

    assert run()["invoices"] < 5
    for resource in MONEY:
        assert loaded_rows(path, resource) == sandbox_rows(box, resource)

    first, second, third, *_ = sandbox_rows(box, "invoices")
    box.update("invoices", first, {"totalAmount": Decimal("1234567.89")})
    box.update("invoices", second, {"totalAmount": Decimal("0.01")})
    box.insert("invoices", count=7)
    payment = min(sandbox_rows(box, "payments"))
    box.delete("payments", payment)
    before = sandbox_rows(box, "invoices")
    box.delete("invoices", third)
    assert run()["invoices"] < 20
    # Changes do not show deletions; a table that is read completely does.
    assert loaded_rows(path, "invoices") == before
    assert loaded_rows(path, "payments") == sandbox_rows(box, "payments")
    assert before[first] == Decimal("1234567.89")
    assert payment not in loaded_rows(path, "payments")


def test_money_is_decimal_and_times_have_a_zone(connect: Connect, pipeline: Any, path: Path) -> None:
    pipeline.run(aiwyn_source(["invoices", "payments", "wip", "projects"], connect=connect))
    assert kinds(path, "invoices")["total_amount"] == "DECIMAL(38,9)"
    assert kinds(path, "payments")["amount"] == "DECIMAL(38,9)"
    assert kinds(path, "projects")["budget"] == "DECIMAL(38,9)"
    assert kinds(path, "invoices")["updated_at"] == "TIMESTAMP WITH TIME ZONE"
    tables = ("invoices", "payments", "wip", "projects")
    assert not {kind for table in tables for kind in kinds(path, table).values()} & {"DOUBLE", "FLOAT"}


def test_every_resource_of_the_client_is_loaded(
    box: Sandbox, connect: Connect, pipeline: Any, path: Path
) -> None:
    names = ["clients", "contacts", "draft_invoices", "engagements", "invoices", "payments", "projects"]
    names += ["staff", "wip"]
    pipeline.run(aiwyn_source(names, connect=connect))
    pipeline.run(aiwyn_source(names, connect=connect))
    for name in names:
        table = "draft_invoice_histories" if name == "draft_invoices" else name
        assert query(path, f"SELECT count(*) FROM books.{name}") == box.query(f"SELECT count(*) FROM {table}")


def test_rows_without_a_declared_type_are_exact(box: Sandbox, pipeline: Any, path: Path) -> None:
    def connect() -> AiwynClient:
        endpoints = {"offices": {"search_path": "/invoices/search"}}
        return AiwynClient(
            base_url=box.url, api_key=box.api_key, endpoints=endpoints, warn_undocumented=False
        )

    for _ in range(2):
        pipeline.run(aiwyn_source(["offices"], connect=connect))
    assert dict(query(path, "SELECT id, total_amount FROM books.offices")) == sandbox_rows(box, "invoices")


def test_fields_that_no_type_declares_are_in_the_column_extra(pipeline: Any, path: Path) -> None:
    with Sandbox(invoices=5, seed=7, variant=Variant(extra_fields=True)) as box:
        source = aiwyn_source(
            ["invoices"], connect=lambda: AiwynClient(base_url=box.url, api_key=box.api_key)
        )
        pipeline.run(source)
    extra = query(path, "SELECT extra FROM books.invoices")
    assert len(extra) == 5
    assert all(text and text.startswith("{") for (text,) in extra)


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


def test_bookmark_is_restored_from_the_destination(
    box: Sandbox, connect: Connect, pipeline: Any, path: Path, tmp_path: Path
) -> None:
    pipeline.run(aiwyn_source(["invoices"], connect=connect))
    box.insert("invoices", count=3)
    other = dlt.pipeline(
        "firm",
        pipelines_dir=str(tmp_path / "another machine"),
        destination=dlt.destinations.duckdb(str(path)),
        dataset_name="books",
    )
    other.run(aiwyn_source(["invoices"], connect=connect))
    assert loaded_now(other)["invoices"] < 10
    assert loaded_rows(path, "invoices") == sandbox_rows(box, "invoices")


def test_bookmark_of_another_condition_is_refused(connect: Connect, pipeline: Any, path: Path) -> None:
    pipeline.run(aiwyn_source(["invoices"], connect=connect, where=F.status == "PAID"))
    assert set(query(path, "SELECT DISTINCT status FROM books.invoices")) == {("PAID",)}
    with pytest.raises(PipelineStepFailed) as raised:
        pipeline.run(aiwyn_source(["invoices"], connect=connect))
    assert "another query" in str(cause_in(raised.value, CheckpointError))
    pipeline.run(aiwyn_source(["invoices"], connect=connect), refresh="drop_resources")
    assert query(path, "SELECT count(*) FROM books.invoices") == [(120,)]


def test_table_of_a_resource_without_rows_is_emptied(
    box: Sandbox, connect: Connect, pipeline: Any, path: Path
) -> None:
    pipeline.run(aiwyn_source(["engagements"], connect=connect))
    assert query(path, "SELECT count(*) FROM books.engagements") != [(0,)]
    for (row_id,) in box.query("SELECT id FROM engagements"):
        box.delete("engagements", int(str(row_id)))
    pipeline.run(aiwyn_source(["engagements"], connect=connect))
    assert query(path, "SELECT count(*) FROM books.engagements") == [(0,)]


def test_resource_without_rows_has_a_table(pipeline: Any, path: Path) -> None:
    with Sandbox(invoices=0, seed=7) as box:
        source = aiwyn_source(
            ["invoices"], connect=lambda: AiwynClient(base_url=box.url, api_key=box.api_key)
        )
        pipeline.run(source)
    assert kinds(path, "invoices")["total_amount"] == "DECIMAL(38,9)"


def test_text_ids_are_refused_in_integer_columns(pipeline: Any, path: Path) -> None:
    with Sandbox(invoices=5, seed=7, variant=Variant(numbers="ids")) as box:

        def connect() -> AiwynClient:
            return AiwynClient(base_url=box.url, api_key=box.api_key)

        with pytest.raises(PipelineStepFailed) as raised:
            pipeline.run(aiwyn_source(["invoices"], connect=connect))
        assert 'pass ids="text" to aiwyn_source()' in str(cause_in(raised.value, ExportError))
        pipeline.run(aiwyn_source(["invoices"], connect=connect, ids="text"))
    assert kinds(path, "invoices")["id"] == "VARCHAR"


def test_row_that_does_not_decode_loads_nothing(box: Sandbox, connect: Connect, pipeline: Any) -> None:
    box.faults.add(
        "invoices.search", every=1, mutate=lambda body: body.replace(b'"subtotal":', b'"subtotal":[],"x":')
    )
    with pytest.raises(PipelineStepFailed) as raised:
        pipeline.run(aiwyn_source(["invoices"], connect=connect))
    assert "subtotal" in str(cause_in(raised.value, DecodeError))


def test_dlt_does_not_warn_of_the_key(
    connect: Connect, pipeline: Any, caplog: pytest.LogCaptureFixture
) -> None:
    pipeline.extract(aiwyn_source(["invoices", "clients"], connect=connect))
    assert "hints were different" not in caplog.text


def test_pages_are_arrow_tables_with_a_required_key(connect: Connect) -> None:
    (table,) = aiwyn_source(["invoices"], connect=connect)
    assert isinstance(table, pa.Table)
    assert not table.schema.field("id").nullable
    assert table.schema.field("totalAmount").type == pa.decimal128(38, 9)


def test_source_that_is_closed_early_leaves_no_thread_and_no_open_client(
    connect: Connect, clients: list[AiwynClient]
) -> None:
    before = set(threading.enumerate())
    rows = iter(aiwyn_source(["invoices", "payments"], connect=connect))
    next(rows)
    del rows
    assert set(threading.enumerate()) == before
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

    box.faults.add("payments.list", delay=60, match=interrupt)
    with pytest.raises(KeyboardInterrupt):
        list(aiwyn_source(["payments"], connect=connect))
    assert set(threading.enumerate()) == before
    assert not any(session_of(client).transport.is_open for client in clients)


def test_credentials_are_in_no_file_and_no_trace(pipeline: Any, path: Path, tmp_path: Path) -> None:
    with Sandbox(invoices=20, seed=7, api_key=CANARY) as box:
        source = aiwyn_source(
            ["invoices", "payments"], connect=lambda: AiwynClient(base_url=box.url, api_key=CANARY)
        )
        pipeline.run(source)
    assert path.exists()
    assert_nothing_shows_canary(tmp_path, source, pipeline)


@pytest.mark.parametrize("repeated", ["in an error", "in a row"])
def test_credentials_that_the_server_repeats_are_in_no_file_trace_or_error(
    repeated: str, pipeline: Any, tmp_path: Path
) -> None:
    with Sandbox(invoices=20, seed=7, api_key=CANARY) as box:
        if repeated == "in a row":
            bad = f'"subtotal":"{CANARY}","x":'.encode()
            box.faults.add("invoices.search", every=1, mutate=lambda body: body.replace(b'"subtotal":', bad))
        else:
            box.faults.add("invoices.search", every=1, status=400, body=f'{{"errors": "{CANARY}"}}'.encode())
        source = aiwyn_source(["invoices"], connect=lambda: AiwynClient(base_url=box.url, api_key=CANARY))
        with pytest.raises(PipelineStepFailed) as raised:
            pipeline.run(source)
    assert CANARY not in str(raised.value)
    assert_no_secret(cause_in(raised.value, RequestError))
    assert_nothing_shows_canary(tmp_path, source, pipeline)


def assert_nothing_shows_canary(folder: Path, source: Any, pipeline: Any) -> None:
    trace = pipeline.last_trace
    for shown in (source, pipeline, trace, trace.asdict(), pipeline.state):
        assert CANARY not in repr(shown) + str(shown)
    files = [each for each in folder.rglob("*") if each.is_file()]
    assert len(files) > 5
    assert not [each for each in files if CANARY.encode() in each.read_bytes()]


def test_arguments_are_checked_before_anything_is_sent(box: Sandbox, connect: Connect) -> None:
    with pytest.raises(ConfigurationError, match="no resource 'invoice'"):
        aiwyn_source(["invoice"], connect=connect)
    with pytest.raises(ConfigurationError, match="no resource 'records'"):
        aiwyn_source(["records"], connect=connect)
    with pytest.raises(ConfigurationError, match=r"must be a list of names, such as \['invoices'\]"):
        aiwyn_source("invoices", connect=connect)
    with pytest.raises(ConfigurationError, match="no documented search endpoint"):
        aiwyn_source(["payments"], connect=connect, where=F.id == 1)
    with pytest.raises(ConfigurationError, match="ids must be"):
        aiwyn_source(["invoices"], connect=connect, ids="number")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="overlap"):
        aiwyn_source(["invoices"], connect=connect, overlap=-1)
    assert not box.requests


def test_missing_dlt_names_the_extra() -> None:
    code = "import sys; sys.modules['dlt'] = None; from aiwyn_async.dlt import aiwyn_source"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert 'aiwyn_source needs dlt; run: pip install "aiwyn-async[dlt]"' in done.stderr
