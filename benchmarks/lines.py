"""A child process that communicates in lines of JSON."""

from __future__ import annotations

import contextlib
import json
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).parent.parent
EXIT_TIMEOUT = 30.0


class ChildFailed(Exception):  # noqa: N818 (a result for the report)
    """The child exited or reported an error."""


class Child:
    """`python -m module`, running until the block ends, in a checkout of the project."""

    def __init__(self, python: Path | str, module: str, *, folder: Path = ROOT) -> None:
        self._command = [str(python), "-m", module]
        self._folder = folder

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command, cwd=self._folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()  # the child exits at end of file
        try:
            self._process.wait(EXIT_TIMEOUT if kind is None else 0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def restart(self) -> None:
        """Replace the process."""
        self.__exit__(None, None, None)
        self.__enter__()

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Send a line and return the response."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise ChildFailed(f"{' '.join(self._command)} ended")
        response = json.loads(line)
        if "error" in response:
            raise ChildFailed(f"{' '.join(self._command)}: {response['error']}")
        return dict(response)
