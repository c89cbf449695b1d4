"""The entry point of ``aiwyn``, which also handles errors during imports.

Signals during imports are handled too.
"""

from __future__ import annotations

import os
import sys
from typing import TextIO

from aiwyn_async._cli.termination import termination

__all__ = ["main"]

HELP_WIDTH = 80
"""The width of ``help.txt``."""


def main() -> None:
    """Run the command line; errors, also of imports, are one line on stderr."""
    sys.exit(_run())


def _run() -> int:
    termination.install()
    try:
        if sys.argv[1:] in ([], ["--help"], ["-h"]) and _can_show_stored_help():
            return _write_stored_help()
        from aiwyn_async._cli.app import run  # noqa: PLC0415 (an extra, which may be missing)

        return run(sys.argv[1:])
    except KeyboardInterrupt:
        _write_error("terminated" if termination.received else "interrupted")
        return 143 if termination.received else 130
    except Exception as error:  # noqa: BLE001 (users need no traceback)
        if _missing_package(error) in {"cyclopts", "rich"}:
            _write_error('the command line is an extra; run: pip install "aiwyn-async[cli]"')
            return 2
        text = f"unexpected {type(error).__name__}: {error}{_location(error)}"
        _write_error(f"error: {text}; this is a bug, please report it")
        return 1


def _can_show_stored_help() -> bool:
    """Return whether ``help.txt`` is what the application would print; it is there in a third of the time."""
    from importlib.util import find_spec  # noqa: PLC0415 (not needed by commands)
    from shutil import get_terminal_size  # noqa: PLC0415 (not needed by commands)

    return (
        sys.stdout is not None
        and sys.stdout.encoding.lower().replace("-", "") == "utf8"
        and get_terminal_size((HELP_WIDTH, 24)).columns >= HELP_WIDTH
        and find_spec("cyclopts") is not None
    )


def _write_stored_help() -> int:
    with open(os.path.join(os.path.dirname(__file__), "help.txt"), encoding="utf-8") as file:  # noqa: PTH118, PTH120, PTH123 (pathlib takes time to load)
        text = file.read()
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        _discard(sys.stdout)
        if isinstance(error, BrokenPipeError):
            return 141
        _write_error(f"error: cannot write to stdout: {error.strerror}")
        return 1
    return 0


def _missing_package(error: BaseException | None) -> str:
    """Return the package that an import did not find; "" for other errors."""
    while error is not None and not isinstance(error, ModuleNotFoundError):
        error = error.__cause__ if isinstance(error, ImportError) else None
    return "" if error is None else (error.name or "").partition(".")[0]


def _location(error: Exception) -> str:
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    return "" if last is None else f" ({os.path.basename(last.tb_frame.f_code.co_filename)}:{last.tb_lineno})"  # noqa: PTH119


def _write_error(text: str) -> None:
    if sys.stderr is not None:
        try:
            # Of a server, perhaps; write_message() may not be imported yet.
            sys.stderr.write("".join(letter if letter.isprintable() else "\ufffd" for letter in text) + "\n")
            sys.stderr.flush()
        except OSError:
            _discard(sys.stderr)


def _discard(stream: TextIO) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
