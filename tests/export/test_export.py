"""Exports: complete or absent, equal to the server's sums, resumable after a crash."""

from __future__ import annotations

import asyncio
import csv
import json
import os
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest

from aiwyn_async import (
    AiwynClient,
    CheckpointError,
    ConfigurationError,
    DecodeError,
    ExportError,
    F,
    InvalidRequestError,
    ServerError,
)
from aiwyn_async._pull.progress import Progress
from aiwyn_async.export import export
from aiwyn_async.sandbox import Sandbox

SUFFIXES = [".jsonl", ".csv", ".parquet", ".duckdb"]


@pytest.fixture
async def firm() -> AsyncIterator[tuple[Sandbox, AiwynClient]]:
    async with (
        Sandbox(invoices=3000, seed=11) as box,
        AiwynClient(base_url=box.url, api_key=box.api_key, backoff_base=0) as aiwyn,
    ):
        yield box, aiwyn


def rows_of(path: Path) -> list[dict[str, Any]]:
    """Read an exported file, with ids and totals in a common form."""
    if path.suffix == ".jsonl":
        rows = [json.loads(line, parse_float=Decimal) for line in path.read_text().splitlines()]
    elif path.suffix == ".csv":
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
    elif path.suffix == ".duckdb":
        with duckdb.connect(str(path), read_only=True) as result:
            rows = result.table("invoices").to_arrow_table().to_pylist()
    else:
        rows = pq.read_table(path).to_pylist()
    return [row | {"id": int(row["id"]), "totalAmount": Decimal(str(row["totalAmount"]))} for row in rows]


@pytest.mark.parametrize("suffix", SUFFIXES)
async def test_export_sums_equal_the_servers_to_the_cent(
    suffix: str, firm: tuple[Sandbox, AiwynClient], tmp_path: Path
) -> None:
    box, aiwyn = firm
    target = tmp_path / f"invoices{suffix}"

    done = await export(aiwyn.invoices.list(page_size=100), target)

    rows = rows_of(target)
    assert (done.rows, len(rows), len({row["id"] for row in rows})) == (3000, 3000, 3000)
    assert done.report.complete
    cents = box.scalar("SELECT sum(total_cents) FROM invoices")
    assert sum(row["totalAmount"] for row in rows) * 100 == cents
    assert sorted(path.name for path in tmp_path.iterdir()) == [f".{target.name}.done", target.name]


async def test_parquet_has_exact_types_in_duckdb(firm: tuple[Sandbox, AiwynClient], tmp_path: Path) -> None:
    box, aiwyn = firm
    target = tmp_path / "invoices.parquet"
    await export(aiwyn.invoices.list(), target)

    result = duckdb.execute(
        f"""SELECT count(*), sum(totalAmount), sum(list_sum(list_transform(payments, lambda p: p.amount))),
        sum(list_sum(list_transform(lineItems, lambda l: l.amount))), typeof(any_value(totalAmount)),
        typeof(any_value(createdAt)) FROM '{target}'"""
    ).fetchone()

    cents = box.query("SELECT count(*), sum(total_cents), sum(paid_cents), sum(subtotal_cents) FROM invoices")
    assert result is not None
    assert (result[0], *(int(value * 100) for value in result[1:4])) == cents[0]
    assert result[4:] == ("DECIMAL(38,9)", "TIMESTAMP WITH TIME ZONE")


async def test_parquet_unusual_values_are_exact(firm: tuple[Sandbox, AiwynClient], tmp_path: Path) -> None:
    box, aiwyn = firm

    def mutate(body: bytes) -> bytes:
        page = json.loads(body, parse_float=Decimal)
        rows = page["deid_invoice"][:3]
        rows[0] |= {"totalAmount": "12345678901234567.89", "createdAt": "2024-03-15"}
        rows[1] |= {"id": "inv-7", "totalAmount": "7"}
        rows[2] |= {"totalAmount": None, "clientId": "42"}
        return json.dumps({"deid_invoice": rows}, default=str).encode()

    box.faults.add("invoices.list", mutate=mutate)
    box.faults.add("invoices.list", nth=2, times=99, mutate=lambda _: b'{"deid_invoice": []}')
    target = tmp_path / "odd.parquet"
    await export(aiwyn.invoices.list(), target)

    table = pq.read_table(target).to_pylist()
    assert [row["totalAmount"] for row in table] == [Decimal("12345678901234567.89"), Decimal(7), None]
    assert table[0]["createdAt"].isoformat() == "2024-03-15T00:00:00+00:00"
    assert [row["id"] for row in table][1] == "inv-7"
    assert table[2]["clientId"] == "42"  # text stays text


