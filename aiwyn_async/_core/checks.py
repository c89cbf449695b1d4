"""Checks of arguments, which may have any type."""

from __future__ import annotations

from typing import Any, Final

from aiwyn_async.errors import ConfigurationError

MAX_SHOWN: Final = 80
MAX_ID: Final = 10**100
"""Of integers as ids and keys; str() of a much larger one takes long, or raises."""


def shown(value: object) -> str:
    """Return the start of a value's repr as one line, or its type if it has none."""
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 (an int of thousands of digits, or a class of the caller)
        return f"a value of type {type(value).__name__}"
    text = " ".join(text.split())
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."


def check_flag(name: str, value: object) -> bool:
    """Return a flag: True, False, numpy's, or 0 or 1.

    Raises:
        ConfigurationError: it is something else, such as text or an array; names the argument.
    """
    if isinstance(value, bool):
        return value
    kind: Any = type(value)
    is_scalar = kind is int or (kind.__module__ == "numpy" and kind.__name__ in {"bool", "bool_"})
    if not is_scalar or value not in (0, 1):
        raise ConfigurationError(f"{name} must be True or False, not {kind.__name__}")
    return bool(value)


def check_word(name: str, value: object, words: tuple[str, ...]) -> None:
    """Refuse what is not one of the words.

    Raises:
        ConfigurationError: names the argument.
    """
    if not isinstance(value, str) or value not in words:
        choice = " or ".join(f'"{word}"' for word in words)
        raise ConfigurationError(f"{name} must be {choice}, got {shown(value)}")


def check_kind(name: str, value: object, kind: type[Any], hint: str) -> None:
    """Refuse a value of another class.

    Raises:
        ConfigurationError: names the argument, and has the hint.
    """
    if not isinstance(value, kind):
        raise ConfigurationError(f"{name} must be {hint}, not {type(value).__name__}")
