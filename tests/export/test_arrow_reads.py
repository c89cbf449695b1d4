# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
"""Lists, searches, pulls and changes as Arrow streams: rows, errors, bookmarks, keys that are not null."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from datetime import datetime
from decimal import Decimal
from typing import Any, cast

import duckdb
import msgspec
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from aiwyn_async import (
    AiwynClient,
    DecodeError,
    ExportError,
    FileState,
    IncompleteError,
    PermissionDeniedError,
    Read,
    ServerError,
)
from aiwyn_async.export import export
from aiwyn_async.sandbox import Sandbox

SINCE = "2023-06-01T00:00:00Z"
VERBS = ("list", "search", "pull", "changes", "all_changes")

Firm = tuple[Sandbox, AiwynClient]
AnyRead = Read[Any]


@pytest.fixture
async def firm() -> AsyncIterator[Firm]:
    async with (
        Sandbox(invoices=400, seed=11) as box,
        AiwynClient(base_url=box.url, api_key=box.api_key, backoff_base=0, retries=0) as aiwyn,
    ):
        yield box, aiwyn


def read_of(aiwyn: AiwynClient, verb: str, **options: Any) -> AnyRead:
    if verb == "changes":
        options = {"since": SINCE} | options
    read: AnyRead = getattr(aiwyn.invoices, verb.removeprefix("all_"))(**{"page_size": 50} | options)
    return read


def endpoint_of(verb: str) -> str:
    return "invoices.list" if verb == "list" else "invoices.search"


def to_pyarrow(read: Any) -> list[int]:
    table: Any = pa.table(read)
    table.validate(full=True)
    return cast("list[int]", table["id"].to_pylist())


def to_polars(read: Any) -> list[int]:
    return cast("list[int]", pl.DataFrame(read)["id"].to_list())


def to_duckdb(read: Any) -> list[int]:  # noqa: ARG001 (DuckDB reads the variable)
    with duckdb.connect() as connection:
        return [row[0] for row in connection.execute("SELECT id FROM read").fetchall()]


CONSUMERS = (to_pyarrow, to_polars, to_duckdb)


@pytest.mark.parametrize("verb", VERBS)
async def test_stream_has_the_rows_of_the_iteration_in_three_readers(firm: Firm, verb: str) -> None:
    _, aiwyn = firm
    iterated = read_of(aiwyn, verb)
    expected = [row.id async for row in iterated]
    assert len(set(expected)) == len(expected) > 50
    for consume in CONSUMERS:
        read = read_of(aiwyn, verb)
        rows = await asyncio.to_thread(consume, read)
        # Key ranges are read concurrently.
        assert rows == expected if verb in {"list", "search", "changes"} else sorted(rows) == sorted(expected)
        assert (read.error, read.report.complete) == (None, True)
        assert read.report.rows_yielded == iterated.report.rows_yielded
        assert read.checkpoint == iterated.checkpoint


@pytest.mark.parametrize("verb", VERBS)
async def test_arrow_stream_of_every_read_takes_the_column_options(firm: Firm, verb: str) -> None:
    _, aiwyn = firm
    read = read_of(aiwyn, verb)
    stream = read.arrow_stream(ids="text", date_columns=["createdAt"], round_money=0, extra="json")
    table: Any = await asyncio.to_thread(pa.table, stream)
    assert table.schema.field("id") == pa.field("id", pa.string(), nullable=False)
    assert table.schema.field("createdAt").type == pa.date32()
    assert table.schema.names[-1] == "extra"
    assert read.report.rounded_amounts > 0


@pytest.mark.parametrize("verb", VERBS)
async def test_read_error_is_the_typed_error_of_a_request_in_three_readers(firm: Firm, verb: str) -> None:
    box, aiwyn = firm
    for consume in CONSUMERS:
        box.faults.clear()
        box.faults.add(endpoint_of(verb), nth=4, times=9999, status=403)
        read = read_of(aiwyn, verb)
        with pytest.raises(Exception, match="status 403"):
            await asyncio.to_thread(consume, read)
        assert isinstance(read.error, PermissionDeniedError)
        assert not read.report.complete


@pytest.mark.parametrize("verb", VERBS)
async def test_failed_stream_is_resumed_from_its_checkpoint(firm: Firm, verb: str) -> None:
    box, aiwyn = firm
    expected = [row.id async for row in read_of(aiwyn, verb)]
    box.faults.add(endpoint_of(verb), nth=3 if verb == "changes" else 6, times=9999, status=403)
    options: dict[str, Any] = {"ranges": 1} if verb == "pull" else {}
    read = read_of(aiwyn, verb, **options)
    rows: list[int] = []

    def read_batches() -> None:
        for batch in pa.RecordBatchReader.from_stream(read):
            rows.extend(batch["id"].to_pylist())

    with pytest.raises(pa.ArrowInvalid, match="status 403"):
        await asyncio.to_thread(read_batches)
    assert isinstance(read.error, PermissionDeniedError)
    assert read.error.checkpoint == read.checkpoint
    assert read.checkpoint is not None
    box.faults.clear()
    rest = await asyncio.to_thread(to_pyarrow, read.resume_from(read.checkpoint))
    assert 0 < len(rest) < len(expected)
    assert sorted(rows + rest) == sorted(expected)


@pytest.mark.parametrize("verb", VERBS)
async def test_read_error_is_the_typed_error_of_a_row_in_three_readers(firm: Firm, verb: str) -> None:
    box, aiwyn = firm
    spoil(box, verb, b'"lineItems":[', b'"lineItems":[7,')
    for consume in CONSUMERS:
        read = read_of(aiwyn, verb)
        with pytest.raises(Exception, match="cannot decode row"):
            await asyncio.to_thread(consume, read)
        assert isinstance(read.error, DecodeError)
        assert not read.report.complete
        assert not retained_rows(read.error)


@pytest.mark.parametrize("verb", VERBS)
async def test_read_error_is_the_typed_error_of_a_text_id(firm: Firm, verb: str) -> None:
    box, aiwyn = firm
    spoil(box, verb, b'"clientId":', b'"clientId":"x","clientIdOfTheServer":')
    read = read_of(aiwyn, verb)
    with pytest.raises(pa.ArrowInvalid, match="is text"):
        await asyncio.to_thread(pa.table, read)
    assert isinstance(read.error, ExportError)
    assert 'pass ids="text"' in str(read.error)


async def test_read_error_is_cleared_by_the_next_use(firm: Firm) -> None:
    box, aiwyn = firm
    box.faults.add("invoices.list", times=1, status=500)
    read = aiwyn.invoices.list()
    with pytest.raises(pa.ArrowInvalid):
        await asyncio.to_thread(pa.table, read)
    failed: object = read.error
    assert isinstance(failed, ServerError)
    table: Any = await asyncio.to_thread(pa.table, read)
    assert (table.num_rows, read.error, read.report.complete) == (400, None, True)


@pytest.mark.parametrize("verb", VERBS)
async def test_stream_counts_bad_rows_in_the_report(firm: Firm, verb: str) -> None:
    box, aiwyn = firm
    expected = [row.id async for row in read_of(aiwyn, verb)]
    spoil(box, verb, b'"lineItems":[', b'"lineItems":[7,')
    read = read_of(aiwyn, verb, on_bad_row="collect")
    rows = await asyncio.to_thread(to_pyarrow, read)
    bad = read.report.bad_rows
    assert bad > 0
    assert {row.key for row in read.bad_rows} == set(expected) - set(rows)
    assert (len(read.bad_rows), len(rows)) == (bad, len(expected) - bad)
    assert not read.report.complete


@pytest.mark.parametrize("since", [None, SINCE])
async def test_ack_follows_a_stream_that_was_read_to_its_end(
    firm: Firm, since: str | None, tmp_path: Any
) -> None:
    _, aiwyn = firm
    changes = aiwyn.invoices.changes(since=since, state=FileState(tmp_path / "state.json"), page_size=50)

    def read_one() -> None:
        pa.RecordBatchReader.from_stream(changes).read_next_batch()

    await asyncio.to_thread(read_one)
    gc.collect()
    with pytest.raises(IncompleteError, match="did not reach its end"):
        await changes.ack()
    assert not list(tmp_path.iterdir())

    table: Any = await asyncio.to_thread(pa.table, changes)
    assert changes.problems() == []
    await changes.ack()
    again = aiwyn.invoices.changes(state=FileState(tmp_path / "state.json"))
    assert 0 < len(await again.collect()) < table.num_rows


async def test_ack_refuses_a_stream_whose_last_page_failed_in_conversion(firm: Firm, tmp_path: Any) -> None:
    box, aiwyn = firm
    spoil(box, "changes", b'"lineItems":[', b'"lineItems":[7,')
    changes = aiwyn.invoices.changes(
        since=SINCE, state=FileState(tmp_path / "state.json")
    )  # one page of rows
    with pytest.raises(pa.ArrowInvalid, match="cannot decode row"):
        await asyncio.to_thread(pa.table, changes)
    with pytest.raises(IncompleteError, match="did not reach its end"):
        await changes.ack()


@pytest.mark.parametrize("verb", VERBS)
async def test_key_is_not_nullable_and_a_null_key_is_a_bad_row(firm: Firm, verb: str) -> None:
    box, aiwyn = firm
    whole: Any = await asyncio.to_thread(pa.table, read_of(aiwyn, verb))
    assert whole.schema.field("id") == pa.field("id", pa.int64(), nullable=False)
    assert [field.name for field in whole.schema if not field.nullable] == ["id"]
    if verb != "list":  # reading by key needs the key
        return
    spoil(box, verb, b'{"id":', b'{"id":null,"old":')
    read = read_of(aiwyn, verb, on_bad_row="collect")
    rows = await asyncio.to_thread(to_pyarrow, read)
    assert None not in rows
    assert read.report.bad_rows == whole.num_rows - len(rows) > 0

    failing = read_of(aiwyn, verb)
    with pytest.raises(pa.ArrowInvalid, match="cannot decode row 0 of page 0: id"):
        await asyncio.to_thread(pa.table, failing)
    assert isinstance(failing.error, DecodeError)


class Own(msgspec.Struct, rename="camel"):
    """Required fields are not nullable; those that may be missing are."""

    total_amount: Decimal
    created_at: datetime
    id: int | str | None = None
    client_id: int = 0
    absent: int | msgspec.UnsetType = msgspec.UNSET
    status: str = cast("str", None)
    is_new: bool | None = None


@pytest.mark.parametrize("old", [b'"createdAt":"', b'"totalAmount":', b'"status":"'])
async def test_columns_are_nullable_exactly_if_a_value_may_be_missing(firm: Firm, old: bytes) -> None:
    box, aiwyn = firm
    new = {
        b'"createdAt":"': b'"createdAt":null,"x":"',
        b'"totalAmount":': b'"totalAmount":null,"x":',
        b'"status":"': b'"x":"',
    }
    spoil(box, "list", old, new[old])
    read = aiwyn.invoices.list(on_bad_row="skip").decode_as(Own)
    table: Any = await asyncio.to_thread(pa.table, read)
    table.validate(full=True)
    assert [field.name for field in table.schema if not field.nullable] == ["totalAmount", "createdAt"]
    assert read.report.bad_rows == 1 - table["status"].null_count
    assert table["createdAt"].null_count == table["totalAmount"].null_count == 0


@pytest.mark.parametrize("ids", ["auto", "text"])
async def test_parquet_export_has_the_schema_of_the_stream(firm: Firm, ids: Any, tmp_path: Any) -> None:
    _, aiwyn = firm
    await export(aiwyn.invoices.pull(), tmp_path / "a.parquet", ids=ids)
    table: Any = await asyncio.to_thread(pa.table, aiwyn.invoices.pull().arrow_stream(ids=ids))
    in_file: Any = pq.read_table(tmp_path / "a.parquet")
    assert in_file.schema == table.schema
    assert in_file.equals(table)


def spoil(box: Sandbox, verb: str, old: bytes, new: bytes) -> None:
    """Change the first row of every page of rows."""
    box.faults.add(
        endpoint_of(verb),
        times=9999,
        mutate=lambda body: body.replace(old, new, 1),
        match=lambda body: verb == "list" or cast("Any", body).get("pageSize", 0) > 1,
    )


def retained_rows(error: BaseException) -> list[str]:
    """Return the names of variables with a table or page in the frames of an error."""
    names: list[str] = []
    traceback = error.__traceback__
    while traceback is not None:
        kinds = {name: type(value).__name__ for name, value in traceback.tb_frame.f_locals.items()}
        names += [name for name, kind in kinds.items() if kind in {"Page", "PageRows", "Table", "RowsOfPage"}]
        traceback = traceback.tb_next
    return names
