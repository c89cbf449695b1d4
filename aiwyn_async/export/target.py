"""A file that appears under its name only when it is whole."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable
from pathlib import Path

from aiwyn_async.errors import ExportError
from aiwyn_async.files import disk_errors, move_synced

__all__ = ["Target"]


class Target:
    """The file to be, replaced as a whole. Its mode is 0600 whatever the umask: it holds clients' data."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._may_replace = False

    def check(self, *, force: bool) -> None:
        """Refuse a target that cannot or must not be written, before anything is asked for.

        Raises:
            ExportError: it exists and ``force`` is off, it is a folder or a link, or its folder is missing or
                cannot be written.
        """
        self._may_replace = force
        with disk_errors(self.path):
            if self.path.is_symlink():
                raise ExportError(f"{self.path} is a symbolic link; name the file itself")
            if self.path.is_dir():
                raise ExportError(f"{self.path} is a folder; name a file")
            if self.path.exists() and not force:
                raise ExportError(f"{self.path} exists; replace it with --force, or name another file")
            if not self.path.parent.is_dir():
                raise ExportError(f"there is no folder {self.path.parent}; make it first")
            with tempfile.TemporaryFile(dir=self.path.parent):
                pass  # the folder can be written

    def replace(self, folder: Path, write: Callable[[Path], None]) -> int:
        """Write a file in a folder of the same disk and give it the name; its size in bytes.

        Args:
            folder: for nobody else's eyes.
            write: makes the file at the path that it is given.

        Raises:
            ExportError: the disk refuses, or the file was made meanwhile and ``force`` was off; what bore the
                name before is untouched.
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
        """Give a whole file of the same disk the name; its size in bytes.

        Raises:
            ExportError: as ``replace()`` tells; the file stays where it is.
        """
        with disk_errors(self.path):
            path.chmod(0o600)
            size = path.stat().st_size
            self._refuse_other()
            move_synced(path, self.path)
        return size

    def _refuse_other(self) -> None:
        if not self._may_replace and self.path.exists():
            raise ExportError(
                f"{self.path} was made by another program meanwhile; move it away, and go on with --resume"
            )
