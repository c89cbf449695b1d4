"""A command on a terminal of a chosen width."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import struct
import termios

from command_line import Cli

__all__ = ["run_on_terminal"]


async def run_on_terminal(
    cli: Cli, *arguments: str, columns: int = 100, enter: str | None = None, **env: str
) -> tuple[int, str]:
    """Return the exit code of a command and all that its terminal shows, without colors.

    Args:
        cli: the folder and environment.
        *arguments: of the command.
        columns: the width of the terminal.
        enter: a line to type once the terminal no longer echoes.
        **env: more variables.
    """
    controller, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = await cli.server.start(
        *("-m", "aiwyn_async", *arguments),
        cwd=cli.folder,
        env=cli.env | {"TERM": "dumb"} | env,
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
    )
    os.close(terminal)
    shown = asyncio.ensure_future(asyncio.to_thread(_read, controller))
    if enter is not None:
        async with asyncio.timeout(30):
            while termios.tcgetattr(controller)[3] & termios.ECHO:  # noqa: ASYNC110 (set by another process)
                await asyncio.sleep(0.01)
        os.write(controller, f"{enter}\n".encode())
    code = await process.wait()
    text = await shown
    os.close(controller)
    return code, text.replace("\r\n", "\n")


def _read(controller: int) -> str:
    data = b""
    while True:
        try:
            more = os.read(controller, 65536)
        except OSError:  # the last process has closed it
            more = b""
        if not more:
            return data.decode()
        data += more
