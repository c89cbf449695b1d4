# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
"""Compressed text files: each part is a gzip member or a Zstandard frame, and files join them."""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Final, Protocol

from aiwyn_async.arrow._rows import PageRows
from aiwyn_async.errors import ConfigurationError
from aiwyn_async.export._part_files import join_files


class TextFormat(Protocol):
    """A format of lines, whose parts can be joined."""

    identity: str

    def header(self) -> bytes:
        """Return the lines before the first row."""
        ...

    def write_part(self, file: IO[bytes], rows: PageRows) -> int:
        """Write rows, and return the number of written rows."""
        ...


Compress = Callable[[bytes], bytes]


class CompressedFormat:
    """Compresses the parts of a text format.

    Raises:
        ConfigurationError: the codec needs an extra.
    """

    reads_raw_pages = False
    shared_file = None

    def __init__(self, text: TextFormat, codec: str) -> None:
        self._text = text
        self._compress = CODECS[codec]()
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


def find_codec(path: Path) -> str | None:
    suffix = path.suffix.lower()
    return suffix if suffix in CODECS else None


def text_path(path: Path) -> Path:
    """Return the path without the suffix of a codec."""
    return path if find_codec(path) is None else path.with_suffix("")


def _gzip() -> Compress:
    # Without a time, two exports of the same rows are identical.
    return lambda data: gzip.compress(data, mtime=0)


def _zstd() -> Compress:
    try:
        import pyarrow as pa  # noqa: PLC0415 (an extra)
    except ImportError:
        raise ConfigurationError('Zstandard needs pyarrow; run: pip install "aiwyn-async[arrow]"') from None
    codec: Any = pa.Codec("zstd")
    return lambda data: bytes(codec.compress(data, asbytes=True))


CODECS: Final[Mapping[str, Callable[[], Compress]]] = {".gz": _gzip, ".zst": _zstd}
