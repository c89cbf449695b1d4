"""``export()``: write all rows of a read into a file."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Literal, cast

import msgspec

from aiwyn_async._core.checks import (
    check_callback,
    check_flag,
    check_kind,
    check_positive,
    check_several,
    needs_extra,
)
from aiwyn_async._core.files import local_path, storage_notes
from aiwyn_async._core.threads import in_thread
from aiwyn_async._decoding.checked_types import is_object
from aiwyn_async._decoding.chosen_fields import choose_fields
from aiwyn_async._pull.progress import Progress
from aiwyn_async.arrow._options import ColumnOptions, column_options
from aiwyn_async.errors import ConfigurationError
from aiwyn_async.export._dataset.folder import open_folder
from aiwyn_async.export._dataset.output import DatasetOutput
from aiwyn_async.export._file import FileOutput
from aiwyn_async.export._formats import format_for, is_dataset
from aiwyn_async.export._formats.parquet_options import (
    DEFAULT_PARQUET,
    Compression,
    ParquetOptions,
    parquet_options,
)
from aiwyn_async.export._job import ExportJob, ExportResult, Mode, Output
from aiwyn_async.export._source import Readable, Source


async def export(
    rows: Readable,
    to: str | Path,
    *,
    force: bool = False,
    resume: bool = False,
    replace: bool = False,
    columns: Iterable[str] | None = None,
    table: str | None = None,
    ids: Literal["auto", "text"] = "auto",
    date_columns: Iterable[str] = (),
    round_money: int | None = None,
    extra: Literal["json"] | None = None,
    csv_escape_formulas: bool = False,
    partition_by: str | None = None,
    keep: int | None = None,
    compression: Compression | None = None,
    row_group_rows: int | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> ExportResult:
    """Write all rows of a read to ``.jsonl``, ``.csv``, ``.parquet`` or ``.duckdb``, or to a dataset.

    JSONL and CSV are compressed if ``.gz`` or ``.zst`` follows, as in ``.jsonl.gz``.

    The file appears under its name only when it is complete. Until then, its parts are in a hidden staging
    directory beside it, and ``resume`` continues after the last committed part; a pull by full scans starts
    again, since its checkpoint cannot name the rows it yielded. If ranges of a pull cannot be read, all other
    rows are retained, and a resumed export requests only those ranges. If a ``strict`` read reached its end
    and is not proven complete otherwise, it starts again too. A finished export leaves a small hidden file,
    ``.<name>.done``, by which ``resume`` recognizes it.

    An existing file is refused unless one of these is set:

    - ``force`` writes the file again, and discards an unfinished export.
    - ``resume`` continues the unfinished export of the same query. If that export is finished and the file
      is unchanged, it returns the same result and sends no request.
    - ``replace`` is for schedulers: it writes the file again each time, and continues an unfinished export of
      the same query if that started within the last 12 hours. It does not fail because something exists.

    In an existing ``.duckdb`` file, ``force`` and ``replace`` replace one table in a transaction and retain
    all others. A table that ``sync()`` maintains is refused.

    A dataset is a folder of Parquet files, on a disk or at a URL such as ``s3://bucket/invoices/``. Each run
    writes files of its own; ``read_manifest()`` names those of the last complete run, and a run that fails
    changes none of them. ``resume`` and ``replace`` have the same meaning as for a file.

    JSONL has each row as the server sent it, with every field, even if it does not decode as the row's type
    or is not UTF-8. The other formats have the fields of that type, under the names that the API uses;
    ``on_bad_row`` of the read decides what happens to a row that does not decode, and the report counts it.
    Money is decimal128(38, 9) in Parquet and DuckDB; times are UTC microseconds, and a naive time is taken as
    UTC. A value that a column cannot hold exactly is refused.

    Args:
        rows: the return value of ``list()``, ``search()`` or ``pull()``. Its ``report`` and ``bad_rows``
            become those of the export.
        to: the file, whose suffix selects the format; or a dataset: a path that ends in ``/``, an existing
            folder, or a URL.
        force: replace an existing file, and discard an unfinished export.
        resume: continue the unfinished export of the same query; return the result of a finished one.
        replace: replace an existing file; continue an unfinished export of the same query if it is recent.
        columns: the fields to write, by the names that the API uses, in the order of the file; by default
            all. Other fields are neither decoded nor checked, and the report does not name them. The key of
            the rows can be left out.
        table: name of the table in a DuckDB file; by default the name of the endpoint.
        ids: "auto" makes an id column an integer column, or text if one of its ids is text; "text" always
            makes it text, so that files of different days have the same columns.
        date_columns: columns that hold the calendar day of a timestamp as the server sent it. Without it, a
            time without a zone becomes midnight UTC, which a reader in New York may show as the day before.
        round_money: decimal places, 0 to 9, to which amounts are rounded in Parquet and DuckDB, half to even.
            The report counts rounded amounts. Without it, a row with an amount of more than 9 decimal places
            is refused.
        extra: "json" adds the column ``extra`` with the fields that the row type does not have, as JSON. The
            report always names them, as ``unknown_fields``.
        csv_escape_formulas: put an apostrophe before each text of a CSV file, also of its header, that starts
            with ``=``, ``+``, ``-``, ``@``, a tab or a carriage return, which a spreadsheet may run as a
            formula. Numbers are unchanged. Set it if people open the file; a program reads the data as sent
            without it.
        partition_by: dataset only: a column of text, integers, booleans or dates. The files of each value are
            in a folder ``column=value``, as in Hive, and do not have the column.
        keep: dataset only: complete runs to retain, 1 by default. With 2, the files of the run before are
            there for readers that have read its manifest.
        compression: the codec of a Parquet file: "zstd" (the default), "snappy", "gzip", "lz4" or "none".
        row_group_rows: the max rows of a row group of a Parquet file, as far as they take 64 MB of memory. By
            default, a row group has the rows of ten pages or more. A file of a dataset has one row group, of
            100,000 rows by default.
        on_progress: called after each page.

    Raises:
        ExportError: the target exists, cannot be written or is in use, an unfinished export exists, or the
            disk is full.
        DecodeError: a row does not decode as its type, or a value does not fit its column.
        IncompleteError: ranges of a pull could not be read; or ``strict`` is set and the report has problems.
        CheckpointError: the unfinished export is of another query, server, limit or choice of columns.
        ConfigurationError: the suffix is unknown, an extra is missing, more than one of force, resume and
            replace is set, or an option is invalid or does not apply to this target.
        AiwynError: the read failed; written parts are retained for ``resume``.
    """
    mode = _mode(force=force, resume=resume, replace=replace)
    source = Source(rows)
    row_type = source.row_type if columns is None else _choose_columns(source.row_type, columns)
    options = column_options(
        row_type, ids=ids, date_columns=date_columns, round_money=round_money, extra=extra
    )
    options = msgspec.structs.replace(
        options, csv_escape_formulas=check_flag("csv_escape_formulas", csv_escape_formulas)
    )
    parquet = parquet_options(compression, row_group_rows)
    check_callback("on_progress", on_progress)
    if table is not None:
        check_kind("table", table, str, "a str")
        if not table.strip():
            raise ConfigurationError("table must not be empty; leave it out for the name of the endpoint")
    output: Output
    if is_dataset(to):
        output = _dataset(to, source, row_type, options, parquet, partition_by=partition_by, keep=keep)
    elif partition_by is not None or keep is not None:
        raise ConfigurationError(
            "partition_by and keep are for datasets; end the path with a slash, as in 'invoices/', "
            "or remove them"
        )
    else:
        path = local_path(to)
        output = FileOutput(path, format_for(path, row_type, table or source.name, options, parquet), source)
    if output.reads_raw_pages:
        source.read_raw_pages(row_type)
    job = ExportJob(source, output, on_progress)
    with storage_notes():
        try:
            await in_thread(lambda: job.prepare(mode))
            return await rows.masking(job.run())
        finally:
            output.state.release()


def _choose_columns(row_type: Any, columns: Iterable[str]) -> type[Any]:
    """Return a row type with these columns, in this order.

    Raises:
        ConfigurationError: a column is unknown or repeated, there is none, or the rows are not Structs.
    """
    check_several(
        "columns", columns, "a list of names", "pass one such as ['id', 'totalAmount']", (Iterable,)
    )
    if not is_object(row_type):
        raise ConfigurationError(
            "columns: the row type must be a Struct, neither tagged nor array_like; "
            "remove it, or call decode_as() with one"
        )
    names = tuple(columns)
    known = [field.encode_name for field in msgspec.structs.fields(row_type)]
    choice = f"choose from {', '.join(known)}"
    if not names:
        raise ConfigurationError(f"columns must have at least one name; {choice}")
    for index, name in enumerate(names):
        check_kind("each name in columns", name, str, "a str")
        if name not in known:
            raise ConfigurationError(f"columns: {name!r} is not a field of the rows; {choice}")
        if name in names[:index]:
            raise ConfigurationError(f"columns: {name!r} is repeated; {choice}, each once")
    return choose_fields(row_type, names)


def _dataset(
    to: str | Path,
    source: Source,
    row_type: type[Any],
    options: ColumnOptions,
    parquet: ParquetOptions | None,
    *,
    partition_by: str | None,
    keep: int | None,
) -> Output:
    if options.csv_escape_formulas:
        raise ConfigurationError(f"csv_escape_formulas=True is for .csv files, not {to}; remove it")
    keep = 1 if keep is None else check_positive("keep", keep)
    with needs_extra("a dataset needs pyarrow", "arrow"):
        from aiwyn_async.export._dataset.files import DatasetFiles  # noqa: PLC0415 (needs an extra)
    files = DatasetFiles(row_type, options, parquet or DEFAULT_PARQUET, partition_by)
    return DatasetOutput(open_folder(to), source, files, keep=keep)


def _mode(**flags: bool) -> Mode:
    names = [name for name, is_set in flags.items() if check_flag(name, is_set)]
    if len(names) > 1:
        raise ConfigurationError(
            f"{' and '.join(f'{name}=True' for name in names)} exclude each other; "
            "pass only replace=True for an export that runs again and again"
        )
    return cast("Mode", names[0]) if names else "new"
