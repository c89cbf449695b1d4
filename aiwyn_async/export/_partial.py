"""The parts of an unfinished export, in a hidden folder beside the file to be."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Collection, Generator
from pathlib import Path
from typing import IO, Annotated, Any, Final, NamedTuple

import msgspec

from aiwyn_async._changes.bookmarks import server_name
from aiwyn_async._core.files import (
    disk_errors,
    lock_folder,
    move_synced,
    replace_content,
    restrict_to_owner,
    sync_file,
)
from aiwyn_async._core.reports import ListReport, PullReport
from aiwyn_async._decoding.pages import BadRow
from aiwyn_async._pagination.page import Checkpoint
from aiwyn_async.errors import CheckpointError, ExportError
from aiwyn_async.export._target import Target

__all__ = ["Part", "PartLocation", "Staging", "has_unfinished", "write_part"]

MANIFEST: Final = "manifest.json"
READ_BYTES: Final = 1 << 18
RECENT_SECONDS: Final = 12 * 3600
"""``replace=True`` continues an unfinished export that began less than this ago, so of the same night."""


class Part(msgspec.Struct, frozen=True):
    """A part that is written: its rows, its bytes, and their CRC-32, which tells if the disk damaged them."""

    rows: Annotated[int, msgspec.Meta(ge=0)]
    size: Annotated[int, msgspec.Meta(ge=0)]
    crc32: int
    bad: bool = False
    """Rows of its pages were left out and collected, in a file of their own."""


class PartLocation(NamedTuple):
    """Where a part begins: in a file of its own, or behind another in one that grows."""

    path: Path
    start: int = 0


class _Manifest(msgspec.Struct):
    """``identity`` is the format and the shape of a row, ``server`` whom they came from.

    Parts of another format or from another server cannot be joined.
    """

    identity: str
    server: str
    parts: list[Part]
    checkpoint: str
    """As ``Checkpoint.to_json()`` writes it."""
    walk: ListReport | None = None
    pull: PullReport | None = None
    whole: list[int] | None = None
    """The mark of the file that was made of all parts."""
    limit: int | None = None
    """Of the read. A checkpoint does not bind it, but it decides what a finished file holds."""
    replaces: bool = False
    """The file may replace an existing one, also when another run finishes it."""
    began: float = 0.0
    """When its first rows were requested, in seconds of the epoch."""
    bad_rows: list[BadRow] = []
    """All that were collected; noted when the file is made."""
    check: int = 0
    """CRC-32 of all else, so that a damaged or edited manifest does not pass for one with fewer parts."""


class Staging:
    """Parts, each on disk before the manifest names it; the manifest is replaced as a whole.

    A crash loses at most the parts that were being written, which no manifest names. When the file is
    finished, its manifest stays beside it, so that the same export can be resumed and asks for nothing.

    Args:
        target: the file to be.
        identity: tells whether parts of an earlier run can be joined with new ones.
        server: whom the rows come from.
        limit: of the read.
        grows: one part after another is the whole file, so they are written into one.
    """

    def __init__(self, target: Target, identity: str, server: str, *, limit: int | None, grows: bool) -> None:
        self.folder = _folder_of(target.path)
        self.grows = grows
        self.bad_rows: list[BadRow] = []
        self._finished_path = target.path.parent / f".{target.path.name}.done"
        self._manifest = _Manifest(identity, server_name(server), [], "", limit=limit)
        self._held: int | None = None

    def lock(self) -> None:
        """Keep other exports of the same file away until ``release()``, or until the process ends.

        Raises:
            ExportError: one is under way.
        """
        with disk_errors(self.folder):
            if self.folder.is_symlink():
                # All in it is removed in the end, wherever it lies.
                raise ExportError(f"{self.folder} is a symbolic link; remove it, or name another file")
            self.folder.mkdir(mode=0o700, exist_ok=True)
            self._held = os.open(self.folder, os.O_RDONLY)
            # The other export may have just ended and removed the folder.
            if not (lock_folder(self._held, self.folder) and self._is_held()):
                os.close(self._held)
                self._held = None
                raise ExportError(f"another export is writing into {self.folder}; wait for it")
            self._make_private(self._held)

    def _make_private(self, folder: int) -> None:
        """A folder that was there before may be open to others, or be another's."""
        found = os.fstat(folder)
        with tempfile.TemporaryFile(dir=self.folder) as file:
            own = os.fstat(file.fileno()).st_uid  # on a share it need not be the id of this process
        if found.st_uid != own:
            raise ExportError(f"{self.folder} belongs to another user; remove it, or name another file")
        if found.st_mode & 0o077:
            restrict_to_owner(self.folder, 0o700)
            for path in self.folder.iterdir():
                if path.is_file() and not path.is_symlink():
                    restrict_to_owner(path)

    def _is_held(self) -> bool:
        try:
            return self._held is not None and os.path.samestat(os.fstat(self._held), self.folder.lstat())
        except FileNotFoundError:
            return False

    def release(self) -> None:
        """Let others at the folder; an empty one goes."""
        held, self._held = self._held, None
        if held is not None:
            # While it is held still, so that it is not that of another.
            with contextlib.suppress(OSError):
                if os.path.samestat(os.fstat(held), self.folder.lstat()):
                    self.folder.rmdir()
            os.close(held)

    @property
    def _manifest_path(self) -> Path:
        return self.folder / MANIFEST

    @property
    def exists(self) -> bool:
        """True when an unfinished export lies here; a folder without a whole part is none."""
        return self._manifest_path.exists()

    @property
    def rows(self) -> int:
        """Rows in all whole parts."""
        return sum(part.rows for part in self._manifest.parts)

    @property
    def may_replace(self) -> bool:
        """True if the file may replace an existing one."""
        return self._manifest.replaces

    @may_replace.setter
    def may_replace(self, may_replace: bool) -> None:
        self._manifest.replaces = may_replace

    def start(self, *, may_replace: bool) -> None:
        """Begin with nothing of an earlier export left."""
        self._manifest = _Manifest(
            self._manifest.identity,
            self._manifest.server,
            [],
            "",
            limit=self._manifest.limit,
            replaces=may_replace,
            began=time.time(),
        )
        self.bad_rows = []
        self._clear(())

    def is_recent(self, path: Path) -> bool:
        """Whether the export here is unfinished, and began so lately that its rows go with new ones."""
        found = _manifest_at(self._manifest_path)
        if found is None or (found.whole is not None and found.whole == _mark(path)):
            return False
        return 0 <= time.time() - found.began < RECENT_SECONDS

    def load(self) -> Checkpoint:
        """Take up what lies here; where to go on.

        Raises:
            ExportError: the manifest or a part is damaged, or belongs to another format or server.
        """
        path = self._manifest_path
        with disk_errors(path, "read"):
            try:
                found = _decoded(path.read_bytes())
                checkpoint = Checkpoint.from_json(found.checkpoint)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, CheckpointError):
                raise ExportError(
                    f"{path} is damaged, or of another release; pass force=True to start again"
                ) from None
        if found.identity != self._manifest.identity:
            raise ExportError(
                f"{self.folder} holds parts of another format or row type; pass force=True to start again"
            )
        if found.server != self._manifest.server:
            raise ExportError(
                f"{self.folder} holds rows of {found.server}, not of {self._manifest.server}; "
                "pass force=True to start again"
            )
        limit, self._manifest = self._manifest.limit, found
        found.limit = limit
        places = self.locations()
        bad: list[Path] = []
        for part, place in zip(found.parts, places, strict=True):
            self._check(part, place)
        for number, part in enumerate(found.parts):
            if part.bad:
                bad.append(self._bad_rows_path(number))
                self.bad_rows += _read_bad_rows(bad[-1])
        # What a crash left half done is named nowhere.
        self._clear({path.name, *(each.name for each in (*bad, *(place.path for place in places)))})
        return checkpoint

    def _bad_rows_path(self, number: int) -> Path:
        return self.folder / f"bad-{number:06}"

    @property
    def report(self) -> ListReport | PullReport | None:
        """Of all runs, up to the last whole part."""
        return self._manifest.walk or self._manifest.pull

    @property
    def parts(self) -> int:
        """How many are named."""
        return len(self._manifest.parts)

    @property
    def size(self) -> int:
        """Bytes of all named parts."""
        return sum(part.size for part in self._manifest.parts)

    def location_of(self, number: int, start: int) -> PartLocation:
        """Where a part is to be written, which is not whole before ``name()``.

        Args:
            number: of the part, from 0.
            start: bytes of all parts before it.
        """
        return (
            PartLocation(self.grown, start) if self.grows else PartLocation(self.folder / f"part-{number:06}")
        )

    @property
    def grown(self) -> Path:
        """The file of all parts, where they are written into one."""
        return self.folder / "parts"

    def locations(self) -> list[PartLocation]:
        """Of all named parts, in order."""
        places: list[PartLocation] = []
        start = 0
        for number, part in enumerate(self._manifest.parts):
            places.append(self.location_of(number, start))
            start += part.size
        return places

    @property
    def locks(self) -> tuple[int, ...]:
        """File descriptors that hold the folder, as long as any process has one of them open."""
        return () if self._held is None else (self._held,)

    def commit_part(
        self,
        part: Part,
        place: PartLocation,
        checkpoint: Checkpoint,
        report: ListReport | PullReport,
        bad_rows: list[BadRow],
    ) -> None:
        """Name the next part, which was written there, in the manifest, when it is on the disk.

        Raises:
            ExportError: the disk refuses; the parts before stay.
        """
        with disk_errors(place.path):
            sync_file(place.path)
            if bad_rows:
                replace_content(self._bad_rows_path(self.parts), msgspec.json.encode(bad_rows))
                part = msgspec.structs.replace(part, bad=True)
        self._note(report, parts=[*self._manifest.parts, part], checkpoint=checkpoint.to_json())
        self.bad_rows += bad_rows

    def record_assembled(self, path: Path, report: ListReport | PullReport) -> None:
        """Note the file that was made of all parts, before it goes to its place.

        Raises:
            ExportError: the disk refuses.
        """
        mark = _mark(path)
        if mark != self._manifest.whole:
            self._note(report, whole=mark, bad_rows=self.bad_rows)

    def assembled(self) -> Path:
        """The file that grew, which ends with its last named part.

        Raises:
            ExportError: the disk refuses, or the file is not there any more.
        """
        with _ended_at(PartLocation(self.grown, self.size)):
            return self.grown

    def find_finished(self, path: Path) -> Checkpoint | None:
        """Take up the manifest of a finished file; the checkpoint at which its reading ended.

        None if this export did not write the file, or it was changed since.
        """
        for manifest_path in (self._manifest_path, self._finished_path):
            found = _manifest_at(manifest_path)
            if found is None or found.whole is None or found.whole != _mark(path):
                continue
            if (found.identity, found.server, found.limit) != (
                self._manifest.identity,
                self._manifest.server,
                self._manifest.limit,
            ):
                return None
            with contextlib.suppress(CheckpointError):
                checkpoint = Checkpoint.from_json(found.checkpoint)
                self._manifest, self.bad_rows = found, found.bad_rows
                return checkpoint
        return None

    def _check(self, part: Part, place: PartLocation) -> None:
        found = None
        with (
            disk_errors(place.path, "read"),
            contextlib.suppress(FileNotFoundError, IsADirectoryError),
            place.path.open("rb") as file,
        ):
            file.seek(place.start)
            # In a file that grows there is more behind it; any other file is all of it the part.
            found = _crc32(file, part.size if self.grows else sys.maxsize)
        if found != part.crc32:
            raise _damaged(place)

    def _note(self, report: ListReport | PullReport, **changes: Any) -> None:
        noted = msgspec.structs.replace(
            self._manifest,
            walk=report if isinstance(report, ListReport) else None,
            pull=report if isinstance(report, PullReport) else None,
            **changes,
        )
        noted.check = _check_value(noted)
        with disk_errors(self._manifest_path):
            replace_content(self._manifest_path, msgspec.json.encode(noted))
        self._manifest = noted

    def finish(self) -> None:
        """Remove the folder and all in it; the manifest, which tells that the file is whole, goes beside it.

        Raises:
            ExportError: the disk refuses.
        """
        if self.exists:
            self._clear({self._manifest_path.name})
            with disk_errors(self._finished_path):
                move_synced(self._manifest_path, self._finished_path)
            shutil.rmtree(self.folder)

    def _clear(self, kept: Collection[str]) -> None:
        with disk_errors(self.folder):
            # The folder itself stays: it is what is held.
            for path in self.folder.iterdir():
                if path.is_dir():
                    shutil.rmtree(path)
                elif path.name not in kept:
                    path.unlink()


