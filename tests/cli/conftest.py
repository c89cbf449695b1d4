"""A sandbox, and the command line as a process that talks to it."""

from __future__ import annotations

from command_line import box, cli

__all__ = ["box", "cli"]
