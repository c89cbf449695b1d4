"""JSONL: one row per line, exactly as the server sent it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import IO

import msgspec

from aiwyn_async.arrow._options import UNCHANGED, ColumnOptions
from aiwyn_async.arrow._rows import PageRows
from aiwyn_async.errors import ConfigurationError

__all__ = ["JsonlFormat"]


class JsonlFormat:
    """Writes rows without decoding them.

    Raises:
        ConfigurationError: an option is set; JSONL has no columns.
    """

    identity = "lines"
    reads_raw_pages = False
    shared_file = None
    assemble = None

    def __init__(self, options: ColumnOptions) -> None:
        if options != UNCHANGED:
            raise ConfigurationError(
                "JSONL stores each row as the server sent it; remove ids, date_columns, round_money and extra"
            )

    def write_part(self, file: IO[bytes], rows: PageRows) -> int:
        """Write one line per row."""
        for page in rows.pages:
            # A newline is valid between tokens. Searching the rows is three times as fast as counting lines.
            rows_of_json: Iterable[bytes | msgspec.Raw] = page.rows
            if b"\n" in b"".join(page.rows):
                rows_of_json = (msgspec.json.format(bytes(row), indent=-1) for row in page.rows)
            file.write(b"\n".join(rows_of_json))
            file.write(b"\n")
        return len(rows)
