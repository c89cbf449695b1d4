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
from command_line import Cli
from unreadable_rows import ids, would_bring


async def test_the_first_command_of_the_readme_pulls_a_whole_firm_from_its_own_sandbox(
    cli: Cli, tmp_path: Path
) -> None:
    done = await cli.run("export", "invoices", "--sandbox", "--sandbox-invoices", "1234", "--to", "x.parquet")
    assert done.code == 0, done.err
    assert "1234 of 1234 invoices" in done.err
    assert done.out == ""
    assert duckdb.execute(f"SELECT count(*) FROM '{tmp_path / 'x.parquet'}'").fetchone() == (1234,)


async def test_export_with_filters_and_json_result(cli: Cli, box: Sandbox, tmp_path: Path) -> None:
    done = await cli.run(
        "export", "invoices", "--status", "PAID", "--to", "x.csv", "--json", "--page-size", "50"
    )
    told = json.loads(done.out)
    paid = box.scalar("SELECT count(*) FROM invoices WHERE status = 'PAID'")
    assert (done.code, told["rows"], told["complete"]) == (0, paid, True)
    assert len((tmp_path / "x.csv").read_text().splitlines()) == told["rows"] + 1


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
    found = json.loads(done.out, parse_float=Decimal)
    assert (done.code, found["totalAmount"] * 100) == (0, cents)


async def test_count(cli: Cli) -> None:
    assert (await cli.run("count", "invoices")).out == "400\n"


async def test_doctor_finds_nothing_wrong_with_a_healthy_server(cli: Cli) -> None:
    done = await cli.run("doctor")
    assert done.code == 0, done.out
    assert done.out.count("ok ") == 4


async def test_doctor_tells_a_clock_that_is_wrong(cli: Cli, box: Sandbox) -> None:
    box.faults.add("invoices.list", every=1, headers={"Date": "Mon, 01 Jan 2024 00:00:00 GMT"})
    done = await cli.run("doctor")
    assert (done.code, "WRONG clock" in done.out, "ahead of" in done.out) == (1, True, True)


@pytest.mark.parametrize(
    ("arguments", "env", "code", "text"),
    [
        (["export", "invoices"], {}, 2, "--to"),
        (["export", "nonsense", "--to", "x.csv"], {}, 2, "no tag 'nonsense'"),
        (["export", "invoices", "--to", "x.xlsx"], {}, 2, "suffix"),
        (["export", "invoices", "--to", "x.csv", "--page-size", "1001"], {}, 2, "page_size"),
        (["export", "invoices", "--to", "x.csv", "--where", "{"], {}, 2, "--where is not valid JSON"),
        (["export", "invoices", "--to", "x.csv", "--where", "{}", "--status", "PAID"], {}, 2, "--status"),
        (["export", "clients", "--to", "x.csv", "--status", "A"], {}, 2, "no filter --status"),
        (["export", "payments", "--to", "x.csv", "--where", "{}"], {}, 2, "no search of payments"),
        (["export", "invoices", "--to", "x.csv", "--ranges", "65"], {}, 2, "ranges"),
        (["export", "invoices", "--to", "x.csv", "--ranges", "2", "--limit", "5"], {}, 2, "--ranges"),
        (["export", "invoices", "--to", "missing/x.csv"], {}, 1, "no folder"),
        (["nonsense"], {}, 2, "nonsense"),
        (["count", "invoices"], {"AIWYN_BASE_URL": ""}, 2, "AIWYN_BASE_URL"),
        (["count", "invoices"], {"AIWYN_API_KEY": "wrong"}, 3, "API key is refused"),
        (["get", "invoice", "1"], {}, 4, "not found"),
        (["count", "invoices"], {"AIWYN_BASE_URL": "http://127.0.0.1:9"}, 7, "cannot connect"),
    ],
)
async def test_exit_codes_and_one_line_that_says_what_to_do(
    arguments: list[str], env: dict[str, str], code: int, text: str, cli: Cli
) -> None:
    done = await cli.run(*arguments, **env)
    assert done.code == code, done.err
    assert text in done.err
    assert "Traceback" not in done.err
    assert cli.env["AIWYN_API_KEY"] not in done.err + done.out


async def test_a_rate_limit_that_lasts_ends_with_six(cli: Cli, box: Sandbox) -> None:
    box.faults.add("invoices.list", every=1, status=429, headers={"Retry-After": "86400"})
    done = await cli.run("count", "invoices")
    assert (done.code, "wait 86400 s" in done.err) == (6, True)


async def test_rows_that_cannot_be_vouched_for_end_with_five_and_the_reason(
    cli: Cli, box: Sandbox, tmp_path: Path
) -> None:
    box.faults.add("invoices.list", every=1, mutate=lambda body: body.replace(b'"count":400', b'"count":500'))
    done = await cli.run("export", "invoices", "--to", "x.jsonl", "--start-date", "1990-01-01")
    assert done.code == 5, done.err
    assert "the server counts 500 rows and 400 came" in done.err
    assert (tmp_path / "x.jsonl").exists()


