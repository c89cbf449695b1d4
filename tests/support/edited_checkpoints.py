"""Checkpoints that were edited by somebody who also computed the check value."""

from __future__ import annotations

from typing import Any

from aiwyn_async import Checkpoint

__all__ = ["edited"]


def edited(checkpoint: Checkpoint, **position: Any) -> Checkpoint:
    """Return a valid checkpoint with these changes of its position."""
    return Checkpoint(
        endpoint=checkpoint.endpoint, query=checkpoint.query, position=checkpoint.position | position
    )
