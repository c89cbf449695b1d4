"""Pulls into files: `export()`, and the same by hand from typed rows."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from csv import DictReader
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from aiwyn_async import Invoice
from aiwyn_async.export import export, read_manifest
from aiwyn_async.sync import sync
from benchmarks.slices import by_hand
from benchmarks.slices.sdk import client_of
from benchmarks.worker import Job, Outcome, Tally, peak_memory

ROWS_A_GROUP = 10_000

_MONEY = pa.decimal128(38, 9)
_INSTANT = pa.timestamp("us", tz="UTC")
_LINE = pa.struct(
    [("id", pa.int64()), ("description", pa.string())]
    + [(name, _MONEY) for name in ("quantity", "unitPrice", "amount", "taxRate")]
)
_PAYMENT = pa.struct(
    [
        ("id", pa.int64()),
        ("amount", _MONEY),
        ("paymentDate", _INSTANT),
        ("paymentMethod", pa.string()),
        ("status", pa.string()),
    ]
)
_TYPES: dict[str, Any] = {
    "line_items": pa.list_(_LINE),
    "payments": pa.list_(_PAYMENT),
    **dict.fromkeys(("id", "client_id", "project_id"), pa.int64()),
    **dict.fromkeys(("issue_date", "due_date", "created_at", "updated_at"), _INSTANT),
    **dict.fromkeys(("subtotal", "tax_amount", "total_amount", "paid_amount", "outstanding_amount"), _MONEY),
}


FIVE_COLUMNS = ("id", "invoiceNumber", "clientId", "totalAmount", "updatedAt")


async def _exported(
    job: Job,
    suffix: str,
    check: Callable[[Path], Tally],
    *,
    pull: bool = False,
    columns: tuple[str, ...] | None = None,
) -> Outcome:
    aiwyn = await client_of(job)
    folder = Path(tempfile.mkdtemp())
    rows = aiwyn.invoices.pull() if pull else aiwyn.invoices.list()
    # A dataset is a folder, which a slash names.
    result = await export(rows, f"{folder}/invoices{suffix}", columns=columns)
    assert result.report.complete, result.report
    return _checked(folder / f"invoices{suffix}", check)


def _checked(path: Path, check: Callable[[Path], Tally]) -> Callable[[], Tally]:
    peak = peak_memory()  # without the check's own

    def checked() -> Tally:
        try:
            tally = check(path)
            return tally._replace(notes={"peak": peak} | (tally.notes or {}))
        finally:
            shutil.rmtree(path.parent)

    return checked


async def jsonl(job: Job) -> Outcome:
    return await _exported(job, ".jsonl", _in_lines)


async def jsonl_by_hand(job: Job) -> Outcome:
    """Split pages into rows and write a line for each, without syncing and without a way to resume."""
    path = Path(tempfile.mkdtemp()) / "invoices.jsonl"
    with path.open("wb") as file:
        async for body in by_hand.bodies(job):
            file.write(b"\n".join(by_hand.split_page(body).deid_invoice))
            file.write(b"\n")
    return _checked(path, _in_lines)


async def checked_jsonl_by_hand(job: Job) -> Outcome:
    """The same from checked pages, under the final name once it is complete and on the disk."""
    path = Path(tempfile.mkdtemp()) / "invoices.jsonl"
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        async for body, rows in by_hand.checked_pages(job):
            lines: list[Any] = rows
            if b"\n" in body:
                lines = [msgspec.json.format(bytes(row), indent=-1) for row in rows]
            file.write(b"\n".join(lines))
            file.write(b"\n")
            del body, rows, lines
        file.flush()
        os.fsync(file.fileno())
    partial.rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)
    return _checked(path, _in_lines)


async def csv(job: Job) -> Outcome:
    return await _exported(job, ".csv", _in_csv)


async def parquet(job: Job) -> Outcome:
    return await _exported(job, ".parquet", _in_parquet)


async def dataset(job: Job) -> Outcome:
    return await _exported(job, "/", _in_parquet)


async def five_columns(job: Job) -> Outcome:
    return await _exported(job, ".parquet", _in_parquet, columns=FIVE_COLUMNS)


async def parquet_pulled(job: Job) -> Outcome:
    return await _exported(job, ".parquet", _in_parquet, pull=True)


async def five_columns_pulled(job: Job) -> Outcome:
    return await _exported(job, ".parquet", _in_parquet, pull=True, columns=FIVE_COLUMNS)


async def duckdb(job: Job) -> Outcome:
    return await _exported(job, ".duckdb", _in_duckdb)


async def duckdb_pulled(job: Job) -> Outcome:
    return await _exported(job, ".duckdb", _in_duckdb, pull=True)


async def synced(job: Job) -> Outcome:
    """The first `sync()` of a file."""
    aiwyn = await client_of(job)
    path = Path(tempfile.mkdtemp()) / "invoices.duckdb"
    result = await sync(aiwyn.invoices, path)
    assert result.complete, result.problems
    assert result.inserted == job.rows, result
    return _checked(path, _in_duckdb)


async def parquet_by_structs(job: Job) -> Outcome:
    """Convert typed rows to columns by hand, ten pages at a time, and write them with pyarrow."""
    path = Path(tempfile.mkdtemp()) / "invoices.parquet"
    await _write_structs(job, path)
    return _checked(path, _in_parquet)


async def same_values(job: Job) -> Outcome:
    """Compare the values of both Parquet files, column by column."""
    aiwyn = await client_of(job)
    folder = Path(tempfile.mkdtemp())
    await export(aiwyn.invoices.list(), folder / "by_export.parquet")
    await _write_structs(job, folder / "by_structs.parquet")

    def compare(folder: Path) -> Tally:
        ours, theirs = (pq.read_table(folder / f"by_{name}.parquet") for name in ("export", "structs"))
        assert ours.column_names == theirs.column_names
        for name in ours.column_names:
            assert ours[name].to_pylist() == theirs[name].to_pylist(), name
        return Tally(ours.num_rows, notes={"columns": len(ours.column_names)})

    return _checked(folder / "any", lambda path: compare(path.parent))


async def _write_structs(job: Job, path: Path) -> None:
    fields = msgspec.structs.fields(Invoice)
    schema = pa.schema([(field.encode_name, _TYPES.get(field.name, pa.string())) for field in fields])
    rows: list[Invoice] = []
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        async for row in by_hand.invoices(job):
            rows.append(row)
            if len(rows) == ROWS_A_GROUP:
                writer.write_table(_table(rows, schema))
                rows.clear()
        if rows:
            writer.write_table(_table(rows, schema))


def _table(rows: list[Invoice], schema: Any) -> Any:
    columns = []
    for field in msgspec.structs.fields(Invoice):
        values: list[Any] = [getattr(row, field.name) for row in rows]
        if field.name == "line_items":
            values = [[_line(line) for line in lines] for lines in values]
        elif field.name == "payments":
            values = [[_payment(payment) for payment in payments] for payments in values]
        columns.append(pa.array(values, type=schema.field(field.encode_name).type))
    return pa.Table.from_arrays(columns, schema=schema)


def _line(line: Any) -> dict[str, Any]:
    return {
        "id": line.id,
        "description": line.description,
        "quantity": line.quantity,
        "unitPrice": line.unit_price,
        "amount": line.amount,
        "taxRate": line.tax_rate,
    }


def _payment(payment: Any) -> dict[str, Any]:
    return {
        "id": payment.id,
        "amount": payment.amount,
        "paymentDate": payment.payment_date,
        "paymentMethod": payment.payment_method,
        "status": payment.status,
    }


def _in_lines(path: Path) -> Tally:
    class Line(msgspec.Struct, rename="camel"):
        id: int
        total_amount: Decimal

    found = msgspec.json.Decoder(Line).decode_lines(path.read_bytes())
    total = sum((line.total_amount for line in found), Decimal())
    return Tally(len(found), sum(line.id for line in found), total)


def _in_csv(path: Path) -> Tally:
    with path.open(newline="") as file:
        found = [(int(row["id"]), Decimal(row["totalAmount"])) for row in DictReader(file)]
    return Tally(len(found), sum(key for key, _ in found), sum((amount for _, amount in found), Decimal()))


def _in_parquet(path: Path) -> Tally:
    """Read a file, or those of a dataset."""
    files = read_manifest(path).paths if path.is_dir() else path
    table = pq.read_table(files, columns=["id", "totalAmount"])
    total = sum(table["totalAmount"].to_pylist(), Decimal())
    return Tally(table.num_rows, sum(table["id"].to_pylist()), total)


def _in_duckdb(path: Path) -> Tally:
    import duckdb as engine  # noqa: PLC0415 (only when this export exists)

    with engine.connect(str(path), read_only=True) as base:
        tables = "SELECT table_name FROM information_schema.tables WHERE table_name != '_aiwyn_sync'"
        ((table,),) = base.execute(tables).fetchall()
        found = base.execute(f'SELECT count(*), sum(id), sum("totalAmount") FROM "{table}"').fetchone()
    assert found is not None
    return Tally(int(found[0]), int(found[1]), Decimal(found[2]))
