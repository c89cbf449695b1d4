"""What a server sends cannot control the terminal, and is unchanged in a pipe."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pty
import subprocess

from aiwyn_async.sandbox import Sandbox
from command_line import Cli

# C1 (CSI, OSC), DEL, escape, writing direction, zero width, BOM, tag, private use, line separator.
CONTROLS = "\x9b2J\x9d\x7f\x1b[31m\r\u202e\u2066\u200f\u200b\ufeff\U000e0041\ue000\u2028"
PLAIN = 'Ünïcode, 税理士 🙂 "quoted" \\'


async def read_terminal(cli: Cli, *arguments: str) -> tuple[int, str]:
    """Return the exit code and what a terminal receives on stdout."""
    terminal, stdout = pty.openpty()
    process = await cli.start_into(stdout, subprocess.PIPE, *arguments)
    os.close(stdout)

    def read() -> bytes:
        received = b""
        with contextlib.suppress(OSError):  # Linux raises EIO at the end
            while piece := os.read(terminal, 65536):
                received += piece
        return received

    output, _ = await asyncio.gather(asyncio.to_thread(read), process.communicate())
    os.close(terminal)
    return process.returncode or 0, output.decode()


async def test_terminal_receives_no_control_character(cli: Cli, box: Sandbox) -> None:
    text = f"{PLAIN}{CONTROLS}"
    key = box.insert("clients", {"name": text})[0]
    arguments = ["get", "client", str(key)]
    code, shown = await read_terminal(cli, *arguments)
    assert code == 0
    assert not [letter for letter in shown.replace("\r\n", "") if not letter.isprintable()]
    assert PLAIN[:10] in shown
    piped = (await cli.run(*arguments)).out
    assert json.loads(shown) == json.loads(piped)
    assert json.loads(piped)["name"] == text
    assert "\u202e" in piped


async def test_messages_have_no_control_character_even_in_a_pipe(cli: Cli, box: Sandbox) -> None:
    body = json.dumps({"errors": [{"message": f"no {CONTROLS}"}]}, ensure_ascii=False).encode()
    box.faults.add("clients.get", every=1, status=400, body=body)
    done = await cli.run("get", "client", "1")
    assert done.code != 0
    assert "no " in done.err
    assert not [letter for letter in done.err.replace("\n", "") if not letter.isprintable()]
