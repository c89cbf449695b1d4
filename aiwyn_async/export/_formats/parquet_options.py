"""Options of Parquet files. Does not need pyarrow."""

from __future__ import annotations

import typing
from typing import Final, Literal

import msgspec

from aiwyn_async._core.checks import check_positive, shown
from aiwyn_async.errors import ConfigurationError

Compression = Literal["zstd", "snappy", "gzip", "lz4", "none"]
COMPRESSIONS: Final[tuple[str, ...]] = typing.get_args(Compression)


class ParquetOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Options of a Parquet file.

    Attributes:
        compression: the codec of all columns.
        row_group_rows: the max rows of a row group; None writes a row group per part.
    """

    compression: Compression = "zstd"
    row_group_rows: int | None = None


DEFAULT_PARQUET: Final = ParquetOptions()


def parquet_options(compression: object, row_group_rows: int | None) -> ParquetOptions | None:
    """Validate the options of a Parquet file, and return None if neither is set."""
    if compression is not None and not (isinstance(compression, str) and compression in COMPRESSIONS):
        raise ConfigurationError(
            f"compression must be one of {', '.join(COMPRESSIONS)}, got {shown(compression)}"
        )
    if row_group_rows is not None:
        row_group_rows = check_positive("row_group_rows", row_group_rows)
    if compression is None and row_group_rows is None:
        return None
    return ParquetOptions(compression=compression or "zstd", row_group_rows=row_group_rows)  # type: ignore[arg-type]
