"""``aiwyn export``: write the rows of a resource to a file."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from pathlib import Path
from typing import Annotated, Any, Final

from cyclopts import Parameter

from aiwyn_async._cli.bad_rows import BadRowsFile
from aiwyn_async._cli.client import open_client
from aiwyn_async._cli.options import (
    FilterOptions,
    Flag,
    RowOptions,
    SandboxOptions,
    WholeNumber,
    split_names,
)
from aiwyn_async._cli.output import write_data, write_message
from aiwyn_async._cli.progress import create_progress
from aiwyn_async._cli.reports import write_notes, write_problems
from aiwyn_async._cli.resources import create_list, create_pull, find_resource
from aiwyn_async._cli.stdout_file import StdoutFormat, name_of, writes_stdout
from aiwyn_async._core.files import url_of
from aiwyn_async._http.messages import encode_json
from aiwyn_async.client import AiwynClient
from aiwyn_async.errors import ConfigurationError, PaginationError, RequestError, StorageError
from aiwyn_async.export import ExportResult, Readable
from aiwyn_async.export import export as export_rows
from aiwyn_async.export._dataset.state import has_unfinished_run
from aiwyn_async.export._formats import is_dataset
from aiwyn_async.export._formats.parquet_options import Compression
from aiwyn_async.export._staging import has_unfinished

__all__ = ["export"]

_FILTERS: Final = FilterOptions()
_ROWS: Final = RowOptions()
_SANDBOX: Final = SandboxOptions()


@writes_stdout
async def export(
    resource: str,
    /,
    *,
    to: Annotated[str, Parameter(allow_leading_hyphen=True)],
    format: StdoutFormat | None = None,  # noqa: A002, ARG001 (for writes_stdout)
    filters: FilterOptions = _FILTERS,
    limit: WholeNumber | None = None,
    page_size: WholeNumber = 1000,
    ranges: WholeNumber | None = None,
    unordered: Flag = False,
    strict: Flag = False,
    force: Flag = False,
    resume: Flag = False,
    replace: Flag = False,
    columns: str | None = None,
    escape_formulas: Flag = False,
    partition_by: str | None = None,
    keep: WholeNumber | None = None,
    compression: Compression | None = None,
    row_group_rows: WholeNumber | None = None,
    rows: RowOptions = _ROWS,
    json: Flag = False,
    sandbox: SandboxOptions = _SANDBOX,
) -> int:
    """Write all rows of a resource to a file or a dataset.

    Without a filter, or with --where, rows are pulled: by key ranges in parallel if the resource has a
    search, otherwise by repeated full scans until two agree. With other filters or --limit, the list is read
    page by page.

    The file appears under its name only when it is finished. Exit code 5 means that the rows are not proven
    complete, that rows were skipped, or that key ranges could not be read; in the last case there is no file
    yet, and --resume requests the missing ranges.

    A path that ends in a slash, or a URL such as s3://bucket/invoices/, is a dataset: a folder of Parquet
    files, and a manifest that names those of the last complete run.

    An existing file is not replaced without --force, --resume or --replace. For a command that runs every
    night, use --replace.

    Args:
        resource: invoices, clients, payments, ...
        to: The file, .parquet, .duckdb, .csv, .jsonl, or as .jsonl.gz and .csv.zst; a dataset, as invoices/;
            or -, which is stdout.
        format: The format of --to -; jsonl by default.
        filters: Which rows are read.
        limit: Stop after this many rows.
        page_size: Rows per request, 1 to 1000.
        ranges: Key ranges to read in parallel, 1 to 64.
        unordered: Write rows as they are received. Otherwise two exports of the same rows are identical.
        strict: Write no file unless it is proven complete; finished parts are saved for --resume.
        force: Replace the file and discard an unfinished export; other tables of a .duckdb file stay.
        resume: Continue an unfinished export; for a finished one nothing is requested.
        replace: Replace the file, and continue the last run of this command if it did not finish and is
            less than 12 hours old.
        columns: Columns to write, in this order, separated by commas: id,totalAmount. By default all.
        escape_formulas: Put an apostrophe before text of a .csv file that a spreadsheet may run as a
            formula.
        partition_by: Write the files of a dataset into a folder for each value of this column.
        keep: Complete runs to retain in a dataset, 1 by default.
        compression: Codec of Parquet files; zstd by default.
        row_group_rows: Max rows of a row group of a .parquet file, and of a file of a dataset.
        rows: How rows and their values are written.
        json: Print the result as JSON on stdout.
        sandbox: A sandbox to use instead of the configured server.
    """
    plural = find_resource(resource)
    skipped_rows = BadRowsFile(_local_name(to), is_needed=rows.skips_bad_rows)
    options = {"page_size": page_size, "strict": strict, **rows.read_arguments()}
    async with open_client(sandbox) as aiwyn:
        read = _create_read(
            aiwyn, plural, filters, limit=limit, ranges=ranges, ordered=not unordered, **options
        )
        with create_progress(plural) as progress, _advice(to, replace=replace):
            result = await export_rows(
                read,
                to,
                force=force,
                resume=resume,
                replace=replace,
                table=plural,
                columns=split_names("--columns", columns),
                csv_escape_formulas=escape_formulas,
                partition_by=partition_by,
                keep=keep,
                compression=compression,
                row_group_rows=row_group_rows,
                on_progress=progress.update,
                **rows.column_arguments(),
            )
    skipped_rows.replace(read.bad_rows)
    report = result.report
    of = "" if report.total_count is None or limit is not None else f" of {report.total_count}"
    size = f"{result.bytes / 1e6:.1f} MB, {result.seconds:.1f} s"
    write_message(f"{result.rows}{of} {plural} in {name_of(result.path)}: {size}")
    write_notes(report, plural, Path(to), rows)
    if json:
        _write_json(result)
    if read.bad_rows:
        skipped_rows.write_summary(report.bad_rows)
    return write_problems(report.problems())


def _create_read(
    aiwyn: AiwynClient,
    plural: str,
    filters: FilterOptions,
    *,
    limit: int | None,
    ranges: int | None,
    ordered: bool,
    **options: Any,
) -> Readable:
    if limit is None and not filters.list_filters():
        return create_pull(aiwyn, plural, filters, ranges=ranges, ordered=ordered, **options)
    if ranges is not None:
        raise ConfigurationError("--ranges cannot be combined with --limit or a filter other than --where")
    return create_list(aiwyn, plural, filters, limit=limit, **options)


def _write_json(result: ExportResult) -> None:
    report = result.report
    values = {name: getattr(result, name) for name in ("path", "rows", "bytes", "seconds")}
    problems = report.problems()
    values |= {"total_count": report.total_count, "complete": not problems, "problems": problems}
    write_data(encode_json(values | {"bad_rows": report.bad_rows}))


def _has_unfinished(to: str) -> bool:
    return has_unfinished_run(to) if is_dataset(to) else has_unfinished(Path(to))


def _local_name(to: str) -> Path:
    """Return the target, or in the current folder the last segment of a URL."""
    return Path(to.rstrip("/").rpartition("/")[2]) if url_of(to) else name_of(to)


@contextlib.contextmanager
def _advice(to: str, *, replace: bool) -> Generator[None]:
    """Add to an error how to continue with the finished parts."""
    try:
        yield
    except (RequestError, PaginationError, StorageError) as error:
        if "resume" not in str(error) and _has_unfinished(to):
            how = "run the command again" if replace else "pass --resume"
            error.add_note(f"finished parts are saved; {how} to continue")
        raise
