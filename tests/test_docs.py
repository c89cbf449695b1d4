"""Every Python block of the README and of docs/ runs unchanged, against the sandbox."""

from __future__ import annotations

import ast
import builtins
import inspect
import os
import re
import subprocess
import types
from pathlib import Path

import pytest

from aiwyn_async import AiwynClient
from aiwyn_async.sandbox import Sandbox
from fault_page import PAGE, with_tables
from fork_server import ForkServer

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
TEXTS = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in PAGES}
BLOCKS = {page: re.findall(r"```python\n(.*?)```", text, re.DOTALL) for page, text in TEXTS.items()}


def is_program(block: str) -> bool:
    return any(text in block for text in ("asyncio.run(", "pipeline.run(", "Aiwyn()"))


def test_docs_have_programs_and_fragments() -> None:
    blocks = [block for page in BLOCKS.values() for block in page]
    assert len(blocks) >= 60
    assert 8 <= sum(map(is_program, blocks)) < len(blocks) - 8


@pytest.mark.timeout(240)
@pytest.mark.parametrize("page", [page for page, blocks in BLOCKS.items() if blocks])
async def test_blocks_of_a_page_run_in_turn(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fork_server: ForkServer
) -> None:
    """Programs run by themselves, fragments inside a client; later ones use the files of earlier ones."""
    monkeypatch.chdir(tmp_path)
    async with Sandbox(invoices=300, seed=7) as box:
        monkeypatch.setenv("AIWYN_BASE_URL", box.url)
        monkeypatch.setenv("AIWYN_API_KEY", box.api_key)
        monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path))
        monkeypatch.setenv("RUNTIME__DLTHUB_TELEMETRY", "false")
        async with AiwynClient() as aiwyn:
            first = await aiwyn.invoices.list().first()
            assert first is not None
            names: dict[str, object] = {"aiwyn": aiwyn, "invoice_id": first.id, "__name__": "docs"}
            names["__builtins__"] = builtins  # DuckDB imports with those of the calling frame
            for block in BLOCKS[page]:
                if is_program(block):
                    await run_program(block, page, fork_server)
                else:
                    await run_fragment(block, page, names)


async def run_program(block: str, page: str, server: ForkServer) -> None:
    pipe = subprocess.PIPE
    process = await server.start("-c", block, cwd=Path.cwd(), env=os.environ, stderr=pipe, stdout=pipe)
    _, errors = await process.communicate()
    assert process.returncode == 0, f"{page}: {errors.decode()}"
    assert errors == b""


async def run_fragment(block: str, page: str, names: dict[str, object]) -> None:
    code = compile(block, page, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    result = types.FunctionType(code, names)()
    if inspect.isawaitable(result):
        await result


@pytest.mark.parametrize("page", TEXTS)
def test_links_to_files_resolve(page: str) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", TEXTS[page])
    missing = [
        target
        for target in targets
        if not target.startswith(("http://", "https://"))
        and not (ROOT / page).parent.joinpath(target).exists()
    ]
    assert not missing


def test_tables_of_faults_are_those_of_the_tests() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert with_tables(text) == text, "run python tests/support/fault_page.py"


def test_every_page_is_linked_from_getting_started() -> None:
    pages = {path.name for path in PAGES[1:]} - {"getting-started.md"}
    assert pages <= set(re.findall(r"\]\(([^)#]+)", TEXTS["docs/getting-started.md"]))


def test_files_named_in_contributing_exist() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    paths = set(re.findall(r"`((?:[\w.-]+/)*[\w.-]+\.(?:pyi?|md|json))`", text))
    named = {path for path in paths if not path.endswith("rooms.py")}  # the example of a new resource
    folders = (
        ROOT,
        ROOT / "aiwyn_async",
        ROOT / "aiwyn_async/_resources",
        ROOT / "aiwyn_async/sandbox/_declarations",
    )
    assert len(named) > 10
    assert not {path for path in named if not any((folder / path).is_file() for folder in folders)}
