"""Whether this process was forked: a child finds its parent's sockets and requests among what it inherited.

A number is compared several times a request, which asking the kernel for the process's own would slow down.
"""

from __future__ import annotations

import os

__all__ = ["generation"]


def generation() -> int:
    """A number that changes where the process becomes its own child."""
    return _forks


_forks = 0


def _note_fork() -> None:
    global _forks  # noqa: PLW0603 (of the process there is one)
    _forks += 1


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_note_fork)
