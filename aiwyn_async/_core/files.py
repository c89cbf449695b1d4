"""Atomic and durable file operations, and file systems that lack some of them."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import tempfile
import warnings
from collections.abc import Generator
from contextvars import ContextVar
from pathlib import Path
from typing import Final, cast

from aiwyn_async.errors import ConfigurationError, StorageError, StorageWarning

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

# Errors of file systems (CIFS, NFS, FUSE, FAT) that lack an operation. ENOSPC, EIO and the like are not
# among them, since the work cannot continue.
LACKING: Final = frozenset({errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP})
NO_MODES: Final = LACKING | {errno.EPERM, errno.EACCES}
NO_LOCKS: Final = LACKING | {errno.ENOLCK}
NO_FOLDER_SYNC: Final = NO_MODES | {errno.EBADF}
OTHER_DATABASE: Final = "sync() writes DuckDB files; the source for dlt loads other databases"
# Two letters at least, so that a Windows drive is not a scheme; Path() leaves one slash of two.
URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:[/\\]")


def local_path(
    to: str | Path, fix: str = "write to a local path, or export to a folder, whose URL ends in a slash"
) -> Path:
    """Return the path of a target, which must be on a file system.

    Raises:
        ConfigurationError: it is a URL, such as ``s3://bucket/invoices.parquet``, or not a path.
    """
    if url := url_of(to):
        raise ConfigurationError(f"{url} is a URL, and only datasets can be written to URLs; {fix}")
    return Path(to)


def why_no_folder(path: Path) -> str | None:
    """Return why a path is not a folder that can be written to; None if it is one."""
    if path.is_dir():
        return None
    if path.exists():
        return f"{path} is a file, not a folder; use another path"
    return f"the folder {path} does not exist; create it"


def check_path(to: object) -> None:
    """Refuse what cannot be the path of a target.

    Raises:
        ConfigurationError: it is empty, as an unset variable of a shell is, not text, or has characters that
            no file system takes.
    """
    try:
        text: object = os.fspath(cast("str", to))
    except TypeError:
        text = None
    if not isinstance(text, str):
        raise ConfigurationError(f"the path of a target must be a str or a Path, not {type(to).__name__}")
    try:
        is_valid = text.strip() and "\0" not in text and os.fsencode(text)
    except UnicodeEncodeError:
        is_valid = False
    if not is_valid:
        raise ConfigurationError(f"{text!r} is not a path; pass one such as invoices.parquet")
    if _is_too_long(text):
        raise ConfigurationError(f"{text[:80]!r}... is not a path: File name too long")


def _is_too_long(path: str) -> bool:
    try:
        os.lstat(path)
    except OSError as error:
        return error.errno == errno.ENAMETOOLONG
    return False


def url_of(to: str | Path) -> str | None:
    """Return the URL that a target is, such as ``s3://bucket/invoices/``; None for a path.

    Raises:
        ConfigurationError: it is neither.
    """
    check_path(to)
    if not URL.match(str(to)):
        return None
    scheme, _, path = str(to).partition(":")
    slashes = "///" if scheme.lower() == "file" else "//"
    # Path() leaves one slash of them.
    return f"{scheme}:{slashes}{path[1:]}" if path[1:2] not in {"/", "\\"} else f"{scheme}:{path}"


_noted: ContextVar[set[str] | None] = ContextVar("noted", default=None)


@contextlib.contextmanager
def storage_notes() -> Generator[None]:
    """Warn only once per operation that the file system lacks, within this context."""
    token = _noted.set(set())
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):  # closed in another context, by the garbage collector
            _noted.reset(token)


def _note(operation: str, text: str) -> None:
    noted = _noted.get()
    if noted is not None:
        if operation in noted:
            return
        noted.add(operation)
    warnings.warn(text, StorageWarning, stacklevel=3)


@contextlib.contextmanager
def disk_errors(
    path: Path, doing: str = "write", error: type[StorageError] = StorageError
) -> Generator[None]:
    """Raise an ``OSError`` as a ``StorageError`` that names the file and the reason."""
    try:
        yield
    except OSError as exc:
        raise error(f"cannot {doing} {path}: {exc.strerror or exc}") from exc


@contextlib.contextmanager
def leftovers(path: object) -> Generator[None]:
    """Warn if what a complete output does not need cannot be removed, such as an open file of a share."""
    try:
        yield
    except (OSError, StorageError) as error:
        _note("remove", f"{path} is complete, but files that it does not need are left: {error}")


def restrict_to_owner(path: Path, mode: int = 0o600) -> None:
    """Set the mode of a file; warn if the file system has no modes.

    Raises:
        OSError: the disk refuses for another reason.
    """
    try:
        path.chmod(mode)
    except OSError as error:
        if error.errno not in NO_MODES:
            raise
        _note(
            "chmod",
            f"cannot set the mode of files in {path.parent} ({error.strerror}); "
            "its file system decides who can read them",
        )


def lock_folder(handle: int, folder: Path) -> bool:
    """Lock an open folder; False if another process holds the lock.

    Without locks on this platform or file system it is True, and a warning says so.

    Raises:
        OSError: the disk refuses for another reason.
    """
    if fcntl is None:
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        _note(
            "flock",
            f"cannot lock {folder} ({error.strerror}); make sure that no other export writes the same file",
        )
    return True


def replace_content(path: Path, content: bytes, temporary_folder: Path | None = None) -> None:
    """Replace or create a small file with mode 0600.

    Args:
        path: the file.
        content: its new content.
        temporary_folder: a folder of the same disk, in which a kill may leave a file; by default its own.

    Raises:
        OSError: the disk refuses; what was there before is untouched.
    """
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=temporary_folder or path.parent)  # 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        move_synced(Path(name), path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            Path(name).unlink()
        raise


def move_synced(path: Path, to: Path) -> None:
    """Rename a file on its disk, replacing the target; the result is durable.

    Raises:
        OSError: the disk refuses.
    """
    sync_file(path)
    path.replace(to)
    sync_file(to.parent)  # only then does a rename survive a power failure


def make_folder(path: Path) -> None:
    """Create a folder and its missing parents, unless it exists; their names are durable.

    Raises:
        OSError: the disk refuses.
    """
    if not path.is_dir():
        make_folder(path.parent)
        path.mkdir(exist_ok=True)
        sync_file(path.parent)


def sync_file(path: Path) -> None:
    """Wait until a file, or the names in a folder, are durable; warn if unsupported.

    Raises:
        OSError: the disk refuses for another reason.
    """
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (NO_FOLDER_SYNC if path.is_dir() else LACKING):
            raise
        _note("fsync", f"cannot sync {path} ({error.strerror}); a power cut may lose what was written last")
    finally:
        os.close(handle)