def has_unfinished(path: Path) -> bool:
    """True if an unfinished export of a file lies beside it."""
    return (_folder_of(path) / MANIFEST).exists()


def _folder_of(path: Path) -> Path:
    return path.parent / f".{path.name}.partial"


def write_part(place: PartLocation, write: Callable[[IO[bytes]], int]) -> Part:
    """Write a part, at the end of its file. It is on the disk when it has got a name.

    Args:
        place: what lies behind it goes.
        write: gives the number of its rows.

    Raises:
        ExportError: the disk refuses.
    """
    with _ended_at(place) as file:
        rows = write(file)
        size = file.tell() - place.start
        file.seek(place.start)
        return Part(rows, size, _crc32(file, size))


@contextlib.contextmanager
def _ended_at(place: PartLocation) -> Generator[io.BufferedRandom]:
    """A file that ends there now; all before is there, else somebody took it away."""
    with disk_errors(place.path):
        handle = os.open(place.path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)
        with os.fdopen(handle, "r+b") as file:
            if file.seek(0, os.SEEK_END) < place.start:
                raise _damaged(place)
            file.truncate(place.start)
            file.seek(place.start)
            yield file


def _damaged(place: PartLocation) -> ExportError:
    return ExportError(f"{place.path} is missing or damaged; pass force=True to start again")


