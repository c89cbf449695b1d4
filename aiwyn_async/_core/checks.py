"""Checks of arguments, which may have any type."""

from __future__ import annotations

import contextlib
import inspect
import operator
from collections.abc import AsyncIterable, Generator, Iterable, Mapping
from numbers import Integral
from typing import Any, Final

from aiwyn_async.errors import ConfigurationError
from aiwyn_async.models.base import Id

MAX_SHOWN: Final = 80
MAX_ID: Final = 10**100
"""Of integers as ids, keys and numbers of rows; str() of a much larger one takes long, or raises."""


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


def check_kind(name: str, value: object, kind: type[Any] | tuple[type[Any], ...], hint: str) -> None:
    """Refuse a value of another class.

    Raises:
        ConfigurationError: names the argument, and has the hint.
    """
    if not isinstance(value, kind):
        raise ConfigurationError(f"{name} must be {hint}, not {type(value).__name__}")


def as_whole(value: object) -> int | None:
    """Return an integer, such as numpy's, as an int; None for anything else, also a bool or an array.

    ``numpy.timedelta64`` is registered as an integer, but it is one of any unit.
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or not hasattr(value, "__index__"):
        return None
    number: Any = value
    return None if getattr(number, "shape", ()) else operator.index(number)


def check_positive(name: str, value: object, maximum: int = MAX_ID) -> int:
    """Return the value as an int.

    Raises:
        ConfigurationError: the value is not an integer from 1 to the maximum; names the argument.
    """
    if type(value) is int and 1 <= value <= maximum:
        return value
    number = as_whole(value) or 0
    if not 1 <= number <= maximum:
        bounds = f"between 1 and {maximum}"
        if maximum == MAX_ID:
            bounds = "of at least 1" if number < 1 else "of at most 100 digits"
        raise ConfigurationError(f"{name} must be an integer {bounds}, got {shown(value)}")
    return number


def check_several(
    name: str, value: object, what: str, fix: str, kinds: tuple[type[Any], ...] = (Iterable, AsyncIterable)
) -> None:
    """Refuse what has no items, and text and mappings, whose items are letters and keys.

    Raises:
        ConfigurationError: names the argument, and has the fix.
    """
    kind = type(value).__name__
    has_no_length: bool = getattr(value, "shape", None) == ()
    if not isinstance(value, kinds) or has_no_length or isinstance(value, (str, bytes, bytearray, Mapping)):
        raise ConfigurationError(f"{name} must be {what}, not {kind}; {fix}")


def as_id(name: str, value: object) -> Id:
    """Return an id as an int or a str; ``numpy.int64`` and the like become int.

    Raises:
        ConfigurationError: it is something else, such as a bool, NaN or an array.
    """
    if type(value) is int and -MAX_ID < value < MAX_ID:
        return value
    if isinstance(value, str):
        return str.__str__(value)
    number = as_whole(value)
    if number is None:
        raise ConfigurationError(f"{name} must be an int or a str, not {type(value).__name__}")
    if abs(number) >= MAX_ID:
        raise ConfigurationError(f"{name} has more than 100 digits")
    return number


def check_callback(name: str, function: object) -> None:
    """Refuse a callback that cannot be called, or that nothing would await.

    Raises:
        ConfigurationError: names the argument.
    """
    if function is not None and (not callable(function) or is_async(function)):
        kind = "an async function" if callable(function) else type(function).__name__
        raise ConfigurationError(f"{name} must be a function that is not async, not {kind}")


def is_async(function: object) -> bool:
    """Return True for an async function, and for an object with an async ``__call__``."""
    call = getattr(function, "__call__", None)  # noqa: B004 (that of an object may be async)
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call)


@contextlib.contextmanager
def needs_extra(what: str, extra: str) -> Generator[None]:
    """Raise a failed import as a ConfigurationError that says what needs the extra, and how to install it.

    The error of a module that is installed but broken is the cause, and part of the text.
    """
    fix = f'{what}; run: pip install "aiwyn-async[{extra}]"'
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "aiwyn_async":
            raise
        raise ConfigurationError(fix) from None
    except ImportError as error:
        raise ConfigurationError(f"{fix} (the import failed: {error})") from error


def check_state(state: object) -> None:
    """Refuse a state that could not store a bookmark once all rows are read.

    Raises:
        ConfigurationError: it has no ``get()`` or no ``put()``.
    """
    if state is not None and not all(callable(getattr(state, name, None)) for name in ("get", "put")):
        raise ConfigurationError(
            "state must be an object with get(key) and put(key, value), such as FileState(path), "
            f"not {type(state).__name__}"
        )
