"""The folder of a dataset, on a disk or in a file system of fsspec. All methods block."""

from __future__ import annotations

import contextlib
import re
import shutil
import zlib
from collections.abc import Generator
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit
from urllib.request import url2pathname

from aiwyn_async._core.files import (
    make_folder,
    move_synced,
    replace_content,
    sync_file,
    url_of,
    why_no_folder,
)
from aiwyn_async.errors import ConfigurationError, ExportError
from aiwyn_async.export._dataset.manifest import DatasetFile
from aiwyn_async.export._lock import FolderLock
from aiwyn_async.export._part_files import disk_errors

PARTIAL: Final = "_partial"
"""Holds the files of an unfinished run. Readers of datasets ignore names that start with ``_``."""
_is_run: Final = re.compile(r"run-[0-9]{8}T[0-9]{12}Z-[0-9a-f]{8}").fullmatch


class LocalFolder:
    """A folder on a disk: files are durable when ``write()`` returns, and readable by their owner alone.

    Attributes:
        name: the path, without a slash at the end; files are named relative to it.
    """

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._path = path
        self._lock = FolderLock(path / PARTIAL)

    def lock(self) -> None:
        """Create the folder, and exclude other exports.

        Raises:
            ExportError: it cannot be written, or another export is running.
        """
        with disk_errors(self._path):
            if reason := why_no_folder(self._path.parent):
                raise ExportError(reason)
            make_folder(self._path)
            self._lock.acquire()

    def release(self) -> None:
        self._lock.release()
        with contextlib.suppress(OSError):
            self._path.rmdir()  # if nothing was written

    def read(self, name: str) -> bytes | None:
        """Return the content of a file; None if it does not exist."""
        with disk_errors(self._path / name, "read"):
            try:
                return (self._path / name).read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                return None

    def write(self, name: str, content: bytes) -> None:
        path = self._path / name
        with disk_errors(path):
            make_folder(path.parent)
            partial = self._path / PARTIAL
            replace_content(path, content, partial if partial.is_dir() else None)

    def matches(self, name: str, file: DatasetFile) -> bool:
        """Compare a file with the size and the checksum in the manifest."""
        content = self.read(name)
        return content is not None and (len(content), zlib.crc32(content)) == (file.bytes, file.crc32)

    def files(self, folder: str) -> list[str]:
        """Return the names of all files below a folder."""
        paths = [path for path in (self._path / folder).rglob("*") if not path.is_dir()]
        return [path.relative_to(self._path).as_posix() for path in paths]

    def runs(self) -> list[str]:
        """Return the names of the complete runs, oldest first."""
        return sorted(path.name for path in self._path.glob("run-*") if _is_run(path.name) and path.is_dir())

    def move(self, folder: str, to: str) -> None:
        """Move all files below a folder into another one, or rename it, so that all appear at once."""
        path, target = self._path / folder, self._path / to
        with disk_errors(target):
            if path.is_dir() and not target.exists():
                path.rename(target)
                sync_file(self._path)
                return
            for name in self.files(folder):
                moved = target / Path(name).relative_to(folder)
                make_folder(moved.parent)
                move_synced(self._path / name, moved)

    def remove(self, name: str) -> None:
        path = self._path / name
        with disk_errors(path):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)

    def clear(self, folder: str, keep: str = "") -> None:
        """Remove everything in a folder but one name, also empty folders, which a crash can leave."""
        with disk_errors(self._path / folder):
            paths = list((self._path / folder).iterdir())
        for path in paths:
            if path.name != keep:
                self.remove(f"{folder}/{path.name}")


