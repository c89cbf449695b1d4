"""The parts of an unfinished export, in a hidden folder beside the file to be."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import IO

import msgspec

from aiwyn_async.errors import ExportError
from aiwyn_async.export.target import Target, disk_errors, sync_folder
from aiwyn_async.pagination.page import Checkpoint

__all__ = ["Partial"]


class _Part(msgspec.Struct):
    name: str
    rows: int


class _Manifest(msgspec.Struct):
    """``identity`` is the format and the shape of a row: parts of another cannot be joined."""

    identity: str
    parts: list[_Part]
    checkpoint: Checkpoint | None = None


class Partial:
    """Parts, each on disk before the manifest names it; the manifest is replaced as a whole.

    A crash loses at most the part that was being written, which no manifest names.
    """

    def __init__(self, target: Target, identity: str) -> None:
        self.folder = target.path.parent / f".{target.path.name}.partial"
        self._manifest = _Manifest(identity, [])

    @property
    def exists(self) -> bool:
        """True when an unfinished export lies here."""
        return self.folder.exists()

    @property
    def rows(self) -> int:
        """Rows in all whole parts."""
        return sum(part.rows for part in self._manifest.parts)

    def start(self) -> None:
        """An empty folder, mode 0700."""
        with disk_errors(self.folder):
            self.drop()
            self.folder.mkdir(mode=0o700)

    def load(self) -> Checkpoint | None:
        """Take up what lies here; where to go on, or None when no part was finished.

        Raises:
            ExportError: the manifest is damaged, or belongs to another format.
        """
        path = self.folder / "manifest.json"
        with disk_errors(path):
            try:
                found = msgspec.json.decode(path.read_bytes(), type=_Manifest)
            except FileNotFoundError:
                return None
            except (msgspec.MsgspecError, UnicodeDecodeError):
                raise ExportError(f"{path} is damaged; start anew with --force") from None
        if found.identity != self._manifest.identity:
            raise ExportError(
                f"{self.folder} holds parts of another format or row type; start anew with --force"
            )
        self._manifest = found
        return found.checkpoint

    def add(self, write: Callable[[IO[bytes]], None], rows: int, checkpoint: Checkpoint) -> None:
        """Write a part and then name it.

        Raises:
            ExportError: the disk refuses; the parts before stay.
        """
        name = f"part-{len(self._manifest.parts):06}"
        with disk_errors(self.folder / name):
            self._put(name, write)
            self._manifest.parts.append(_Part(name, rows))
            self._manifest.checkpoint = checkpoint
            text = msgspec.json.encode(self._manifest)
            self._put("manifest.json.new", lambda file: file.write(text))
            (self.folder / "manifest.json.new").replace(self.folder / "manifest.json")
            sync_folder(self.folder)

    def parts(self) -> list[Path]:
        """The whole parts, in order."""
        return [self.folder / part.name for part in self._manifest.parts]

    def drop(self) -> None:
        """Remove the folder and all in it."""
        if self.folder.exists():
            shutil.rmtree(self.folder)

    def _put(self, name: str, write: Callable[[IO[bytes]], object]) -> None:
        handle = os.open(self.folder / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
