# pyarrow has no type stubs, so its values are unknown to pyright, and Any to callers.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingTypeStubs=false
"""An export to a dataset. Needs pyarrow (the extra ``arrow``)."""

from __future__ import annotations

import asyncio
import io
import zlib
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any, Final
from urllib.parse import quote

import pyarrow as pa
import pyarrow.compute as pc

from aiwyn_async._core.threads import in_thread
from aiwyn_async.arrow._options import ColumnOptions
from aiwyn_async.arrow._rows import PageRows
from aiwyn_async.arrow._stream import check_ids
from aiwyn_async.arrow._table import RowSchema
from aiwyn_async.errors import ConfigurationError, ExportError
from aiwyn_async.export._dataset.folder import Folder
from aiwyn_async.export._dataset.manifest import DatasetFile
from aiwyn_async.export._dataset.state import DatasetState
from aiwyn_async.export._file import max_threads
from aiwyn_async.export._formats.parquet import write_table
from aiwyn_async.export._output import ReadState
from aiwyn_async.export._source import Report, Source

__all__ = ["DatasetOutput"]

compute: Any = pc  # its functions are created at run time, unknown to type checkers

MAX_ROWS: Final = 100_000
MAX_BYTES: Final = 64 * 1024 * 1024
"""In memory, of the rows of one file."""
MAX_PARTITIONS: Final = 1000
NULL: Final = "__HIVE_DEFAULT_PARTITION__"


class DatasetOutput:
    """A folder of Parquet files.

    Args:
        folder: of the dataset.
        source: the read.
        options: how values become columns.
        partition_by: the column whose values name folders, or None.
        keep: complete runs to retain.

    Raises:
        ConfigurationError: the rows have no columns, or ``partition_by`` cannot name folders.
    """

    reads_raw_pages = True

    def __init__(
        self, folder: Folder, source: Source, options: ColumnOptions, *, partition_by: str | None, keep: int
    ) -> None:
        self.path = folder.name
        self._schema = RowSchema(source.row_type, options)
        self._partition_by = partition_by
        if partition_by is not None:
            _check_partition_column(self._schema.arrow, partition_by)
        columns = f"dataset {partition_by} {self._schema}"
        self.state = DatasetState(folder, columns, source.server, limit=source.limit, keep=keep)

    def check_writable(self) -> None:
        """Do nothing: the folder is checked when it is locked."""

    def check_existing(self, *, may_replace: bool) -> None:
        """Refuse to replace a complete run unless that is wanted.

        Raises:
            ExportError: there is a complete run.
        """
        if not may_replace and self.state.has_complete_run:
            raise ExportError(
                f"{self.path} already has a complete dataset; pass force=True or replace=True to replace it"
            )

    def size(self) -> int:
        """Return the bytes of all files."""
        return self.state.size

    @asynccontextmanager
    async def open(self, report: Callable[[], Report]) -> AsyncGenerator[_DatasetWriter]:
        """Write files while rows are read."""
        writer = _DatasetWriter(self.state, self._schema, self._partition_by, report)
        try:
            yield writer
        finally:
            await writer.wait()


