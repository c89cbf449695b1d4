"""A sandbox, and the command line as a process that talks to it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from aiwyn_async.sandbox import Sandbox
from command_line import Cli


@pytest.fixture
async def box() -> AsyncIterator[Sandbox]:
    """400 invoices."""
    async with Sandbox(invoices=400, seed=3) as sandbox:
        yield sandbox


@pytest.fixture
def cli(box: Sandbox, tmp_path: Path) -> Cli:
    """Runs commands in an empty folder."""
    return Cli(box, tmp_path)
