# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
"""Reports of unusual rows are the same for every output."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from aiwyn_async import AiwynClient, DecodeError
from aiwyn_async.export import export
from aiwyn_async.sandbox import Sandbox
from aiwyn_async.sync import sync

from .conftest import Serve

OUTPUTS = ["typed", "stream", "parquet", "duckdb", "csv", "columns", "sync"]


async def report_of(output: str, aiwyn: Any, path: Path) -> Any:
    """Read all invoices into an output, and return the report."""
    read = aiwyn.invoices.list(on_bad_row="collect")
    outputs: dict[str, Callable[[], Awaitable[Any]]] = {
        "typed": read.collect,
        "stream": lambda: asyncio.to_thread(pa.table, read),
        "columns": lambda: export(read, path / "x.parquet", columns=["id", "clientId"]),
        "sync": lambda: sync(aiwyn.invoices, path / "s.duckdb", on_bad_row="collect"),
    }
    result = await outputs.get(output, lambda: export(read, path / f"x.{output}"))()
    return result.report if output == "sync" else read.report


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize(
    ("row", "unknown"),
    [
        (r'{"id":2,"notes":"\ud83d","clientId":5}', {}),
        (r'{"id":2,"notes":"\ud83d","clientId":5,"region":1}', {"region": 2}),
        ('{"id":2.0,"notes":"a","clientId":5}', {}),
        ('{"Id":2,"notes":"a","clientId":"5","region":1}', {"region": 2}),
    ],
    ids=["surrogate", "surrogate and unknown field", "fraction", "spelling"],
)
async def test_unusual_row_is_repaired_once_and_declared_fields_are_not_unknown(
    serve: Serve, tmp_path: Path, output: str, row: str, unknown: dict[str, int]
) -> None:
    aiwyn = serve('{"id":1,"notes":"a","clientId":5}', row)
    if output == "stream" and '"5"' in row:
        pytest.skip("a stream refuses text ids")
    report = await report_of(output, aiwyn, tmp_path)
    assert report.unknown_fields == unknown
    assert report.repaired_rows == (0 if '"Id"' in row else 1)


@pytest.mark.parametrize("verb", ["list", "pull"])
async def test_dict_rows_count_empty_amounts_as_repaired(serve: Serve, verb: str) -> None:
    aiwyn = serve(
        '{"id":1,"totalAmount":""}', '{"id":2,"totalAmount":5,"lineItems":[{"amount":" "}]}', '{"id":3}'
    )
    read: Any = getattr(aiwyn.invoices, verb)()
    rows = await read.decode_as(dict[str, Any]).collect()
    read = read.decode_as(dict)
    assert await read.collect() == rows
    assert rows[:2] == [
        {"id": 1, "totalAmount": None},
        {"id": 2, "totalAmount": Decimal(5), "lineItems": [{"amount": None}]},
    ]
    assert read.report.repaired_rows == 2


async def test_dict_rows_count_empty_amounts_beside_a_bad_row(serve: Serve) -> None:
    aiwyn = serve('{"id":1,"totalAmount":""}', '{"id":2,"totalAmount":"many"}', '{"id":3,"totalAmount":7}')
    read = aiwyn.invoices.list(on_bad_row="skip").decode_as(dict)
    assert await read.collect() == [{"id": 1, "totalAmount": None}, {"id": 3, "totalAmount": Decimal(7)}]
    assert (read.report.repaired_rows, read.report.bad_rows) == (1, 1)


async def test_dict_rows_have_keys_that_are_written_with_a_fraction(serve: Serve) -> None:
    read = serve('{"id":1.0}', '{"id":2.0}').invoices.pull(strict=True).decode_as(dict)
    assert len(await read.collect()) == 2


@pytest.mark.parametrize("output", OUTPUTS)
async def test_unknown_fields_of_a_page_with_invalid_json_are_reported(
    serve: Serve, tmp_path: Path, output: str
) -> None:
    """Such a page is requested twice."""
    aiwyn = serve('{"id":1,"notes":"a"}', '{"id":2,"notes":"\t","region":1}', '{"id":3,"region":2}')
    report = await report_of(output, aiwyn, tmp_path)
    assert (report.unknown_fields, report.bad_rows) == ({"region": 3}, 1)


@pytest.mark.parametrize("verb", ["list", "pull"])
async def test_rows_without_a_key_are_reported_without_one(
    sandbox: Sandbox, client: AiwynClient, tmp_path: Path, verb: str
) -> None:
    rows = b'[{"clientId":1,"region":1},{"client":5},{"clientId":NaN}]'
    body = b'{"rows":%s,"count":3}' % rows
    route = "list" if verb == "list" else "search"
    sandbox.faults.add(f"draft_invoice_histories.{route}", every=1, mutate=lambda _: body)
    read: Any = getattr(client.draft_invoices, verb)
    for output in ("typed", "parquet"):
        collected = read(on_bad_row="collect")
        await (collected.collect() if output == "typed" else export(collected, tmp_path / "x.parquet"))
        assert [bad.key for bad in collected.bad_rows] == [None, None]
        assert collected.report.unknown_fields == {"region": None}
    with pytest.raises(DecodeError, match="cannot decode row 1: client"):
        await read().collect()
