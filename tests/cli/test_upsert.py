"""``aiwyn upsert``: records of a file, their outcomes, and lines that are not records."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from pathlib import Path

from aiwyn_async.sandbox import Sandbox
from command_line import Cli, is_full, wait_until
from fault_server import READ, FaultServer, http_response, send


def record_lines(count: int) -> str:
    return "".join(
        f'{{"type": "CLIENT", "systemRef": {{"id": {n}}}, "attributes": {{}}}}\n\n' for n in range(count)
    )


async def test_upsert_reports_failed_records_by_line(cli: Cli, box: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text(record_lines(250))
    box.fail_records(lambda record: record["systemRef"]["id"] == 123)  # type: ignore[index]

    done = await cli.run("upsert", "--file", "rows.jsonl", "--json")

    assert done.code == 5, done.err
    # An empty line follows each record.
    assert "line 247 failed: VALIDATION_FAILED planned failure" in done.err
    assert "250 records: 249 created, 0 updated, 1 failed, 0 ambiguous" in done.err
    assert [json.loads(line)["index"] for line in done.out.splitlines()] == list(range(250))
    assert box.scalar("SELECT count(*) FROM records") == 249


async def test_upsert_writes_records_before_a_malformed_line(cli: Cli, box: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text(record_lines(3) + '{"systemRef": 1}\n')
    done = await cli.run("upsert", "--file", "rows.jsonl")
    assert (done.code, "rows.jsonl, line 7 is not a valid record" in done.err) == (5, True)
    assert done.err.splitlines()[0] == "3 records: 3 created, 0 updated, 0 failed, 0 ambiguous"
    assert "the records before it were sent, those after it were not" in done.err
    assert box.scalar("SELECT count(*) FROM records") == 3


async def test_upsert_refuses_malformed_first_line(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"systemRef": 1}\n')
    done = await cli.run("upsert", "--file", "rows.jsonl")
    assert (done.code, "rows.jsonl, line 1 is not a valid record" in done.err) == (2, True)


async def test_upsert_reports_written_records_after_ctrl_c(cli: Cli, box: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text(record_lines(500))
    stalled = box.faults.add("records.upsert", nth=3, action="stall")
    process = await cli.start("upsert", "--file", "rows.jsonl")
    await wait_until(lambda: stalled.hits > 0 and box.scalar("SELECT count(*) FROM records") == 400)
    process.send_signal(signal.SIGINT)
    _, err = await process.communicate()
    assert process.returncode == 130, err
    # A batch that was written is ambiguous too, if its response was not yet received.
    counts = re.search(rb"500 records: (\d+) created, 0 updated, 0 failed, (\d+) ambiguous", err)
    assert counts, err
    created, ambiguous = map(int, counts.groups())
    assert (created + ambiguous, created <= 400) == (500, True)
    assert err.count(b" ambiguous: INTERRUPTED") == ambiguous


async def test_upsert_reports_written_records_after_sigterm_while_it_waits_for_its_reader(
    cli: Cli, tmp_path: Path
) -> None:
    (tmp_path / "rows.jsonl").write_text(record_lines(2000))
    reader, writer = os.pipe()
    process = await cli.start_into(writer, subprocess.PIPE, "upsert", "--file", "rows.jsonl", "--json")
    await wait_until(lambda: is_full(writer))
    process.send_signal(signal.SIGTERM)
    _, err = await process.communicate()
    os.close(writer)
    os.close(reader)
    assert process.returncode == 143, err
    assert re.search(rb"\d+ records: \d+ created, 0 updated, 0 failed, \d+ ambiguous", err), err


async def test_upsert_refuses_missing_file(cli: Cli) -> None:
    done = await cli.run("upsert", "--file", "nowhere.jsonl")
    assert (done.code, "cannot read nowhere.jsonl" in done.err) == (2, True)


async def test_upsert_continues_after_stdout_reader_exited(cli: Cli, box: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text(record_lines(250))
    reader, writer = os.pipe()
    os.close(reader)
    process = await cli.start_into(writer, subprocess.PIPE, "upsert", "--file", "rows.jsonl", "--json")
    os.close(writer)
    _, err = await process.communicate()
    assert process.returncode == 0, err
    assert b"250 records: 250 created" in err
    assert box.scalar("SELECT count(*) FROM records") == 250


async def test_upsert_names_closed_stdin(cli: Cli) -> None:
    code = "import sys; sys.stdin = None; from aiwyn_async._cli import main; main()"
    done = await cli.server.start(
        *("-c", code, "upsert", "--file", "-"),
        cwd=cli.folder,
        env=cli.env,
        stderr=subprocess.PIPE,
    )
    _, err = await done.communicate()
    assert done.returncode == 2
    assert err == b"error: stdin is closed; pipe the records to stdin, or pass their file\n"


async def test_upsert_reads_stdin(cli: Cli, box: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"type": "CLIENT", "systemRef": {"id": 1}, "attributes": {}}\n')
    with (tmp_path / "rows.jsonl").open("rb") as records:
        process = await cli.server.start(
            *("-m", "aiwyn_async", "upsert", "--file", "-"),
            cwd=cli.folder,
            env=cli.env,
            stdin=records.fileno(),
            stderr=subprocess.PIPE,
        )
        _, err = await process.communicate()
    assert process.returncode == 0, err
    assert box.scalar("SELECT count(*) FROM records") == 1


async def test_upsert_sends_numbers_with_every_digit(cli: Cli, tmp_path: Path) -> None:
    amounts = b"[1.10,12345678901234567890123456789.123456789,1E+400,-0.0,7]"
    (tmp_path / "rows.jsonl").write_bytes(
        b'\xef\xbb\xbf{"type":"CLIENT","attributes":{"paid":%s}}\n' % amounts
    )
    body = b'{"data":{"records":[{"status":"CREATED"}]}}'
    async with FaultServer([READ, send(http_response(body=body))]) as server:
        done = await cli.run(
            "upsert", "--file", "rows.jsonl", AIWYN_BASE_URL=server.url, AIWYN_API_KEY="", AIWYN_TOKEN="token"
        )
    assert done.code == 0, done.err
    assert amounts in server.requests[0].body


async def test_upsert_refuses_misspelt_field(cli: Cli, box: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"type": "CLIENT", "system_ref": 1, "attributes": {}}\n')
    done = await cli.run("upsert", "--file", "rows.jsonl")
    assert (done.code, "unknown field `system_ref`" in done.err) == (2, True)
    assert box.calls("records.upsert") == 0
