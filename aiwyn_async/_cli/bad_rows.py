"""Rows that a command skipped, in a file beside its target: ``invoices.parquet.bad.jsonl``."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from aiwyn_async._cli.output import say
from aiwyn_async._core.files import disk_errors, replace_content
from aiwyn_async._decoding.envelope import BadRow
from aiwyn_async.errors import StorageError

__all__ = ["BadRowsFile"]


class _Line(msgspec.Struct, frozen=True):
    """A skipped row: its place in what was read, its key if known, why it does not decode, its JSON."""

    page: int
    index: int
    error: str
    raw: str
    key: Any = msgspec.UNSET


class BadRowsFile:
    """The file of the rows that a command skipped, a line of JSON per row. Its mode is 0600.

    Args:
        target: the file that the command writes.
        is_needed: rows may be skipped; else a file that no command wrote is left alone.

    Raises:
        StorageError: it is needed, and a file of this name exists that no command wrote.
    """

    def __init__(self, target: Path, *, is_needed: bool) -> None:
        self.path = target.with_name(f"{target.name}.bad.jsonl")
        try:
            self._lines = self._read()
        except StorageError:
            if is_needed:
                raise
            self._lines = []

    def _read(self) -> list[_Line]:
        try:
            with disk_errors(self.path, "read"):
                return [msgspec.json.decode(line, type=_Line) for line in self.path.read_bytes().splitlines()]
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise StorageError(
                f"{self.path} is not a file of skipped rows; move it away, or name another target"
            ) from None
        except StorageError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                return []
            raise

    def replace(self, skipped: Sequence[BadRow]) -> None:
        """Write the rows that a run skipped; without any, remove the file of an earlier run.

        Raises:
            StorageError: the disk refuses.
        """
        self._write([_line(row) for row in skipped])

    def add(self, skipped: Sequence[BadRow]) -> None:
        """Write rows beside those of earlier runs; a row that was skipped before is replaced.

        Raises:
            StorageError: the disk refuses.
        """
        if skipped:
            self._write(list({line.raw: line for line in [*self._lines, *map(_line, skipped)]}.values()))

    def tell(self, count: int) -> None:
        """Say how many rows were skipped, and where they are."""
        say(f"skipped {count} {'row' if count == 1 else 'rows'} that could not be decoded; see {self.path}")

    def _write(self, lines: list[_Line]) -> None:
        with disk_errors(self.path):
            if lines:
                replace_content(self.path, b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
            elif self._lines:
                with contextlib.suppress(FileNotFoundError):
                    self.path.unlink()


def _line(row: BadRow) -> _Line:
    key = getattr(row, "key", None)
    return _Line(
        page=row.page,
        index=row.index,
        error=row.error,
        raw=row.raw.decode("utf-8", "replace"),
        key=msgspec.UNSET if key is None else key,
    )
