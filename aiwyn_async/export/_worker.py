"""A process that writes parts of an export until there are no more, and what is said to it.

Who begins it: ``part_writers.InProcesses``.
"""

from __future__ import annotations

import functools
import importlib
import sys
from pathlib import Path
from typing import Any, BinaryIO, Final

import msgspec

from aiwyn_async._decoding.pages import BadRow, OnBadRow
from aiwyn_async.arrow._options import ColumnOptions
from aiwyn_async.arrow._rows import PageRows, RowCounts
from aiwyn_async.errors import AiwynError, DecodeError
from aiwyn_async.export._partial import Part, PartLocation, write_part
from aiwyn_async.export._writers import Writer, writer_for
from aiwyn_async.tuning import prime_allocator

__all__ = ["LENGTH", "Format", "Refused", "Work", "Written", "found_type", "main"]

LENGTH: Final = 8
"""Bytes before each message, which tell its length."""


class Format(msgspec.Struct, frozen=True):
    """The first message to a process: what it is to write."""

    target: str
    module: str
    row_type: str
    table: str
    on_bad_row: OnBadRow
    options: ColumnOptions


class Work(msgspec.Struct, frozen=True):
    """A part to write: its place, and of each page the number and the rows as a JSON array."""

    path: str
    start: int
    pages: list[tuple[int, bytes]]


class Written(msgspec.Struct, frozen=True, tag=True):
    """A part that was written, and what was noticed of its rows."""

    part: Part
    noticed: RowCounts
    bad_rows: list[BadRow]


class Refused(msgspec.Struct, frozen=True, tag=True):
    """Why one was not. ``location`` is that of a ``DecodeError``, and None for an ``ExportError``."""

    message: str
    location: str | None = None


_rows: Final = msgspec.json.Decoder(list[msgspec.Raw])


def main() -> None:
    """Read messages from stdin, and answer each part on stdout. The end of stdin ends it."""
    prime_allocator()
    inbox, outbox = sys.stdin.buffer, sys.stdout.buffer
    wanted = msgspec.msgpack.decode(_message(inbox), type=Format)
    writer = writer_for(
        Path(wanted.target), found_type(wanted.module, wanted.row_type), wanted.table, wanted.options
    )
    while message := _message(inbox):
        work = msgspec.msgpack.decode(message, type=Work)
        del message
        answer = msgspec.msgpack.encode(_done(work, writer, wanted.on_bad_row))
        outbox.write(len(answer).to_bytes(LENGTH) + answer)
        outbox.flush()


def found_type(module: str, name: str) -> Any:
    """A type by where it was defined.

    Raises:
        ImportError, AttributeError: it is not there.
    """
    return functools.reduce(getattr, name.split("."), importlib.import_module(module))


def _message(inbox: BinaryIO) -> bytes:
    """The next message; empty when there is none any more, or not the whole of it."""
    length = int.from_bytes(inbox.read(LENGTH))
    content = inbox.read(length)
    return content if len(content) == length else b""


def _done(work: Work, writer: Writer, on_bad_row: OnBadRow) -> Written | Refused:
    rows = PageRows.of_json([(number, _rows.decode(page)) for number, page in work.pages], on_bad_row)
    try:
        part = write_part(
            PartLocation(Path(work.path), work.start), lambda file: writer.write_part(file, rows)
        )
    except DecodeError as refusal:
        return Refused(str(refusal), refusal.location)
    except AiwynError as refusal:
        return Refused(str(refusal))
    return Written(part, rows.counts, rows.bad_rows)
