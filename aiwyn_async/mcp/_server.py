"""The tools as a server of the package mcp. The only module that imports it."""

from __future__ import annotations

import asyncio
import inspect
import logging
import sys
from typing import Any, Final, cast

import anyio
import msgspec
from mcp import types
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server

from aiwyn_async._version import __version__
from aiwyn_async.mcp._arguments import DATA_NOTE, ToolArguments
from aiwyn_async.mcp._stdio import protocol_stdout, read_lines
from aiwyn_async.mcp._tools import ToolResponse, Tools

_logger: Final = logging.getLogger(__name__)
_INSTRUCTIONS: Final = (
    "Accounting data of a firm in Aiwyn: invoices, clients, payments and more. Call describe first: it lists "
    f"the resources, their columns and operators. An error says what to correct. {DATA_NOTE}"
)


async def run_server(tools: Tools) -> None:
    """Serve tools until stdin is closed."""
    server = _create_server(tools)
    with protocol_stdout() as stdout:
        stdin: Any = read_lines(sys.stdin.fileno())
        try:
            async with stdio_server(stdin, cast("Any", stdout)) as (read_stream, write_stream):
                await server.run(read_stream, write_stream, server.create_initialization_options())
        except* anyio.BrokenResourceError:
            pass  # a line arrived while the server ended
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise asyncio.CancelledError


def _create_server(tools: Tools) -> Server[Any]:
    async def list_tools(
        _context: ServerRequestContext[Any], _params: types.PaginatedRequestParams | None
    ) -> types.ListToolsResult:
        return types.ListToolsResult(tools=[_declare(name, kind) for name, kind in tools.allowed.items()])

    async def call_tool(
        _context: ServerRequestContext[Any], params: types.CallToolRequestParams
    ) -> types.CallToolResult:
        try:
            response = await tools.call(params.name, params.arguments or {})
        except Exception as error:  # noqa: BLE001 (one call must not end the server)
            # Neither its text nor its traceback, which may quote a response.
            _logger.error("%s failed with an unexpected %s", params.name, type(error).__name__)  # noqa: TRY400
            text = f"unexpected {type(error).__name__} in {params.name}; this is a bug, please report it"
            response = ToolResponse(text, is_error=True)
        content = types.TextContent(type="text", text=response.text)
        return types.CallToolResult(content=[content], is_error=response.is_error)

    return Server(
        "aiwyn",
        version=__version__,
        instructions=_INSTRUCTIONS,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )


def _declare(name: str, kind: type[ToolArguments]) -> types.Tool:
    schema = msgspec.json.schema(kind)["$defs"][kind.__name__]
    return types.Tool(
        name=name,
        description=f"{inspect.cleandoc(kind.__doc__ or '')}\n\n{DATA_NOTE}",
        input_schema={key: value for key, value in schema.items() if key not in {"title", "description"}},
        annotations=types.ToolAnnotations(
            read_only_hint=name not in {"export", "upsert"},
            destructive_hint=name in {"export", "upsert"},
            idempotent_hint=True,
            open_world_hint=name != "describe",
        ),
    )
