"""``aiwyn export``: write the rows of a resource to a file."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from aiwyn_async._cli.all_resources import refuse_for_all
from aiwyn_async._cli.client import open_client
from aiwyn_async._cli.export_all import AllFormat, export_all
from aiwyn_async._cli.export_one import describe, export_one, skipped_rows_file, to_values
from aiwyn_async._cli.options import FilterOptions, Flag, RowOptions, SandboxOptions, WholeNumber, split_names
from aiwyn_async._cli.output import write_json, write_message
from aiwyn_async._cli.progress import create_progress
from aiwyn_async._cli.reports import write_notes, write_problems
from aiwyn_async._cli.resources import ALL, create_list, create_pull, find_resource
from aiwyn_async._cli.stdout_file import writes_stdout
from aiwyn_async.client import AiwynClient
from aiwyn_async.errors import ConfigurationError
from aiwyn_async.export import Readable
from aiwyn_async.export._formats.parquet_options import Compression


@writes_stdout
async def export(
    resource: str,
    /,
    *,
    to: Annotated[str, Parameter(allow_leading_hyphen=True)],
    file_format: Annotated[AllFormat | None, Parameter(name="--format")] = None,
    filters: FilterOptions = FilterOptions(),
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
    rows: RowOptions = RowOptions(),
    json: Flag = False,
    sandbox: SandboxOptions = SandboxOptions(),
) -> int:
    """Write all rows of a resource to a file or a dataset, or every resource to a folder.

    Without a filter, or with --where, rows are pulled: by key ranges in parallel if the resource has a
    search, otherwise by repeated full scans until two agree. With other filters or --limit, the list is read
    page by page.

    The file appears under its name only when it is finished. Exit code 5 means that the rows are not proven
    complete, that rows were skipped, or that key ranges could not be read. In the last case, the file does
    not exist yet, and --resume requests the missing ranges.

    A path that ends in a slash, or a URL such as s3://bucket/invoices/, is a dataset: a folder of Parquet
    files, and a manifest that names those of the last complete run.

    "all" writes every resource, in the order in which their rows refer to each other, to a dataset of its own
    in the folder --to, or to a file of --format. A resource that fails does not stop the others; a summary
    names it, and --resume requests only what is missing.

    An existing file is not replaced without --force, --resume or --replace. For a command that runs every
    night, use --replace.

    Args:
        resource: invoices, clients, payments, ...; or all.
        to: The file, .parquet, .duckdb, .csv, .jsonl, or as .jsonl.gz and .csv.zst; a dataset, as invoices/;
            for all, a folder; or -, which is stdout.
        file_format: Of --to -: jsonl by default. For all: what to write for each resource; a dataset by
            default.
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
    read_options = {"page_size": page_size, "strict": strict, **rows.read_arguments()}
    write_options: dict[str, Any] = {
        "force": force,
        "resume": resume,
        "replace": replace,
        "csv_escape_formulas": escape_formulas,
        "keep": keep,
        "compression": compression,
        "row_group_rows": row_group_rows,
    }
    if resource == ALL:
        refuse_for_all(**dataclasses.asdict(filters), limit=limit, columns=columns, partition_by=partition_by)
        return await export_all(
            to,
            file_format or "dataset",
            read=read_options | {"ranges": ranges, "ordered": not unordered},
            write=write_options,
            rows=rows,
            json=json,
            sandbox=sandbox,
        )
    if file_format is not None:
        raise ConfigurationError(
            "--format is for all resources and for --to -; the suffix of --to selects that of one"
        )
    write_options |= {
        "columns": split_names("--columns", columns),
        "partition_by": partition_by,
        **rows.column_arguments(),
    }
    plural = find_resource(resource)
    skipped_rows = skipped_rows_file(to, rows)
    async with open_client(sandbox) as aiwyn:
        read = _create_read(
            aiwyn, plural, filters, limit=limit, ranges=ranges, ordered=not unordered, **read_options
        )
        with create_progress(plural) as progress:
            result = await export_one(
                read,
                to,
                on_progress=progress.update,
                how_to_continue="run the command again" if replace else "pass --resume",
                options=write_options | {"table": plural},
            )
    skipped_rows.replace(read.bad_rows)
    write_message(describe(result, plural, shows_total=limit is None))
    write_notes(result.report, plural, Path(to), rows)
    if json:
        write_json(to_values(result))
    if read.bad_rows:
        skipped_rows.write_summary(result.report.bad_rows)
    return write_problems(result.report.problems())


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
    if limit is None and not filters.given():
        return create_pull(aiwyn, plural, filters.where, ranges=ranges, ordered=ordered, **options)
    if ranges is not None:
        raise ConfigurationError("--ranges cannot be combined with --limit or a filter other than --where")
    return create_list(aiwyn, plural, filters.given(), filters.where, limit=limit, **options)
