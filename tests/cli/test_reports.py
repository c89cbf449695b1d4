# pyright: reportMissingTypeStubs=false
"""Notes on values that a file does not contain as they were received, and the options of a sync."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from aiwyn_async._cli.options import RowOptions
from aiwyn_async._cli.reports import write_notes
from aiwyn_async._core.pull_report import PullReport
from aiwyn_async.sandbox import Sandbox
from command_line import Cli
from duckdb_files import query

SYNC = ("sync", "invoices", "--to", "firm.duckdb")


def change(**fields: Any) -> Callable[[bytes], bytes]:
    """Set fields of the first row of each page."""

    def mutate(body: bytes) -> bytes:
        response = json.loads(body)
        if response["deid_invoice"]:
            response["deid_invoice"][0] |= fields
        return json.dumps(response).encode()

    return mutate


async def test_export_names_unknown_fields_and_counts_rounded_amounts(cli: Cli, box: Sandbox) -> None:
    box.faults.add("invoices.search", every=1, mutate=change(region="north", totalAmount=1.125))
    first = int(str(box.scalar("SELECT min(id) FROM invoices")))
    export = ("export", "invoices", "--page-size", "400", "--to")
    done = await cli.run(*export, "x.parquet", "--round-money", "2")
    assert done.code == 0, done.err
    fields = rf"region \(first at key {first}\); pass --extra-column to keep them"
    assert re.search(rf"^note: invoices have no column for the fields {fields}$", done.err, re.MULTILINE)
    assert re.search(r"^note: 1 amount was rounded to 2 decimal places$", done.err, re.MULTILINE)
    for others in (("y.parquet", "--extra-column"), ("x.jsonl",)):
        done = await cli.run(*export, *others)
        assert (done.code, "note:" in done.err) == (0, False), done.err


async def test_export_of_chosen_columns_applies_parquet_options(
    cli: Cli, box: Sandbox, tmp_path: Path
) -> None:
    box.faults.add("invoices.search", every=1, mutate=change(region="north", dueDate="soon"))
    columns = ("--columns", "status, id", "--page-size", "400", "--json")
    parquet = ("--compression", "snappy", "--row-group-rows", "100")
    done = await cli.run("export", "invoices", "--to", "x.parquet", *columns, *parquet)
    assert (done.code, "no column for the fields region (" in done.err) == (0, True), done.err
    file: Any = pq.ParquetFile(tmp_path / "x.parquet")
    group = file.metadata.row_group(0)
    assert file.schema_arrow.names == ["status", "id"]
    assert (group.column(0).compression, group.num_rows) == ("SNAPPY", 100)
    assert file.metadata.num_rows == json.loads(done.out)["rows"]
    for to in ("x.jsonl", "x.ndjson"):
        done = await cli.run("export", "invoices", "--to", to, *columns)
        assert (done.code, "note:" in done.err) == (0, False), done.err
        assert list(json.loads((tmp_path / to).read_text().splitlines()[0])) == ["status", "id"]


async def test_sync_applies_column_options_and_writes_notes(cli: Cli, box: Sandbox, tmp_path: Path) -> None:
    box.faults.add("invoices.search", every=1, mutate=change(region="north", totalAmount=1.125))
    options = ("--date-columns", "dueDate", "--ids", "text", "--round-money", "2")
    done = await cli.run(*SYNC, *options)
    assert done.code == 0, done.err
    assert "note: invoices have no column for the fields region (first at key " in done.err
    assert "rounded to 2 decimal places\n" in done.err
    kinds = {row[0]: row[1] for row in query(tmp_path / "firm.duckdb", "DESCRIBE invoices")}
    assert (kinds["dueDate"], kinds["id"], "extra" in kinds) == ("DATE", "VARCHAR", False)

    done = await cli.run(*SYNC, *options, "--extra-column", "--full")
    assert (done.code, "no column for" in done.err) == (0, False), done.err
    assert query(tmp_path / "firm.duckdb", "SELECT DISTINCT extra FROM invoices ORDER BY 1") == [
        ('{"region":"north"}',),
        (None,),
    ]
    refused = await cli.run(*SYNC, *options)
    assert refused.code == 1
    assert "pass --extra-column to update it" in refused.err


async def test_sync_skips_bad_rows_until_they_decode(cli: Cli, box: Sandbox, tmp_path: Path) -> None:
    box.faults.add("invoices.search", every=1, mutate=change(totalAmount="a lot"))
    refused = await cli.run(*SYNC)
    assert (refused.code, "--on-bad-row skip" in refused.err) == (1, True)
    done = await cli.run(*SYNC, "--on-bad-row", "skip", "--json")
    result = json.loads(done.out)
    assert (done.code, result["skipped"], result["complete"]) == (5, 1, False), done.err
    assert "skipped 1 row that could not be decoded; see firm.duckdb.bad.jsonl\n" in done.err
    assert len((tmp_path / "firm.duckdb.bad.jsonl").read_text().splitlines()) == 1
    box.faults.clear()
    done = await cli.run(*SYNC, "--on-bad-row", "skip")
    assert (done.code, query(tmp_path / "firm.duckdb", "SELECT count(*) FROM invoices")) == (0, [(400,)])


async def test_sync_notes_that_all_rows_were_read_again(cli: Cli, box: Sandbox) -> None:
    await cli.run(*SYNC)
    newest = box.scalar("SELECT id FROM invoices ORDER BY updated_at_us DESC, id DESC LIMIT 1")
    box.delete("invoices", int(str(newest)))
    done = await cli.run(*SYNC, "--json")
    assert (done.code, len(json.loads(done.out)["notes"])) == (0, 1), done.err
    assert "\nnote: " in f"\n{done.err}"
    assert "all rows were read again\n" in done.err


def test_notes_name_at_most_ten_fields(capsys: pytest.CaptureFixture[str]) -> None:
    fields: dict[str, Any] = {f"f{number}": number for number in range(12)} | {"f0": None}
    report = PullReport(unknown_fields=fields, rounded_amounts=3)
    write_notes(report, "invoices", Path("x.csv"), RowOptions(round_money=2))
    fields_line, amounts_line = capsys.readouterr().err.splitlines()
    assert "for the fields f0, f1 (first at key 1), " in fields_line
    assert fields_line.endswith("f9 (first at key 9), and 2 more; pass --extra-column to keep them")
    assert amounts_line == "note: 3 amounts were rounded to 2 decimal places"
