"""Write and verify the files of parts."""

from __future__ import annotations

import contextlib
import functools
import io
import os
import shutil
import sys
import zlib
from collections.abc import Callable, Generator, Iterable
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, NamedTuple, cast

from aiwyn_async._core import files
from aiwyn_async.errors import ExportError
from aiwyn_async.export._manifest import Part

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

READ_BYTES: Final = 1 << 18

disk_errors = partial(files.disk_errors, error=ExportError)


class AdvisedExportError(ExportError):
    """An error whose text says how to go on; the parts there may belong to another export, or be damaged."""


class PartLocation(NamedTuple):
    """Where a part starts: in a file of its own, or after the previous part."""

    path: Path
    start: int = 0


def write_part(location: PartLocation, write: Callable[[IO[bytes]], int]) -> Part:
    """Write a part and drop whatever follows it. Does not sync it to the disk."""
    with open_at(location) as file:
        written = _ChecksummedFile(file)
        rows = write(cast("IO[bytes]", written))
        return Part(rows, written.size, written.crc32)


def verify_part(part: Part, location: PartLocation, *, appended: bool) -> None:
    """Compare a part with its checksum. Unless it is ``appended``, it must be the whole file.

    Raises:
        ExportError: the part is missing or damaged.
    """
    checksum = None
    with (
        disk_errors(location.path, "read"),
        contextlib.suppress(FileNotFoundError, IsADirectoryError),
        location.path.open("rb") as file,
    ):
        file.seek(location.start)
        checksum = _crc32(file, part.size if appended else sys.maxsize)
    if checksum != part.crc32:
        raise damaged_part(location)


@contextlib.contextmanager
def open_at(location: PartLocation) -> Generator[io.BufferedRandom]:
    """Open a file, cut off at a location.

    Raises:
        ExportError: the disk refuses, or bytes before the location are missing.
    """
    with disk_errors(location.path):
        handle = os.open(location.path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)
        with os.fdopen(handle, "r+b") as file:
            if file.seek(0, os.SEEK_END) < location.start:
                raise damaged_part(location)
            file.truncate(location.start)
            file.seek(location.start)
            yield file


def damaged_part(location: PartLocation) -> ExportError:
    return AdvisedExportError(f"{location.path} is missing or damaged; pass force=True to start again")


class _ChecksummedFile(io.BufferedIOBase):
    """A file that is only written, with the checksum of what was written."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.size = self.crc32 = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        """Return the position in the part."""
        return self.size

    def write(self, data: ReadableBuffer, /) -> int:
        self.crc32 = _crc32_function()(data, self.crc32)
        count = self._file.write(data)
        self.size += count
        return count


@functools.cache
def _crc32_function() -> Callable[[ReadableBuffer, int], int]:
    """Return ISA-L's if it is installed, which takes a tenth of the time of zlib's."""
    try:
        from isal import isal_zlib  # noqa: PLC0415 (an extra)
    except ImportError:
        return zlib.crc32
    return cast("Any", isal_zlib).crc32  # type: ignore[no-any-return]  # its stubs are incomplete


def _crc32(file: io.BufferedIOBase, max_bytes: int) -> int:
    checksum, buffer = 0, memoryview(bytearray(READ_BYTES))
    while max_bytes and (count := file.readinto(buffer[:max_bytes])):
        checksum = _crc32_function()(buffer[:count], checksum)
        max_bytes -= count
    return checksum


def join_files(header: bytes, parts: Iterable[Path], path: Path) -> None:
    """Write a file: the header, then the content of the parts."""
    with path.open("wb") as file:
        file.write(header)
        for part in parts:
            with part.open("rb") as source:
                shutil.copyfileobj(source, file, 1 << 20)
