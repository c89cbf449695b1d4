"""What CONTRIBUTING.md says about the code is true of the code."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
DIFF = ROOT / "tests/support/new_endpoint.diff"
READ_RATES = """
import asyncio, json
from decimal import Decimal
import aiwyn_async
from aiwyn_async import AiwynClient, Rate
from aiwyn_async.sandbox import Sandbox

async def main():
    async with Sandbox(invoices=20) as box, AiwynClient(base_url=box.url, api_key=box.api_key) as aiwyn:
        rates = await aiwyn.rates.list().collect()
        pull = aiwyn.rates.pull()
        assert [rate.id async for rate in pull] == [rate.id for rate in rates] and pull.report.complete
        assert await aiwyn.rates.get(rates[0].id) == rates[0]
        assert isinstance(rates[0], Rate) and isinstance(rates[0].amount, Decimal)
        print(aiwyn_async.__file__, len(rates))

asyncio.run(main())
"""


def test_floors_are_those_of_importlinter() -> None:
    parser = ConfigParser()
    parser.read(ROOT / ".importlinter")
    layers = parser["importlinter:contract:floors"]["layers"].split("\n")
    enforced = [set(re.findall(r"aiwyn_async\.(\w+)", layer)) for layer in layers if layer]
    rows = re.search(r"\| floor \|.*\n\|.*\n((?:\|.*\n)+)", TEXT)
    assert rows
    shown = [set(re.findall(r"`(\w+)`", row.split("|")[1])) for row in rows[1].splitlines()]
    assert shown == enforced


def test_new_endpoint_is_as_small_as_described() -> None:
    lines = DIFF.read_text(encoding="utf-8").splitlines()
    added = [line for line in lines if line.startswith("+") and not line.startswith("+++")]
    files = [line for line in lines if line.startswith("+++")]
    assert f"{len(added)} lines in {len(files)} files" in TEXT
    assert not [line for line in lines if line.startswith("-") and not line.startswith("---")]


@pytest.mark.skipif(shutil.which("git") is None, reason="git applies the change")
def test_new_endpoint_works(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "aiwyn_async", tmp_path / "aiwyn_async")
    (tmp_path / "docs").mkdir()
    shutil.copy(ROOT / "docs/reading.md", tmp_path / "docs")
    subprocess.run(["git", "apply", DIFF], cwd=tmp_path, check=True)
    env = os.environ | {"PYTHONPATH": str(tmp_path)}
    run = [sys.executable, "-c", READ_RATES]
    done = subprocess.run(run, cwd=tmp_path, env=env, check=True, stdout=subprocess.PIPE)
    assert done.stdout.decode().split() == [str(tmp_path / "aiwyn_async/__init__.py"), "12"]
