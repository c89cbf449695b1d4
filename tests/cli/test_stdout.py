"""``aiwyn export --to -``: all rows on stdout, or none."""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from aiwyn_async.sandbox import Sandbox
from command_line import Cli, wait_until
from terminal import run_on_terminal

EXPORT = ("export", "invoices", "--to", "-")


@pytest.mark.parametrize("form", [None, "jsonl", "csv"])
async def test_stdout_has_the_bytes_of_the_file(form: str | None, cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / f"x.{form or 'jsonl'}"
    assert (await cli.run("export", "invoices", "--to", file.name)).code == 0
    done = await cli.run(*EXPORT, *([] if form is None else ["--format", form]), "--page-size", "50")
    assert (done.code, done.out.encode()) == (0, file.read_bytes())
    assert "400 of 400 invoices in stdout: " in done.err
    assert {path.name for path in tmp_path.glob("[!.]*")} == {file.name}


async def test_parquet_is_for_a_pipe_only(cli: Cli) -> None:
    process = await cli.start(*EXPORT, "--format", "parquet", "--columns", "id")
    out, err = await process.communicate()
    assert process.returncode == 0, err
    assert pq.read_table(io.BytesIO(out)).num_rows == 400
    code, shown = await run_on_terminal(cli, *EXPORT, "--format", "parquet")
    assert (code, shown) == (2, "error: Parquet is not text; redirect stdout, or pass --format csv\n")


@pytest.mark.parametrize("form", ["jsonl", "csv"])
async def test_hostile_text_on_a_terminal_is_escaped(form: str, cli: Cli, box: Sandbox) -> None:
    box.insert("clients", {"name": "\x1b[2J\u202eevil"})
    code, shown = await run_on_terminal(
        cli, "export", "clients", "--to", "-", "--format", form, "--columns", "name", "--quiet"
    )
    assert code == 0
    assert all(letter.isprintable() or letter == "\n" for letter in shown)
    assert r"\u001b[2J\u202eevil" in shown


async def test_failed_export_writes_nothing_and_names_nothing_to_resume(cli: Cli, box: Sandbox) -> None:
    box.faults.add("invoices.search", nth=30, times=999, status=500)
    done = await cli.run(*EXPORT, "--page-size", "10", AIWYN_RETRIES="0", TMPDIR=str(cli.folder))
    assert done.code in {1, 5}
    assert (done.out, "resume" in done.err, "saved" in done.err) == ("", False, False), done.err
    assert not list(cli.folder.glob("aiwyn*"))


async def test_ctrl_c_removes_the_temporary_file(cli: Cli, box: Sandbox) -> None:
    stalled = box.faults.add("invoices.search", nth=30, action="stall")
    process = await cli.start(*EXPORT, "--page-size", "10", TMPDIR=str(cli.folder))
    await wait_until(lambda: stalled.hits > 0)
    process.send_signal(signal.SIGINT)
    out, err = await process.communicate()
    assert (process.returncode, out, err.splitlines()[-1]) == (130, b"", b"interrupted")
    assert not list(cli.folder.glob("aiwyn*"))


async def test_reader_that_exits_ends_export_quietly(cli: Cli) -> None:
    reader, writer = os.pipe()
    process = await cli.start_into(writer, subprocess.PIPE, *EXPORT, "--quiet", PYTHONUNBUFFERED="1")
    os.close(writer)
    assert await asyncio.to_thread(os.read, reader, 100)
    os.close(reader)
    _, err = await process.communicate()
    assert (process.returncode, err) == (141, b"")


async def test_closed_stdout_is_refused_before_any_request(cli: Cli, box: Sandbox) -> None:
    process = await asyncio.create_subprocess_shell(
        f"{sys.executable} -m aiwyn_async {' '.join(EXPORT)} >&-",
        cwd=cli.folder,
        env=cli.env,
        stderr=subprocess.PIPE,
    )
    _, err = await process.communicate()
    assert (process.returncode, err) == (1, b"error: cannot write the result: stdout is closed\n")
    assert box.calls() == 0


async def test_skipped_rows_of_stdout_are_stored(cli: Cli, box: Sandbox) -> None:
    box.faults.add(
        "invoices.search",
        every=1,
        mutate=lambda body: body.replace(b'"totalAmount":', b'"totalAmount":"a lot","x":', 1),
    )
    done = await cli.run(*EXPORT, "--format", "csv", "--on-bad-row", "skip")
    assert done.code == 5
    assert "see stdout.bad.jsonl" in done.err
    lines = (cli.folder / "stdout.bad.jsonl").read_text().splitlines()
    assert len(done.out.splitlines()) == 401 - len(lines)
    assert all("a lot" in json.loads(line)["raw"] for line in lines)


@pytest.mark.parametrize("flags", [["--force"], ["--resume"], ["--replace"], ["--json"], ["--keep", "2"]])
async def test_flags_of_files_are_refused(flags: list[str], cli: Cli, box: Sandbox) -> None:
    done = await cli.run(*EXPORT, *flags)
    assert done.code == 2
    assert f"error: {flags[0]} cannot be combined with --to -; remove it\n" in done.err
    refused = await cli.run("export", "invoices", "--to", "x.csv", "--format", "csv")
    assert "--format is for all resources and for --to -" in refused.err
    folder = await cli.run("export", "all", "--to", "-")
    assert (folder.code, "--to - is for one resource" in folder.err) == (2, True)
    assert "a dataset is a folder" in (await cli.run(*EXPORT, "--format", "dataset")).err
    assert box.calls() == 0
