"""``aiwyn upsert``: write records from a JSONL file."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from codecs import BOM_UTF8
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Annotated, BinaryIO, Final, Self

import msgspec
from cyclopts import Parameter

from aiwyn_async._cli.errors import ExitCode
from aiwyn_async._cli.options import FilePath, Flag, WholeNumber
from aiwyn_async._cli.output import write_data, write_error, write_message
from aiwyn_async._cli.progress import create_progress
from aiwyn_async._cli.waiting import waiting_messages
from aiwyn_async._decoding.values import DECODING_ERRORS, describe_error, unbounded_decimal
from aiwyn_async._http.messages import encode_json
from aiwyn_async._resources.records import RecordWrite, StrictRecord
from aiwyn_async.client import AiwynClient
from aiwyn_async.errors import AiwynError, ConfigurationError, IncompleteError
from aiwyn_async.models.records import Record, RecordOutcome

_decode_record: Final = msgspec.json.Decoder(StrictRecord, float_hook=unbounded_decimal).decode


async def upsert(
    *,
    file: Annotated[FilePath, Parameter(allow_leading_hyphen=True)],
    update: Flag = False,
    batch_size: WholeNumber = 100,
    json: Flag = False,
) -> int:
    """Write records from a JSONL file.

    Each line is a record with type, systemRef and attributes.

    Each record that was not written is reported on stderr, with its line. Exit code 5 means that there is
    one, or that a malformed line ended the command after the records before it were sent.

    Args:
        file: The records; - reads stdin.
        update: Update existing records only; create none.
        batch_size: Records per request, 1 to 100.
        json: Print the outcome of each record as a line of JSON on stdout.
    """
    async with waiting_messages() as messages, AiwynClient(observer=messages) as aiwyn:
        write = aiwyn.records.update if update else aiwyn.records.upsert
        with _RecordLines(file) as records, create_progress("records") as progress:
            writing = write(records, batch_size=batch_size)
            with _report_on_error(writing, records):
                async with contextlib.aclosing(aiter(writing)) as outcomes:
                    async for outcome in outcomes:
                        progress.count(writing.report.total)
                        if json:
                            write_data(encode_json(outcome))
                        if not outcome.ok:
                            records.report(outcome)
    write_message(str(writing.report))
    return ExitCode.OK if writing.report.ok else ExitCode.INCOMPLETE


@contextlib.contextmanager
def _report_on_error(writing: RecordWrite, records: _RecordLines) -> Generator[None]:
    """Report what was written before an error or Ctrl-C.

    Raises:
        IncompleteError: a record is malformed, and others were written before it.
    """
    try:
        yield
    except (AiwynError, asyncio.CancelledError, KeyboardInterrupt) as error:
        if not writing.report.total:
            raise
        for outcome in writing.report.problems[records.reported :]:
            records.report(outcome)
        write_error(str(writing.report))
        if isinstance(error, ConfigurationError):
            raise IncompleteError(
                f"{error}; the records before it were sent, those after it were not"
            ) from error
        raise


class _RecordLines:
    """The records of a file, or of stdin for ``-``; empty lines are ignored.

    Attributes:
        reported: how many records were reported.

    Raises:
        ConfigurationError: the file cannot be read, or a line is not a valid record.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lines: list[int] = []
        self._file: BinaryIO | None = None
        self.reported = 0

    def __enter__(self) -> Self:
        if str(self._path) == "-":
            if sys.stdin is None:
                raise ConfigurationError("stdin is closed; pipe the records to stdin, or pass their file")
            self._file = sys.stdin.buffer
            return self
        try:
            self._file = self._path.open("rb")
        except OSError as error:
            raise ConfigurationError(f"cannot read {self._path}: {error.strerror}") from None
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None and str(self._path) != "-":
            self._file.close()

    def __iter__(self) -> Iterator[Record]:
        for number, line in enumerate(self._file or (), start=1):
            line = line.removeprefix(BOM_UTF8) if number == 1 else line  # noqa: PLW2901
            if line.strip():
                try:
                    record = _decode_record(line)
                except DECODING_ERRORS as error:
                    raise ConfigurationError(
                        f"{self._path}, line {number} is not a valid record: {describe_error(error)}"
                    ) from None
                self._lines.append(number)
                yield record

    def report(self, outcome: RecordOutcome) -> None:
        """Report a record that was not written, with its line."""
        self.reported += 1
        reason = " ".join(filter(None, [outcome.code, outcome.message]))
        write_error(f"line {self._lines[outcome.index]} {outcome.status}: {reason}")
