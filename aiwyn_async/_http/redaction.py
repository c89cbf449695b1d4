"""What may be shown of a response: printable text without credentials."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Final, cast

from aiwyn_async._core.headers import MIN_SECRET_LENGTH
from aiwyn_async._core.secret import Secret
from aiwyn_async._http.secret_forms import MASK, mask_forms, patterns_of

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


def masked(value: Any, secrets: Iterable[Secret]) -> Any:
    """Return JSON with credentials masked in keys and values, in whatever form the server repeats them."""
    return _Masking(secrets).value(value, MAX_MASKED_DEPTH)


def masked_words(text: str, secrets: Iterable[Secret]) -> str:
    """Return text of this package with credentials masked; very short ones would garble it."""
    return _Masking(secret for secret in secrets if len(secret.reveal()) >= MIN_SECRET_LENGTH).text(text)


class _Masking:
    def __init__(self, secrets: Iterable[Secret]) -> None:
        # The longest first: one may contain another.
        self._secrets = sorted(secrets, key=lambda secret: len(secret.reveal()), reverse=True)
        self._patterns = [pattern for secret in self._secrets for pattern in patterns_of(secret)]

    def value(self, value: Any, depth: int) -> Any:
        match value:
            case str():
                return self.text(value)
            case int() | float() | Decimal() if self._is_secret(value):
                return MASK
            case list() | dict() if not depth:
                return "..."
            case list():
                return [self.value(entry, depth - 1) for entry in cast("Iterable[Any]", value)]
            case dict():
                fields = cast("Mapping[str, Any]", value)
                return {self.text(key): self.value(entry, depth - 1) for key, entry in fields.items()}
            case _:
                return value

    def _is_secret(self, number: float | Decimal) -> bool:
        texts = (secret.reveal() for secret in self._secrets if len(secret.reveal()) >= MIN_SECRET_LENGTH)
        return not isinstance(number, bool) and any(
            text.isdecimal() and text[0] != "0" and number == Decimal(text) for text in texts
        )

    def text(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret.reveal(), MASK)
        return mask_forms(text, self._patterns)
