"""Pulls into files: `export()`, and the same by hand from typed rows."""

from __future__ import annotations

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
from aiwyn_async.export import export
from benchmarks.slices import by_hand
from benchmarks.slices.sdk import client_of
from benchmarks.worker import Job, Outcome, Tally

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


async def _exported(job: Job, suffix: str, check: Callable[[Path], Tally]) -> Outcome:
    aiwyn = await client_of(job)
    folder = Path(tempfile.mkdtemp())
    path = folder / f"invoices{suffix}"
    result = await export(aiwyn.invoices.list(), path)
    assert result.report.complete, result.report
    return _checked(path, check)


def _checked(path: Path, check: Callable[[Path], Tally]) -> Callable[[], Tally]:
    def checked() -> Tally:
        try:
            return check(path)
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


async def csv(job: Job) -> Outcome:
    return await _exported(job, ".csv", _in_csv)


async def parquet(job: Job) -> Outcome:
    return await _exported(job, ".parquet", _in_parquet)


async def duckdb(job: Job) -> Outcome:
    return await _exported(job, ".duckdb", _in_duckdb)


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
    table = pq.read_table(path, columns=["id", "totalAmount"])
    total = sum(table["totalAmount"].to_pylist(), Decimal())
    return Tally(table.num_rows, sum(table["id"].to_pylist()), total)


def _in_duckdb(path: Path) -> Tally:
    import duckdb as engine  # noqa: PLC0415 (only when this export exists)

    with engine.connect(str(path), read_only=True) as base:
        (table,) = base.execute("SELECT table_name FROM information_schema.tables").fetchall()[0]
        found = base.execute(f'SELECT count(*), sum(id), sum("totalAmount") FROM "{table}"').fetchone()
    assert found is not None
    return Tally(int(found[0]), int(found[1]), Decimal(found[2]))
