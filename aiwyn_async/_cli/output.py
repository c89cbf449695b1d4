"""What commands write: data on stdout, messages on stderr."""

from __future__ import annotations

import json
import os
import sys
from typing import TextIO

from aiwyn_async.errors import StorageError

__all__ = ["discard_output", "replace_control_characters", "write_data", "write_message"]


def write_data(data: bytes) -> None:
    """Write a line to stdout.

    If its reader has exited, output is discarded and the command continues.

    On a terminal, characters that could control it are written as JSON escapes.

    Raises:
        StorageError: stdout is closed, or its disk is full.
    """
    if sys.stdout is None:
        raise StorageError("cannot write the result: stdout is closed")
    try:
        if sys.stdout.isatty():
            data = _escape_control_characters(data.decode("utf-8", "replace")).encode()
        sys.stdout.buffer.write(data + b"\n")
        sys.stdout.flush()
    except OSError as error:
        discard_output(sys.stdout)
        if not isinstance(error, BrokenPipeError):
            raise StorageError(f"cannot write the result to stdout: {error.strerror}") from error


def write_message(text: str) -> None:
    """Write a line to stderr.

    If that fails, messages are discarded and the command continues.
    """
    if sys.stderr is not None:
        try:
            sys.stderr.write(replace_control_characters(text) + "\n")
            sys.stderr.flush()
        except OSError:
            discard_output(sys.stderr)


def discard_output(stream: TextIO) -> None:
    """Redirect a stream to the null device, since a flush at exit would fail again."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, stream.fileno())
    os.close(null)


def replace_control_characters(text: str) -> str:
    """Replace the characters with which a server could control the terminal."""
    return "".join(letter if _is_harmless(letter) else "\ufffd" for letter in text)


def _escape_control_characters(text: str) -> str:
    """Escape them as JSON does, so that JSON keeps its value."""
    return "".join(letter if _is_harmless(letter) else json.dumps(letter)[1:-1] for letter in text)


def _is_harmless(letter: str) -> bool:
    return letter.isprintable() or letter in "\n\t"
