"""Detects forks: a child inherits the sockets and requests of its parent.

The counter is compared several times per request, which is faster than os.getpid().
"""

from __future__ import annotations

import os

__all__ = ["generation"]


def generation() -> int:
    """Return a number that is incremented in every forked child."""
    return _forks


_forks = 0


def _note_fork() -> None:
    global _forks  # noqa: PLW0603 (one per process)
    _forks += 1


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_note_fork)
