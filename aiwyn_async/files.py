"""Files that are there whole or not at all, also after a power cut."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Generator
from pathlib import Path

from aiwyn_async.errors import ExportError

__all__ = ["disk_errors", "move_synced", "replace_content", "sync_file"]


@contextlib.contextmanager
def disk_errors(path: Path, doing: str = "write") -> Generator[None]:
    """Any failure of the disk as an ``ExportError``: ``cannot write x.csv: No space left on device``."""
    try:
        yield
    except OSError as fault:
        raise ExportError(f"cannot {doing} {path}: {fault.strerror or fault}") from fault


def replace_content(path: Path, content: bytes) -> None:
    """Replace a small file, or make it. Its mode is 0600.

    Raises:
        OSError: the disk refuses; what was there before is untouched.
    """
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        move_synced(Path(name), path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            Path(name).unlink()
        raise


def move_synced(path: Path, to: Path) -> None:
    """Give a file another name on the same disk, replacing what bore it; content and name are on disk then.

    Raises:
        OSError: the disk refuses.
    """
    sync_file(path)
    path.replace(to)
    sync_file(to.parent)  # a rename survives a power cut only then


def sync_file(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk.

    Raises:
        OSError: the disk refuses.
    """
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
