"""Exports of pulls: missing ranges, resuming, full scans, bad rows."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from aiwyn_async import (
    AiwynClient,
    CheckpointError,
    ConfigurationError,
    DecodeError,
    F,
    IncompleteError,
    ServerError,
)
from aiwyn_async._pull.progress import Progress
from aiwyn_async.export import export
from aiwyn_async.sandbox import Sandbox

SUFFIXES = [".jsonl", ".csv", ".parquet", ".duckdb"]
Firm = tuple[Sandbox, AiwynClient]


@pytest.fixture
async def firm() -> AsyncIterator[Firm]:
    async with (
        Sandbox(invoices=2000, seed=11) as box,
        AiwynClient(base_url=box.url, api_key=box.api_key, backoff_base=0, retries=0) as aiwyn,
    ):
        yield box, aiwyn


def keys_of(box: Sandbox) -> list[int]:
    return sorted(key for (key,) in box.query("SELECT id FROM invoices") if isinstance(key, int))


def ids_of(path: Path) -> list[int]:
    if path.suffix == ".jsonl":
        return [json.loads(line)["id"] for line in path.read_text().splitlines()]
    return list(pq.read_table(path, columns=["id"])["id"].to_pylist())


@pytest.mark.parametrize("suffix", SUFFIXES)
async def test_export_of_a_pull_has_its_report(suffix: str, firm: Firm, tmp_path: Path) -> None:
    _, aiwyn = firm
    updates: list[Progress] = []
    pull = aiwyn.invoices.pull(page_size=50)
    done = await export(pull, tmp_path / f"x{suffix}", on_progress=updates.append)
    assert (done.rows, done.report.complete, done.report) == (2000, True, pull.report)
    assert updates[-1].rows == 2000
    assert any(len(progress.ranges) > 1 for progress in updates)


async def test_resume_requests_only_missing_ranges(firm: Firm, tmp_path: Path) -> None:
    box, aiwyn = firm
    target = tmp_path / "x.jsonl"
    bad = keys_of(box)[1234]
    fault = box.faults.add("invoices.search", every=1, status=500, match=lambda body: covers(body, bad))
    with pytest.raises(IncompleteError, match=rf"up to {bad}.*pass resume=True to continue") as caught:
        await export(aiwyn.invoices.pull(page_size=50), target)
    assert fault.hits
    assert not target.exists()
    assert caught.value.report is not None
    box.faults.clear()
    before = box.calls("invoices.search")

    done = await export(aiwyn.invoices.pull(page_size=50), target, resume=True)

    assert box.calls("invoices.search") - before <= 4
    assert sorted(ids_of(target)) == keys_of(box)
    assert (done.rows, done.report.rows_yielded, done.report.problems()) == (2000, 2000, [])
    assert done.report.requests > 40  # those of the first run are not forgotten


def covers(body: Any, key: int) -> bool:
    """Return whether the first page of a search's range has a key; keys have few gaps here."""
    text = json.dumps(body)
    if '"desc"' in text:
        return False
    after = max((int(part.split("}")[0]) for part in text.split('"_gt": ')[1:]), default=0)
    until = min((int(part.split("}")[0]) for part in text.split('"_lte": ')[1:]), default=10**9)
    return after < key <= until and key - after <= 3 * body.get("pageSize", 1)


async def test_resume_of_a_full_scan_starts_again(firm: Firm, tmp_path: Path) -> None:
    box, aiwyn = firm
    target = tmp_path / "x.jsonl"
    box.faults.add("payments.list", nth=15, status=400)
    with pytest.raises(Exception, match="400"):
        await export(aiwyn.payments.pull(page_size=50), target)
    assert (tmp_path / ".x.jsonl.partial" / "parts").exists()
    payments = box.scalar("SELECT count(*) FROM payments")

    done = await export(aiwyn.payments.pull(page_size=50), target, resume=True)

    assert (done.rows, len(set(ids_of(target)))) == (payments, payments)
    assert done.report.complete


async def test_resume_refuses_a_pull_of_another_query(firm: Firm, tmp_path: Path) -> None:
    box, aiwyn = firm
    target = tmp_path / "x.jsonl"
    box.faults.add("invoices.search", nth=30, times=999, status=503)
    with pytest.raises(ServerError):
        await export(aiwyn.invoices.pull(page_size=20, ranges=1), target)
    box.faults.clear()
    with pytest.raises(CheckpointError):
        await export(aiwyn.invoices.pull(F.status == "PAID", page_size=20), target, resume=True)
    assert (await export(aiwyn.invoices.pull(page_size=20), target, resume=True)).rows == 2000


