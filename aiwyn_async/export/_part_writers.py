"""Who writes the parts of an export: threads of this process, or other processes."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec

from aiwyn_async._core.threads import in_thread, to_its_end
from aiwyn_async._decoding.pages import OnBadRow
from aiwyn_async.arrow._options import ColumnOptions
from aiwyn_async.arrow._rows import PageRows
from aiwyn_async.errors import ConfigurationError, DecodeError, ExportError
from aiwyn_async.export._partial import Part, PartLocation, write_part
from aiwyn_async.export._worker import LENGTH, Format, Refused, Work, Written, found_type
from aiwyn_async.export._writers import Writer

__all__ = ["InProcesses", "InThreads", "PartWriter"]

MAX_THREADS: Final = 2
"""Parts written together: the reading of JSON goes on outside Python's lock."""
MAX_PROCESSES: Final = 64
WORKER: Final = (
    "import json, sys\nsys.path = json.loads(sys.argv[1])\n"
    "from aiwyn_async.export._worker import main\nmain()"
)
"""With the path of this process, so that it finds the same modules."""


class PartWriter(Protocol):
    """Writes parts, ``at_once`` of them side by side."""

    at_once: int

    async def write(self, place: PartLocation, rows: PageRows) -> Part:
        """Write a part, and note the rows that do not fit.

        Raises:
            ExportError: the disk refuses, or a value does not fit its column.
            DecodeError: a row does not fit, and bad rows are refused.
        """
        ...


class InThreads:
    """Parts written in threads of this process."""

    def __init__(self, writer: Writer) -> None:
        self.at_once = min(MAX_THREADS, _processors())
        self._writer = writer

    async def write(self, place: PartLocation, rows: PageRows) -> Part:
        """See ``PartWriter``."""
        return await in_thread(lambda: write_part(place, lambda file: self._writer.write_part(file, rows)))


class InProcesses:
    """Parts written by other processes of this Python, begun as they are needed.

    Args:
        target: the file to be, whose suffix names the format.
        row_type: of the rows.
        table: in a DuckDB file.
        processes: how many, 1 to 64.
        options: how values become columns.

    Raises:
        ConfigurationError: they cannot import the type, or are too many.
    """

    def __init__(
        self, target: Path, row_type: type[Any], table: str, processes: int, options: ColumnOptions
    ) -> None:
        if not 1 <= processes <= MAX_PROCESSES:
            raise ConfigurationError(f"processes must be 0 to {MAX_PROCESSES}, not {processes}")
        module, name = row_type.__module__, row_type.__qualname__
        if module == "__main__" or not _is_found(row_type, module, name):
            raise ConfigurationError(
                f"other processes cannot import {name} from {module}; define it at the top of a module that "
                "is imported, or leave processes out"
            )
        self.at_once = processes
        self._target = target
        self._names = module, name
        self._table = table
        self._options = options
        self._locks: Sequence[int] = ()
        self._begun: list[asyncio.subprocess.Process] = []
        self._idle: list[asyncio.subprocess.Process] = []

    @asynccontextmanager
    async def started(self, locks: Sequence[int]) -> AsyncGenerator[InProcesses]:
        """Within, processes may be begun; at its end, there is none any more.

        Args:
            locks: file descriptors that each process holds open to its end, also when this one is killed.
        """
        self._locks = locks
        try:
            yield self
        finally:
            await to_its_end(asyncio.gather(*map(_ended, self._begun)))

    async def write(self, place: PartLocation, rows: PageRows) -> Part:
        """See ``PartWriter``.

        Raises:
            ExportError: also when the process has ended.
        """
        pages = [(page.number, b"[" + b",".join(page.rows) + b"]") for page in rows.pages]
        process = self._idle.pop() if self._idle else await self._begin(rows.on_bad_row)
        try:
            await _send(process, Work(str(place.path), place.start, pages))
            del pages
            answer = await _received(process)
        except (ConnectionError, asyncio.IncompleteReadError):
            await _ended(process)
            raise ExportError(
                f"a process that wrote parts ended with exit code {process.returncode}; "
                "what was written before is kept, pass resume=True to continue"
            ) from None
        self._idle.append(process)
        if isinstance(answer, Refused):
            if answer.location is None:
                raise ExportError(answer.message)
            raise DecodeError(answer.message, location=answer.location)
        rows.counts, rows.bad_rows = answer.noticed, answer.bad_rows
        return answer.part

    async def _begin(self, on_bad_row: OnBadRow) -> asyncio.subprocess.Process:
        """A process with the modules of this one, which Ctrl-C at a terminal does not reach."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-c", WORKER, json.dumps(sys.path)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
            pass_fds=self._locks,
        )
        self._begun.append(process)
        await _send(process, Format(str(self._target), *self._names, self._table, on_bad_row, self._options))
        return process


def _processors() -> int:
    """How many this process may use: two threads of one only take its cache from each other."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # where a process cannot be bound to some of them
        return os.cpu_count() or 1


def _is_found(row_type: type[Any], module: str, name: str) -> bool:
    try:
        return found_type(module, name) is row_type
    except (ImportError, AttributeError):
        return False


async def _send(process: asyncio.subprocess.Process, message: msgspec.Struct) -> None:
    assert process.stdin is not None  # it is a pipe  # noqa: S101
    content = msgspec.msgpack.encode(message)
    process.stdin.write(len(content).to_bytes(LENGTH))
    process.stdin.write(content)
    del content
    await process.stdin.drain()


async def _received(process: asyncio.subprocess.Process) -> Written | Refused:
    assert process.stdout is not None  # it is a pipe  # noqa: S101
    length = int.from_bytes(await process.stdout.readexactly(LENGTH))
    return msgspec.msgpack.decode(await process.stdout.readexactly(length), type=Written | Refused)


async def _ended(process: asyncio.subprocess.Process) -> None:
    """Wait for the end of a process, which is that of its stdin, after the part that it is at."""
    assert process.stdin is not None  # it is a pipe  # noqa: S101
    process.stdin.close()
    await process.communicate()
