"""What may be shown of a response: printable text without credentials."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, cast

from aiwyn_async._core.secret import Secret

MASK: Final = "***"
MAX_MASKED_DEPTH: Final = 50
"""A value nested deeper is replaced, since recursion would exhaust the stack."""
MAX_ERROR_BODY: Final = 64 * 1024


def excerpt(body: bytes, secrets: Iterable[Secret] = (), limit: int = 200) -> str:
    """Return the masked, printable start of a body, ``limit`` characters at most."""
    return printable(body[:MAX_ERROR_BODY].decode("utf-8", "replace"), secrets, limit)


def printable(text: str, secrets: Iterable[Secret] = (), limit: int = 200) -> str:
    """Remove control characters, lone surrogates and credentials from a text."""
    shown = masked(text, secrets)[:limit]
    return shown if shown.isprintable() else "".join(c if c.isprintable() else " " for c in shown)


def masked(value: Any, secrets: Iterable[Secret], depth: int = MAX_MASKED_DEPTH) -> Any:
    """Return JSON with credentials masked in keys and values."""
    match value:
        case str():
            for secret in secrets:
                value = value.replace(secret.reveal(), MASK)
            return value
        case list() | dict() if not depth:
            return "..."
        case list():
            return [masked(entry, secrets, depth - 1) for entry in cast("Iterable[Any]", value)]
        case dict():
            fields = cast("Mapping[str, Any]", value)
            return {masked(key, secrets): masked(entry, secrets, depth - 1) for key, entry in fields.items()}
        case _:
            return value
