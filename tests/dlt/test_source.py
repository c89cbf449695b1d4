"""After each run of a pipeline, its tables equal the sandbox."""

from __future__ import annotations

import asyncio
import csv
import gzip
import inspect
import json
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

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
)
from aiwyn_async._resources.collection import Collection
from aiwyn_async._resources.untyped import UntypedCollection
from aiwyn_async.dlt import aiwyn_destination, aiwyn_source
from aiwyn_async.sandbox import Sandbox, Variant
from duckdb_files import query
from loaded_tables import cause_in, kinds, loaded_now, loaded_rows, sandbox_rows

Connect = Callable[[], AiwynClient]


def test_tables_equal_the_sandbox_after_each_of_three_runs(
    box: Sandbox, connect: Connect, pipeline: Any, path: Path
) -> None:
    def run() -> dict[str, int]:
        pipeline.run(aiwyn_source(["invoices", "payments"], connect=connect))
        return loaded_now(pipeline)

    assert run() == {"invoices": 120, "payments": len(sandbox_rows(box, "payments"))}
    for resource in ("invoices", "payments"):
        assert loaded_rows(path, resource) == sandbox_rows(box, resource)
        assert sum(loaded_rows(path, resource).values()) > 0

    assert run()["invoices"] < 5
    for resource in ("invoices", "payments"):
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
    client = connect()
    names = [
        name
        for name, value in inspect.getmembers(client, lambda value: isinstance(value, Collection))
        if name != "time" and not isinstance(value, UntypedCollection)
    ]
    assert len(names) >= 9
    for _ in range(2):
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


def test_rows_that_are_read_twice_are_loaded_once(
    box: Sandbox, connect: Connect, pipeline: Any, path: Path
) -> None:
    """All rows are read again if the newest row of the last read was deleted."""
    pipeline.run(aiwyn_source(["invoices"], connect=connect))
    (newest,) = box.query("SELECT id FROM invoices ORDER BY updated_at_us DESC LIMIT 1")[0]
    gone = int(str(newest))
    box.insert("invoices", count=3)
    before = sandbox_rows(box, "invoices")
    box.delete("invoices", gone)
    pipeline.run(aiwyn_source(["invoices"], connect=connect))
    assert loaded_now(pipeline)["invoices"] > 120
    assert loaded_rows(path, "invoices") == before


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


def test_wrong_on_bad_row_is_refused_before_a_client_is_created() -> None:
    def connect() -> AiwynClient:
        raise AssertionError("a client was created")

    wrong: Any
    for wrong in ("collect", ["raise"], None):
        with pytest.raises(ConfigurationError, match='on_bad_row must be "raise" or "skip"'):
            aiwyn_source(["invoices"], connect=connect, on_bad_row=wrong)


@pytest.mark.parametrize("resources", [None, 5, "invoices", [1], [None], ["invoices", "invoices"]])
def test_resources_that_are_not_different_names_are_refused(resources: Any) -> None:
    with pytest.raises(ConfigurationError, match="resources must be"):
        aiwyn_source(resources, connect=lambda: AiwynClient(base_url="http://127.0.0.1:9", token="x"))


@pytest.mark.parametrize("connect", [5, "invoices", asyncio.sleep])
def test_connect_must_be_a_function(connect: Any) -> None:
    for use in (lambda: aiwyn_source(["invoices"], connect=connect), lambda: aiwyn_destination(connect)):
        with pytest.raises(ConfigurationError, match="connect must be a function that is not async"):
            use()


def test_lists_and_objects_are_json_text_that_any_destination_takes(connect: Connect, tmp_path: Path) -> None:
    # Like PostgreSQL and SQLite, a CSV file takes no nested columns.
    pipeline = dlt.pipeline(
        "csv", destination=dlt.destinations.filesystem(tmp_path.as_uri()), dataset_name="files"
    )
    pipeline.run(aiwyn_source(["invoices"], connect=connect), loader_file_format="csv")
    (file,) = (tmp_path / "files/invoices").iterdir()
    with gzip.open(file, "rt", newline="") if file.suffix == ".gz" else file.open(newline="") as text:
        rows = list(csv.DictReader(text))
    assert len(rows) == 120
    for row in rows:
        lines = json.loads(row["line_items"], parse_float=Decimal)
        assert sum(line["amount"] for line in lines) == Decimal(row["subtotal"])


def test_json_text_has_the_nested_values_of_each_row(box: Sandbox, connect: Connect) -> None:
    without, empty, partly, *_ = sandbox_rows(box, "invoices")
    box.update("invoices", without, {"payments": None})
    box.update("invoices", empty, {"payments": []})
    box.update("invoices", partly, {"payments": [{"id": 1, "amount": None}, {"amount": Decimal("-0.01")}]})

    async def sent() -> dict[Any, Any]:
        async with connect() as aiwyn:
            return {row["id"]: row["payments"] async for row in aiwyn.invoices.list().decode_as(dict)}

    def amounts(payments: Any) -> Any:
        return payments and [(each.get("id"), each.get("amount")) for each in payments]

    loaded = {
        row["id"]: None if row["payments"] is None else json.loads(row["payments"], parse_float=Decimal)
        for table in aiwyn_source(["invoices"], connect=connect)
        for row in table.to_pylist()
    }
    assert {key: amounts(value) for key, value in loaded.items()} == {
        key: amounts(value) for key, value in asyncio.run(sent()).items()
    }
    assert amounts(loaded[partly]) == [(1, None), (None, Decimal("-0.01"))]
