"""A child process that is spoken to in lines of JSON."""

from __future__ import annotations

import contextlib
import json
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).parent.parent
PATIENCE = 30.0


class ChildFailed(Exception):  # noqa: N818 (what happened, and no more)
    """The child ended, or told of an error."""


class Child:
    """`python -m module`, asked by `ask()` until the block ends."""

    def __init__(self, python: Path | str, module: str) -> None:
        self._command = [str(python), "-m", module]

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()  # which a child takes for the end
        try:
            self._process.wait(PATIENCE if kind is None else 0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def begin_anew(self) -> None:
        """Another process in its place."""
        self.__exit__(None, None, None)
        self.__enter__()

    def ask(self, question: dict[str, Any]) -> dict[str, Any]:
        """Send a line and wait for the answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(question) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise ChildFailed(f"{' '.join(self._command)} ended")
        answer = json.loads(line)
        if "error" in answer:
            raise ChildFailed(f"{' '.join(self._command)}: {answer['error']}")
        return dict(answer)