async def test_parquet_refuses_a_value_that_does_not_fit(
    firm: tuple[Sandbox, AiwynClient], tmp_path: Path
) -> None:
    box, aiwyn = firm
    body = b'{"deid_invoice": [{"id": 1, "totalAmount": 0.12345678912}]}'
    box.faults.add("invoices.list", mutate=lambda _: body)
    box.faults.add("invoices.list", nth=2, times=99, mutate=lambda _: b'{"deid_invoice": []}')

    with pytest.raises(DecodeError, match="totalAmount"):
        await export(aiwyn.invoices.list(), tmp_path / "x.parquet")
    assert not (tmp_path / "x.parquet").exists()


@pytest.mark.parametrize("suffix", SUFFIXES)
async def test_export_of_no_rows_is_a_valid_file(
    suffix: str, firm: tuple[Sandbox, AiwynClient], tmp_path: Path
) -> None:
    _, aiwyn = firm
    target = tmp_path / f"none{suffix}"
    done = await export(aiwyn.invoices.search(F.id < 0), target)
    assert (done.rows, rows_of(target)) == (0, [])


async def test_export_file_mode_is_0600_whatever_the_umask(
    firm: tuple[Sandbox, AiwynClient], tmp_path: Path
) -> None:
    _, aiwyn = firm
    before = os.umask(0)
    try:
        await export(aiwyn.invoices.list(limit=5), tmp_path / "x.jsonl")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "x.jsonl").stat().st_mode) == 0o600


async def test_export_refuses_bad_targets_before_a_request(
    firm: tuple[Sandbox, AiwynClient], tmp_path: Path
) -> None:
    box, aiwyn = firm
    (tmp_path / "there.csv").write_text("mine")
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "link.csv").symlink_to(tmp_path / "there.csv")
    for name, kind, text in [
        ("there.csv", ExportError, "exists"),
        ("folder.csv", ExportError, "folder"),
        ("link.csv", ExportError, "symbolic link"),
        ("nowhere/x.csv", ExportError, "does not exist; create it"),
        ("there.csv/x.csv", ExportError, "there.csv is a file, not a folder"),
        ("x.xlsx", ConfigurationError, r"\.jsonl, \.ndjson, \.csv, \.parquet, \.duckdb"),
        ("x", ConfigurationError, "suffix"),
    ]:
        with pytest.raises(kind, match=text):
            await export(aiwyn.invoices.list(), tmp_path / name)
    with pytest.raises(ExportError, match="symbolic link"):
        await export(aiwyn.invoices.list(), tmp_path / "link.csv", force=True)
    assert (tmp_path / "there.csv").read_text() == "mine"
    assert box.calls() == 0


async def test_rows_without_columns_are_exported_to_jsonl_only(
    firm: tuple[Sandbox, AiwynClient], tmp_path: Path
) -> None:
    _, aiwyn = firm
    with pytest.raises(ConfigurationError, match="no columns"):
        await export(aiwyn.invoices.list().decode_as(dict), tmp_path / "x.csv")
    done = await export(aiwyn.invoices.list(limit=3).decode_as(dict), tmp_path / "x.jsonl")
    assert done.rows == 3


