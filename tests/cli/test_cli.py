"""The command line as a user runs it: real processes, real files, exit codes."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from aiwyn_async.sandbox import Sandbox
from command_line import Cli, wait_until
from unreadable_rows import ids, page_contains


async def test_export_from_own_sandbox_as_in_the_readme(cli: Cli, tmp_path: Path) -> None:
    done = await cli.run("export", "invoices", "--sandbox", "--sandbox-invoices", "1234", "--to", "x.parquet")
    assert done.code == 0, done.err
    assert "1234 of 1234 invoices" in done.err
    assert done.out == ""
    assert duckdb.execute(f"SELECT count(*) FROM '{tmp_path / 'x.parquet'}'").fetchone() == (1234,)


@pytest.mark.parametrize(
    "arguments",
    [
        "auth status",
        "config show",
        "doctor",
        "export payments --to x.parquet",
        "get invoice {key}",
        "search staff --limit 1",
        "sync payments --to x.duckdb",
        "upsert --file rows.jsonl",
    ],
)
async def test_command_imports_what_it_needs(arguments: str, cli: Cli, box: Sandbox) -> None:
    """The other tests start forks of a process that has imported every command."""
    (cli.folder / "rows.jsonl").write_text('{"type": "CLIENT", "systemRef": {"id": 1}, "attributes": {}}\n')
    key = box.scalar("SELECT min(id) FROM invoices")
    done = await cli.run(*arguments.format(key=key).split(), PYTHONUNBUFFERED="1")
    assert done.code == 0, done.err


async def test_export_with_filter_prints_json_result(cli: Cli, box: Sandbox, tmp_path: Path) -> None:
    done = await cli.run(
        "export", "invoices", "--status", "PAID", "--to", "x.csv", "--json", "--page-size", "50"
    )
    result = json.loads(done.out)
    paid = box.scalar("SELECT count(*) FROM invoices WHERE status = 'PAID'")
    assert (done.code, result["rows"], result["complete"]) == (0, paid, True)
    assert len((tmp_path / "x.csv").read_text().splitlines()) == result["rows"] + 1


async def test_export_by_where_is_a_search(cli: Cli, box: Sandbox, tmp_path: Path) -> None:
    done = await cli.run(
        "export", "invoices", "--where", '{"status": {"_in": ["CLOSED"]}}', "--to", "x.jsonl"
    )
    rows = [json.loads(line) for line in (tmp_path / "x.jsonl").read_text().splitlines()]
    assert done.code == 0, done.err
    assert {row["status"] for row in rows} == {"CLOSED"}
    assert len(rows) == box.scalar("SELECT count(*) FROM invoices WHERE status = 'CLOSED'")
    assert box.calls("invoices.list") == 0


async def test_get_prints_exact_json(cli: Cli, box: Sandbox) -> None:
    key = box.scalar("SELECT min(id) FROM invoices")
    cents = box.scalar("SELECT total_cents FROM invoices WHERE id = ?", (key,))
    done = await cli.run("get", "invoice", str(key))
    invoice = json.loads(done.out, parse_float=Decimal)
    assert (done.code, invoice["totalAmount"] * 100) == (0, cents)


async def test_export_to_a_url_prints_the_whole_url(cli: Cli) -> None:
    done = await cli.run("export", "clients", "--to", "memory://bucket/clients/")
    assert (done.code, " in memory:///bucket/clients: " in done.err) == (0, True), done.err


async def test_count_prints_number_of_rows(cli: Cli) -> None:
    assert (await cli.run("count", "invoices")).out == "400\n"


async def test_doctor_reports_ok_for_a_healthy_server(cli: Cli) -> None:
    done = await cli.run("doctor")
    assert done.code == 0, done.out
    assert done.out.count("ok ") == 5


async def test_doctor_reports_clock_skew(cli: Cli, box: Sandbox) -> None:
    box.faults.add("invoices.list", every=1, headers={"Date": "Mon, 01 Jan 2024 00:00:00 GMT"})
    done = await cli.run("doctor")
    assert (done.code, "FAIL  clock" in done.out, "ahead of" in done.out) == (1, True, True)


@pytest.mark.parametrize(
    ("arguments", "env", "code", "text"),
    [
        (["export", "invoices"], {}, 2, "--to"),
        (["export", "nonsense", "--to", "x.csv"], {}, 2, "unknown resource 'nonsense'"),
        (["export", "invoices", "--to", "x.xlsx"], {}, 2, "suffix"),
        (["export", "invoices", "--to", "x.csv", "--page-size", "1001"], {}, 2, "--page-size must be"),
        (["export", "invoices", "--to", "x.csv", "--where", "{"], {}, 2, "--where is not valid JSON"),
        (
            ["export", "invoices", "--to", "x.csv", "--where", "{}", "--status", "PAID"],
            {},
            2,
            "combined with --status",
        ),
        (
            ["export", "clients", "--to", "x.csv", "--status", "A"],
            {},
            2,
            "clients cannot be filtered by --status",
        ),
        (
            ["export", "payments", "--to", "x.csv", "--where", "{}"],
            {},
            2,
            "payments have no documented search endpoint, which --where requires",
        ),
        (["export", "invoices", "--to", "x.csv", "--ranges", "65"], {}, 2, "--ranges must be"),
        (
            ["export", "invoices", "--to", "x.csv", "--ranges", "2", "--limit", "5"],
            {},
            2,
            "--ranges cannot be combined with --limit",
        ),
        (
            ["export", "invoices", "--to", "x.jsonl", "--escape-formulas"],
            {},
            2,
            "error: --escape-formulas is for .csv files, not x.jsonl; remove it",
        ),
        (["export", "invoices", "--to", "missing/x.csv"], {}, 1, "does not exist; create it"),
        (["nonsense"], {}, 2, "nonsense"),
        (["count", "invoices"], {"AIWYN_BASE_URL": ""}, 2, "AIWYN_BASE_URL"),
        (["count", "invoices"], {"AIWYN_API_KEY": "wrong"}, 3, "refused the API key"),
        (["get", "invoice", "1"], {}, 4, "not found"),
        (["count", "invoices"], {"AIWYN_BASE_URL": "http://127.0.0.1:9"}, 7, "could not connect"),
    ],
)
async def test_errors_set_exit_code_and_name_the_fix(
    arguments: list[str], env: dict[str, str], code: int, text: str, cli: Cli
) -> None:
    done = await cli.run(*arguments, **env)
    assert done.code == code, done.err
    assert text in done.err
    assert "Traceback" not in done.err
    assert cli.env["AIWYN_API_KEY"] not in done.err + done.out


async def test_rate_limit_sets_exit_code_six(cli: Cli, box: Sandbox) -> None:
    box.faults.add("invoices.list", every=1, status=429, headers={"Retry-After": "86400"})
    done = await cli.run("count", "invoices")
    assert (done.code, "retry after 86400 s" in done.err) == (6, True)


async def test_incomplete_export_sets_exit_code_five_and_names_the_reason(
    cli: Cli, box: Sandbox, tmp_path: Path
) -> None:
    box.faults.add("invoices.list", every=1, mutate=lambda body: body.replace(b'"count":400', b'"count":500'))
    done = await cli.run("export", "invoices", "--to", "x.jsonl", "--start-date", "1990-01-01")
    assert done.code == 5, done.err
    assert "not proven complete: the server counts 500 rows, 400 were received" in done.err
    assert (tmp_path / "x.jsonl").exists()


async def test_export_resumes_after_ctrl_c(cli: Cli, box: Sandbox, tmp_path: Path) -> None:
    box.faults.add("invoices.search", nth=30, action="stall")
    process = await cli.start("export", "invoices", "--to", "x.jsonl", "--page-size", "10")
    manifest = tmp_path / ".x.jsonl.partial" / "manifest.json"
    await wait_until(lambda: box.calls("invoices.search") >= 30 and manifest.exists())
    process.send_signal(signal.SIGINT)
    _, err = await process.communicate()
    assert process.returncode == 130, err
    assert err.splitlines()[-1] == b"interrupted; any finished parts are saved; pass --resume to continue"
    assert not (tmp_path / "x.jsonl").exists()
    box.faults.clear()

    done = await cli.run("export", "invoices", "--to", "x.jsonl", "--page-size", "10", "--resume")
    assert done.code == 0, done.err
    ids = [json.loads(line)["id"] for line in (tmp_path / "x.jsonl").read_text().splitlines()]
    assert len(ids) == len(set(ids)) == 400


async def test_ctrl_c_of_count_names_nothing_to_resume(cli: Cli, box: Sandbox) -> None:
    box.faults.add("invoices.search", action="stall")
    process = await cli.start("count", "invoices", "--where", "{}")
    await wait_until(lambda: box.calls("invoices.search") > 0)
    process.send_signal(signal.SIGINT)
    _, err = await process.communicate()
    assert (process.returncode, err.splitlines()[-1]) == (130, b"interrupted")


async def test_export_names_unreadable_ranges_and_resumes_only_those(
    cli: Cli, box: Sandbox, tmp_path: Path
) -> None:
    unreadable = page_contains(box, {ids(box)[150]})
    box.faults.add("invoices.search", times=9999, status=400, match=unreadable)
    done = await cli.run("export", "invoices", "--to", "x.duckdb", "--page-size", "20", "--ranges", "4")
    assert done.code == 5, done.err
    assert "missing keys above" in done.err
    assert "--resume" in done.err
    assert not (tmp_path / "x.duckdb").exists()
    box.faults.clear()
    before = box.calls("invoices.search")

    done = await cli.run("export", "invoices", "--to", "x.duckdb", "--page-size", "20", "--resume")

    assert done.code == 0, done.err
    assert "400 of 400 invoices" in done.err
    assert box.calls("invoices.search") - before < 10
    with duckdb.connect(str(tmp_path / "x.duckdb"), read_only=True) as file:
        assert file.execute("SELECT count(*) FROM invoices").fetchone() == (400,)


async def test_export_pulls_resource_without_search_by_full_scans(cli: Cli, box: Sandbox) -> None:
    done = await cli.run("export", "payments", "--to", "x.jsonl", "--unordered", "--json")
    assert (done.code, json.loads(done.out)["complete"]) == (0, True), done.err
    assert json.loads(done.out)["rows"] == box.scalar("SELECT count(*) FROM payments")


async def test_sandbox_serves_until_interrupted(cli: Cli) -> None:
    process = await cli.start("sandbox", "--invoices", "20")
    assert process.stdout is not None
    url = (await process.stdout.readline()).decode().strip().partition("AIWYN_BASE_URL=")[2]
    key = (await process.stdout.readline()).decode().strip().partition("AIWYN_API_KEY=")[2]
    counted = await cli.run("count", "invoices", AIWYN_BASE_URL=url, AIWYN_API_KEY=key)
    process.send_signal(signal.SIGINT)
    _, err = await process.communicate()
    assert counted.out == "20\n"
    assert process.returncode == 0, err


async def test_command_without_extra_names_the_install_command(tmp_path: Path) -> None:
    code = "import sys; sys.modules['cyclopts'] = None; from aiwyn_async._cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 2
    assert done.stderr == 'the command line is an extra; run: pip install "aiwyn-async[cli]"\n'


async def test_undocumented_endpoint_warning_is_one_line(cli: Cli) -> None:
    done = await cli.run("get", "client", "2101")
    assert done.code == 0, done.err
    assert done.err.startswith("note: clients.get: the path /client is inferred")
    assert len(done.err.splitlines()) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["count", "invoices"],
        ["export", "invoices", "--to", "x.csv", "--json"],
        ["sync", "invoices", "--to", "x.duckdb", "--json"],
    ],
)
async def test_full_stdout_is_reported_in_one_line(arguments: list[str], cli: Cli) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    process = await cli.start_into(full, subprocess.PIPE, *arguments)
    os.close(full)
    _, err = await process.communicate()
    assert process.returncode == 1, err
    assert err.splitlines()[-1] == b"error: cannot write the result to stdout: No space left on device"
    assert b"Traceback" not in err


async def test_export_continues_when_stderr_is_full(cli: Cli, tmp_path: Path) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    process = await cli.start_into(subprocess.PIPE, full, "export", "invoices", "--to", "x.jsonl")
    os.close(full)
    await process.communicate()
    assert process.returncode == 0
    assert len((tmp_path / "x.jsonl").read_text().splitlines()) == 400


async def test_closed_stdout_is_an_error_and_closed_stderr_is_ignored(cli: Cli) -> None:
    command = f"{sys.executable} -m aiwyn_async count invoices"
    for closing, expected in [
        (">&-", (1, b"", b"error: cannot write the result: stdout is closed\n")),
        ("2>&-", (0, b"400\n", b"")),
    ]:
        process = await asyncio.create_subprocess_shell(
            f"{command} {closing}",
            cwd=cli.folder,
            env=cli.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        out, err = await process.communicate()
        assert (process.returncode, out, err) == expected


@pytest.mark.parametrize(
    ("flag", "value", "text"),
    [("--port", "99999", "port 99999"), ("--invoices", "-5", "invoices must not be negative")],
)
async def test_sandbox_refuses_invalid_options_in_one_line(
    flag: str, value: str, text: str, cli: Cli
) -> None:
    done = await cli.run("sandbox", flag, value)
    assert (done.code, text in done.err, "Traceback" in done.err) == (2, True, False), done.err


async def test_sandbox_names_port_in_use(cli: Cli, box: Sandbox) -> None:
    port = box.url.rpartition(":")[2]
    done = await cli.run("sandbox", "--port", port)
    assert (done.code, f"cannot serve on port {port}" in done.err, "Traceback" in done.err) == (
        2,
        True,
        False,
    )


async def test_export_escapes_formulas(cli: Cli, box: Sandbox) -> None:
    box.insert("clients", {"name": "=1+1"})
    for flags, name in (([], "=1+1"), (["--escape-formulas"], "'=1+1")):
        done = await cli.run("export", "clients", "--to", "x.csv", "--force", *flags)
        assert done.code == 0, done.err
        assert name in (cli.folder / "x.csv").read_text().splitlines()[-1].split(",")
