"""An MCP client of ``aiwyn mcp``, and calls of its tools without a transport."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

from mcp.client import Client

from aiwyn_async.mcp._tools import Tools

__all__ = ["Call", "Connect", "McpSession"]


class McpSession:
    """Calls of an MCP client, with all texts that it received."""

    def __init__(self, client: Client, errors: Path) -> None:
        self.client = client
        self.texts: list[str] = []
        self.transcript: list[str] = []
        self._errors = errors

    async def call(self, tool: str, **arguments: Any) -> Any:
        """Call a tool that succeeds, and return its JSON."""
        return json.loads(await self._text(tool, arguments, is_error=False))

    async def refused(self, tool: str, **arguments: Any) -> str:
        """Call a tool that returns an error, and return its text."""
        return await self._text(tool, arguments, is_error=True)

    async def _text(self, tool: str, arguments: dict[str, Any], *, is_error: bool) -> str:
        result = await self.client.call_tool(tool, arguments)
        (content,) = result.content
        assert content.type == "text"
        self.texts.append(result.model_dump_json())
        mark = "!" if result.is_error else "<"
        self.transcript += [f"> {tool} {json.dumps(arguments)}", f"{mark} {content.text}"]
        assert result.is_error is is_error, content.text
        return content.text

    @property
    def stderr(self) -> str:
        return self._errors.read_text()


Connect = Callable[..., AbstractAsyncContextManager[McpSession]]


class Call:
    """Calls tools without a transport."""

    def __init__(self, tools: Tools) -> None:
        self.tools = tools

    async def __call__(self, tool: str, **arguments: Any) -> Any:
        response = await self.tools.call(tool, arguments)
        assert not response.is_error, response.text
        return json.loads(response.text)

    async def refused(self, tool: str, **arguments: Any) -> str:
        response = await self.tools.call(tool, arguments)
        assert response.is_error, response.text
        return response.text
