"""Every Python block of the README runs as it stands, against the sandbox."""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
import subprocess
import sys
import types
from pathlib import Path

import pytest

from aiwyn_async import AiwynClient
from aiwyn_async.sandbox import Sandbox

README = Path(__file__).parent.parent / "README.md"
BLOCKS = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
IS_PROGRAM = "asyncio.run("


def test_the_readme_has_programs_and_fragments() -> None:
    assert sum(IS_PROGRAM in block for block in BLOCKS) >= 1
    assert sum(IS_PROGRAM not in block for block in BLOCKS) >= 3


@pytest.mark.parametrize("block", [block for block in BLOCKS if IS_PROGRAM in block])
async def test_a_program_runs_by_itself(block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with Sandbox(invoices=300, seed=7) as box:
        monkeypatch.setenv("AIWYN_BASE_URL", box.url)
        monkeypatch.setenv("AIWYN_API_KEY", box.api_key)
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-W",
            "error",
            "-c",
            block,
            cwd=tmp_path,
            stderr=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        _, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    assert errors == b""


async def test_the_fragments_run_one_after_another_inside_a_client(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with Sandbox(invoices=300, seed=7) as box:
        monkeypatch.setenv("AIWYN_BASE_URL", box.url)
        monkeypatch.setenv("AIWYN_API_KEY", box.api_key)
        async with AiwynClient() as aiwyn:
            first = await aiwyn.invoices.list().first()
            assert first is not None
            names: dict[str, object] = {"aiwyn": aiwyn, "invoice_id": first.id, "__name__": "readme"}
            for block in BLOCKS:
                if IS_PROGRAM not in block:
                    code = compile(
                        block, "README.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True
                    )
                    result = types.FunctionType(code, names)()
                    if inspect.isawaitable(result):
                        await result
