"""``kill -9`` for processes that may exit at the same moment."""

from __future__ import annotations

import contextlib
import os
import signal

from command_line import Process


def kill(process: Process) -> None:
    """Kill a process that this test has started.

    ``process.kill()`` polls the process first and may reap it before asyncio does, which then reports 255.
    """
    with contextlib.suppress(ProcessLookupError):
        os.kill(process.pid, signal.SIGKILL)
