"""JSONL: one row per line, exactly as the server sent it, or its chosen fields alone."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import IO, Any

import msgspec

from aiwyn_async._decoding.chosen_fields import chosen_fields, has_choice, raw_fields_decoder
from aiwyn_async._decoding.exact import split_fields
from aiwyn_async._decoding.malformed import has_line_break
from aiwyn_async._decoding.row_decoder import RowDecoder
from aiwyn_async._decoding.values import DECODING_ERRORS
from aiwyn_async._http.messages import encode_json
from aiwyn_async.arrow._options import UNCHANGED, ColumnOptions
from aiwyn_async.arrow._rows import PageRows, RowsOfPage
from aiwyn_async.errors import ConfigurationError


class JsonlFormat:
    """Writes rows without decoding them.

    Args:
        row_type: of the rows; its fields are used only if some are chosen.
        options: for columns.

    Raises:
        ConfigurationError: an option is set; JSONL has no columns.
    """

    reads_raw_pages = False
    shared_file = None
    assemble = None

    def __init__(self, row_type: Any, options: ColumnOptions) -> None:
        if options != UNCHANGED:
            raise ConfigurationError(
                "JSONL stores each row as the server sent it; remove ids, date_columns, round_money and extra"
            )

        self._row_type = row_type
        self._names: list[str] = []
        if has_choice(row_type):
            self._names = [field.encode_name for field in chosen_fields(row_type)]
            self._decoder: RowDecoder[Any] = RowDecoder(row_type)
        self.identity = f"lines {','.join(self._names)}".rstrip()

    def header(self) -> bytes:
        return b""

    def write_part(self, file: IO[bytes], rows: PageRows) -> int:
        first = written = 0
        for page in rows.pages:
            lines: Sequence[bytes | msgspec.Raw] = (
                self._lines(rows, page, first) if self._names else page.rows
            )
            # Line breaks are valid between tokens. A page without any need not be joined for the search.
            if (page.document is None or has_line_break(page.document.body)) and has_line_break(
                b"".join(lines)
            ):
                lines = [msgspec.json.format(bytes(line), indent=-1) for line in lines]
            if lines:
                file.write(b"\n".join([*lines, b""]))
            first, written = first + len(page), written + len(lines)
        return written

    def _lines(self, rows: PageRows, page: RowsOfPage, first: int) -> list[bytes]:
        """Return the chosen fields of each row as JSON."""
        with contextlib.suppress(*DECODING_ERRORS):
            decode = raw_fields_decoder(self._row_type, self._decoder.extra_keys)
            return [encode_json(row) for row in decode(b"[%s]" % b",".join(page.rows))]
        self._decoder.adapt(bytes(row) for row in page.rows)  # for the next pages
        lines: list[bytes] = []
        for index, row in enumerate(page.rows, first):
            try:
                fields, unknown = split_fields(self._row_type, bytes(row))
            except DECODING_ERRORS as error:
                rows.record_error(index, error)
                continue
            rows.note_unknown(index, unknown)
            chosen = {name: msgspec.Raw(fields[name]) for name in self._names if name in fields}
            lines.append(encode_json(chosen))
        return lines
