"""kill -9, for processes that may end by themselves at the same moment."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal


def kill(process: asyncio.subprocess.Process) -> None:
    """End a process that this test has started.

    ``process.kill()`` looks first whether it has ended, and so may take its exit code from under asyncio,
    which then reports 255.
    """
    with contextlib.suppress(ProcessLookupError):
        os.kill(process.pid, signal.SIGKILL)
