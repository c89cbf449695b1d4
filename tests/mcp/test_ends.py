"""How ``aiwyn mcp`` ends, and what it writes to stdout."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from aiwyn_async.sandbox import Sandbox
from command_line import Cli, Process, wait_until

CLIENT = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
PRINTING = """
import sys
from aiwyn_async.mcp import _tools

async def describe(self, arguments):
    import os, subprocess
    print("stray")
    os.write(1, b"stray bytes")
    subprocess.run([sys.executable, "-c", "print('stray child')"], check=True)
    return {"done": True}

async def count(self, arguments):
    raise RuntimeError("canary-of-a-bug")

_tools.Tools._describe = describe
_tools.Tools._count = count
from aiwyn_async._cli import main
main()
"""


class Server:
    """A process that is sent JSON-RPC lines."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.lines: list[bytes] = []

    def send(self, method: str, params: dict[str, Any], number: int | None = None) -> None:
        message = {"jsonrpc": "2.0", "method": method, "params": params}
        stdin = self.process.stdin
        assert stdin is not None
        stdin.write(json.dumps(message if number is None else message | {"id": number}).encode() + b"\n")

    def call(self, number: int, tool: str, **arguments: Any) -> None:
        self.send("tools/call", {"name": tool, "arguments": arguments}, number)

    async def response(self) -> Any:
        stdout = self.process.stdout
        assert stdout is not None
        self.lines.append(await stdout.readline())
        return json.loads(self.lines[-1])

    async def end(self) -> tuple[int | None, bytes, bytes]:
        """Close stdin, and return the exit code and what was left on stdout and stderr."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        out, err = await self.process.communicate()
        return self.process.returncode, out, err


@asynccontextmanager
async def started(cli: Cli, *command: str) -> AsyncGenerator[Server]:
    process = await cli.server.start(
        *command,
        cwd=cli.folder,
        env=cli.env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    server = Server(process)
    try:
        server.send("initialize", CLIENT, 0)
        assert (await server.response())["result"]["serverInfo"]["name"] == "aiwyn"
        server.send("notifications/initialized", {})
        yield server
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await server.end()


MCP = ("-m", "aiwyn_async", "mcp")


async def test_closed_stdin_ends_it(cli: Cli) -> None:
    async with started(cli, *MCP) as server:
        server.call(1, "count", resource="invoices")
        assert (await server.response())["result"]["content"][0]["text"] == '{"count":400}'
        assert await server.end() == (0, b"", b"")


async def test_closed_stdin_ends_it_during_a_call(cli: Cli, box: Sandbox) -> None:
    stalled = box.faults.add("invoices.list", action="stall", times=9)
    also = box.faults.add("invoices.search", action="stall", times=9)
    async with started(cli, *MCP) as server:
        server.call(1, "count", resource="invoices")
        await wait_until(lambda: stalled.hits + also.hits > 0)
        code, out, err = await server.end()
    assert (code, err) == (0, b"")
    assert b"Connection closed" in out


async def test_client_that_exits_at_once_ends_it(cli: Cli) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-W", "error", *MCP),
        env=cli.env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert await process.communicate() == (b"", b"")
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("name", "code", "text"),
    [("SIGINT", 130, b"interrupted"), ("SIGTERM", 143, b"terminated"), ("SIGHUP", 129, b"hung up")],
)
async def test_signal_ends_it(cli: Cli, name: str, code: int, text: bytes) -> None:
    async with started(cli, *MCP) as server:
        server.process.send_signal(getattr(signal, name))
        async with asyncio.timeout(20):
            await server.process.wait()
        end = await server.end()
        assert end == (code, b"", text + b"\n"), end


async def test_ctrl_c_ends_it_during_an_export(cli: Cli, box: Sandbox, tmp_path: Path) -> None:
    stalled = box.faults.add("invoices.search", action="stall", times=9)
    async with started(cli, *MCP, "--export-folder", str(tmp_path)) as server:
        server.call(1, "export", resource="invoices", path="x.jsonl")
        await wait_until(lambda: stalled.hits > 0)
        server.process.send_signal(signal.SIGINT)
        code, out, err = await server.end()
    assert (code, err) == (130, b"interrupted\n")
    assert b"Connection closed" in out
    assert not (tmp_path / "x.jsonl").exists()


async def test_ctrl_c_ends_it_while_nobody_reads_its_responses(cli: Cli, box: Sandbox) -> None:
    async with started(cli, *MCP) as server:
        for number in range(1, 40):  # more than the pipe and the reader hold
            server.call(number, "search", resource="invoices", limit=100)
        await wait_until(lambda: len(box.requests) >= 39)
        server.process.send_signal(signal.SIGINT)
        async with asyncio.timeout(20):
            while server.process.returncode is None:  # noqa: ASYNC110 (another process ends)
                await asyncio.sleep(0.01)
        assert server.process.returncode == 130


async def test_stdout_carries_the_protocol_alone(cli: Cli) -> None:
    async with started(cli, "-c", PRINTING, "mcp") as server:
        server.call(1, "describe")
        assert (await server.response())["result"]["content"][0]["text"] == '{"done":true}'
        code, out, err = await server.end()
    assert (code, out) == (0, b"")
    assert all(text in err for text in (b"stray\n", b"stray bytes", b"stray child"))


async def test_bug_is_a_tool_error_without_its_text(cli: Cli) -> None:
    async with started(cli, "-c", PRINTING, "mcp") as server:
        server.call(1, "count", resource="invoices")
        result = (await server.response())["result"]
        assert result["isError"]
        assert (
            result["content"][0]["text"]
            == "unexpected RuntimeError in count; this is a bug, please report it"
        )
        server.call(2, "describe")
        assert not (await server.response())["result"]["isError"]
        code, _, err = await server.end()
    assert code == 0
    assert b"count failed with an unexpected RuntimeError" in err
    assert b"canary" not in err


async def test_malformed_lines_do_not_end_it(cli: Cli) -> None:
    async with started(cli, *MCP) as server:
        assert server.process.stdin is not None
        server.process.stdin.write(b"{\n\xff\xfe\n[]\n\n")
        server.call(1, "count", resource="invoices")
        while (response := await server.response()).get("id") != 1:
            assert "error" in response
        assert response["result"]["content"][0]["text"] == '{"count":400}'
        assert (await server.end())[0] == 0


async def test_closed_stdout_or_stdin_is_one_line(cli: Cli) -> None:
    for closed in ("<&-", ">&-"):
        command = f'exec "{sys.executable}" -W error -m aiwyn_async mcp {closed}'
        process = await asyncio.create_subprocess_exec(
            *("sh", "-c", command), env=cli.env, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL
        )
        _, err = await process.communicate()
        assert (process.returncode, len(err.splitlines())) == (2, 1), err
        assert b"start the server from an MCP client" in err


async def test_unread_terminal_has_a_hint(cli: Cli) -> None:
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    process = await cli.server.start(
        *MCP, cwd=cli.folder, env=cli.env, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    os.close(theirs)
    assert process.stderr is not None
    assert b"press Ctrl-C to stop" in await process.stderr.readline()
    process.send_signal(signal.SIGINT)
    await process.communicate()
    os.close(ours)
    assert process.returncode == 130
