"""The target file, which appears under its name only when it is complete."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from aiwyn_async._core.files import move_synced, restrict_to_owner, sync_file, why_no_folder
from aiwyn_async.errors import ExportError
from aiwyn_async.export._part_files import AdvisedExportError, disk_errors

if TYPE_CHECKING:  # it needs an extra
    from aiwyn_async.export._formats.duckdb import DatabaseFile

LOGS: Final = (".wal", ".wal.checkpoint", ".wal.recovery")
"""Suffixes of DuckDB's write-ahead log, which it replays when it opens the database."""


class Target:
    """The target file, with mode 0600 whatever the umask, since it contains client data.

    ``shared`` is for a format whose files contain more than one export; without it, a file is replaced.
    """

    def __init__(self, path: Path, shared: DatabaseFile | None) -> None:
        self.path = path
        self._shared = shared
        self._may_replace = False

    def check_folder(self) -> None:
        """Check that the target can be written, before a request is sent.

        Raises:
            ExportError: it is a folder or a link, or its folder is missing or not writable.
        """
        with disk_errors(self.path):
            if self.path.is_symlink():
                raise ExportError(f"{self.path} is a symbolic link; use the file that it points to")
            if self.path.is_dir():
                raise ExportError(f"{self.path} is a folder; add a file name")
            if reason := why_no_folder(self.path.parent):
                raise ExportError(reason)
            with tempfile.TemporaryFile(dir=self.path.parent):
                pass  # the folder is writable

    def check_file(self, *, may_replace: bool) -> None:
        """Check that an existing target may and can be replaced.

        Raises:
            ExportError: the file, or the log of an earlier database of this name, exists and may not be
                replaced; or it is in use.
        """
        self._may_replace = may_replace
        with disk_errors(self.path):
            if not may_replace:
                self._refuse_existing(
                    ExportError(f"{self.path} already exists; pass force=True to replace it")
                )
            elif self._shared is not None and self.path.exists():
                self._shared.check(self.path)

    def write(self, folder: Path, write: Callable[[Path], None]) -> int:
        """Write a file in a folder, rename it to the target, and return its size in bytes.

        Args:
            folder: a private folder on the same disk.
            write: writes the file at a path.

        Raises:
            ExportError: the disk refuses, or the target was created during the export and may not be
                replaced; an existing file is unchanged.
        """
        path = folder / f"assembled{self.path.suffix}"
        with disk_errors(self.path):
            path.unlink(missing_ok=True)
            try:
                write(path)
                return self.move(path)
            except BaseException:
                with contextlib.suppress(OSError):
                    path.unlink()
                raise

    def move(self, path: Path) -> int:
        """Rename a complete file or write it into the existing one; return its bytes.

        Raises:
            ExportError: see ``write()``; the complete file is retained.
        """
        with disk_errors(self.path):
            restrict_to_owner(path)
            if not self._may_replace:
                self._refuse_existing(
                    AdvisedExportError(
                        f"another program created {self.path} during the export; "
                        "move it away and pass resume=True to continue"
                    )
                )
            if self._shared is not None and self.path.exists() and self._shared.write(path, self.path):
                path.unlink()
            else:
                self._remove_logs()
                move_synced(path, self.path)
            return self.path.stat().st_size

    def _refuse_existing(self, error: ExportError) -> None:
        if self.path.exists():
            raise error
        for log in self._logs():
            raise ExportError(
                f"{log} is the log of an earlier database of this name, which DuckDB would replay into the "
                "new one; pass force=True to remove it, or use another file name"
            )

    def _remove_logs(self) -> None:
        """Remove logs before the file is renamed: DuckDB would replay them into it."""
        logs = self._logs()
        for log in logs:
            log.unlink()
        if logs:
            sync_file(self.path.parent)

    def _logs(self) -> list[Path]:
        return [] if self._shared is None else logs_beside(self.path)


def logs_beside(path: Path) -> list[Path]:
    """Return the possible paths of the DuckDB log of a database."""
    logs = [path.with_name(path.name + suffix) for suffix in LOGS]
    return [log for log in logs if log.exists() or log.is_symlink()]
