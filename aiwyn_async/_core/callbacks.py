"""Checks of functions and objects that a caller passes to be called later."""

from __future__ import annotations

import inspect

from aiwyn_async.errors import ConfigurationError


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
