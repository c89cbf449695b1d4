# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
"""Pulls as Arrow streams: equal sums in three readers, other threads, scripts, errors, early ends."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import duckdb
import msgspec
import polars as pl
import pyarrow as pa
import pytest

from aiwyn_async import AiwynClient, ConfigurationError, LoopMismatchError
from aiwyn_async.arrow._stream import _OwnLoop  # pyright: ignore[reportPrivateUsage]
from aiwyn_async.sandbox import Sandbox
from unreadable_rows import ids, page_contains

Firm = tuple[Sandbox, AiwynClient]


@pytest.fixture
async def firm() -> AsyncIterator[Firm]:
    async with (
        Sandbox(invoices=2500, seed=11) as box,
        AiwynClient(base_url=box.url, api_key=box.api_key, backoff_base=0, retries=0) as aiwyn,
    ):
        yield box, aiwyn


def tasks_of_the_client() -> set[asyncio.Task[Any]]:
    """All but those of the sandbox, which is served by the same event loop."""
    return {task for task in asyncio.all_tasks() if "RequestHandler" not in repr(task)}


async def test_stream_sums_equal_the_servers_in_three_readers(firm: Firm) -> None:
    box, aiwyn = firm
    expected = box.query("SELECT count(*), sum(total_cents) FROM invoices")[0]

    table = await asyncio.to_thread(pa.table, aiwyn.invoices.pull())
    frame = await asyncio.to_thread(pl.DataFrame, aiwyn.invoices.pull())
    pull = aiwyn.invoices.pull()

    def query_duckdb() -> Any:
        with duckdb.connect() as connection:
            connection.register("reader", pa.RecordBatchReader.from_stream(pull))
            return connection.execute("SELECT count(*), sum(totalAmount) FROM reader").fetchone()

    in_duckdb = await asyncio.to_thread(query_duckdb)

    sums = [
        (table.num_rows, sum(table["totalAmount"].to_pylist())),
        (len(frame), frame["totalAmount"].sum()),
        in_duckdb,
    ]
    assert [(rows, total * 100) for rows, total in sums] == [expected] * 3
    assert table.schema.field("totalAmount").type == pa.decimal128(38, 9)
    assert table.schema.field("createdAt").type == pa.timestamp("us", tz="UTC")
    assert frame.schema["totalAmount"] == pl.Decimal(38, 9)
    assert pull.report.complete
    assert pull.report.rows_yielded == expected[0]


async def test_stream_is_refused_in_an_event_loop(firm: Firm) -> None:
    _, aiwyn = firm
    with pytest.raises(LoopMismatchError, match=r"asyncio\.to_thread\(pyarrow\.table, read\)"):
        pa.table(aiwyn.invoices.pull())


async def test_stream_of_a_pull_created_in_another_thread_is_refused(firm: Firm) -> None:
    _, aiwyn = firm
    await aiwyn.invoices.list(limit=1).collect()
    with pytest.raises(pa.ArrowInvalid, match=r"create the read there"):
        await asyncio.to_thread(lambda: pa.table(aiwyn.invoices.pull()))


async def test_stream_refuses_rows_without_columns(firm: Firm) -> None:
    _, aiwyn = firm
    for row_type in (dict, msgspec.Raw):
        with pytest.raises(ConfigurationError, match="no columns"):
            await asyncio.to_thread(pa.table, aiwyn.invoices.pull().decode_as(row_type))


async def test_stream_raises_errors_after_the_rows_before_them(firm: Firm) -> None:
    box, aiwyn = firm
    box.faults.add("invoices.search", nth=3, times=99, status=403)
    reader = await asyncio.to_thread(
        pa.RecordBatchReader.from_stream, aiwyn.invoices.pull(page_size=100, ranges=1)
    )
    first = await asyncio.to_thread(reader.read_next_batch)
    assert first.num_rows == 100
    with pytest.raises(pa.ArrowInvalid, match="status 403"):
        await asyncio.to_thread(reader.read_all)


async def test_stream_error_names_missing_ranges(firm: Firm) -> None:
    box, aiwyn = firm
    before, bad = ids(box)[1199:1201]
    box.faults.add("invoices.search", times=9999, status=400, match=page_contains(box, {bad}))
    missing = f"missing keys above {before} up to {bad}"
    with pytest.raises(pa.ArrowInvalid, match=f"was not read completely: {missing}"):
        await asyncio.to_thread(pa.table, aiwyn.invoices.pull(page_size=100))


async def test_stream_dropped_by_its_reader_ends_the_pull(firm: Firm) -> None:
    _, aiwyn = firm
    before = tasks_of_the_client()
    pull = aiwyn.invoices.pull(page_size=50)

    def read_one() -> int:
        reader = pa.RecordBatchReader.from_stream(pull)
        rows: int = reader.read_next_batch().num_rows
        return rows

    assert await asyncio.to_thread(read_one) == 50
    gc.collect()
    assert tasks_of_the_client() == before
    assert not pull.report.finished


async def test_stream_dropped_in_the_event_loop_does_not_hang(firm: Firm) -> None:
    _, aiwyn = firm
    before = tasks_of_the_client()
    reader = await asyncio.to_thread(pa.RecordBatchReader.from_stream, aiwyn.invoices.pull(page_size=50))
    await asyncio.to_thread(reader.read_next_batch)
    del reader
    gc.collect()
    for _ in range(20):
        await asyncio.sleep(0)
    assert tasks_of_the_client() == before


async def test_stream_collects_bad_rows(firm: Firm) -> None:
    box, aiwyn = firm
    box.faults.add(
        "invoices.search",
        mutate=lambda body: body.replace(b'"lineItems":[', b'"lineItems":[7,', 1),
        match=lambda body: "where" not in str(body),
    )
    pull = aiwyn.invoices.pull(ranges=1, on_bad_row="collect")
    table = await asyncio.to_thread(pa.table, pull)
    assert (table.num_rows, pull.report.bad_rows, len(pull.bad_rows)) == (2499, 1, 1)
    assert not pull.report.complete


SCRIPT = """
import sys, threading
import pyarrow as pa
from aiwyn_async import AiwynClient

