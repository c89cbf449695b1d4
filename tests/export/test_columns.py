# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingTypeStubs=false
"""Exports of chosen columns are complete and resumable, and Parquet files have their own options."""

from __future__ import annotations

import json
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from aiwyn_async import AiwynClient, AiwynError, CheckpointError, ConfigurationError, ServerError
from aiwyn_async.export import export
from aiwyn_async.export._formats.parquet import write_table
from aiwyn_async.export._formats.parquet_options import ParquetOptions
from aiwyn_async.sandbox import Sandbox
from broken_exports import is_late

Firm = tuple[Sandbox, AiwynClient]
COLUMNS = ("totalAmount", "status")


def groups(path: Path) -> list[tuple[int, str]]:
    data: Any = pq.read_metadata(path)
    row_groups = [data.row_group(number) for number in range(data.num_row_groups)]
    return [(group.num_rows, group.column(0).compression) for group in row_groups]


def with_text_id(body: bytes) -> bytes:
    page = json.loads(body)
    for row in page["deid_invoice"][:1]:
        row["clientId"] = "c-1"
    return json.dumps(page).encode()


async def break_off(firm: Firm, path: Path, **options: Any) -> None:
    box, aiwyn = firm
    box.faults.add("invoices.list", times=99, status=500, match=is_late)
    with pytest.raises(ServerError):
        await export(aiwyn.invoices.list(page_size=20), path, **options)
    box.faults.clear()


@pytest.mark.parametrize("suffix", [".parquet", ".duckdb", ".csv", ".jsonl"])
async def test_pull_without_its_key_column_has_every_row(suffix: str, firm: Firm, tmp_path: Path) -> None:
    box, aiwyn = firm
    result = await export(
        aiwyn.invoices.pull(page_size=50, ranges=4), tmp_path / f"x{suffix}", columns=COLUMNS
    )
    assert (result.rows, result.report.complete) == (600, True)
    if suffix == ".parquet":
        states = pq.read_table(tmp_path / "x.parquet")["status"].to_pylist()
        assert sorted(states) == [state for (state,) in box.query("SELECT status FROM invoices ORDER BY 1")]


@pytest.mark.parametrize(
    "columns", [("id",), ("lineItems", "status", "id"), ("dueDate", "payments", "totalAmount")]
)
async def test_large_pages_have_the_values_of_the_whole_export(
    columns: tuple[str, ...], firm: Firm, tmp_path: Path
) -> None:
    _, aiwyn = firm
    path, whole = tmp_path / "x.parquet", tmp_path / "whole.parquet"
    await export(aiwyn.invoices.list(), path, columns=columns)
    await export(aiwyn.invoices.list(), whole)
    assert pq.read_table(path) == pq.read_table(whole).select(columns)


@pytest.mark.parametrize("suffix", [".parquet", ".duckdb", ".csv", ".jsonl"])
@pytest.mark.parametrize("other", [None, ("status",), ("status", "totalAmount")])
async def test_unfinished_export_is_resumed_with_the_same_columns_alone(
    suffix: str, other: tuple[str, ...] | None, firm: Firm, tmp_path: Path
) -> None:
    _, aiwyn = firm
    path = tmp_path / f"x{suffix}"
    await break_off(firm, path, columns=COLUMNS)
    # Refused first as an unfinished export, then as a finished one.
    for reason in ("of another format, row type or other columns", "already exists"):
        with pytest.raises(AiwynError, match=reason):
            await export(aiwyn.invoices.list(page_size=20), path, resume=True, columns=other)
        await export(aiwyn.invoices.list(page_size=20), path, resume=True, columns=COLUMNS)
    if suffix in {".csv", ".jsonl"}:
        uninterrupted = tmp_path / f"y{suffix}"
        await export(aiwyn.invoices.list(), uninterrupted, columns=COLUMNS)
        assert path.read_bytes() == uninterrupted.read_bytes()


@pytest.mark.parametrize(
    ("compression", "codec"),
    [
        (None, "ZSTD"),
        ("zstd", "ZSTD"),
        ("snappy", "SNAPPY"),
        ("gzip", "GZIP"),
        ("lz4", "LZ4"),
        ("none", "UNCOMPRESSED"),
    ],
)
async def test_parquet_is_compressed_with_the_codec(
    compression: Any, codec: str, firm: Firm, tmp_path: Path
) -> None:
    _, aiwyn = firm
    path, usual = tmp_path / "x.parquet", tmp_path / "usual.parquet"
    await export(aiwyn.invoices.list(page_size=20), path, compression=compression)
    await export(aiwyn.invoices.list(page_size=20), usual)
    assert groups(path) == [(600, codec)]
    assert pq.read_table(path) == pq.read_table(usual)


