"""Records to write, read line by line from a JSONL file."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import msgspec

from aiwyn_async.errors import ConfigurationError
from aiwyn_async.models.records import Record

__all__ = ["RecordLines"]


class RecordLines:
    """Iterates over the records of a file, empty lines passed over. ``-`` is stdin.

    Raises:
        ConfigurationError: the file cannot be read, or a line is no record; its number is told.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lines: list[int] = []
        self._file: BinaryIO | None = None

    def __enter__(self) -> Self:
        try:
            self._file = sys.stdin.buffer if str(self._path) == "-" else self._path.open("rb")
        except OSError as fault:
            raise ConfigurationError(f"cannot read {self._path}: {fault.strerror}") from None
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._file is not None and self._file is not sys.stdin.buffer:
            self._file.close()

    def __iter__(self) -> Iterator[Record]:
        for number, line in enumerate(self._file or (), start=1):
            if line.strip():
                try:
                    record = msgspec.json.decode(line, type=Record)
                except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as misfit:
                    raise ConfigurationError(f"{self._path}, line {number} is no record: {misfit}") from None
                self._lines.append(number)
                yield record

    def line_of(self, index: int) -> int:
        """The line, from 1, that the record of this index stands on."""
        return self._lines[index]