aiwyn = AiwynClient(base_url=sys.argv[1], api_key=sys.argv[2])
table = pa.table(aiwyn.invoices.pull())
reader = pa.RecordBatchReader.from_stream(aiwyn.invoices.pull(page_size=50))
reader.read_next_batch()
del reader
print(table.num_rows, pa.compute.sum(table["totalAmount"]), threading.active_count())
"""


async def test_stream_is_readable_without_an_event_loop(firm: Firm) -> None:
    box, _ = firm
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-c", SCRIPT, box.url, box.api_key),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    out, err = await process.communicate()
    rows, total, threads = out.decode().split()
    cents = box.scalar("SELECT sum(total_cents) FROM invoices")
    assert (int(rows), str(Decimal(total) * 100).partition(".")[0]) == (2500, str(cents))
    assert (int(threads), err) == (1, b"")


def test_stream_without_pyarrow_names_the_extra() -> None:
    code = (
        "import sys; sys.modules['pyarrow'] = None\n"
        "from aiwyn_async import AiwynClient\n"
        "aiwyn = AiwynClient(base_url='http://127.0.0.1:9', token='t')\n"
        "try:\n    aiwyn.invoices.pull().__arrow_c_stream__()\n"
        "except Exception as error:\n    print(type(error).__name__, error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == (
        'ConfigurationError an Arrow stream needs pyarrow; run: pip install "aiwyn-async[arrow]"\n'
    )


def test_own_loop_of_a_stream_can_be_stopped_by_its_own_thread() -> None:
    """The garbage collector, which drops readers, runs in any thread."""

    async def stop() -> None:
        own.stop()

    own = _OwnLoop()
    asyncio.run_coroutine_threadsafe(stop(), own.loop).result(10)
