"""A file that appears under its name only when it is whole."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from aiwyn_async._core.files import disk_errors, move_synced, restrict_to_owner, sync_file
from aiwyn_async.errors import ExportError

__all__ = ["SharedFile", "Target", "logs_beside"]

LOGS: Final = (".wal", ".wal.checkpoint", ".wal.recovery")
"""What DuckDB appends to a database's name for its write-ahead log, replayed when the file is opened."""


class SharedFile(Protocol):
    """How to write into an existing file that may hold more than the export."""

    def check(self, path: Path) -> None:
        """Refuse a file that cannot be written into.

        Raises:
            ExportError: it is in use, or cannot be opened.
        """
        ...

    def write(self, new: Path, path: Path) -> bool:
        """Write what a new file holds into the existing one; False if that should be replaced as a whole.

        Raises:
            ExportError: the file is in use, or cannot be written; it is as it was before.
        """
        ...


class Target:
    """The file to be. Its mode is 0600 whatever the umask: it holds clients' data.

    Args:
        path: the file.
        shared: for a format whose files hold more than one export; else an existing file is replaced whole.
    """

    def __init__(self, path: Path, shared: SharedFile | None) -> None:
        self.path = path
        self._shared = shared
        self._may_replace = False

    def check_folder(self) -> None:
        """Refuse a target that cannot be written, before anything is requested.

        Raises:
            ExportError: it is a folder or a link, or its folder is missing or cannot be written.
        """
        with disk_errors(self.path):
            if self.path.is_symlink():
                raise ExportError(f"{self.path} is a symbolic link; name the file itself")
            if self.path.is_dir():
                raise ExportError(f"{self.path} is a folder; name a file")
            if not self.path.parent.is_dir():
                raise ExportError(f"there is no folder {self.path.parent}; make it first")
            with tempfile.TemporaryFile(dir=self.path.parent):
                pass  # the folder can be written

    def check_file(self, *, may_replace: bool) -> None:
        """Refuse a target that exists and must not, or cannot, be replaced.

        Raises:
            ExportError: the file, or the log of an earlier database of this name, exists, and may not be
                replaced; or it is in use.
        """
        self._may_replace = may_replace
        with disk_errors(self.path):
            if not may_replace:
                self._refuse_existing(f"{self.path} already exists; pass force=True to replace it")
            elif self._shared is not None and self.path.exists():
                self._shared.check(self.path)

    def replace(self, folder: Path, write: Callable[[Path], None]) -> int:
        """Write a file in a folder of the same disk and give it the name; its size in bytes.

        Args:
            folder: for nobody else's eyes.
            write: makes the file at the path that it is given.

        Raises:
            ExportError: the disk refuses, or the file was made during the export and may not be replaced; an
                existing file is untouched.
        """
        path = folder / f"whole{self.path.suffix}"
        with disk_errors(self.path):
            path.unlink(missing_ok=True)
            try:
                write(path)
                return self.take(path)
            except BaseException:
                with contextlib.suppress(OSError):
                    path.unlink()
                raise

    def take(self, path: Path) -> int:
        """Give a whole file of the same disk the name, or write it into the existing file; its size in bytes.

        Raises:
            ExportError: see ``replace()``; the file stays where it is.
        """
        with disk_errors(self.path):
            restrict_to_owner(path)
            if not self._may_replace:
                self._refuse_existing(
                    f"another program created {self.path} during the export; "
                    "move it away and pass resume=True to continue"
                )
            if self._write_into_existing(path):
                path.unlink()
            else:
                self._remove_logs()
                move_synced(path, self.path)
            return self.path.stat().st_size

    def _write_into_existing(self, path: Path) -> bool:
        return self._shared is not None and self.path.exists() and self._shared.write(path, self.path)

    def _refuse_existing(self, message: str) -> None:
        if self.path.exists():
            raise ExportError(message)
        for log in self._logs():
            raise ExportError(
                f"{log} is the log of an earlier database of this name, which DuckDB would replay into the "
                "new one; pass force=True to remove it, or name another file"
            )

    def _remove_logs(self) -> None:
        """Before the file has its name: a log beside a database is replayed by whoever opens it."""
        logs = self._logs()
        for log in logs:
            log.unlink()
        if logs:
            sync_file(self.path.parent)

    def _logs(self) -> list[Path]:
        return [] if self._shared is None else logs_beside(self.path)


def logs_beside(path: Path) -> list[Path]:
    """Return the files beside a DuckDB file, or beside where it would be, that DuckDB takes for its log."""
    logs = [path.with_name(path.name + suffix) for suffix in LOGS]
    return [log for log in logs if log.exists() or log.is_symlink()]
