"""What decoding raises if bytes are not what they should be, and how an error quotes it."""

from __future__ import annotations

from typing import Final

import msgspec

from aiwyn_async._decoding.values import RefusedValueError

__all__ = ["UNREADABLE", "InexactError", "error_text", "explain"]


class InexactError(Exception):
    """A page decodes, but not as the contract of values says; it never leaves this package."""


UNREADABLE: Final = (
    msgspec.MsgspecError,
    UnicodeDecodeError,
    RecursionError,
    ArithmeticError,
    RefusedValueError,
    InexactError,
)
"""Everything that decoding hostile bytes raises: invalid UTF-8, deep nesting and huge numbers are not a
``MsgspecError``."""


def error_text(fault: Exception) -> str:
    """What an error of decoding says. A ``UnicodeDecodeError`` quotes bytes, so it is named only."""
    if isinstance(fault, (msgspec.MsgspecError, RefusedValueError)):
        return str(fault)
    return _NAMED.get(type(fault), type(fault).__name__)


_NAMED: Final[dict[type[Exception], str]] = {
    UnicodeDecodeError: "text that is not UTF-8",
    RecursionError: "values nested too deeply",
}


def explain(fault: Exception) -> tuple[str, str]:
    """The reason of a refusal, and the path from the row to the value, empty for the row itself."""
    if isinstance(fault, RefusedValueError):
        return fault.reason, fault.path
    reason, _, path = error_text(fault).partition(" - at `$")
    return reason, path.rstrip("`").removeprefix(".")
