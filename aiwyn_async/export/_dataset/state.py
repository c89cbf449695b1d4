"""The stored state of an export to a dataset: an unfinished run, and the manifest of the last complete one.

A run writes its files below ``_partial``. When it is complete, they are moved to a folder that has the name
of the run, the manifest is replaced, and older runs are removed, in this order. So a reader that follows the
manifest sees one complete run at any time.
"""

from __future__ import annotations

import secrets
import time
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import msgspec

from aiwyn_async._core.pull_report import PullReport
from aiwyn_async._core.reports import ListReport
from aiwyn_async._core.urls import server_name
from aiwyn_async._decoding.pages import BadRow
from aiwyn_async._pagination.page import Checkpoint
from aiwyn_async.errors import CheckpointError, ExportError
from aiwyn_async.export._dataset.folder import PARTIAL, Folder, open_folder
from aiwyn_async.export._dataset.manifest import DatasetFile, DatasetManifest, add_sums
from aiwyn_async.export._manifest import INVALID, decode_checked, encode_checked
from aiwyn_async.export._output import ReadState
from aiwyn_async.export._source import Report

MANIFEST: Final = "_manifest.json"
UNFINISHED: Final = f"{PARTIAL}/{MANIFEST}"


class DatasetState:
    """The runs of a dataset.

    Args:
        folder: of the dataset.
        columns: format and columns; files of other columns cannot be joined with new ones.
        server: the base URL.
        limit: of the read.
        keep: complete runs to retain.
    """

    def __init__(self, folder: Folder, columns: str, server: str, *, limit: int | None, keep: int) -> None:
        self._folder = folder
        self._keep = keep
        self._manifest = DatasetManifest(run="", columns=columns, server=server_name(server), limit=limit)

    def lock(self) -> None:
        """See ``Folder.lock()``."""
        self._folder.lock()

    def release(self) -> None:
        """Release the lock."""
        self._folder.release()

    @property
    def exists(self) -> bool:
        """True if there is an unfinished run with at least one file."""
        return self._folder.read(UNFINISHED) is not None

    @property
    def is_recent(self) -> bool:
        """True for an unfinished run young enough to continue by ``replace=True``."""
        manifest = self._read(UNFINISHED)
        if manifest is None or self._is_published(manifest):
            return False
        return manifest.is_recent

    @property
    def has_complete_run(self) -> bool:
        """True if there is a manifest."""
        return self._folder.read(MANIFEST) is not None

    @property
    def rows(self) -> int:
        """Rows in all committed files."""
        return self._manifest.rows

    @property
    def size(self) -> int:
        """Bytes of all committed files."""
        return self._manifest.bytes

    @property
    def rows_before(self) -> int:
        """Rows that the report counts, yielded before the export."""
        return self._manifest.rows_before

    @property
    def parts(self) -> int:
        """The number of committed files."""
        return len(self._manifest.files)

    @property
    def report(self) -> Report:
        """The report of all runs, up to the last committed file."""
        return self._manifest.report

    @property
    def bad_rows(self) -> list[BadRow]:
        """All collected bad rows."""
        return list(self._manifest.bad_rows)

    @property
    def may_replace(self) -> bool:
        """True if the run may replace an earlier one."""
        return self._manifest.may_replace

    @may_replace.setter
    def may_replace(self, may_replace: bool) -> None:
        self._manifest = msgspec.structs.replace(self._manifest, may_replace=may_replace)

    def check_rows(self, report: Report) -> None:
        """See ``StoredExport.check_rows()``."""
        self._manifest.check_rows(report, f"the unfinished run in {self._folder.name}")

    def start(self, *, may_replace: bool, rows_before: int = 0) -> None:
        """Discard an unfinished run and start with no files."""
        for name in {name.split("/")[1] for name in self._folder.files(PARTIAL)}:
            self._folder.remove(f"{PARTIAL}/{name}")
        now = datetime.now(UTC)
        self._manifest = DatasetManifest(
            run=f"run-{now:%Y%m%dT%H%M%S%f}Z-{secrets.token_hex(4)}",
            columns=self._manifest.columns,
            server=self._manifest.server,
            limit=self._manifest.limit,
            may_replace=may_replace,
            started_at=now.timestamp(),
            rows_before=rows_before,
        )

    def load(self) -> Checkpoint:
        """Load and verify an unfinished run, and return where to resume the read.

        Raises:
            ExportError: the manifest or a file is damaged, belongs to other columns or another server, or has
                more rows than the limit.
        """
        manifest = self._read(UNFINISHED)
        checkpoint = None if manifest is None else _checkpoint_of(manifest)
        name = self._folder.name
        if manifest is None or checkpoint is None:
            raise ExportError(
                f"the unfinished run in {name} is damaged or was written by another release; "
                "pass force=True to start again"
            )
        if manifest.columns != self._manifest.columns:
            raise ExportError(
                f"the unfinished run in {name} has other columns; pass force=True to start again"
            )
        if manifest.server != self._manifest.server:
            raise ExportError(
                f"the unfinished run in {name} has rows of {manifest.server}, not of "
                f"{self._manifest.server}; pass force=True to start again"
            )
        limited = manifest.with_limit(self._manifest.limit, f"the unfinished run in {name}")
        # A crash while the run was published leaves some of its files in their last folder.
        for file in manifest.files:
            if not any(self._folder.matches(at, file) for at in (f"{PARTIAL}/{file.path}", file.path)):
                raise ExportError(
                    f"{file.path} of the unfinished run in {name} is missing or damaged; "
                    "pass force=True to start again"
                )
        named = {UNFINISHED, *(f"{PARTIAL}/{file.path}" for file in manifest.files)}
        for unnamed in set(self._folder.files(PARTIAL)) - named:
            self._folder.remove(unnamed)
        self._manifest = limited
        return checkpoint

    def find_finished(self) -> Checkpoint | None:
        """Load the manifest of the last complete run; return the checkpoint at its end.

        None if there is none, if an unfinished run is newer, if an export of other columns, another server or
        limit wrote it, or if one of its files was changed.
        """
        manifest, unfinished = self._read(MANIFEST), self._read(UNFINISHED)
        if manifest is None or (unfinished is not None and unfinished.run != manifest.run):
            return None
        current = self._manifest
        if (manifest.columns, manifest.server, manifest.limit) != (
            current.columns,
            current.server,
            current.limit,
        ):
            return None
        checkpoint = _checkpoint_of(manifest)
        if checkpoint is None or not all(self._folder.matches(file.path, file) for file in manifest.files):
            return None
        self._manifest = manifest
        return checkpoint

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
            endpoint=state.checkpoint.endpoint,
            query=state.checkpoint.query,
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
            raise ExportError(
                f"another export completed {self._folder.name} during this one; pass force=True to replace it"
            )
        self._update(report, finished_at=time.time())
        self._folder.move(f"{PARTIAL}/{self._manifest.run}", self._manifest.run)
        self._folder.write(MANIFEST, encode_checked(self._manifest))
        return self.size

    def finish(self) -> None:
        """Remove the state of the unfinished run, and the runs that need not be retained."""
        self._folder.remove(UNFINISHED)
        older = [run for run in self._folder.runs() if run != self._manifest.run]
        for run in older[: max(0, len(older) - (self._keep - 1))]:
            self._folder.remove(run)

    def _add(self, contents: dict[DatasetFile, bytes], report: Report, **changes: Any) -> None:
        for file, content in contents.items():
            self._folder.write(f"{PARTIAL}/{file.path}", content)
        self._update(report, files=(*self._manifest.files, *contents), **changes)

    def _is_published(self, manifest: DatasetManifest) -> bool:
        published = self._read(MANIFEST)
        return published is not None and published.run == manifest.run

    def _read(self, name: str) -> DatasetManifest | None:
        content = self._folder.read(name)
        try:
            return None if content is None else decode_checked(content, DatasetManifest)
        except INVALID:
            return None

    def _update(self, report: ListReport | PullReport, **changes: Any) -> None:
        manifest = self._manifest.with_report(report, **changes)
        self._folder.write(UNFINISHED, encode_checked(manifest))
        self._manifest = manifest


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


def has_unfinished_run(dataset: str | Path) -> bool:
    """True if an unfinished run exists."""
    return open_folder(dataset).read(UNFINISHED) is not None


def _checkpoint_of(manifest: DatasetManifest) -> Checkpoint | None:
    try:
        return Checkpoint.from_json(manifest.checkpoint)
    except CheckpointError:
        return None
