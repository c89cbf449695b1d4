# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingTypeStubs=false
"""Parquet parts joined without encoding them again, compared with a file of pyarrow's writer."""

from __future__ import annotations

import io
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiwyn_async.export._formats.parquet import join_parquet, write_table
from aiwyn_async.export._formats.parquet_footer import MAGIC, footer_file, move_footer, split_footer

MONEY = pa.decimal128(38, 9)
SCHEMA = pa.schema(
    [
        ("id", pa.int64()),
        ("name", pa.string()),
        ("amount", MONEY),
        ("at", pa.timestamp("us", tz="UTC")),
        ("is_open", pa.bool_()),
        ("lines", pa.list_(pa.struct([("price", MONEY), ("text", pa.string())]))),
    ]
)

cents = st.none() | st.integers(-(10**15), 10**15).map(lambda cents: Decimal(cents).scaleb(-2))
texts = st.none() | st.text("ab €\0", max_size=5)
row = st.fixed_dictionaries(
    {
        "id": st.integers(-(2**63), 2**63 - 1),
        "name": texts,
        "amount": cents,
        "at": st.none() | st.datetimes(),
        "is_open": st.none() | st.booleans(),
        "lines": st.none() | st.lists(st.fixed_dictionaries({"price": cents, "text": texts}), max_size=3),
    }
)
groups = st.lists(st.lists(row, max_size=4), max_size=5)


def table_of(rows: list[dict[str, Any]], schema: Any = SCHEMA) -> Any:
    return pa.Table.from_pylist(rows, schema=schema)


def written(tables: list[Any], folder: Path) -> list[Path]:
    result: list[Path] = []
    for table in tables:
        result.append(folder / f"part-{len(result)}")
        with result[-1].open("wb") as file:
            write_table(file, table)
    return result


def joined(tables: list[Any], folder: Path) -> Path:
    path = folder / "x.parquet"
    join_parquet(path, iter(written(tables, folder)), SCHEMA)
    return path


@settings(deadline=None)
@given(rows=groups)
def test_joined_parquet_equals_the_file_of_one_writer(rows: list[list[dict[str, Any]]]) -> None:
    tables = [table_of(group) for group in rows]
    by_one = io.BytesIO()
    text: Any = ["name", "lines.list.element.text"]
    flat: Any = ["id", "name", "amount", "at", "is_open"]
    with pq.ParquetWriter(
        by_one, SCHEMA, compression="zstd", use_dictionary=text, write_statistics=flat
    ) as writer:
        for table in tables:
            writer.write_table(table, row_group_size=max(1, table.num_rows))

    with TemporaryDirectory() as folder:
        path = joined(tables, Path(folder))
        assert path.read_bytes() == by_one.getvalue()


def test_joined_parquet_is_readable_by_duckdb(tmp_path: Path) -> None:
    tables = [
        table_of([{"id": number, "name": f"n{number % 3}", "amount": Decimal(number)} for number in ids])
        for ids in (range(10), range(10, 5000), range(5000, 5001))
    ]
    path = joined(tables, tmp_path)

    assert pq.ParquetFile(path).num_row_groups == 3
    result = duckdb.execute(
        "SELECT count(*), sum(id), sum(amount), count(DISTINCT name), max(file_row_number) "
        "FROM read_parquet(?, file_row_number = true)",
        [str(path)],
    ).fetchall()
    total = sum(range(5001))
    assert result == [(5001, total, Decimal(total), 3, 5000)]


def test_joined_parquet_id_that_is_text_in_one_part_is_text_in_all(tmp_path: Path) -> None:
    with_text = pa.schema([("id", pa.string()), *list(SCHEMA)[1:]])
    tables = [
        table_of([{"id": 1}, {"id": 2}]),
        table_of([{"id": "three"}], with_text),
        table_of([{"id": 4}]),
        table_of([{"id": "5"}], with_text),
    ]
    result = pq.read_table(joined(tables, tmp_path))

    assert result.schema == with_text
    assert result["id"].to_pylist() == ["1", "2", "three", "4", "5"]


@pytest.mark.parametrize("by", [0, 1, 63, 64, 10**6])
def test_moved_footer_has_the_new_offsets(by: int) -> None:
    """Also indexes of pages and bloom filters, which no export writes, and maps and floats."""
    table = pa.table(
        {
            "id": range(500),
            "text": [f"text {number}" for number in range(500)],
            "map": pa.array([[("k", 1.5)]] * 500, pa.map_(pa.string(), pa.float64())),
        },
        metadata={"of": "the file"},
    )
    alone = io.BytesIO()
    with pq.ParquetWriter(
        alone, table.schema, write_page_index=True, bloom_filter_options={"id": {"ndv": 500}}
    ) as writer:
        writer.write_table(table, row_group_size=200)
    content = alone.getvalue()
    begin, footer = split_footer(content)
    assert content == content[:begin] + footer_file(footer)[len(MAGIC) :]

    result = move_footer(footer, offset=by, ordinal=7)

    gap = b"\xff" * by
    other = MAGIC + gap + content[len(MAGIC) : begin] + footer_file(result)[len(MAGIC) :]
    assert pq.read_table(io.BytesIO(other)).equals(pq.read_table(alone), check_metadata=True)
    assert move_footer(result, offset=-by, ordinal=0) == footer
    if by:
        before, after = (
            pq.read_metadata(io.BytesIO(footer_file(each))).row_group(0) for each in (footer, result)
        )
        for number in range(before.num_columns):
            old, new = before.column(number), after.column(number)
            assert new.data_page_offset == old.data_page_offset + by
            assert new.has_offset_index
            assert new.has_column_index
    with TemporaryDirectory() as folder:
        path = Path(folder) / "x.parquet"
        path.write_bytes(other)
        read = duckdb.execute("SELECT count(*) FROM read_parquet(?) WHERE id = 77", [str(path)]).fetchall()
        assert read == [(1,)]


def test_moved_row_groups_are_numbered_in_order() -> None:
    """Ordinals, which pyarrow leaves out of the footers of an export."""

    def footer(*ordinals: int) -> bytes:
        groups = b"".join(bytes([0x74, 2 * ordinal, 0]) for ordinal in ordinals)
        return bytes([0x49, len(ordinals) << 4 | 0xC]) + groups + b"\0"

    assert move_footer(footer(0, 1, 2), offset=5, ordinal=7) == footer(7, 8, 9)
