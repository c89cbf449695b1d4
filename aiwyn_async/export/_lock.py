"""The lock on a staging directory: one export per file."""

from __future__ import annotations

import contextlib
import os
import tempfile
import weakref
from pathlib import Path
from typing import Final

from aiwyn_async._core.files import lock_folder, restrict_to_owner
from aiwyn_async.errors import ExportError
from aiwyn_async.export._part_files import AdvisedExportError, disk_errors


class FolderLock:
    """Creates and locks a private folder, until it is released or the process ends."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._handle: int | None = None

    def acquire(self) -> None:
        """Create the folder and lock it.

        Raises:
            ExportError: another export holds the lock, or the folder is a link or belongs to another user.
        """
        with disk_errors(self._folder):
            if self._folder.is_symlink():
                # Its content is removed in the end, wherever the link points.
                raise ExportError(f"{self._folder} is a symbolic link; remove it or use another file name")
            self._folder.mkdir(mode=0o700, exist_ok=True)
            handle = os.open(self._folder, os.O_RDONLY)
            # Another export may have removed the folder just now.
            if not (lock_folder(handle, self._folder) and self._is_folder_of(handle)):
                os.close(handle)
                raise AdvisedExportError(
                    f"another export is writing into {self._folder}; wait for it, or use another file name"
                )
            self._handle = handle
            _acquired.add(self)
            self._make_private(handle)

    def release(self) -> None:
        """Unlock the folder, and remove it if it is empty."""
        if self._handle is not None:
            # Removed before it is unlocked, so that it cannot be the folder of another export.
            with contextlib.suppress(OSError):
                if self._is_folder_of(self._handle):
                    self._folder.rmdir()
            self.close()

    def close(self) -> None:
        """Close the folder and leave it as it is; it is unlocked if no other process has it open."""
        handle, self._handle = self._handle, None
        if handle is not None:
            os.close(handle)

    def _make_private(self, handle: int) -> None:
        """Restrict an existing folder and its files to their owner."""
        status = os.fstat(handle)
        with tempfile.TemporaryFile(dir=self._folder) as file:
            own_id = os.fstat(file.fileno()).st_uid  # on a network share it can differ from os.getuid()
        if status.st_uid != own_id:
            raise ExportError(f"{self._folder} belongs to another user; remove it or use another file name")
        if status.st_mode & 0o077:
            restrict_to_owner(self._folder, 0o700)
            for path in self._folder.iterdir():
                if path.is_file() and not path.is_symlink():
                    restrict_to_owner(path)

    def _is_folder_of(self, handle: int) -> bool:
        try:
            return os.path.samestat(os.fstat(handle), self._folder.lstat())
        except FileNotFoundError:
            return False


_acquired: Final[weakref.WeakSet[FolderLock]] = weakref.WeakSet()


def _close_all() -> None:
    """Leave the locks to the parent: a forked process would hold them as long as it runs."""
    for lock in list(_acquired):
        lock.close()


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_close_all)
