"""The manifest of a dataset: the files of one run, and what is known of its rows."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Context, Decimal, Inexact, InvalidOperation
from typing import Final

import msgspec

from aiwyn_async._decoding.pages import BadRow
from aiwyn_async.export._manifest import StoredExport

EXACT: Final = Context(prec=100, traps=[Inexact, InvalidOperation])
"""Adds amounts exactly, whatever the precision of the caller's context."""


class DatasetFile(msgspec.Struct, frozen=True):
    """A Parquet file of a dataset.

    Attributes:
        path: relative to the folder of the dataset.
        rows: rows in the file.
        bytes: of the file.
        crc32: checksum of the file.
    """

    path: str
    rows: int
    bytes: int
    crc32: int


class DatasetManifest(StoredExport, frozen=True, kw_only=True):
    """One run of an export to a dataset.

    Attributes:
        run: the name of the run and of the folder of its files.
        endpoint: the path that was read.
        query: a fingerprint of the endpoint and the filters.
        server: the server that was read.
        columns: the format and the columns of the files.
        files: the files of the run, in the order in which they were written.
        sums: the exact sum of each column of money over all rows.
        finished_at: when the last rows were written; None for an unfinished run.
        bad_rows: rows that do not decode, if they were collected.
        earlier: the complete runs before that are retained, the last one first.
        checkpoint: the end of the run.
        folder: path or URL of the dataset; not stored.
    """

    run: str
    files: tuple[DatasetFile, ...] = ()
    sums: dict[str, Decimal] = msgspec.field(default_factory=dict[str, Decimal])
    finished_at: float | None = None
    bad_rows: tuple[BadRow, ...] = ()
    earlier: tuple[str, ...] = ()
    folder: str = ""

    @property
    def rows(self) -> int:
        """Rows in all files."""
        return sum(file.rows for file in self.files)

    @property
    def bytes(self) -> int:
        """Bytes of all files."""
        return sum(file.bytes for file in self.files)

    @property
    def paths(self) -> list[str]:
        """The path or URL of each file, for ``pyarrow.dataset``, polars, DuckDB and others."""
        return [f"{self.folder}/{file.path}" for file in self.files]


def add_sums(before: Mapping[str, Decimal], sums: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """Return the sum of each column of money over the rows before and the new rows."""
    return {name: EXACT.add(amount, before.get(name, Decimal(0))) for name, amount in sums.items()}
