"""The parts of an unfinished export, in a hidden folder beside the file to be."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Collection
from pathlib import Path
from typing import IO, TypeVar

import msgspec

from aiwyn_async.errors import ExportError
from aiwyn_async.export.target import Target
from aiwyn_async.files import disk_errors, replace_content
from aiwyn_async.pagination.page import Checkpoint
from aiwyn_async.pagination.report import WalkReport
from aiwyn_async.pull.report import PullReport
from aiwyn_async.pull.state import server_name

try:
    import fcntl
except ImportError:  # Windows: two exports of one file at a time are not told there
    fcntl = None  # type: ignore[assignment]

__all__ = ["Partial"]

ResultT = TypeVar("ResultT")


class _Part(msgspec.Struct):
    name: str
    rows: int


class _Manifest(msgspec.Struct):
    """``identity`` is the format and the shape of a row, ``server`` whom they came from.

    Parts of another format or from another server cannot be joined.
    """

    identity: str
    server: str
    parts: list[_Part]
    checkpoint: Checkpoint | None = None
    walk: WalkReport | None = None
    pull: PullReport | None = None


class Partial:
    """Parts, each on disk before the manifest names it; the manifest is replaced as a whole.

    A crash loses at most the part that was being written, which no manifest names.
    """

    def __init__(self, target: Target, identity: str, server: str) -> None:
        self.folder = target.path.parent / f".{target.path.name}.partial"
        self._manifest = _Manifest(identity, server_name(server), [])
        self._held: int | None = None

    def hold(self) -> None:
        """Keep other exports of the same file away until ``release()``, or until the process ends.

        Raises:
            ExportError: one is under way.
        """
        with disk_errors(self.folder):
            self.folder.mkdir(mode=0o700, exist_ok=True)
            folder = os.open(self.folder, os.O_RDONLY)
            if fcntl is not None:
                try:
                    fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    os.close(folder)
                    raise ExportError(f"another export is writing into {self.folder}; wait for it") from None
            self._held = folder

    def release(self) -> None:
        """Let others at the folder; an empty one goes."""
        held, self._held = self._held, None
        if held is not None:
            os.close(held)
            with contextlib.suppress(OSError):
                self.folder.rmdir()

    @property
    def exists(self) -> bool:
        """True when an unfinished export lies here; a folder without a whole part is none."""
        return (self.folder / "manifest.json").exists()

    @property
    def rows(self) -> int:
        """Rows in all whole parts."""
        return sum(part.rows for part in self._manifest.parts)

    def start(self) -> None:
        """Nothing of an earlier export is left."""
        self._manifest = _Manifest(self._manifest.identity, self._manifest.server, [])
        self._clear(())

    def load(self) -> Checkpoint | None:
        """Take up what lies here; where to go on, or None when no part was finished.

        Raises:
            ExportError: the manifest is damaged, or belongs to another format or server.
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
        if found.server != self._manifest.server:
            raise ExportError(
                f"{self.folder} holds rows of {found.server}, not of {self._manifest.server}; "
                "start anew with --force"
            )
        self._manifest = found
        # What a crash left half done is named nowhere.
        self._clear({path.name, *(part.name for part in found.parts)})
        return found.checkpoint

    @property
    def report(self) -> WalkReport | PullReport | None:
        """Of all runs, up to the last whole part."""
        return self._manifest.walk or self._manifest.pull

    def write(self, number: int, write: Callable[[IO[bytes]], ResultT]) -> ResultT:
        """Write a part that is not whole before ``name()``; what ``write`` gives.

        Raises:
            ExportError: the disk refuses.
        """
        path = self.folder / _part_name(number)
        with disk_errors(path):
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(handle, "wb") as file:
                found = write(file)
                file.flush()
                os.fsync(file.fileno())
        return found

    def name(self, rows: int, checkpoint: Checkpoint, report: WalkReport | PullReport) -> Path:
        """Name the next part, which lies here written, in the manifest; where it lies.

        Raises:
            ExportError: the disk refuses; the parts before stay.
        """
        manifest = self._manifest
        named = msgspec.structs.replace(
            manifest,
            parts=[*manifest.parts, _Part(_part_name(len(manifest.parts)), rows)],
            checkpoint=checkpoint,
            walk=report if isinstance(report, WalkReport) else None,
            pull=report if isinstance(report, PullReport) else None,
        )
        path = self.folder / "manifest.json"
        with disk_errors(path):
            replace_content(path, msgspec.json.encode(named))
        self._manifest = named
        return self.parts()[-1]

    def parts(self) -> list[Path]:
        """The whole parts, in order."""
        return [self.folder / part.name for part in self._manifest.parts]

    def drop(self) -> None:
        """Remove the folder and all in it."""
        if self.folder.exists():
            shutil.rmtree(self.folder)

    def _clear(self, kept: Collection[str]) -> None:
        with disk_errors(self.folder):
            # The folder itself stays: it is what is held.
            for path in self.folder.iterdir():
                if path.is_dir():
                    shutil.rmtree(path)
                elif path.name not in kept:
                    path.unlink()


def _part_name(number: int) -> str:
    return f"part-{number:06}"