async def test_ctrl_c_keeps_what_was_finished_and_resume_goes_on(
    cli: Cli, box: Sandbox, tmp_path: Path
) -> None:
    box.faults.add("invoices.search", nth=30, action="stall")
    process = await cli.start("export", "invoices", "--to", "x.jsonl", "--page-size", "10")
    manifest = tmp_path / ".x.jsonl.partial" / "manifest.json"
    async with asyncio.timeout(30):
        while box.calls("invoices.search") < 30 or not manifest.exists():  # noqa: ASYNC110 (another process)
            await asyncio.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, err = await process.communicate()
    assert process.returncode == 130, err
    assert err.splitlines()[-1] == b"interrupted; what was finished is kept, go on with --resume"
    assert not (tmp_path / "x.jsonl").exists()
    box.faults.clear()

    done = await cli.run("export", "invoices", "--to", "x.jsonl", "--page-size", "10", "--resume")
    assert done.code == 0, done.err
    ids = [json.loads(line)["id"] for line in (tmp_path / "x.jsonl").read_text().splitlines()]
    assert len(ids) == len(set(ids)) == 400


async def test_ctrl_c_promises_nothing_where_nothing_is_kept(cli: Cli, box: Sandbox) -> None:
    box.faults.add("invoices.search", action="stall")
    process = await cli.start("count", "invoices", "--where", "{}")
    async with asyncio.timeout(30):
        while not box.calls("invoices.search"):  # noqa: ASYNC110 (another process)
            await asyncio.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, err = await process.communicate()
    assert (process.returncode, err.splitlines()[-1]) == (130, b"interrupted")


async def test_ranges_that_cannot_be_read_are_named_and_resume_asks_for_them_alone(
    cli: Cli, box: Sandbox, tmp_path: Path
) -> None:
    unreadable = would_bring(box, {ids(box)[150]})
    box.faults.add("invoices.search", times=9999, status=400, match=unreadable)
    done = await cli.run("export", "invoices", "--to", "x.duckdb", "--page-size", "20", "--ranges", "4")
    assert done.code == 5, done.err
    assert "missing are keys above" in done.err
    assert "go on with --resume" in done.err
    assert not (tmp_path / "x.duckdb").exists()
    box.faults.clear()
    before = box.calls("invoices.search")

    done = await cli.run("export", "invoices", "--to", "x.duckdb", "--page-size", "20", "--resume")

    assert done.code == 0, done.err
    assert "400 of 400 invoices" in done.err
    assert box.calls("invoices.search") - before < 10
    with duckdb.connect(str(tmp_path / "x.duckdb"), read_only=True) as file:
        assert file.execute("SELECT count(*) FROM invoices").fetchone() == (400,)


async def test_tags_without_a_search_are_pulled_by_passes(cli: Cli, box: Sandbox) -> None:
    done = await cli.run("export", "payments", "--to", "x.jsonl", "--unordered", "--json")
    assert (done.code, json.loads(done.out)["complete"]) == (0, True), done.err
    assert json.loads(done.out)["rows"] == box.scalar("SELECT count(*) FROM payments")


async def test_sandbox_serves_until_it_is_interrupted(cli: Cli) -> None:
    process = await cli.start("sandbox", "--invoices", "20")
    assert process.stdout is not None
    url = (await process.stdout.readline()).decode().strip().partition("AIWYN_BASE_URL=")[2]
    key = (await process.stdout.readline()).decode().strip().partition("AIWYN_API_KEY=")[2]
    counted = await cli.run("count", "invoices", AIWYN_BASE_URL=url, AIWYN_API_KEY=key)
    process.send_signal(signal.SIGINT)
    _, err = await process.communicate()
    assert counted.out == "20\n"
    assert process.returncode == 0, err


async def test_without_its_extra_the_command_tells_how_to_install_it(tmp_path: Path) -> None:
    code = "import sys; sys.modules['cyclopts'] = None; from aiwyn_async._cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 2
    assert done.stderr == 'the command line is an extra; run: pip install "aiwyn-async[cli]"\n'


def record_lines(count: int) -> str:
    return "".join(
        f'{{"type": "CLIENT", "systemRef": {{"id": {n}}}, "attributes": {{}}}}\n\n' for n in range(count)
    )


