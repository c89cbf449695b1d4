"""The wheel: the package, its metadata, and nothing else."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SECRET = re.compile(
    rb"-----BEGIN [A-Z ]*PRIVATE KEY|\bAKIA[0-9A-Z]{16}\b|\bgh[pousr]_[A-Za-z0-9]{30}"
    rb"|\beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}|://[^/\s:@'\"{}]+:[^/\s:@'\"{}]+@"
)
SUFFIXES = {".py", ".pyi", ".json", ".txt", ".typed"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    pytest.importorskip("hatchling", reason="the extra test installs it")
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, env={**os.environ, "HATCH_QUIET": "1"})
    (path,) = folder.iterdir()
    return zipfile.ZipFile(path)


def test_wheel_contains_the_package_alone(wheel: zipfile.ZipFile) -> None:
    names = wheel.namelist()
    package = [name for name in names if name.startswith("aiwyn_async/")]
    rest = [name for name in names if name not in set(package)]
    assert len(package) > 100
    assert {name.partition("/")[0].endswith(".dist-info") for name in rest} == {True}
    assert {"aiwyn_async/py.typed", "aiwyn_async/__init__.pyi", "aiwyn_async/sandbox/openapi.json"} <= set(
        names
    )
    assert {Path(name).suffix for name in package} == SUFFIXES
    assert not [name for name in names if re.search(r"(^|/)((tests?|benchmarks|tools)/|conftest|\.)", name)]


def test_wheel_has_every_file_of_the_package(wheel: zipfile.ZipFile) -> None:
    files = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "aiwyn_async").rglob("*")
        if path.suffix in SUFFIXES and "__pycache__" not in path.parts
    }
    assert files == {name for name in wheel.namelist() if name.startswith("aiwyn_async/")}


def test_wheel_contains_no_secret_and_no_path_of_a_machine(wheel: zipfile.ZipFile) -> None:
    matches = [name for name in wheel.namelist() if SECRET.search(wheel.read(name))]
    assert not matches
    assert not [name for name in wheel.namelist() if re.search(rb"/(home|Users)/\w+/", wheel.read(name))]


@pytest.mark.parametrize(
    "text", ["-----BEGIN RSA PRIVATE KEY-----", "https://user:pass@host", f"AKIA{'A' * 16}"]
)
def test_secret_is_noticed(text: str) -> None:
    assert SECRET.search(text.encode())


def test_wheel_requires_the_core_alone(wheel: zipfile.ZipFile) -> None:
    name = next(name for name in wheel.namelist() if name.endswith("/METADATA"))
    required = message_from_bytes(wheel.read(name)).get_all("Requires-Dist") or []
    core = {re.split(r"[<>=!~; ]", text)[0] for text in required if "extra ==" not in text}
    assert core == {"aiohttp", "msgspec", "anyio", "backoff"}


def test_import_loads_no_package_of_an_extra() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = [re.split(r"[\[<>=!~; ]", text)[0] for extra in extras.values() for text in extra]
    modules = {name.replace("-", "_") for name in named} - {"aiwyn_async"}
    assert {"pyarrow", "duckdb", "cyclopts", "rich", "isal", "polars"} <= modules
    code = "import sys, aiwyn_async; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert not modules & set(done.stdout.split())
    assert "aiwyn_async" in done.stdout