class _DatasetWriter:
    """Converts parts to tables, and writes a file for many of them."""

    def __init__(
        self, state: DatasetState, schema: RowSchema, partition_by: str | None, report: Callable[[], Report]
    ) -> None:
        self.max_concurrent = max_threads()
        self._state = state
        self._schema = schema
        self._partition_by = partition_by
        self._report = report
        self._tables: list[Any] = []
        self._read: ReadState | None = None
        """The state of the read after the last of the tables."""
        self._writing: asyncio.Future[None] | None = None

    def write(self, _number: int, rows: PageRows) -> Any:
        """Convert a part to a table of the same columns as all others."""
        table = self._schema.table(rows)
        check_ids(table.schema, self._schema.arrow)
        return table

    async def commit(self, part: Any, state: ReadState) -> None:
        """Add a table; if there are enough rows for a file, start to write one first."""
        rows = sum(table.num_rows for table in [*self._tables, part])
        if rows > MAX_ROWS or sum(table.nbytes for table in self._tables) > MAX_BYTES:
            await self._start_file()
        earlier = [] if self._read is None else self._read.bad_rows
        self._tables.append(part)
        self._read = state._replace(bad_rows=[*earlier, *state.bad_rows])

    async def flush(self) -> None:
        """Write the tables that wait."""
        await self._start_file()
        await self.wait()

    async def _start_file(self) -> None:
        """Write a file while more rows are read, after the file before it."""
        await self.wait()
        tables, read = self._tables, self._read
        if read is not None:
            self._tables, self._read = [], None
            work = in_thread(lambda: self._write_files(pa.concat_tables(tables), read))
            self._writing = asyncio.ensure_future(work)

    async def wait(self) -> None:
        """Wait for the file that is being written.

        Raises:
            ExportError: the file system refuses.
        """
        writing, self._writing = self._writing, None
        if writing is not None:
            await writing

    async def finish(self) -> int:
        """Move the files to their folder, replace the manifest, and return the bytes of all files."""
        return await in_thread(self._publish)

    def _publish(self) -> int:
        if not self._state.parts:
            self._state.commit_empty(self._files_of(self._schema.arrow.empty_table()), self._report())
        return self._state.publish(self._report())

    def _write_files(self, table: Any, read: ReadState) -> None:
        self._state.commit(self._files_of(table), _sums(table), read)

    def _files_of(self, table: Any) -> dict[DatasetFile, bytes]:
        number = self._state.parts
        contents: dict[DatasetFile, bytes] = {}
        for folder, rows in self._partitions(table):
            buffer = io.BytesIO()
            write_table(buffer, rows)
            content = buffer.getvalue()
            path = self._state.name_of(f"{folder}part-{number + len(contents):06}.parquet")
            contents[DatasetFile(path, rows.num_rows, len(content), zlib.crc32(content))] = content
        return contents

    def _partitions(self, table: Any) -> Iterator[tuple[str, Any]]:
        """Yield the rows of each value of the partition column, and its folder."""
        name = self._partition_by
        if name is None:
            yield "", table
            return
        values = compute.unique(table[name]).to_pylist()
        if len(values) > MAX_PARTITIONS:
            raise ExportError(
                f"partition_by: {name!r} has {len(values)} values in {table.num_rows} rows; "
                f"choose a column of at most {MAX_PARTITIONS} values"
            )
        for value in values:
            is_value = (
                compute.is_null(table[name])
                if value is None
                else compute.equal(table[name], pa.scalar(value))
            )
            yield f"{name}={_folder_name(name, value)}/", table.filter(is_value).drop_columns([name])


def _check_partition_column(schema: Any, name: str) -> None:
    suitable = [field.name for field in schema if _names_folders(field.type)]
    if name not in suitable:
        raise ConfigurationError(
            f"partition_by: {name!r} is not a column of text, integers, booleans or dates; "
            f"choose from {', '.join(suitable) or 'none'}"
        )


def _names_folders(kind: Any) -> bool:
    tests = (pa.types.is_string, pa.types.is_integer, pa.types.is_boolean, pa.types.is_date)
    return any(test(kind) for test in tests)


def _folder_name(name: str, value: object) -> str:
    if value is None:
        return NULL
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if not text or text == NULL:
        raise ExportError(f"partition_by: {name!r} has the value {text!r}, which cannot name a folder")
    return quote(text, safe="")


def _sums(table: Any) -> dict[str, Decimal]:
    """Return the sum of each column of money; Python adds what overflows Arrow's type."""
    sums: dict[str, Decimal] = {}
    for field in table.schema:
        if pa.types.is_decimal(field.type):
            try:
                total = compute.sum(table[field.name]).as_py()
            except pa.ArrowInvalid:
                total = sum(filter(None, table[field.name].to_pylist()), Decimal(0))
            sums[field.name] = total or Decimal(0)
    return sums
