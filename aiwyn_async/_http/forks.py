"""Detects forks: a child inherits the sockets and requests of its parent.

``generation`` is compared several times per request, which is faster than os.getpid().
"""

from __future__ import annotations

import os

generation: int = 0
"""Incremented in every forked child."""


def _note_fork() -> None:
    global generation  # noqa: PLW0603 (one per process)
    generation += 1


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_note_fork)
