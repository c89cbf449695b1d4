"""Fixtures for exports: a sandbox with a client, and a small disk."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from aiwyn_async import AiwynClient
from aiwyn_async.sandbox import Sandbox


@pytest.fixture
async def firm() -> AsyncIterator[tuple[Sandbox, AiwynClient]]:
    """600 invoices, and a client that tries once."""
    async with (
        Sandbox(invoices=600, seed=11) as box,
        AiwynClient(base_url=box.url, api_key=box.api_key, retries=0) as aiwyn,
    ):
        yield box, aiwyn


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[tuple[Path, Callable[[str], None]]]:
    """A disk of 1 MiB, and a function that mounts it again with other options."""
    disk = tmp_path / "disk"
    disk.mkdir()

    def mount(options: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", disk], check=False, capture_output=True
        )

    if mount("size=1m").returncode:
        pytest.skip("this user may not mount a disk")
    try:
        yield disk, lambda options: mount(f"remount,{options}").check_returncode()
    finally:
        subprocess.run(["umount", "-l", disk], check=True)
