"""The entry point of ``aiwyn``, which also handles errors during imports.

Signals during imports are handled too.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence
from typing import TextIO

from aiwyn_async._cli.termination import termination

HELP_WIDTH = 80
"""The width of the stored help pages."""
SECONDS_FOR_THREADS = 5


def main() -> None:
    """Run the command line; errors, also of imports, are one line on stderr."""
    code = _run()
    # An exception of one more signal would change the exit code, or be ignored with a traceback.
    termination.install()
    if code == termination.ending[1]:
        _end_threads(code)
    sys.exit(code)


def _run() -> int:
    termination.install()
    try:
        if (text := _stored_text(sys.argv[1:])) is not None:
            return _write(text)
        from aiwyn_async._cli.app import run  # noqa: PLC0415 (an extra, which may be missing)

        return run(sys.argv[1:])
    except KeyboardInterrupt:
        word, code = termination.ending
        _write_error(word)
        return code
    except Exception as error:  # noqa: BLE001 (users need no traceback)
        if _missing_package(error) in {"cyclopts", "rich"}:
            _write_error('the command line is an extra; run: pip install "aiwyn-async[cli]"')
            return 2
        text = f"unexpected {type(error).__name__}: {error}{_location(error)}"
        _write_error(f"error: {text}; this is a bug, please report it")
        return 1


def _end_threads(code: int) -> None:
    """Wait for threads, such as one that writes to a database; exit without those that do not end.

    A second signal, as ``timeout`` sends it, can interrupt the start of a thread that nobody stops then, and
    for which the interpreter would wait.
    """
    import threading  # noqa: PLC0415 (not needed by other ends)
    import time  # noqa: PLC0415

    others = [
        each for each in threading.enumerate() if each is not threading.main_thread() and not each.daemon
    ]
    end = time.monotonic() + SECONDS_FOR_THREADS
    for each in others:
        with contextlib.suppress(RuntimeError):  # a signal interrupted its start
            each.join(max(0, end - time.monotonic()))
    must_exit = not set(others).isdisjoint(threading.enumerate())
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, AttributeError):  # full, or closed: the interpreter would exit with 120
            must_exit = True
    if must_exit:
        os._exit(code)


def stored_page(words: Sequence[str]) -> str:
    """Return the path of the stored help page of a command, or of the application without words."""
    return os.path.join(os.path.dirname(__file__), "help", f"{'-'.join(['aiwyn', *words])}.txt")  # noqa: PTH118, PTH120 (pathlib takes time to load)


def _stored_text(arguments: list[str]) -> str | None:
    """Return what the application would print if it is stored: reading it takes a tenth of the time."""
    *words, last = arguments or ["--help"]
    is_page = last in {"--help", "-h"} and all(word.isalpha() and word.islower() for word in words)
    if not (is_page or arguments == ["--version"]) or sys.stdout is None:
        return None
    from importlib.util import find_spec  # noqa: PLC0415 (not needed by commands)

    if find_spec("cyclopts") is None:
        return None
    if not is_page:
        from aiwyn_async._version import __version__  # noqa: PLC0415 (not needed by commands)

        return f"{__version__}\n"
    from shutil import get_terminal_size  # noqa: PLC0415 (not needed by commands)

    is_utf8 = sys.stdout.encoding.lower().replace("-", "") == "utf8"
    if not is_utf8 or get_terminal_size((HELP_WIDTH, 24)).columns < HELP_WIDTH:
        return None
    try:
        with open(stored_page(words), encoding="utf-8") as file:  # noqa: PTH123 (pathlib takes time to load)
            return file.read()
    except FileNotFoundError:
        return None


def _write(text: str) -> int:
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        discard_output(sys.stdout)
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
            discard_output(sys.stderr)


def discard_output(stream: TextIO) -> None:
    """Redirect a stream to the null device, since a flush at exit would fail again."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, stream.fileno())
    os.close(null)
