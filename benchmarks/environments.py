"""Environments of the rivals: pinned, and created below `.rivals/`, which git ignores."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiwyn_async import sandbox

CACHE = Path(__file__).parent / ".rivals"
DESCRIPTION = Path(sandbox.__file__).parent / "openapi.json"
PATHS = ("/v1/auth/token", "/gql/v1/invoices", "/gql/v1/invoice/{id}")
"""The operations that are generated, with the types that they need."""


class NotInstalled(Exception):  # noqa: N818 (a result for the report)
    """An environment cannot be created on this machine."""


@dataclass(frozen=True)
class Rival:
    """A library with its pinned packages. `generate` creates a client in a folder."""

    name: str
    module: str
    pins: tuple[str, ...]
    generate: Callable[[Path, Path], list[str]] | None = None

    @property
    def title(self) -> str:
        """The name, with the version of its first package."""
        package, _, version = self.pins[0].partition("==")
        return f"{package} {version}" if package == self.name else f"{self.name} ({package} {version})"

    def python(self) -> Path:
        """Return the interpreter of the environment; create it if it is missing or its pins have changed.

        Raises:
            NotInstalled: the registry, a tool or Java is not available.
        """
        home = CACHE / self.name
        stamp = home / "made-for"
        python = home / "bin" / "python"
        if not (stamp.exists() and stamp.read_text() == self._stamp()):
            _run([sys.executable, "-m", "venv", "--clear", str(home)])
            _run([str(python), "-m", "pip", "install", "--quiet", *self.pins])
            if self.generate is not None:
                self._generate(home, self.generate)
            stamp.write_text(self._stamp())
        return python

    def _generate(self, home: Path, generate: Callable[[Path, Path], list[str]]) -> None:
        description = home / "openapi.json"
        description.write_text(json.dumps(_trimmed(json.loads(DESCRIPTION.read_text()))))
        client = home / "client"
        _run(generate(home / "bin", client))
        purelib = sysconfig.get_path("purelib", vars={"base": str(home), "platbase": str(home)})
        # Makes the client importable in this environment without building it.
        (Path(purelib) / "client.pth").write_text(f"{client}\n")

    def _stamp(self) -> str:
        identity = repr((self.pins, sys.version_info[:2])).encode()
        if self.generate is not None:
            identity += DESCRIPTION.read_bytes()
        return hashlib.sha256(identity).hexdigest()


def _run(command: list[str]) -> None:
    path = f"{Path(command[0]).parent}{os.pathsep}{os.environ['PATH']}"
    try:
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, env=os.environ | {"PATH": path}
        )
    except OSError as error:
        raise NotInstalled(str(error)) from None
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines()
        raise NotInstalled(f"{Path(command[0]).name} failed: {lines[-1] if lines else done.returncode}")


def _trimmed(description: dict[str, Any]) -> dict[str, Any]:
    schemas = description["components"]["schemas"]
    needed: set[str] = set()

    def need(part: Any) -> None:
        for name in re.findall(r'#/components/schemas/([^"]+)"', json.dumps(part)):
            if name not in needed:
                needed.add(name)
                need(schemas[name])

    paths = {path: description["paths"][path] for path in PATHS}
    need(paths)
    components = {**description["components"], "schemas": {name: schemas[name] for name in sorted(needed)}}
    return {**description, "paths": paths, "components": components}


def _openapi_python_client(tools: Path, client: Path) -> list[str]:
    description = str(client.parent / "openapi.json")
    tool = str(tools / "openapi-python-client")
    return [tool, "generate", "--path", description, "--output-path", str(client), "--overwrite"]


def _openapi_generator(tools: Path, client: Path) -> list[str]:
    description = str(client.parent / "openapi.json")
    tool = str(tools / "openapi-generator-cli")
    return [tool, "generate", "-i", description, "-g", "python", "--library", "asyncio", "-o", str(client)]


HTTPX_PYDANTIC = Rival("httpx+pydantic", "httpx_pydantic", ("pydantic==2.14.4", "httpx==0.28.1"))
OPENAPI_PYTHON_CLIENT = Rival(
    "openapi-python-client",
    "openapi_python_client",
    ("openapi-python-client==0.29.1", "httpx==0.28.1", "attrs==26.1.0", "ruff==0.17.6"),
    _openapi_python_client,
)
OPENAPI_GENERATOR = Rival(
    "openapi-generator",
    "openapi_generator",
    (
        "openapi-generator-cli==7.26.0",
        "aiohttp==3.14.5",
        "aiohttp-retry==2.9.1",
        "pydantic==2.14.4",
        "python-dateutil==4.0.0",
        "urllib3==2.8.0",
        "typing-extensions==4.16.0",
    ),
    _openapi_generator,
)
STAINLESS = Rival("stainless", "stainless", ("openai==3.57.0", "pydantic==2.14.4"))
DLT = Rival("dlt", "dlt_rest", ("dlt==1.31.0", "requests==2.34.2"))
SINGER = Rival("singer-sdk", "singer_rest", ("singer-sdk==0.54.9", "requests==2.34.2"))
AIRBYTE = Rival("airbyte-cdk", "airbyte_http", ("airbyte-cdk==7.39.1", "requests==2.34.2"))
