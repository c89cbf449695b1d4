"""A sandbox, the tools without a transport, and a client of the package mcp over stdio."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from mcp import StdioServerParameters
from mcp.client import Client
from mcp.client.stdio import stdio_client

from aiwyn_async import AiwynClient
from aiwyn_async.mcp._paths import ExportFolder
from aiwyn_async.mcp._tools import Tools
from aiwyn_async.sandbox import Sandbox
from command_line import Cli, box, cli
from mcp_session import Call, Connect, McpSession

__all__ = ["box", "cli"]


@pytest.fixture
def connect(cli: Cli, tmp_path: Path) -> Connect:
    """Start ``aiwyn mcp`` with arguments, as an MCP client does."""

    @asynccontextmanager
    async def connected(*arguments: str) -> AsyncGenerator[McpSession]:
        errors = tmp_path / "stderr.txt"
        command = ["-W", "error", "-m", "aiwyn_async", "mcp", *arguments]
        server = StdioServerParameters(command=sys.executable, args=command, env=cli.env, cwd=tmp_path)
        with errors.open("w") as file:
            async with Client(stdio_client(server, errlog=file)) as client:
                yield McpSession(client, errors)

    return connected


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "exports"
    path.mkdir()
    return path


@pytest.fixture
async def call(box: Sandbox, folder: Path) -> AsyncGenerator[Call]:
    """All tools, with 50 rows per response."""
    async with AiwynClient(
        base_url=box.url, api_key=box.api_key, backoff_base=0, warn_undocumented=False
    ) as client:
        yield Call(Tools(client, allow_writes=True, export_folder=ExportFolder(folder), max_rows=50))
