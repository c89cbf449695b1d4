"""What commands write: data on stdout, messages on stderr."""

from __future__ import annotations

import json
import logging
import sys
import time

from aiwyn_async._cli import discard_output
from aiwyn_async._cli.termination import termination
from aiwyn_async.errors import StorageError

_quiet = False
_last_output = 0.0


def set_verbosity(*, quiet: bool, verbose: bool) -> None:
    """Drop the messages that are not errors, or log requests to stderr."""
    global _quiet  # noqa: PLW0603 (of a process that runs one command)
    _quiet = quiet
    if verbose:
        logger = logging.getLogger("aiwyn_async")
        logger.addHandler(_MessageHandler())
        logger.setLevel(logging.DEBUG)


def is_quiet() -> bool:
    """Return whether only errors are written to stderr."""
    return _quiet


def last_output() -> float:
    """Return when the command wrote something, by ``time.monotonic()``."""
    return _last_output


def note_output() -> None:
    """Record that the command writes something now."""
    global _last_output  # noqa: PLW0603 (of a process that runs one command)
    _last_output = time.monotonic()


class _MessageHandler(logging.Handler):
    """Writes records of the library as messages."""

    def emit(self, record: logging.LogRecord) -> None:
        write_error(f"{record.levelname.lower()}: {record.getMessage()}")


def write_data(data: bytes) -> None:
    """Write a line to stdout.

    If its reader has exited, output is discarded and the command continues.

    On a terminal, characters that could control it are written as JSON escapes.

    Raises:
        StorageError: stdout is closed, or its disk is full.
    """
    stdout = sys.stdout
    if stdout is not None and stdout.isatty():
        data = escape_control_characters(data.decode("utf-8", "replace")).encode()
    try:
        write_rows(data + b"\n")
    except BrokenPipeError:
        assert stdout is not None  # it has written  # noqa: S101
        discard_output(stdout)


def write_json(value: object) -> None:
    """Write a result as a line of JSON to stdout.

    A path that is not UTF-8 has escapes, as ``json`` of Python writes and reads them.
    """
    from aiwyn_async._http.messages import encode_json  # noqa: PLC0415 (loads the HTTP stack)

    try:
        data = encode_json(value)
    except UnicodeEncodeError:
        data = json.dumps(value, separators=(",", ":")).encode()
    write_data(data)


def write_rows(data: bytes) -> None:
    """Write bytes to stdout as they are.

    Raises:
        BrokenPipeError: its reader has exited.
        StorageError: stdout is closed, or its disk is full.
        KeyboardInterrupt: a signal ended the command; what is not written is discarded.
    """
    if sys.stdout is None:
        raise StorageError("cannot write the result: stdout is closed")
    note_output()
    try:
        with termination.interrupts():
            rest = memoryview(data)
            while rest:  # with PYTHONUNBUFFERED, a write to a pipe may end early
                rest = rest[sys.stdout.buffer.write(rest) :]
            sys.stdout.flush()
    except BrokenPipeError:
        raise
    except KeyboardInterrupt:
        discard_output(sys.stdout)  # a flush at exit would wait for the reader too
        raise
    except OSError as error:
        discard_output(sys.stdout)
        raise StorageError(f"cannot write the result to stdout: {error.strerror}") from error


def write_message(text: str) -> None:
    """Write a line to stderr, as ``write_error()`` does, unless the command is quiet."""
    if not _quiet:
        write_error(text)


def write_error(text: str) -> None:
    """Write a line to stderr, even if the command is quiet.

    If that fails, messages are discarded and the command continues.
    """
    note_output()
    if sys.stderr is not None:
        try:
            sys.stderr.write(replace_control_characters(text) + "\n")
            sys.stderr.flush()
        except OSError:
            discard_output(sys.stderr)


def replace_control_characters(text: str) -> str:
    """Replace the characters with which a server could control the terminal."""
    return "".join(letter if letter.isprintable() or letter in "\n\t" else "\ufffd" for letter in text)


def escape_control_characters(text: str, *, harmless: str = "\n\t") -> str:
    """Escape them as JSON does, so that JSON keeps its value."""
    return "".join(
        letter if letter.isprintable() or letter in harmless else json.dumps(letter)[1:-1] for letter in text
    )
