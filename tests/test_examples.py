"""The programs of examples/, run as processes; what they wrote is read back with other libraries."""

from __future__ import annotations

import ast
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest

from aiwyn_async.export import read_manifest
from aiwyn_async.sandbox import Sandbox

EXAMPLES = Path(__file__).parents[1] / "examples"
PROGRAMS = sorted(EXAMPLES.glob("*.py"))
WEEK = 7 * 86400

Amounts = dict[int, Decimal]


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with Sandbox(invoices=3000, seed=7) as running:
        yield running


class Runner:
    """Runs programs against a sandbox, in an empty folder."""

    def __init__(self, box: Sandbox, folder: Path) -> None:
        self.env = {
            **{name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ},
            "HOME": str(folder),
            "AIWYN_BASE_URL": box.url,
            "AIWYN_API_KEY": box.api_key,
            "RUNTIME__DLTHUB_TELEMETRY": "false",
        }
        self.folder = folder

    def start(self, program: str, *arguments: str, **env: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-W", "error", EXAMPLES / program, *arguments],
            cwd=self.folder,
            env=self.env | env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __call__(self, program: str, *arguments: str, code: int = 0, **env: str) -> str:
        """Return what the program printed, and what it logged."""
        process = self.start(program, *arguments, **env)
        out, err = process.communicate()
        assert process.returncode == code, out + err
        return out + err


@pytest.fixture
def run(box: Sandbox, tmp_path: Path) -> Runner:
    return Runner(box, tmp_path)


def amounts_in(box: Sandbox, resource: str = "invoices", column: str = "total_cents") -> Amounts:
    """Return the amount of each row on the server, by id."""
    rows = box.query(f"SELECT id, {column} FROM {resource}")
    return {int(str(key)): Decimal(str(cents)) / 100 for key, cents in rows}


def amounts_of(table: Any, column: str = "totalAmount") -> Amounts:
    keys = table["id"].to_pylist()
    assert len(set(keys)) == len(keys)
    return {int(key): amount for key, amount in zip(keys, table[column].to_pylist(), strict=True)}


def change(box: Sandbox) -> None:
    """Insert, update and delete invoices."""
    keys = sorted(amounts_in(box))
    box.insert("invoices", count=5)
    box.update("invoices", keys[3], {"totalAmount": 1234.56})
    box.delete("invoices", keys[7])


def check_export(box: Sandbox, folder: Path) -> None:
    assert amounts_of(pq.read_table(folder / "invoices.parquet")) == amounts_in(box)
    payments = amounts_of(pq.read_table(folder / "payments.parquet"), "amount")
    assert payments == amounts_in(box, "payments", "amount_cents")


def test_nightly_export_has_the_rows_of_each_night(box: Sandbox, run: Runner, tmp_path: Path) -> None:
    out = run("nightly_export.py")
    assert "invoices.parquet: 3000 of 3000 rows" in out
    check_export(box, tmp_path)
    change(box)
    run("nightly_export.py")
    check_export(box, tmp_path)


def test_nightly_export_is_complete_after_sigterm(box: Sandbox, run: Runner, tmp_path: Path) -> None:
    run("nightly_export.py")
    before = {path.name: path.read_bytes() for path in tmp_path.glob("*.parquet")}
    change(box)
    box.faults.add("invoices.search", nth=3, times=99, action="stall")
    process = run.start("nightly_export.py")
    assert process.stderr is not None
    assert "1000 rows" in process.stderr.readline()
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate()
    assert process.returncode == 143, err
    assert err.rstrip().endswith("terminated; the next run continues")
    assert {path.name: path.read_bytes() for path in tmp_path.glob("*.parquet")} == before
    assert (tmp_path / ".invoices.parquet.partial").is_dir()
    box.faults.clear()
    run("nightly_export.py")
    check_export(box, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == before.keys() | {f".{name}.done" for name in before}


@pytest.mark.parametrize(
    ("routes", "code"),
    [(["invoices.search"], 16), (["payments.list"], 32), (["invoices.search", "payments.list"], 48)],
)
def test_nightly_export_exits_with_what_is_missing(
    routes: list[str], code: int, box: Sandbox, run: Runner, tmp_path: Path
) -> None:
    for route in routes:
        box.faults.add(route, every=1, status=403)
    out = run("nightly_export.py", code=code)
    missing = {route.partition(".")[0] for route in routes}
    for name in missing:
        assert f"ERROR {name}: " in out
    assert {path.stem for path in tmp_path.glob("*.parquet")} == {"invoices", "payments"} - missing


def test_nightly_export_exits_with_2_without_credentials(run: Runner) -> None:
    assert "Traceback" not in run("nightly_export.py", code=2, AIWYN_API_KEY="")


def synced(folder: Path) -> Amounts:
    with duckdb.connect(folder / "warehouse.duckdb", read_only=True) as file:
        rows = file.execute("SELECT id, totalAmount FROM invoices WHERE _deleted_at IS NULL").fetchall()
    return dict(rows)


def test_warehouse_sync_reads_changes_and_each_week_deletions(
    box: Sandbox, run: Runner, tmp_path: Path
) -> None:
    run("warehouse_sync.py")
    assert synced(tmp_path) == amounts_in(box)
    before = amounts_in(box)
    change(box)
    out = run("warehouse_sync.py")
    assert "invoices: 5 inserted, 1 updated\n" in out
    assert synced(tmp_path) == before | amounts_in(box)
    reconciled = tmp_path / "warehouse.reconciled"
    week_ago = reconciled.stat().st_mtime - WEEK - 1
    os.utime(reconciled, (week_ago, week_ago))
    out = run("warehouse_sync.py")
    assert "invoices: 1 deleted on the server\n" in out
    assert synced(tmp_path) == amounts_in(box)
    assert reconciled.stat().st_mtime > week_ago + WEEK
    totals = [Decimal(text.replace(",", "")) for text in re.findall(r"invoices +([\d,.]+)", out)]
    assert sum(totals) == sum(amounts_in(box).values())


def test_warehouse_sync_names_problems(box: Sandbox, run: Runner, tmp_path: Path) -> None:
    box.faults.add("payments.list", every=1, status=403)
    assert "payments" in run("warehouse_sync.py", code=5)
    assert not (tmp_path / "warehouse.reconciled").exists()
    assert synced(tmp_path) == amounts_in(box)


def loaded(folder: Path) -> Amounts:
    with duckdb.connect(folder / "firm.duckdb", read_only=True) as file:
        rows = file.execute("SELECT id, total_amount FROM books.invoices").fetchall()
    assert len(dict(rows)) == len(rows)
    return dict(rows)


def test_dlt_pipeline_loads_only_changes_in_its_second_run(box: Sandbox, run: Runner, tmp_path: Path) -> None:
    pytest.importorskip("dlt")
    assert "invoices: 3000 rows loaded" in run("dlt_pipeline.py")
    before = amounts_in(box)
    assert loaded(tmp_path) == before
    change(box)
    out = run("dlt_pipeline.py")
    after = loaded(tmp_path)
    assert after == before | amounts_in(box)  # a deleted invoice stays
    [count] = re.findall(r"^invoices: (\d+) rows loaded$", out, re.MULTILINE)
    assert 6 <= int(count) < 100
    assert f"{len(after)} invoices: {sum(after.values()):,.2f} USD" in out


def check_dataset(box: Sandbox, folder: Path) -> None:
    manifest = read_manifest(folder)
    amounts = amounts_of(pyarrow.dataset.dataset(manifest.paths).to_table())
    assert amounts == amounts_in(box)
    assert manifest.rows == len(amounts)
    assert manifest.sums["totalAmount"] == sum(amounts.values())
    assert manifest.report is not None
    assert manifest.report.complete
    assert len(manifest.files) > 2


def test_cluster_pull_makes_a_complete_dataset_in_each_run(box: Sandbox, run: Runner, tmp_path: Path) -> None:
    assert "3000 of 3000 rows" in run("cluster_pull.py")
    [first] = (tmp_path / "invoices").iterdir()
    check_dataset(box, first)
    before = (first / "_manifest.json").read_bytes()
    change(box)
    run("cluster_pull.py")
    [second] = set((tmp_path / "invoices").iterdir()) - {first}
    check_dataset(box, second)
    assert (first / "_manifest.json").read_bytes() == before


def test_cluster_pull_names_missing_partitions_and_continues(
    box: Sandbox, run: Runner, tmp_path: Path
) -> None:
    def is_page_of_last_partition(body: object) -> bool:  # that has no upper bound
        return isinstance(body, dict) and 1000 in body.values() and "_lte" not in str(body)

    box.faults.add("invoices.search", every=1, status=403, match=is_page_of_last_partition)
    out = run("cluster_pull.py", code=5)
    [folder] = (tmp_path / "invoices").iterdir()
    assert (folder / "plan.json").exists()
    assert not (folder / "_manifest.json").exists()
    assert re.search(r"was not read completely: partition \d: ", out)
    box.faults.clear()
    run("cluster_pull.py")
    assert list((tmp_path / "invoices").iterdir()) == [folder]
    check_dataset(box, folder)


def test_programs_run_in_a_sandbox_of_their_own(run: Runner, tmp_path: Path) -> None:
    program = tmp_path / "count.py"
    program.write_text(
        "import aiwyn_async\n"
        "with aiwyn_async.Aiwyn() as aiwyn:\n    print(aiwyn.invoices.list().count())\nraise SystemExit(7)\n",
        encoding="utf-8",
    )
    out = run("in_sandbox.py", str(program), str(program), code=7)
    assert out.splitlines().count("5000") == 2


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.name)
def test_program_says_how_it_is_run_and_is_documented(program: Path) -> None:
    text = program.read_text(encoding="utf-8")
    assert len(text.splitlines()) < 100
    docstring = ast.get_docstring(ast.parse(text)) or ""
    assert "python examples/in_sandbox.py examples/" in docstring
    assert "AIWYN_BASE_URL=" in docstring or program.name == "in_sandbox.py"
    assert f"examples/{program.name}" in (EXAMPLES.parent / "docs/examples.md").read_text(encoding="utf-8")
