"""Helpers for tests of ``F`` and ``to_where``."""

from __future__ import annotations

from enum import Enum
from typing import Any

import msgspec

from aiwyn_async.filters import JSON, Condition

ENCODER = msgspec.json.Encoder(decimal_format="number")


class Status(Enum):
    POSTED = "POSTED"
    CLOSED = "CLOSED"


def operand(condition: Condition) -> JSON:
    """Return the one value of a condition on one column."""
    (comparison,) = condition.to_dict().values()
    assert isinstance(comparison, dict)
    (value,) = comparison.values()
    return value


def untyped(value: object) -> Any:
    """Return a value that a type checker would reject."""
    return value
