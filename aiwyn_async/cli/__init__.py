"""The command ``aiwyn``."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line; without the extra ``cli``, tell how to install it."""
    try:
        from aiwyn_async.cli.app import run  # noqa: PLC0415 (an extra, which may be missing)
    except ModuleNotFoundError as missing:
        if (missing.name or "").partition(".")[0] not in {"cyclopts", "rich"}:
            raise
        print('the command line is an extra; run: pip install "aiwyn-async[cli]"', file=sys.stderr)  # noqa: T201
        sys.exit(2)
    sys.exit(run(sys.argv[1:]))
