"""``aiwyn mcp``: serve the resources to an MCP client."""

from __future__ import annotations

import logging
import sys

from aiwyn_async._cli.client import open_client
from aiwyn_async._cli.errors import ExitCode
from aiwyn_async._cli.options import FilePath, Flag, SandboxOptions, WholeNumber
from aiwyn_async._cli.output import write_message
from aiwyn_async.mcp import DEFAULT_MAX_ROWS, serve


async def serve_mcp(
    *,
    allow_writes: Flag = False,
    export_folder: FilePath | None = None,
    max_rows: WholeNumber = DEFAULT_MAX_ROWS,
    sandbox: SandboxOptions = SandboxOptions(),
) -> int:
    """Serve the resources to an MCP client over stdin and stdout, until stdin is closed.

    By default, the tools only read: describe, search, get and count.

    Args:
        allow_writes: Serve the tool upsert, which creates and changes records.
        export_folder: An existing folder; serve the tool export, which writes files in it alone.
        max_rows: Max rows of a response, 1 to 1000.
        sandbox: A sandbox to use instead of the configured server.
    """
    logging.basicConfig(
        stream=sys.stderr, level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s"
    )
    async with open_client(sandbox) as aiwyn:
        if sys.stdin is not None and sys.stdin.isatty():
            write_message("serving MCP on stdin and stdout, for an MCP client; press Ctrl-C to stop")
        await serve(aiwyn, allow_writes=allow_writes, export_folder=export_folder, max_rows=max_rows)
    return ExitCode.OK