@pytest.mark.parametrize(
    ("rows", "page_size"),
    [(1, 400), *product([7, 150, 599, 600, 10**30], [5, 20, 400])],  # a group for each row takes long
)
async def test_row_groups_have_at_most_the_rows(
    rows: int, page_size: int, firm: Firm, tmp_path: Path
) -> None:
    _, aiwyn = firm
    path, usual = tmp_path / "x.parquet", tmp_path / "usual.parquet"
    await export(aiwyn.invoices.list(page_size=page_size), path, row_group_rows=rows)
    await export(aiwyn.invoices.list(), usual)
    lengths = [length for length, _ in groups(path)]
    assert max(lengths) <= rows
    # No two neighbours would fit into one group, except where a part ends within one.
    assert sum(one + other <= rows for one, other in pairwise(lengths)) <= 600 / (10 * page_size)
    assert pq.read_table(path) == pq.read_table(usual)


async def test_row_groups_are_bounded_if_some_ids_are_text(firm: Firm, tmp_path: Path) -> None:
    box, aiwyn = firm
    box.faults.add("invoices.list", every=1, match=is_late, mutate=with_text_id)
    path = tmp_path / "x.parquet"
    await export(aiwyn.invoices.list(page_size=20), path, row_group_rows=90)
    assert pq.read_schema(path).field("clientId").type == pa.string()
    assert max(length for length, _ in groups(path)) <= 90
    assert sum(length for length, _ in groups(path)) == 600


@pytest.mark.parametrize("other", [{}, {"compression": "snappy"}, {"row_group_rows": 50}])
async def test_unfinished_export_is_resumed_with_the_same_parquet_options_alone(
    other: dict[str, Any], firm: Firm, tmp_path: Path
) -> None:
    _, aiwyn = firm
    path = tmp_path / "x.parquet"
    options: dict[str, Any] = {"compression": "lz4", "row_group_rows": 50}
    await break_off(firm, path, **options)
    with pytest.raises(CheckpointError, match="other columns or options; pass force=True"):
        await export(aiwyn.invoices.list(page_size=20), path, resume=True, **other)
    await export(aiwyn.invoices.list(page_size=20), path, resume=True, **options)
    assert groups(path) == [(50, "LZ4")] * 12


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"compression": "brotli"}, "compression must be one of zstd, snappy, gzip, lz4, none, got 'brotli'"),
        ({"compression": "ZSTD"}, "compression must be one of"),
        ({"compression": ""}, "compression must be one of"),
        ({"row_group_rows": 0}, "row_group_rows must be an integer of at least 1, got 0"),
        ({"row_group_rows": True}, "row_group_rows must be an integer"),
        ({"row_group_rows": 1.5}, "row_group_rows must be an integer"),
    ],
)
async def test_invalid_parquet_options_are_refused(
    option: dict[str, Any], message: str, firm: Firm, tmp_path: Path
) -> None:
    box, aiwyn = firm
    with pytest.raises(ConfigurationError, match=message):
        await export(aiwyn.invoices.list(), tmp_path / "x.parquet", **option)
    assert (list(tmp_path.iterdir()), box.calls()) == ([], 0)


@pytest.mark.parametrize("suffix", [".duckdb", ".csv", ".jsonl", ".ndjson"])
@pytest.mark.parametrize("option", [{"compression": "zstd"}, {"row_group_rows": 1000}])
async def test_other_formats_refuse_parquet_options(
    option: dict[str, Any], suffix: str, firm: Firm, tmp_path: Path
) -> None:
    box, aiwyn = firm
    with pytest.raises(ConfigurationError, match=rf"{next(iter(option))} is for \.parquet files, not x"):
        await export(aiwyn.invoices.list(), tmp_path / f"x{suffix}", **option)
    assert box.calls() == 0


def test_one_table_is_written_with_the_options(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    with path.open("wb") as file:
        write_table(
            file, pa.table({"n": list(range(25))}), ParquetOptions(compression="gzip", row_group_rows=10)
        )
    assert groups(path) == [(10, "GZIP"), (10, "GZIP"), (5, "GZIP")]
