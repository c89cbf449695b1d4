"""The stored state of an export to a file or a dataset."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Generic, NamedTuple

import msgspec

from aiwyn_async._core.pull_report import PullReport
from aiwyn_async._core.reports import ListReport
from aiwyn_async._decoding.pages import BadRow
from aiwyn_async._pagination.page import Checkpoint
from aiwyn_async.errors import CheckpointError
from aiwyn_async.export._manifest import INVALID, ManifestT, decode_checked
from aiwyn_async.export._part_files import AdvisedExportError
from aiwyn_async.export._source import Report


class ReadState(NamedTuple):
    """How far an export is after some pages: checkpoint, report of all runs, and bad rows of these pages."""

    checkpoint: Checkpoint
    report: Report
    bad_rows: list[BadRow]


class State(ABC, Generic[ManifestT]):
    """The stored state of an unfinished or finished export.

    Args:
        new: the manifest of a new export.
        unfinished: names the unfinished export in errors.
    """

    def __init__(self, new: ManifestT, unfinished: str) -> None:
        self._new = self._manifest = new
        self._unfinished = unfinished

    @property
    def rows(self) -> int:
        """Rows in all committed parts."""
        return self._manifest.rows

    @property
    def report(self) -> ListReport | PullReport | None:
        """The report of all runs, up to the last committed part; None before the first."""
        return self._manifest.report

    @property
    def may_replace(self) -> bool:
        """True if the output may replace an existing one."""
        return self._manifest.may_replace

    @may_replace.setter
    def may_replace(self, may_replace: bool) -> None:
        self._manifest = msgspec.structs.replace(self._manifest, may_replace=may_replace)

    @property
    @abstractmethod
    def exists(self) -> bool:
        """True if there is an unfinished export."""

    @property
    @abstractmethod
    def is_recent(self) -> bool:
        """True for an unfinished export young enough to continue by ``replace=True``."""

    @property
    @abstractmethod
    def parts(self) -> int:
        """The number of committed parts."""

    @property
    @abstractmethod
    def bad_rows(self) -> list[BadRow]:
        """All collected bad rows."""

    @abstractmethod
    def lock(self) -> None:
        """Exclude other exports to the same output, until ``release()`` or the process ends.

        Raises:
            ExportError: another export is running.
        """

    @abstractmethod
    def release(self) -> None:
        """Release the lock."""

    @abstractmethod
    def start(self, *, may_replace: bool) -> None:
        """Discard an unfinished export and start with no parts.

        If it replaces an output, that is stored before the first part: the existing output is not its result.

        Args:
            may_replace: the output may replace an existing one.
        """

    def check_rows(self, report: ListReport | PullReport | None) -> None:
        """Compare the rows in all parts with those that were read.

        Raises:
            ExportError: they differ, so an earlier part is missing or was read twice.
        """
        if not self._manifest.has_rows_of(report):
            raise AdvisedExportError(
                f"{self._unfinished} has {self.rows} rows, which differs from the report of the read "
                f"({report}); pass force=True to start again"
            )

    @abstractmethod
    def load(self) -> Checkpoint | None:
        """Load and verify an unfinished export, and return where to resume the read.

        None before the first part.

        Raises:
            CheckpointError: see ``StoredExport.continued()``.
            ExportError: the manifest or a part is damaged.
        """

    @abstractmethod
    def find_finished(self) -> bool:
        """Load the state of the finished output, if this export would write the same.

        False if there is none, if an unfinished export is newer, if an export of other rows or columns wrote
        it, or if it was changed since.
        """

    @abstractmethod
    def finish(self) -> None:
        """Remove what only an unfinished export needs."""

    def _continue(self, content: bytes) -> Checkpoint | None:
        """Continue the export of a stored manifest, and return where to resume the read; see ``load()``."""
        try:
            stored = decode_checked(content, type(self._new))
            checkpoint = Checkpoint.from_json(stored.checkpoint) if stored.checkpoint else None
        except (*INVALID, CheckpointError):
            raise AdvisedExportError(
                f"{self._unfinished} is damaged or was written by another release; "
                "pass force=True to start again"
            ) from None
        self._manifest = self._new.continued(stored, self._unfinished)
        return checkpoint
