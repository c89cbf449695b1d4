"""The command line as a process, and the fixtures of the tests that run it."""

from __future__ import annotations

import asyncio
import os
import select
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from aiwyn_async.sandbox import Sandbox
from fork_server import ForkServer, Process, start_interpreter

__all__ = ["INHERITED", "Cli", "Done", "Process", "box", "cli", "is_full", "wait_until"]

INHERITED = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}


class Done:
    """The exit code and output of a process."""

    def __init__(self, code: int, out: bytes, err: bytes) -> None:
        self.code = code
        self.out = out.decode()
        self.err = err.decode()


class Cli:
    """Runs commands against a sandbox, in a folder."""

    def __init__(self, box: Sandbox, folder: Path, server: ForkServer) -> None:
        self.folder = folder
        self.server = server
        self.env = {
            **INHERITED,
            "HOME": str(folder),
            "AIWYN_BASE_URL": box.url,
            "AIWYN_API_KEY": box.api_key,
        }

    async def start(self, *arguments: str, **env: str) -> Process:
        return await self.start_into(subprocess.PIPE, subprocess.PIPE, *arguments, **env)

    async def start_into(self, stdout: int, stderr: int, *arguments: str, **env: str) -> Process:
        is_new = any(name.startswith("PYTHON") for name in env)  # which only a new interpreter reads
        start = start_interpreter if is_new else self.server.start
        return await start(
            *("-m", "aiwyn_async", *arguments),
            cwd=self.folder,
            env=self.env | env,
            stdout=stdout,
            stderr=stderr,
        )

    async def run(self, *arguments: str, **env: str) -> Done:
        process = await self.start(*arguments, **env)
        out, err = await process.communicate()
        assert process.returncode is not None
        return Done(process.returncode, out, err)


async def wait_until(condition: Callable[[], bool]) -> None:
    """Poll a condition until it is True."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 (another process fulfills it)
            await asyncio.sleep(0.01)


def is_full(pipe: int) -> bool:
    """Return whether a write to a pipe, of which this is the writing end, waits for its reader."""
    return not select.select([], [pipe], [], 0)[1]


@pytest.fixture
async def box() -> AsyncIterator[Sandbox]:
    """400 invoices."""
    async with Sandbox(invoices=400, seed=3) as sandbox:
        yield sandbox


@pytest.fixture
def cli(box: Sandbox, tmp_path: Path, fork_server: ForkServer) -> Cli:
    """Runs commands in an empty folder."""
    return Cli(box, tmp_path, fork_server)
