"""The stored state of an export to a dataset: an unfinished run, and the manifest of the last complete one.

A run writes its files below ``_partial``. When it is complete, they are moved to a folder that has the name
of the run, the manifest is replaced, and older runs are removed, in this order. So a reader that follows the
manifest sees one complete run at any time.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import msgspec

from aiwyn_async._core.files import leftovers
from aiwyn_async._core.pull_report import PullReport
from aiwyn_async._core.reports import ListReport
from aiwyn_async._decoding.pages import BadRow
from aiwyn_async._pagination.page import Checkpoint
from aiwyn_async.errors import ExportError
from aiwyn_async.export._dataset.folder import PARTIAL, Folder, open_folder
from aiwyn_async.export._dataset.manifest import DatasetFile, DatasetManifest, add_sums
from aiwyn_async.export._manifest import INVALID, decode_checked, encode_checked
from aiwyn_async.export._part_files import AdvisedExportError
from aiwyn_async.export._source import Report
from aiwyn_async.export._state import ReadState, State

MANIFEST: Final = "_manifest.json"
UNFINISHED: Final = f"{PARTIAL}/{MANIFEST}"


class DatasetState(State[DatasetManifest]):
    """The runs of a dataset, of which the last ``keep`` complete ones are retained."""

    def __init__(self, folder: Folder, new: DatasetManifest, *, keep: int) -> None:
        super().__init__(new, f"the unfinished run in {folder.name}")
        self._folder = folder
        self._keep = keep
        self._stored: bytes | None = None
        """The manifest of the unfinished run, as this run wrote or read it last."""

    def lock(self) -> None:
        self._folder.lock()

    def release(self) -> None:
        self._folder.release()

    @property
    def exists(self) -> bool:
        return self._folder.read(UNFINISHED) is not None

    @property
    def is_recent(self) -> bool:
        manifest = _read(self._folder, UNFINISHED)
        if manifest is None:
            return False
        published = _read(self._folder, MANIFEST)
        return (published is None or published.run != manifest.run) and manifest.is_recent

    @property
    def has_complete_run(self) -> bool:
        return self._folder.read(MANIFEST) is not None

    @property
    def size(self) -> int:
        """Bytes of all committed files."""
        return self._manifest.bytes

    @property
    def parts(self) -> int:
        return len(self._manifest.files)

    @property
    def bad_rows(self) -> list[BadRow]:
        return list(self._manifest.bad_rows)

    def start(self, *, may_replace: bool) -> None:
        now = datetime.now(UTC)
        self._manifest = msgspec.structs.replace(
            self._new,
            run=f"run-{now:%Y%m%dT%H%M%S%f}Z-{secrets.token_hex(4)}",
            may_replace=may_replace,
            started_at=now.timestamp(),
        )
        is_replacing = self.has_complete_run
        self._stored = None
        if is_replacing:  # from now on, the complete run is not the result of this export
            self._store(self._manifest)
        self._folder.clear(PARTIAL, keep=MANIFEST if is_replacing else "")

    def load(self) -> Checkpoint | None:
        self._stored = self._folder.read(UNFINISHED)
        checkpoint = self._continue(self._stored or b"")
        # A crash while the run was published leaves some of its files in their last folder.
        for file in self._manifest.files:
            if not any(self._folder.matches(at, file) for at in (f"{PARTIAL}/{file.path}", file.path)):
                raise AdvisedExportError(
                    f"{file.path} of {self._unfinished} is missing or damaged; pass force=True to start again"
                )
        return checkpoint

    def find_finished(self) -> bool:
        manifest, unfinished = _read(self._folder, MANIFEST), _read(self._folder, UNFINISHED)
        if manifest is None or (unfinished is not None and unfinished.run != manifest.run):
            return False
        is_same = self._new.has_same_rows(manifest)
        if not is_same or not all(self._folder.matches(file.path, file) for file in manifest.files):
            return False
        self._manifest = manifest
        return True

    @property
    def run(self) -> str:
        """The name of the run, and of its folder."""
        return self._manifest.run

    def commit(self, contents: dict[DatasetFile, bytes], sums: dict[str, Decimal], state: ReadState) -> None:
        """Write files, then name them in the manifest of the unfinished run.

        Raises:
            ExportError: the file system refuses; earlier files are retained.
        """
        before = self._manifest
        self._add(
            contents,
            state.report,
            sums=add_sums(before.sums, sums),
            bad_rows=(*before.bad_rows, *state.bad_rows),
            checkpoint=state.checkpoint.to_json(),
        )

    def commit_empty(self, contents: dict[DatasetFile, bytes], report: Report) -> None:
        """Write the file of a run without rows, which has the columns."""
        self._add(contents, report)

    def publish(self, report: ListReport | PullReport) -> int:
        """Move the files of the complete run, replace the manifest, and return the bytes of all files.

        Raises:
            ExportError: the file system refuses, or another run was completed and may not be replaced.
        """
        if not self.may_replace and self.has_complete_run:
            raise AdvisedExportError(
                f"another export completed {self._folder.name} during this one; pass force=True to replace it"
            )
        self._update(report, finished_at=time.time(), earlier=self._earlier_runs())
        self._remove_unnamed()
        self._folder.move(f"{PARTIAL}/{self._manifest.run}", self._manifest.run)
        if not {file.path for file in self._manifest.files} <= set(self._folder.files(self._manifest.run)):
            raise self._error_of_another_export()
        self._folder.write(MANIFEST, encode_checked(self._manifest))
        return self.size

    def finish(self) -> None:
        """Remove the state of the unfinished run, and the runs that need not be retained."""
        with leftovers(self._folder.name):
            self._folder.clear(PARTIAL)
        # Any other was never complete: a kill can leave a run whose files were moved.
        retained = {self._manifest.run, *self._manifest.earlier[: self._keep - 1]}
        others: set[str] = set()
        with leftovers(self._folder.name):
            others = set(self._folder.runs()) - retained
        for run in others:
            with leftovers(self._folder.name):
                self._folder.remove(run)

    def _earlier_runs(self) -> tuple[str, ...]:
        """Return the complete runs to retain beside this one, the last one first."""
        published = _read(self._folder, MANIFEST)
        runs: Sequence[str] = ()
        if published is not None:
            runs = (published.run, *published.earlier)
        elif self.has_complete_run:  # its manifest is damaged and does not say which runs are complete
            runs = self._folder.runs()[::-1]
        return tuple(run for run in runs if run != self._manifest.run)[: self._keep - 1]

    def _add(self, contents: dict[DatasetFile, bytes], report: Report, **changes: Any) -> None:
        self._check_alone()
        for file, content in contents.items():
            self._folder.write(f"{PARTIAL}/{file.path}", content)
        self._update(report, files=(*self._manifest.files, *contents), **changes)

    def _remove_unnamed(self) -> None:
        """Remove the files that a run left that ended before it named them."""
        named = {UNFINISHED, *(f"{PARTIAL}/{file.path}" for file in self._manifest.files)}
        for unnamed in set(self._folder.files(PARTIAL)) - named:
            self._folder.remove(unnamed)

    def _update(self, report: ListReport | PullReport, **changes: Any) -> None:
        self._check_alone()
        self._store(self._manifest.with_report(report, **changes))

    def _store(self, manifest: DatasetManifest) -> None:
        content = encode_checked(manifest)
        self._folder.write(UNFINISHED, content)
        self._manifest, self._stored = manifest, content

    def _check_alone(self) -> None:
        """Compare the unfinished run with what this run stored: a file system of fsspec has no locks.

        Raises:
            ExportError: another export has started or continued it.
        """
        if self._folder.read(UNFINISHED) != self._stored:
            raise self._error_of_another_export()

    def _error_of_another_export(self) -> ExportError:
        name = self._folder.name
        return AdvisedExportError(
            f"another export is writing into {name}, or files of this one were removed; "
            "wait for the other one and export again, or use another folder"
        )


def read_manifest(dataset: str | Path) -> DatasetManifest:
    """Read the manifest of the last complete run of a dataset. Blocks while it reads a small file.

    Args:
        dataset: the folder or URL that ``export()`` wrote to.

    Raises:
        ExportError: there is no complete run, or the manifest is damaged.
        ConfigurationError: fsspec, or its package for this URL, is missing.
    """
    folder = open_folder(dataset)
    content = folder.read(MANIFEST)
    if content is None:
        raise ExportError(f"{folder.name} has no complete dataset; export() writes one")
    try:
        manifest = decode_checked(content, DatasetManifest)
    except INVALID:
        raise ExportError(
            f"the manifest of {folder.name} is damaged or was written by another release; "
            "pass force=True to export() to write the dataset again"
        ) from None
    return msgspec.structs.replace(manifest, folder=folder.name)


def read_unfinished_run(dataset: str | Path) -> DatasetManifest | None:
    """Read the manifest of an unfinished run; None if it is missing or damaged."""
    return _read(open_folder(dataset), UNFINISHED)


def _read(folder: Folder, name: str) -> DatasetManifest | None:
    content = folder.read(name)
    try:
        return None if content is None else decode_checked(content, DatasetManifest)
    except INVALID:
        return None
