"""A server of the Model Context Protocol over stdin and stdout. Needs the extra ``mcp``.

Importing this package does not import mcp.
"""

from __future__ import annotations

from pathlib import Path

from aiwyn_async._core.checks import check_flag, check_kind, check_positive, needs_extra
from aiwyn_async.client import AiwynClient
from aiwyn_async.mcp._paths import ExportFolder
from aiwyn_async.mcp._tools import Tools

__all__ = ["serve"]

DEFAULT_MAX_ROWS = 100


async def serve(
    client: AiwynClient,
    *,
    allow_writes: bool = False,
    export_folder: str | Path | None = None,
    max_rows: int = DEFAULT_MAX_ROWS,
) -> None:
    """Serve the resources of a client to an MCP client, until stdin is closed.

    The tools are ``describe``, ``search``, ``get`` and ``count``; ``export`` with a folder; and ``upsert`` if
    writes are allowed. While it runs, stdout carries the protocol alone: what else is written to it goes to
    stderr.

    Args:
        client: whose credentials are used. They are in no response.
        allow_writes: serve ``upsert``, which creates and changes records.
        export_folder: an existing folder for files and datasets; ``export`` writes nowhere else.
        max_rows: the max rows of a response, 1 to 1000.

    Raises:
        ConfigurationError: the extra is missing, an argument is invalid, or stdin or stdout is closed.
    """
    with needs_extra("the MCP server needs mcp", "mcp"):
        from aiwyn_async.mcp._server import run_server  # noqa: PLC0415 (needs an extra)
    check_kind("client", client, AiwynClient, "an AiwynClient")
    allow_writes = check_flag("allow_writes", allow_writes)
    max_rows = check_positive("max_rows", max_rows, 1000)
    folder = None if export_folder is None else ExportFolder(export_folder)
    await run_server(Tools(client, allow_writes=allow_writes, export_folder=folder, max_rows=max_rows))
