"""What may be shown of a response: printable text without credentials."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, cast

from aiwyn_async._core.headers import MIN_SECRET_LENGTH
from aiwyn_async._core.secret import Secret
from aiwyn_async._http.secret_forms import MASK, mask_forms

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
    """Return JSON with credentials masked in keys and values, in whatever form the server repeats them."""
    return _masked(value, tuple(secrets), depth)


def masked_words(text: str, secrets: Iterable[Secret]) -> str:
    """Return text of this package with credentials masked; very short ones would garble it."""
    return _masked_text(text, [secret for secret in secrets if len(secret.reveal()) >= MIN_SECRET_LENGTH])


def _masked(value: Any, secrets: Sequence[Secret], depth: int) -> Any:
    match value:
        case str():
            return _masked_text(value, secrets)
        case int() | float() | Decimal() if any(_is_number(value, secret) for secret in secrets):
            return MASK
        case list() | dict() if not depth:
            return "..."
        case list():
            return [_masked(entry, secrets, depth - 1) for entry in cast("Iterable[Any]", value)]
        case dict():
            fields = cast("Mapping[str, Any]", value)
            return {
                _masked_text(key, secrets): _masked(entry, secrets, depth - 1)
                for key, entry in fields.items()
            }
        case _:
            return value


def _is_number(value: float | Decimal, secret: Secret) -> bool:
    text = secret.reveal()
    return len(text) >= MIN_SECRET_LENGTH and text.isdecimal() and value == Decimal(text)


def _masked_text(text: str, secrets: Sequence[Secret]) -> str:
    for secret in secrets:
        text = text.replace(secret.reveal(), MASK)
    return mask_forms(text, secrets)
