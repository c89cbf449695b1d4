"""The staging directory: parts of an unfinished export beside the target."""

from __future__ import annotations

import shutil
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any, Final

import msgspec

from aiwyn_async._core.files import leftovers, move_synced, replace_content, sync_file
from aiwyn_async._core.pull_report import PullReport
from aiwyn_async._core.reports import ListReport
from aiwyn_async._decoding.pages import BadRow
from aiwyn_async._pagination.page import Checkpoint
from aiwyn_async.export._lock import FolderLock
from aiwyn_async.export._manifest import (
    INVALID,
    Manifest,
    Part,
    file_fingerprint,
    read_valid_manifest,
    write_manifest,
)
from aiwyn_async.export._part_files import PartLocation, damaged_part, disk_errors, open_at, verify_part
from aiwyn_async.export._state import ReadState, State

MANIFEST: Final = "manifest.json"


class Staging(State[Manifest]):
    """Parts, each synced to the disk before the manifest names it.

    A crash loses at most the parts that no manifest names. The manifest of a finished export stays beside
    the file, so that resuming it sends no request. If ``appends``, parts are appended to one file, which
    becomes the target.
    """

    def __init__(self, path: Path, new: Manifest, *, appends: bool) -> None:
        self._manifest_path = unfinished_manifest(path)
        self.folder = self._manifest_path.parent
        super().__init__(new, f"the unfinished export in {self.folder}")
        self.appends = appends
        self._bad_rows: list[BadRow] = []
        self._lock = FolderLock(self.folder)
        self._path = path
        self._finished_path = path.parent / f".{path.name}.done"

    def lock(self) -> None:
        self._lock.acquire()

    def release(self) -> None:
        self._lock.release()

    @property
    def exists(self) -> bool:
        return self._manifest_path.exists()

    @property
    def size(self) -> int:
        """Bytes of all committed parts."""
        return sum(part.size for part in self._manifest.parts)

    @property
    def parts(self) -> int:
        return len(self._manifest.parts)

    @property
    def bad_rows(self) -> list[BadRow]:
        return self._bad_rows

    @property
    def is_recent(self) -> bool:
        manifest = read_valid_manifest(self._manifest_path)
        return manifest is not None and not self._is_finished(manifest) and manifest.is_recent

    def start(self, *, may_replace: bool) -> None:
        started = {"may_replace": may_replace, "started_at": time.time()}
        self._manifest = msgspec.structs.replace(self._new, **started)
        self._bad_rows = []
        is_replacing = self._path.exists()
        if is_replacing:  # from now on, the existing file is not the result of this export
            self._store(self._manifest)
        self._remove_all_but({MANIFEST} if is_replacing else ())

    def load(self) -> Checkpoint | None:
        with disk_errors(self._manifest_path, "read"):
            content = self._manifest_path.read_bytes()
        checkpoint = self._continue(content)
        parts, locations = self._manifest.parts, self.locations()
        for part, location in zip(parts, locations, strict=True):
            verify_part(part, location, appended=self.appends)
        bad_rows_files = [
            self._bad_rows_path(number) for number, part in enumerate(parts) if part.has_bad_rows
        ]
        for path in bad_rows_files:
            self._bad_rows += _read_bad_rows(path)
        # What a crash left unfinished has no name in the manifest.
        named = [*bad_rows_files, *(location.path for location in locations)]
        self._remove_all_but({MANIFEST, *(path.name for path in named)})
        return checkpoint

    def find_finished(self) -> bool:
        # An unfinished export is newer than the finished file that it is to replace.
        manifest = read_valid_manifest(self._manifest_path if self.exists else self._finished_path)
        if manifest is None or not (self._is_finished(manifest) and self._new.has_same_rows(manifest)):
            return False
        self._manifest, self._bad_rows = manifest, manifest.bad_rows
        return True

    def location_of(self, number: int, start: int) -> PartLocation:
        """Return where to write a part with this number, from 0, after the bytes of all parts before it."""
        if self.appends:
            return PartLocation(self._appended_path, start)
        return PartLocation(self.folder / f"part-{number:06}")

    def locations(self) -> list[PartLocation]:
        locations: list[PartLocation] = []
        start = 0
        for number, part in enumerate(self._manifest.parts):
            locations.append(self.location_of(number, start))
            start += part.size
        return locations

    def commit_part(self, part: Part, location: PartLocation, state: ReadState) -> None:
        """Sync a written part to the disk and add it to the manifest.

        Raises:
            ExportError: the disk refuses; earlier parts are retained.
        """
        with disk_errors(location.path):
            sync_file(location.path)
            if state.bad_rows:
                replace_content(self._bad_rows_path(self.parts), msgspec.json.encode(state.bad_rows))
                part = msgspec.structs.replace(part, has_bad_rows=True)
        parts = [*self._manifest.parts, part]
        self._update(state.report, parts=parts, checkpoint=state.checkpoint.to_json())
        self._bad_rows += state.bad_rows

    def record_assembled(self, path: Path, report: ListReport | PullReport) -> None:
        """Record the fingerprint of the assembled file, before it is renamed."""
        fingerprint = file_fingerprint(path)
        if fingerprint != self._manifest.finished_file:
            self._update(report, finished_file=fingerprint, bad_rows=self.bad_rows)

    def appended_file(self) -> Path:
        """Return the file of appended parts, cut off after the last committed part.

        Raises:
            ExportError: the disk refuses, or the file is missing.
        """
        with open_at(PartLocation(self._appended_path, self.size)):
            return self._appended_path

    def finish(self) -> None:
        """Move the manifest beside the finished file and remove the directory."""
        if self.exists:
            with leftovers(self._path):
                self._remove_all_but({MANIFEST})
            with leftovers(self._path):
                move_synced(self._manifest_path, self._finished_path)
                shutil.rmtree(self.folder)

    @property
    def _appended_path(self) -> Path:
        return self.folder / "parts"

    def _bad_rows_path(self, number: int) -> Path:
        return self.folder / f"bad-{number:06}"

    def _is_finished(self, manifest: Manifest) -> bool:
        finished_file = manifest.finished_file
        return finished_file is not None and finished_file == file_fingerprint(self._path)

    def _update(self, report: ListReport | PullReport, **changes: Any) -> None:
        self._store(self._manifest.with_report(report, **changes))

    def _store(self, manifest: Manifest) -> None:
        with disk_errors(self._manifest_path):
            write_manifest(self._manifest_path, manifest)
        self._manifest = manifest

    def _remove_all_but(self, names: Collection[str]) -> None:
        with disk_errors(self.folder):
            # The directory itself stays: it holds the lock.
            for path in self.folder.iterdir():
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                elif path.name not in names:
                    path.unlink()


def unfinished_manifest(path: Path) -> Path:
    """Return the path of the manifest of an unfinished export of a file."""
    return path.parent / f".{path.name}.partial" / MANIFEST


def _read_bad_rows(path: Path) -> list[BadRow]:
    with disk_errors(path, "read"):
        try:
            return msgspec.json.decode(path.read_bytes(), type=list[BadRow])
        except (FileNotFoundError, *INVALID):
            raise damaged_part(PartLocation(path)) from None
