"""File formats: rows to parts, parts to a file.

Modules that need an extra are loaded on use.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, Protocol

from aiwyn_async._core.checks import needs_extra
from aiwyn_async._core.files import check_path, url_of
from aiwyn_async.arrow._options import UNCHANGED, ColumnOptions
from aiwyn_async.arrow._rows import PageRows
from aiwyn_async.errors import ConfigurationError
from aiwyn_async.export._formats.compressed import CODECS, CompressedFormat
from aiwyn_async.export._formats.csv import CsvFormat
from aiwyn_async.export._formats.jsonl import JsonlFormat
from aiwyn_async.export._formats.parquet_options import DEFAULT_PARQUET, ParquetOptions

if TYPE_CHECKING:  # it needs an extra
    from aiwyn_async.export._formats.duckdb import DatabaseFile


class Format(Protocol):
    """A file format.

    Attributes:
        identity: parts of an earlier run can be joined with new ones if it is equal.
        reads_raw_pages: reads whole response bodies instead of single rows.
    """

    identity: str
    reads_raw_pages: bool

    @property
    def shared_file(self) -> DatabaseFile | None:
        """How to write into an existing file; None if it is replaced."""
        ...

    def write_part(self, file: IO[bytes], rows: PageRows) -> int:
        """Write rows, record bad ones, and return the number of written rows."""
        ...

    @property
    def assemble(self) -> Callable[[Iterator[Path], Path], None] | None:
        """Write the file from its parts; None if they are appended to one file."""
        ...


def is_dataset(to: str | Path) -> bool:
    """True if a target is a folder, not a file.

    It ends in a slash; or it has no suffix of a file format, and is an existing folder or a URL.

    Raises:
        ConfigurationError: it is not a path.
    """
    check_path(to)
    if str(to).endswith(("/", os.sep)):
        return True
    return suffix_of(to) not in _SUFFIXES and (url_of(to) is not None or Path(to).is_dir())


def suffix_of(to: str | Path) -> str:
    """Return the suffix of a file in lower case, such as ``.csv`` or ``.csv.gz``."""
    path = Path(to)
    suffix = path.suffix.lower()
    return f"{path.with_suffix('').suffix.lower()}{suffix}" if suffix in CODECS else suffix


def format_for(
    path: Path,
    row_type: type[Any],
    table: str,
    options: ColumnOptions = UNCHANGED,
    parquet: ParquetOptions | None = None,
) -> Format:
    """Return the format that the suffix of a file names.

    Raises:
        ConfigurationError: the suffix is unknown, an extra is missing, the rows have no columns, or the
            format does not support an option.
    """
    suffix = suffix_of(path)
    if suffix not in _SUFFIXES:
        raise ConfigurationError(
            f"{path.name}: the suffix must be one of {', '.join(_SUFFIXES)}, or a slash for a dataset"
        )
    if suffix in {".parquet", ".duckdb"} and not _is_utf8(path):
        raise ConfigurationError(
            f"the path {path} is not UTF-8, which {suffix} files need; "
            "use another path, or write .csv or .jsonl"
        )
    if options.csv_escape_formulas and not suffix.startswith(".csv"):
        raise ConfigurationError(f"csv_escape_formulas=True is for .csv files, not {path.name}; remove it")
    if parquet is not None and suffix != ".parquet":
        option = "row_group_rows" if parquet.row_group_rows is not None else "compression"
        raise ConfigurationError(f"{option} is for .parquet files, not {path.name}; remove it")
    return _make(suffix, row_type, table, options, parquet or DEFAULT_PARQUET)


def _is_utf8(path: Path) -> bool:
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def _make(
    suffix: str, row_type: type[Any], table: str, options: ColumnOptions, parquet: ParquetOptions
) -> Format:
    if suffix == ".parquet":
        with needs_extra("Parquet needs pyarrow", "arrow"):
            from aiwyn_async.export._formats.parquet import ParquetFormat  # noqa: PLC0415 (needs an extra)
        return ParquetFormat(row_type, options, parquet)
    if suffix == ".duckdb":
        with needs_extra("DuckDB needs an extra", "duckdb"):
            from aiwyn_async.export._formats.duckdb import DuckdbFormat  # noqa: PLC0415 (needs an extra)
        return DuckdbFormat(row_type, table, options)
    text_suffix, dot, codec = suffix[1:].partition(".")
    text = (CsvFormat if text_suffix == "csv" else JsonlFormat)(row_type, options)
    return CompressedFormat(text, f"{dot}{codec}") if codec else text


_TEXT_SUFFIXES: Final = (".jsonl", ".ndjson", ".csv")
_SUFFIXES: Final = (
    *(*_TEXT_SUFFIXES, ".parquet", ".duckdb"),
    *(f"{suffix}{codec}" for suffix in _TEXT_SUFFIXES for codec in CODECS),
)
FILE_SUFFIXES: Final = frozenset({*_SUFFIXES, *CODECS})
"""What the name of a file can end in."""
