"""The file of skipped rows beside the target, as ``invoices.parquet.bad.jsonl``."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from aiwyn_async._cli.output import write_error
from aiwyn_async._core.files import disk_errors, replace_content
from aiwyn_async._decoding.pages import BadRow
from aiwyn_async.errors import StorageError


class _Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """A skipped row: page, index, key if known, decoding error and JSON."""

    page: int
    index: int
    error: str
    raw: str
    key: Any = None


class BadRowsFile:
    """The skipped rows of a command, one line of JSON per row. The file has mode 0600.

    Args:
        target: the file that the command writes.
        is_needed: rows may be skipped; otherwise an unrelated file with this name is ignored.

    Raises:
        StorageError: the file is needed, and an unrelated file with its name exists.
    """

    def __init__(self, target: Path, *, is_needed: bool) -> None:
        if target.name in {"", ".."}:  # the name of a folder as "."
            target = target.resolve()
        self.path = target.parent / f"{target.name}.bad.jsonl"
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
                f"{self.path} is not a file of skipped rows; move it or use another target"
            ) from None
        except StorageError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                return []
            raise

    def replace(self, rows: Sequence[BadRow]) -> None:
        """Write the skipped rows of a run; without any, remove the file of an earlier run."""
        self._write(list(map(_to_line, rows)))

    def add(self, rows: Sequence[BadRow]) -> None:
        """Add skipped rows to those of earlier runs, replacing rows skipped before."""
        if rows:
            self._write(list({line.raw: line for line in [*self._lines, *map(_to_line, rows)]}.values()))

    def write_summary(self, count: int) -> None:
        """Write the number of skipped rows, and the path of the file."""
        rows = "1 row" if count == 1 else f"{count} rows"
        write_error(f"skipped {rows} that could not be decoded; see {self.path}")

    def _write(self, lines: list[_Line]) -> None:
        with disk_errors(self.path):
            if lines:
                replace_content(self.path, b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
            elif self._lines:
                with contextlib.suppress(FileNotFoundError):
                    self.path.unlink()


def _to_line(row: BadRow) -> _Line:
    return _Line(row.page, row.index, row.error, row.raw.decode("utf-8", "replace"), row.key)
