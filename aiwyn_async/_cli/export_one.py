"""The export of one resource, alone or among all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from aiwyn_async._cli.bad_rows import BadRowsFile
from aiwyn_async._cli.options import RowOptions
from aiwyn_async._cli.stdout_file import name_of
from aiwyn_async._core.files import url_of
from aiwyn_async._pull.progress import Progress
from aiwyn_async.errors import IncompleteError, PaginationError, RequestError, StorageError
from aiwyn_async.export import ExportResult, Readable
from aiwyn_async.export import export as export_rows
from aiwyn_async.export._dataset.state import read_unfinished_run
from aiwyn_async.export._formats import is_dataset
from aiwyn_async.export._manifest import StoredExport, read_valid_manifest
from aiwyn_async.export._part_files import AdvisedExportError
from aiwyn_async.export._staging import unfinished_manifest


async def export_one(
    read: Readable,
    to: str,
    *,
    on_progress: Callable[[Progress], None],
    how_to_continue: str,
    options: Mapping[str, Any],
) -> ExportResult:
    """Write the rows of a read; an error says how to continue with the finished parts."""
    try:
        return await export_rows(read, to, on_progress=on_progress, **options)
    except (RequestError, PaginationError, StorageError) as error:
        # An export that is incomplete says how to continue itself.
        if not isinstance(error, (IncompleteError, AdvisedExportError)) and _has_parts(to):
            error.add_note(f"finished parts are saved; {how_to_continue} to continue")
        raise


def _has_parts(to: str) -> bool:
    """True if there are parts of an unfinished export, which is stored before its first part."""
    manifest: StoredExport | None = (
        read_unfinished_run(to) if is_dataset(to) else read_valid_manifest(unfinished_manifest(Path(to)))
    )
    return manifest is not None and manifest.checkpoint != ""


def skipped_rows_file(to: str, rows: RowOptions) -> BadRowsFile:
    """Return the file of skipped rows; that of a URL is in the current folder."""
    local = Path(to.rstrip("/").rpartition("/")[2]) if url_of(to) else name_of(to)
    return BadRowsFile(local, is_needed=rows.skips_bad_rows)


def describe(result: ExportResult, plural: str, *, shows_total: bool = True) -> str:
    """Return a line with the rows, the path, the size and the duration."""
    total = result.report.total_count
    of = "" if total is None or not shows_total else f" of {total}"
    size = f"{result.bytes / 1e6:.1f} MB, {result.seconds:.1f} s"
    target = result.path if url_of(result.path) else name_of(result.path)
    return f"{result.rows}{of} {plural} in {target}: {size}"


def to_values(result: ExportResult) -> dict[str, Any]:
    """Return a result as JSON."""
    report = result.report
    values = {name: getattr(result, name) for name in ("path", "rows", "bytes", "seconds")}
    problems = report.problems()
    values |= {"total_count": report.total_count, "complete": not problems, "problems": problems}
    return values | {"bad_rows": report.bad_rows}