class RemoteFolder:
    """The same in a file system of fsspec, such as ``s3://bucket/invoices``.

    Such a file system has no locks: two exports to one folder at the same time are not excluded.

    Args:
        url: its scheme selects the file system.

    Raises:
        ConfigurationError: fsspec, or its package for this scheme, is missing.
    """

    def __init__(self, url: str) -> None:
        try:
            import fsspec  # noqa: PLC0415 (an extra)

            fs: Any = fsspec  # without types
            self._files, root = fs.url_to_fs(url.rstrip("/"))
        except ImportError as error:
            raise ConfigurationError(
                f"{url} needs fsspec and its package for this scheme ({error}); "
                'run: pip install "aiwyn-async[lake]"'
            ) from None
        except ValueError as error:
            raise ConfigurationError(f"{url} is not a URL that fsspec can open: {error}") from None
        self._root = str(root).rstrip("/")
        self.name = str(self._files.unstrip_protocol(self._root))

    def lock(self) -> None:
        """Check that the folder can be written."""
        with self._errors("write"):
            self._files.makedirs(self._root, exist_ok=True)
        self.write(f"{PARTIAL}/.writable", b"")
        self.remove(f"{PARTIAL}/.writable")

    def release(self) -> None:
        """Do nothing: such a file system has no locks."""

    def read(self, name: str) -> bytes | None:
        with self._errors("read", name):
            try:
                return bytes(self._files.cat_file(self._at(name)))
            except FileNotFoundError:
                return None

    def write(self, name: str, content: bytes) -> None:
        path = self._at(name)
        with self._errors("write", name):
            self._files.makedirs(path.rpartition("/")[0], exist_ok=True)
            self._files.pipe_file(path, content)

    def matches(self, name: str, file: DatasetFile) -> bool:
        """Compare the size: the file system checks the content by itself."""
        with self._errors("read", name):
            self._files.invalidate_cache()
            try:
                return int(self._files.info(self._at(name))["size"]) == file.bytes
            except FileNotFoundError:
                return False

    def files(self, folder: str) -> list[str]:
        with self._errors("read", folder):
            self._files.invalidate_cache()
            paths = self._files.find(self._at(folder))
        return [str(path).removeprefix(self._root).removeprefix("/") for path in paths]

    def runs(self) -> list[str]:
        return sorted(filter(_is_run, self._names("")))

    def move(self, folder: str, to: str) -> None:
        """Move file by file, as object stores cannot rename a folder."""
        for name in self.files(folder):
            target = self._at(to + name.removeprefix(folder))
            with self._errors("write", to):
                self._files.makedirs(target.rpartition("/")[0], exist_ok=True)
                self._files.mv(self._at(name), target)

    def remove(self, name: str) -> None:
        with self._errors("write", name), contextlib.suppress(FileNotFoundError):
            self._files.rm(self._at(name), recursive=True)

    def clear(self, folder: str, keep: str = "") -> None:
        for name in set(self._names(folder)) - {keep}:
            self.remove(f"{folder}/{name}")

    def _names(self, folder: str) -> list[str]:
        """Return the names of the files and folders in a folder; none if it does not exist."""
        with self._errors("read", folder):
            self._files.invalidate_cache()
            try:
                paths = self._files.ls(self._at(folder).rstrip("/"), detail=False)
            except FileNotFoundError:  # an object store has no empty folders
                return []
        return [str(path).rstrip("/").rpartition("/")[2] for path in paths]

    def _at(self, name: str) -> str:
        return f"{self._root}/{name}"

    @contextlib.contextmanager
    def _errors(self, doing: str, name: str = "") -> Generator[None]:
        """Raise every error as an ``ExportError``: the packages of fsspec have errors of their own."""
        try:
            yield
        except Exception as error:
            where = f"{self.name}/{name}".rstrip("/")
            raise ExportError(f"cannot {doing} {where}: {type(error).__name__}: {error}") from error


Folder = LocalFolder | RemoteFolder


def open_folder(to: str | Path) -> Folder:
    url = url_of(to)
    if url is None:
        return LocalFolder(Path(to))
    parts = urlsplit(url)
    return LocalFolder(Path(url2pathname(parts.path))) if parts.scheme == "file" else RemoteFolder(url)
