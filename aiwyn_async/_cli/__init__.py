"""The entry point of ``aiwyn``, which also handles errors during imports.

Signals during imports are handled too.
"""

from __future__ import annotations

import os
import sys

from aiwyn_async._cli.termination import termination

__all__ = ["main"]


def main() -> None:
    """Run the command line; errors, also of imports, are one line on stderr."""
    sys.exit(_run())


def _run() -> int:
    termination.install()
    try:
        from aiwyn_async._cli.app import run  # noqa: PLC0415 (an extra, which may be missing)

        return run(sys.argv[1:])
    except KeyboardInterrupt:
        _write_error("terminated" if termination.received else "interrupted")
        return 143 if termination.received else 130
    except Exception as error:  # noqa: BLE001 (users need no traceback)
        if isinstance(error, ModuleNotFoundError) and _missing_package(error) in {"cyclopts", "rich"}:
            _write_error('the command line is an extra; run: pip install "aiwyn-async[cli]"')
            return 2
        text = f"unexpected {type(error).__name__}: {error}{_location(error)}"
        _write_error(f"error: {text}; this is a bug, please report it")
        return 1


def _missing_package(error: ModuleNotFoundError) -> str:
    return (error.name or "").partition(".")[0]


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
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
