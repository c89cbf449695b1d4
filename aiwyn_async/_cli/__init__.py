"""The command ``aiwyn``."""

from __future__ import annotations

import os
import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line. Whatever goes wrong, also while it is loaded, is one line on stderr."""
    sys.exit(_run())


def _run() -> int:
    from aiwyn_async._cli.signals import termination  # noqa: PLC0415 (nothing of it is loaded before it is handled)

    termination.install()
    try:
        from aiwyn_async._cli.app import run  # noqa: PLC0415 (an extra, which may be missing)

        return run(sys.argv[1:])
    except KeyboardInterrupt:
        _say("terminated" if termination.received else "interrupted")
        return 143 if termination.received else 130
    except Exception as error:  # noqa: BLE001 (a user has no use for a traceback)
        if isinstance(error, ModuleNotFoundError) and _top(error) in {"cyclopts", "rich"}:
            _say('the command line is an extra; run: pip install "aiwyn-async[cli]"')
            return 2
        what = f"unexpected {type(error).__name__}: {error}{_place(error)}"
        _say(f"error: {what}; this is a bug, please report it")
        return 1


def _top(missing: ModuleNotFoundError) -> str:
    return (missing.name or "").partition(".")[0]


def _place(error: Exception) -> str:
    """Where it was raised, for a report."""
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    return "" if last is None else f" ({os.path.basename(last.tb_frame.f_code.co_filename)}:{last.tb_lineno})"  # noqa: PTH119


def _say(text: str) -> None:
    if sys.stderr is not None:
        try:
            sys.stderr.write(f"{text}\n")
            sys.stderr.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
