"""What a command writes: data on stdout, everything else on stderr."""

from __future__ import annotations

import os
import sys
from typing import TextIO

from aiwyn_async.errors import StorageError

__all__ = ["data", "drop", "printable", "say"]


def data(text: bytes) -> None:
    """A line on stdout, as it is. When its reader has gone, the rest is dropped and the work goes on.

    Raises:
        StorageError: stdout is closed, or what it leads to is full.
    """
    if sys.stdout is None:
        raise StorageError("cannot write the result: stdout is closed")
    try:
        sys.stdout.buffer.write(text + b"\n")
        sys.stdout.flush()
    except OSError as fault:
        drop(sys.stdout)
        if not isinstance(fault, BrokenPipeError):
            raise StorageError(f"cannot write the result to stdout: {fault.strerror}") from fault


def drop(stream: TextIO) -> None:
    """Have what a stream still holds, and all that follows, go nowhere: Python would fail again at exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def say(text: str) -> None:
    """A line on stderr, without what would steer a terminal; when it cannot be written, the work goes on."""
    if sys.stderr is not None:
        try:
            sys.stderr.write(printable(text) + "\n")
            sys.stderr.flush()
        except OSError:
            drop(sys.stderr)


def printable(text: str) -> str:
    """Text without the control characters by which a server could steer a terminal."""
    return "".join(letter if letter.isprintable() or letter in "\n\t" else "\ufffd" for letter in text)