def _crc32(file: io.BufferedIOBase, most: int) -> int:
    """Of so many bytes, or of as many as are there."""
    found, room = 0, memoryview(bytearray(READ_BYTES))
    while most and (read := file.readinto(room[:most])):
        found = zlib.crc32(room[:read], found)
        most -= read
    return found


def _manifest_at(path: Path) -> _Manifest | None:
    """A manifest; None if there is none, or it is damaged."""
    try:
        return _decoded(path.read_bytes())
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _decoded(content: bytes) -> _Manifest:
    """A manifest that is as it was written.

    Raises:
        msgspec.MsgspecError, UnicodeDecodeError, RecursionError: it is not.
    """
    found = msgspec.json.decode(content, type=_Manifest)
    if found.check != _check_value(found):
        raise msgspec.ValidationError("the check value differs")
    return found


def _check_value(manifest: _Manifest) -> int:
    return zlib.crc32(msgspec.json.encode(msgspec.structs.replace(manifest, check=0)))


def _read_bad_rows(path: Path) -> list[BadRow]:
    with disk_errors(path, "read"):
        try:
            return msgspec.json.decode(path.read_bytes(), type=list[BadRow])
        except (FileNotFoundError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise _damaged(PartLocation(path)) from None


def _mark(path: Path) -> list[int] | None:
    """Size and time of the last change, which a rename keeps; None if the file is not there.

    Device and inode are no part of it: on shares they differ after each mount.
    """
    try:
        found = path.stat()
    except OSError:
        return None
    return [found.st_size, found.st_mtime_ns]