@pytest.mark.parametrize("suffix", SUFFIXES)
async def test_export_resumes_after_a_failed_request(
    suffix: str, firm: tuple[Sandbox, AiwynClient], tmp_path: Path
) -> None:
    box, aiwyn = firm
    uninterrupted, target = tmp_path / f"uninterrupted{suffix}", tmp_path / f"x{suffix}"
    await export(aiwyn.invoices.list(page_size=50), uninterrupted)
    broken = box.faults.add("invoices.list", times=99, status=500, match=_is_late)
    with pytest.raises(ServerError):
        await export(aiwyn.with_options(retries=0).invoices.list(page_size=50), target)
    assert not target.exists()
    assert broken.hits
    box.faults.clear()
    before = box.calls("invoices.list")

    with pytest.raises(ExportError, match="unfinished export"):
        await export(aiwyn.invoices.list(page_size=50), target)
    with pytest.raises(CheckpointError):
        await export(aiwyn.invoices.list(page_size=50, status="PAID"), target, resume=True)
    done = await export(aiwyn.invoices.list(page_size=50), target, resume=True)

    assert rows_of(target) == rows_of(uninterrupted)
    assert (done.rows, done.report.complete) == (3000, True)
    # 26 pages arrived before the error; the following ones may have been requested in vain.
    assert box.calls("invoices.list") - before <= 37


def _is_late(body: object) -> bool:
    return isinstance(body, dict) and body.get("page", 0) >= 25


async def test_resume_refuses_parts_of_another_server(
    firm: tuple[Sandbox, AiwynClient], tmp_path: Path
) -> None:
    box, aiwyn = firm
    target = tmp_path / "x.jsonl"
    box.faults.add("invoices.list", nth=3, status=400)
    with pytest.raises(InvalidRequestError):
        await export(aiwyn.invoices.list(page_size=50), target)
    other = box.url.replace("127.0.0.1", "localhost")
    async with AiwynClient(base_url=other, api_key=box.api_key) as elsewhere:
        with pytest.raises(
            CheckpointError, match=r"of another server \(http://127\.0\.0\.1, not http://localhost"
        ):
            await export(elsewhere.invoices.list(page_size=50), target, resume=True)
    assert (await export(aiwyn.invoices.list(page_size=50), target, resume=True)).rows == 3000


async def test_export_locks_its_file(firm: tuple[Sandbox, AiwynClient], tmp_path: Path) -> None:
    box, aiwyn = firm
    target = tmp_path / "x.jsonl"
    stalled = box.faults.add("invoices.list", nth=2, action="stall")
    first = asyncio.create_task(export(aiwyn.invoices.list(page_size=1000), target))
    while not stalled.hits:  # noqa: ASYNC110 (the sandbox has no event for it)
        await asyncio.sleep(0)
    with pytest.raises(ExportError, match="another export is writing"):
        await export(aiwyn.invoices.list(), target, force=True)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first

    done = await export(aiwyn.invoices.list(page_size=1000), target, resume=True)
    assert (done.rows, len(rows_of(target))) == (3000, 3000)


async def test_progress_has_rows_total_and_eta(firm: tuple[Sandbox, AiwynClient], tmp_path: Path) -> None:
    _, aiwyn = firm
    seen: list[Progress] = []
    await export(aiwyn.invoices.list(page_size=1000), tmp_path / "x.jsonl", on_progress=seen.append)
    assert [progress.rows for progress in seen] == [1000, 2000, 3000, 3000]
    assert {progress.total for progress in seen} == {3000}
    assert all(progress.rows_per_second > 0 for progress in seen)
    assert seen[-1].eta == 0


DISK_FULL = """
import asyncio, resource, signal, sys
from aiwyn_async import AiwynClient, ExportError
from aiwyn_async.export import export

async def main(url, key, target):
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (900_000, 900_000))
    async with AiwynClient(base_url=url, api_key=key) as aiwyn:
        try:
            await export(aiwyn.invoices.list(page_size=50), target)
        except ExportError as error:
            print(error)

asyncio.run(main(*sys.argv[1:]))
"""


async def test_export_resumes_after_a_file_size_limit(
    firm: tuple[Sandbox, AiwynClient], tmp_path: Path
) -> None:
    box, aiwyn = firm
    target = tmp_path / "x.jsonl"
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-W",
        "error",
        "-c",
        DISK_FULL,
        box.url,
        box.api_key,
        str(target),
        stdout=subprocess.PIPE,
    )
    out, _ = await process.communicate()
    assert b"File too large" in out, out
    assert not target.exists()

    await export(aiwyn.invoices.list(page_size=50), target, resume=True)
    assert len(rows_of(target)) == 3000
