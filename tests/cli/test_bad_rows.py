"""Rows that a command skips are counted, written next to the target, and change the exit code."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aiwyn_async._cli.bad_rows import BadRowsFile
from aiwyn_async._decoding.pages import BadRow
from aiwyn_async.errors import StorageError
from aiwyn_async.sandbox import Sandbox
from command_line import Cli

EXPORT = ("export", "invoices", "--to", "x.parquet", "--page-size", "100")


def spoil(count: int) -> Callable[[bytes], bytes]:
    """Replace the total of the first rows of a page with text."""

    def mutate(body: bytes) -> bytes:
        response = json.loads(body)
        for row in response["deid_invoice"][:count]:
            row["totalAmount"] = "a lot"
        return json.dumps(response).encode()

    return mutate


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def is_first_page(body: Any) -> bool:
    return isinstance(body, dict) and body.get("pageSize") == 100


def is_whole_page(body: Any) -> bool:
    return isinstance(body, dict) and body.get("pageSize") == 1000


@pytest.mark.parametrize("how", ["skip", "collect"])
async def test_skipped_rows_are_counted_and_written_next_to_the_file(
    how: str, cli: Cli, box: Sandbox, tmp_path: Path
) -> None:
    box.faults.add("invoices.search", times=1, match=is_first_page, mutate=spoil(3))
    refused = await cli.run(*EXPORT)
    assert refused.code == 1
    assert "--on-bad-row skip" in refused.err
    assert "on_bad_row" not in refused.err
    box.faults.clear()
    box.faults.add("invoices.search", times=1, match=is_first_page, mutate=spoil(3))

    done = await cli.run(*EXPORT, "--force", "--json", "--on-bad-row", how)

    assert done.code == 5, done.err
    bad = tmp_path / "x.parquet.bad.jsonl"
    assert "skipped 3 rows that could not be decoded; see x.parquet.bad.jsonl\n" in done.err
    assert (json.loads(done.out)["rows"], json.loads(done.out)["bad_rows"]) == (397, 3)
    lines = read_lines(bad)
    assert [json.loads(line["raw"])["totalAmount"] for line in lines] == ["a lot"] * 3
    assert [line["index"] for line in lines] == [0, 1, 2]
    assert all("a lot" in line["error"] or "totalAmount" in line["error"] for line in lines)
    assert stat.S_IMODE(bad.stat().st_mode) == 0o600

    # Resuming a finished export writes the same file, and a clean run removes it.
    bad.unlink()
    again = await cli.run(*EXPORT, "--resume", "--on-bad-row", how)
    assert (again.code, read_lines(bad)) == (5, lines)
    box.faults.clear()
    clean = await cli.run(*EXPORT, "--replace")
    assert (clean.code, bad.exists()) == (0, False), clean.err


async def test_export_into_the_current_folder_writes_skipped_rows_beside_it(
    cli: Cli, box: Sandbox, tmp_path: Path
) -> None:
    cli.folder = tmp_path / "firm"
    cli.folder.mkdir()
    box.faults.add("invoices.search", times=1, match=is_first_page, mutate=spoil(1))
    done = await cli.run(
        "export", "invoices", "--to", ".", "--page-size", "100", "--on-bad-row", "skip", "--json"
    )
    assert (done.code, json.loads(done.out)["rows"]) == (5, 399), done.err
    assert len(read_lines(tmp_path / "firm.bad.jsonl")) == 1


async def test_skipped_rows_never_replace_an_unrelated_file(cli: Cli, box: Sandbox, tmp_path: Path) -> None:
    bad = tmp_path / "x.parquet.bad.jsonl"
    bad.write_text("mine\n")
    done = await cli.run(*EXPORT, "--on-bad-row", "skip")
    assert (done.code, "is not a file of skipped rows" in done.err) == (1, True)
    assert box.calls() == 0
    assert (await cli.run(*EXPORT)).code == 0
    assert bad.read_text() == "mine\n"


def test_skipped_rows_of_later_runs_are_added(tmp_path: Path) -> None:
    target = tmp_path / "firm.duckdb"
    first, second = BadRow(0, 1, "why", b'{"id":1}'), BadRow(7, 2, "why", b'{"id":"\xff"}')
    for rows in ([first], [first, second], []):
        BadRowsFile(target, is_needed=True).add(rows)
    path = tmp_path / "firm.duckdb.bad.jsonl"
    assert [line["raw"] for line in read_lines(path)] == ['{"id":1}', '{"id":"\ufffd"}']

    BadRowsFile(target, is_needed=False).replace([])

    assert not path.exists()
    BadRowsFile(target, is_needed=False).replace([])


def test_unreadable_file_is_refused_only_if_needed(tmp_path: Path) -> None:
    (tmp_path / "x.csv.bad.jsonl").mkdir()
    with pytest.raises(StorageError, match="cannot read"):
        BadRowsFile(tmp_path / "x.csv", is_needed=True)
    BadRowsFile(tmp_path / "x.csv", is_needed=False).replace([])


async def test_clean_sync_removes_the_file_of_skipped_rows(cli: Cli, box: Sandbox, tmp_path: Path) -> None:
    bad = tmp_path / "firm.duckdb.bad.jsonl"
    sync = ("sync", "invoices", "--to", "firm.duckdb", "--on-bad-row", "skip")
    box.faults.add("invoices.search", times=1_000, match=is_whole_page, mutate=spoil(3))
    skipped = await cli.run(*sync)
    assert (skipped.code, len(read_lines(bad))) == (5, 3), skipped.err
    box.faults.clear()
    clean = await cli.run(*sync)
    assert (clean.code, bad.exists()) == (0, False), clean.err