def spoil(body: bytes) -> bytes:
    page = json.loads(body, parse_float=Decimal)
    rows = page["deid_invoice"]
    rows[1]["totalAmount"] = {"not": "money"}
    del rows[2]["clientName"]
    return json.dumps(page, default=float).encode()


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
async def test_bad_rows_are_raised_skipped_or_collected(suffix: str, firm: Firm, tmp_path: Path) -> None:
    box, aiwyn = firm
    box.faults.add(
        "invoices.search", every=1, match=lambda body: '"pageSize": 7' in json.dumps(body), mutate=spoil
    )
    few = F.id.in_(*keys_of(box)[:5])

    with pytest.raises(DecodeError, match=r"row 1 of page 0.*totalAmount.*on_bad_row"):
        await export(aiwyn.invoices.pull(few, page_size=7), tmp_path / f"x{suffix}")
    for mode, collected in (("skip", 0), ("collect", 1)):
        pull = aiwyn.invoices.pull(few, page_size=7, on_bad_row=mode)  # type: ignore[arg-type]
        done = await export(pull, tmp_path / f"{mode}{suffix}")
        assert (done.rows, done.report.bad_rows, len(pull.bad_rows)) == (4, 1, collected)
        assert not done.report.complete
    complete = await export(aiwyn.invoices.pull(few, page_size=7), tmp_path / "x.jsonl")
    assert (complete.rows, complete.report.complete) == (5, True)
    assert '{"not": "money"}' in (tmp_path / "x.jsonl").read_text()


def in_snake_case(body: bytes) -> bytes:
    page = json.loads(body, parse_float=str)
    page["deid_invoice"] = [
        {"".join(f"_{c.lower()}" if c.isupper() else c for c in key): value for key, value in row.items()}
        for row in page["deid_invoice"]
    ]
    return json.dumps(page).encode()


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
async def test_snake_case_fields_and_quoted_money_fill_their_columns(
    suffix: str, firm: Firm, tmp_path: Path
) -> None:
    box, aiwyn = firm
    box.faults.add("invoices.list", every=1, mutate=in_snake_case)
    target = tmp_path / f"x{suffix}"

    done = await export(aiwyn.invoices.list(page_size=500), target)

    assert (done.rows, done.report.bad_rows) == (2000, 0)
    cents = box.scalar("SELECT sum(total_cents) FROM invoices")
    if suffix == ".parquet":
        assert sum(pq.read_table(target)["totalAmount"].to_pylist()) * 100 == cents
    else:
        lines = target.read_text().splitlines()
        assert '""' not in lines[1].split(",")[0]
        import csv  # noqa: PLC0415

        with target.open(newline="") as file:
            assert sum(Decimal(row["totalAmount"]) for row in csv.DictReader(file)) * 100 == cents


async def test_parquet_row_without_a_required_field_is_a_bad_row(firm: Firm, tmp_path: Path) -> None:
    box, aiwyn = firm
    body = b'{"deid_invoice": [{"id": 1}, {"id": null, "totalAmount": 3}, {"id": 3}]}'
    box.faults.add("invoices.list", mutate=lambda _: body)
    box.faults.add("invoices.list", nth=2, times=99, mutate=lambda _: b'{"deid_invoice": []}')
    pager = aiwyn.invoices.list(on_bad_row="collect")
    done = await export(pager, tmp_path / "x.parquet")
    assert (done.rows, ids_of(tmp_path / "x.parquet")) == (2, [1, 3])
    assert [bad.index for bad in pager.bad_rows] == [1]


@pytest.mark.parametrize("suffix", [".parquet", ".duckdb"])
async def test_format_without_its_extra_is_refused(
    suffix: str, firm: Firm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    box, aiwyn = firm
    missing, extra = {".parquet": ("pyarrow", "arrow"), ".duckdb": ("duckdb", "duckdb")}[suffix]
    for name in [
        name for name in sys.modules if name.startswith(("aiwyn_async.export.", "aiwyn_async.arrow."))
    ]:
        if name.rpartition(".")[2] in {"_table", "_schema", "tables", "parquet", "duckdb"}:
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ConfigurationError, match=rf'pip install "aiwyn-async\[{extra}\]"'):
        await export(aiwyn.invoices.pull(), tmp_path / f"x{suffix}")
    assert box.calls() == 0
