# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
"""Compressed text files: each part is a gzip member or a Zstandard frame, and files join them."""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, Final

from aiwyn_async._core.checks import needs_extra
from aiwyn_async.arrow._rows import PageRows
from aiwyn_async.export._formats.csv import CsvFormat
from aiwyn_async.export._formats.jsonl import JsonlFormat
from aiwyn_async.export._part_files import join_files

CODECS: Final = (".gz", ".zst")


class CompressedFormat:
    """Compresses the parts of a text format.

    Raises:
        ConfigurationError: the codec needs an extra.
    """

    reads_raw_pages = False
    shared_file = None

    def __init__(self, text: CsvFormat | JsonlFormat, codec: str) -> None:
        self._text = text
        self._compress = _compressor(codec)
        self.identity = f"{text.identity} {codec}"

    def write_part(self, file: IO[bytes], rows: PageRows) -> int:
        """Write rows as one member or frame."""
        lines = io.BytesIO()
        written = self._text.write_part(lines, rows)
        file.write(self._compress(lines.getvalue()))
        return written

    @property
    def assemble(self) -> Callable[[Iterator[Path], Path], None] | None:
        return self._join if self._text.header() else None

    def _join(self, parts: Iterator[Path], path: Path) -> None:
        join_files(self._compress(self._text.header()), parts, path)


def _compressor(codec: str) -> Callable[[bytes], bytes]:
    if codec == ".gz":
        # Without a time, two exports of the same rows are identical.
        return lambda data: gzip.compress(data, mtime=0)
    with needs_extra("Zstandard needs pyarrow", "arrow"):
        import pyarrow as pa  # noqa: PLC0415 (an extra)
    zstd: Any = pa.Codec("zstd")
    return lambda data: bytes(zstd.compress(data, asbytes=True))
