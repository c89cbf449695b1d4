"""Try an installed package: `python -I tools/smoke.py`, outside the source tree, with the extra `all`."""

from __future__ import annotations

import asyncio
import os
import platform
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import aiwyn_async
from aiwyn_async import AiwynClient
from aiwyn_async.export import export
from aiwyn_async.sandbox import Sandbox

ROWS = 120
TARGETS = ["a.jsonl", "a.jsonl.gz", "a.jsonl.zst", "a.csv", "a.csv.gz", "a.parquet", "a.duckdb", "dataset/"]
COMMANDS = [["--version"], ["list", "invoices", "--limit", "2"], ["export", "invoices", "--to", "b.parquet"]]


async def try_package(folder: Path) -> None:
    """List, export in every format, and run commands.

    Raises:
        RuntimeError: rows are missing, or the package is that of the source tree.
    """
    if Path(aiwyn_async.__file__).is_relative_to(Path(__file__).parents[1] / "aiwyn_async"):
        raise RuntimeError("imported the source tree; run python -I with an installed package")
    async with (
        Sandbox(invoices=ROWS) as box,
        AiwynClient(base_url=box.url, api_key=box.api_key) as aiwyn,
    ):
        counts = {"list": len(await aiwyn.invoices.list().collect())}
        for name in TARGETS:
            target = f"{folder}/{name}"
            counts[name] = (await export(aiwyn.invoices.list(), target)).rows
        if set(counts.values()) != {ROWS}:
            raise RuntimeError(f"expected {ROWS} rows each, got {counts}")
        env = os.environ | {"AIWYN_BASE_URL": box.url, "AIWYN_API_KEY": box.api_key}
        for command in COMMANDS:
            await asyncio.to_thread(run_command, command, folder, env)


def run_command(arguments: list[str], folder: Path, env: dict[str, str]) -> None:
    """Run the installed script ``aiwyn``."""
    script = Path(sys.executable).with_name("aiwyn")
    subprocess.run([script, *arguments], cwd=folder, env=env, check=True, stdout=subprocess.DEVNULL)  # noqa: S603


if __name__ == "__main__":
    with TemporaryDirectory() as name:
        asyncio.run(try_package(Path(name)))
    print(f"aiwyn_async {aiwyn_async.__version__} works on Python {platform.python_version()}")
