# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingTypeStubs=false
"""Row groups of Parquet are large, however small the pages are."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiwyn_async import AiwynClient, ServerError
from aiwyn_async.export import export
from aiwyn_async.export._formats import parquet
from aiwyn_async.sandbox import Sandbox
from broken_exports import is_late

Firm = tuple[Sandbox, AiwynClient]


def row_groups(path: Path) -> list[int]:
    result: Any = pq.read_metadata(path)
    return [result.row_group(number).num_rows for number in range(result.num_row_groups)]


@pytest.mark.parametrize("page_size", [5, 25, 400])
async def test_small_pages_are_merged_into_one_row_group(page_size: int, firm: Firm, tmp_path: Path) -> None:
    box, aiwyn = firm
    target = tmp_path / "x.parquet"
    await export(aiwyn.invoices.list(page_size=page_size), target)
    assert row_groups(target) == [600]
    ids = [key for (key,) in box.query("SELECT id FROM invoices ORDER BY id")]
    assert sorted(pq.read_table(target)["id"].to_pylist()) == ids


async def test_parts_with_text_ids_are_merged_with_the_others(firm: Firm, tmp_path: Path) -> None:
    box, aiwyn = firm
    target = tmp_path / "x.parquet"
    expected = [str(row.client_id) async for row in aiwyn.invoices.list()]
    box.faults.add(
        "invoices.list",
        every=1,
        match=lambda body: isinstance(body, dict) and body["page"] % 25 == 0,
        mutate=lambda body: re.sub(rb'"clientId":(\d+)', rb'"clientId":"\1"', body),
    )
    await export(aiwyn.invoices.list(page_size=5), target)
    assert row_groups(target) == [600]
    assert pq.read_table(target)["clientId"].to_pylist() == expected


async def test_resume_merges_parts_of_earlier_runs(firm: Firm, tmp_path: Path) -> None:
    box, aiwyn = firm
    target, uninterrupted = tmp_path / "x.parquet", tmp_path / "uninterrupted.parquet"
    box.faults.add("invoices.list", times=99, status=500, match=is_late)
    with pytest.raises(ServerError):
        await export(aiwyn.invoices.list(page_size=20), target)
    box.faults.clear()
    await export(aiwyn.invoices.list(page_size=20), target, resume=True)
    await export(aiwyn.invoices.list(), uninterrupted)
    assert row_groups(target) == [600]
    assert pq.read_table(target) == pq.read_table(uninterrupted)


def _parts(sizes: list[int], folder: Path) -> Iterator[Path]:
    first = 0
    for number, size in enumerate(sizes):
        path = folder / f"part-{number}"
        with path.open("wb") as file:
            parquet.write_table(file, pa.table({"id": pa.array(range(first, first + size), pa.int64())}))
        first += size
        yield path


@settings(deadline=None)
@given(sizes=st.lists(st.integers(0, 30), max_size=12))
def test_merged_parts_have_all_rows_in_order_and_are_bounded(sizes: list[int]) -> None:
    with TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        folder = Path(name)
        patch.setattr(parquet, "MIN_ROWS", 10)
        patch.setattr(parquet, "MAX_ROWS", 25)
        merged = parquet.merge_small_parts(_parts(sizes, folder), folder)
        tables: list[Any] = [pq.read_table(path) for path in merged]

    assert [key for table in tables for key in table["id"].to_pylist()] == list(range(sum(sizes)))
    lengths = [table.num_rows for table in tables]
    assert all(length <= max(25, *sizes) for length in lengths)
    # Two neighbours are both small only if together they would be too large.
    for one, other in pairwise(lengths):
        assert not (one < 10 and other < 10) or one + other > 25


def test_merged_parts_are_bounded_in_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "MAX_BYTES", 1)
    merged = parquet.merge_small_parts(_parts([5, 5, 5], tmp_path), tmp_path)
    assert [pq.read_metadata(path).num_rows for path in merged] == [5, 5, 5]


def test_large_parts_are_not_encoded_again(tmp_path: Path) -> None:
    parts = list(_parts([parquet.MIN_ROWS, 3, parquet.MIN_ROWS], tmp_path))
    assert list(parquet.merge_small_parts(iter(parts), tmp_path)) == parts
