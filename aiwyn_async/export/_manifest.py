"""The manifest of an export: its committed parts, its checkpoint and its report."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any, Final, Self, TypeVar

import msgspec

from aiwyn_async._core.check_values import check_value
from aiwyn_async._core.files import replace_content
from aiwyn_async._core.identity import JobIdentity
from aiwyn_async._core.pull_report import PullReport
from aiwyn_async._core.reports import ListReport
from aiwyn_async._decoding.pages import BadRow
from aiwyn_async.errors import CheckpointError

INVALID = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What decoding damaged JSON raises."""


RECENT_SECONDS: Final = 12 * 3600
"""``replace=True`` continues an unfinished export only if it is younger than this."""


class StoredExport(msgspec.Struct, frozen=True, kw_only=True):
    """What the manifests of files and datasets have in common."""

    columns: str
    """Format and columns; parts of other columns cannot be joined."""
    server: str
    """Its name, without credentials."""
    endpoint: str
    """The path that was read."""
    query: str
    """A fingerprint of the endpoint and the filters."""
    list_report: ListReport | None = None
    """The report of a ``list()`` or ``search()``."""
    pull_report: PullReport | None = None
    """The report of a ``pull()``."""
    limit: int | None = None
    """Of the read. A checkpoint is not bound to it, but it decides which rows a finished export has."""
    may_replace: bool = False
    """The output may replace an existing one, also if another run finishes it."""
    started_at: float = 0.0
    """When the first rows were requested, in seconds since the epoch."""
    rows_before: int = 0
    """Rows that the report counts, yielded before the checkpoint that the caller's read starts from."""
    checkpoint: str = ""
    """As ``Checkpoint.to_json()`` writes it; empty before the first part."""
    check: str = ""
    """A hash of all other fields, so that an edited manifest is not accepted."""

    @property
    def report(self) -> ListReport | PullReport | None:
        """The report of all runs, up to the last committed part."""
        return self.list_report or self.pull_report

    @property
    def is_recent(self) -> bool:
        """True if it is young enough to continue by ``replace=True``."""
        return 0 <= time.time() - self.started_at < RECENT_SECONDS

    def with_report(self, report: ListReport | PullReport, **changes: Any) -> Self:
        """Return a copy with a report and other changes."""
        return msgspec.structs.replace(
            self,
            list_report=report if isinstance(report, ListReport) else None,
            pull_report=report if isinstance(report, PullReport) else None,
            **changes,
        )

    @property
    def rows(self) -> int:
        """Rows in all committed parts."""
        raise NotImplementedError  # abstract: a Struct cannot be an ABC

    def has_rows_of(self, report: ListReport | PullReport | None) -> bool:
        """Return whether the parts have exactly the rows that a report counts, apart from bad ones."""
        if report is None:
            return self.rows == 0
        # A full scan yields those before the caller's checkpoint too.
        is_full_scan = isinstance(report, PullReport) and report.method == "full_scan"
        return self.rows == report.rows_yielded - report.bad_rows - (0 if is_full_scan else self.rows_before)

    def continued(self, stored: Self, what: object) -> Self:
        """Return a stored export with the limit of this new one, which continues it.

        Raises:
            CheckpointError: the stored export is of another query, server or output, or has other rows.
        """
        fix = "pass force=True to start again"
        self._identity.check_continues(stored._identity, what, fix)
        # The reverse is legitimate: the checkpoint of an error lies after the first row of its export.
        if stored.rows_before > self.rows_before:
            raise CheckpointError(f"{what} started from a checkpoint and lacks rows of this read; {fix}")
        report = stored.report
        if self.limit is not None and report is not None and report.rows_yielded > self.limit:
            raise CheckpointError(
                f"{what} has {report.rows_yielded} rows, more than the limit of {self.limit}; {fix}"
            )
        return msgspec.structs.replace(stored, limit=self.limit)

    def has_same_rows(self, finished: Self) -> bool:
        """Return whether a finished export is what this new one would write."""
        is_whole = finished.rows_before <= self.rows_before and finished.limit == self.limit
        return is_whole and finished._identity == self._identity

    @property
    def _identity(self) -> JobIdentity:
        return JobIdentity(self.server, self.query, self.columns)


ManifestT = TypeVar("ManifestT", bound=StoredExport)


class Part(msgspec.Struct, frozen=True):
    """A written part: its rows, its bytes and their CRC-32, which detects damage."""

    rows: Annotated[int, msgspec.Meta(ge=0)]
    size: Annotated[int, msgspec.Meta(ge=0)]
    crc32: int
    has_bad_rows: bool = False
    """Bad rows of its pages were collected in a separate file."""


class Manifest(StoredExport, frozen=True, kw_only=True):
    """The state of an export, in its staging directory and beside the file."""

    parts: list[Part] = []
    finished_file: list[int] | None = None
    """The fingerprint of the file assembled from all parts."""
    bad_rows: list[BadRow] = []
    """All collected bad rows; stored when the file is assembled."""

    @property
    def rows(self) -> int:
        return sum(part.rows for part in self.parts)


def read_valid_manifest(path: Path) -> Manifest | None:
    """Read a manifest; None if it is missing or damaged."""
    try:
        return decode_checked(path.read_bytes(), Manifest)
    except (OSError, *INVALID):
        return None


def write_manifest(path: Path, manifest: Manifest) -> None:
    """Replace a manifest atomically."""
    replace_content(path, encode_checked(manifest))


def encode_checked(manifest: StoredExport) -> bytes:
    """Return a manifest as JSON, with its check value."""
    return msgspec.json.encode(msgspec.structs.replace(manifest, check=_check_value(manifest)))


def decode_checked(content: bytes, manifest_type: type[ManifestT]) -> ManifestT:
    """Decode a manifest and verify its check value and its count of rows.

    Raises:
        msgspec.MsgspecError, UnicodeDecodeError, RecursionError: it is damaged.
    """
    manifest = msgspec.json.decode(content, type=manifest_type)
    if manifest.check != _check_value(manifest) or not manifest.has_rows_of(manifest.report):
        raise msgspec.ValidationError("a field was changed")
    return manifest


def file_fingerprint(path: Path) -> list[int] | None:
    """Return size and modification time, None if missing.

    A rename preserves both.

    Device and inode are left out: on network shares they differ after each mount.
    """
    try:
        status = path.stat()
    except OSError:
        return None
    return [status.st_size, status.st_mtime_ns]


def _check_value(manifest: StoredExport) -> str:
    content = msgspec.json.encode(msgspec.structs.replace(manifest, check=""))
    return check_value(msgspec.json.decode(content))