async def test_upsert_writes_a_file_of_records_and_tells_each_that_failed_with_its_line(
    cli: Cli, box: Sandbox, tmp_path: Path
) -> None:
    (tmp_path / "rows.jsonl").write_text(record_lines(250))
    box.fail_records(lambda record: record["systemRef"]["id"] == 123)  # type: ignore[index]

    done = await cli.run("upsert", "--file", "rows.jsonl", "--json")

    assert done.code == 5, done.err
    # An empty line follows each record.
    assert "line 247 failed: VALIDATION_FAILED planned failure" in done.err
    assert "250 records: 249 created, 0 updated, 1 failed, 0 ambiguous" in done.err
    assert [json.loads(line)["index"] for line in done.out.splitlines()] == list(range(250))
    assert box.scalar("SELECT count(*) FROM records") == 249


async def test_upsert_tells_a_line_that_is_no_record_after_writing_those_before_it(
    cli: Cli, box: Sandbox, tmp_path: Path
) -> None:
    (tmp_path / "rows.jsonl").write_text(record_lines(3) + '{"systemRef": 1}\n')
    done = await cli.run("upsert", "--file", "rows.jsonl")
    assert (done.code, "rows.jsonl, line 7 is no record" in done.err) == (5, True)
    assert done.err.splitlines()[0] == "3 records: 3 created, 0 updated, 0 failed, 0 ambiguous"
    assert "the records before it were sent, those after it were not" in done.err
    assert box.scalar("SELECT count(*) FROM records") == 3


async def test_upsert_refuses_a_first_line_that_is_no_record(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"systemRef": 1}\n')
    done = await cli.run("upsert", "--file", "rows.jsonl")
    assert (done.code, "rows.jsonl, line 1 is no record" in done.err) == (2, True)


async def test_upsert_tells_what_was_written_before_ctrl_c(cli: Cli, box: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text(record_lines(500))
    stalled = box.faults.add("records.upsert", nth=3, action="stall")
    process = await cli.start("upsert", "--file", "rows.jsonl")
    async with asyncio.timeout(30):
        while not stalled.hits or box.scalar("SELECT count(*) FROM records") != 400:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, err = await process.communicate()
    assert process.returncode == 130, err
    assert b"200 records: 200 created" in err


async def test_upsert_of_a_file_that_is_not_there(cli: Cli) -> None:
    done = await cli.run("upsert", "--file", "nowhere.jsonl")
    assert (done.code, "cannot read nowhere.jsonl" in done.err) == (2, True)


async def test_an_inferred_endpoint_is_told_in_one_line(cli: Cli) -> None:
    done = await cli.run("get", "client", "2101")
    assert done.code == 0, done.err
    assert done.err.startswith("note: clients.get: the path /client is inferred")
    assert len(done.err.splitlines()) == 1


async def test_records_are_written_to_the_last_when_the_reader_of_their_outcomes_has_gone(
    cli: Cli, box: Sandbox, tmp_path: Path
) -> None:
    (tmp_path / "rows.jsonl").write_text(record_lines(250))
    reader, writer = os.pipe()
    os.close(reader)
    process = await cli.start_into(writer, subprocess.PIPE, "upsert", "--file", "rows.jsonl", "--json")
    os.close(writer)
    _, err = await process.communicate()
    assert process.returncode == 0, err
    assert b"250 records: 250 created" in err
    assert box.scalar("SELECT count(*) FROM records") == 250


@pytest.mark.parametrize(
    "arguments",
    [
        ["count", "invoices"],
        ["export", "invoices", "--to", "x.csv", "--json"],
        ["sync", "invoices", "--to", "x.duckdb", "--json"],
    ],
)
async def test_a_result_that_cannot_be_written_is_told_in_one_line(arguments: list[str], cli: Cli) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    process = await cli.start_into(full, subprocess.PIPE, *arguments)
    os.close(full)
    _, err = await process.communicate()
    assert process.returncode == 1, err
    assert err.splitlines()[-1] == b"error: cannot write the result to stdout: No space left on device"
    assert b"Traceback" not in err


async def test_a_stderr_that_is_full_does_not_fail_an_export(cli: Cli, tmp_path: Path) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    process = await cli.start_into(subprocess.PIPE, full, "export", "invoices", "--to", "x.jsonl")
    os.close(full)
    await process.communicate()
    assert process.returncode == 0
    assert len((tmp_path / "x.jsonl").read_text().splitlines()) == 400


async def test_a_closed_stdout_is_told_and_a_closed_stderr_is_no_matter(cli: Cli) -> None:
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
async def test_a_sandbox_that_cannot_be_is_told_in_one_line(
    flag: str, value: str, text: str, cli: Cli
) -> None:
    done = await cli.run("sandbox", flag, value)
    assert (done.code, text in done.err, "Traceback" in done.err) == (2, True, False), done.err


async def test_a_sandbox_on_a_port_that_is_taken_tells_the_port(cli: Cli, box: Sandbox) -> None:
    port = box.url.rpartition(":")[2]
    done = await cli.run("sandbox", "--port", port)
    assert (done.code, f"cannot serve on port {port}" in done.err, "Traceback" in done.err) == (
        2,
        True,
        False,
    )
