"""Credentials that nothing shows."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import Any, ParamSpec, Self, TypeVar

from aiwyn_async.errors import ConfigurationError

P = ParamSpec("P")
R = TypeVar("R")


class Secret:
    """A credential hidden from reprs, logs, pickles and tracebacks.

    ``reveal()`` returns its text.
    """

    __slots__ = ("__weakref__", "_text")

    def __init__(self, text: str) -> None:
        if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            kind = type(text).__name__
            del text
            raise ConfigurationError(f"the API key or token must be a str, not {kind}")
        self._text = text.strip()
        del text  # a traceback of the error shows the locals of this frame
        # aiohttp refuses these only after connecting, and quotes them.
        if not (self._text and self._text.isascii() and self._text.isprintable()) or " " in self._text:
            raise ConfigurationError(
                "the API key or token is empty or contains spaces, control or non-ASCII characters; "
                "check that it was copied completely"
            )

    def reveal(self) -> str:
        """Return the credential, for the header that it is sent in."""
        return self._text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __repr__(self) -> str:
        return "Secret('***')"

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, _memo: object) -> Self:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError("a Secret cannot be pickled; load the credential again in the other process")


TokenProvider = Callable[[], str | Secret | Awaitable[str | Secret]]
"""A function, sync or async, that returns a valid bearer token."""


def bearer_secret(text: str) -> Secret:
    """Return a bearer token as a ``Secret``, without a leading "Bearer".

    Raises:
        ConfigurationError: the token is empty, or cannot be sent.
    """
    scheme, _, rest = text.strip().partition(" ")
    return Secret(rest if scheme.lower() == "bearer" and rest.strip() else text)


def without_locals(function: Callable[P, R]) -> Callable[P, R]:
    """Drop the frames of an error, since a traceback can show their locals."""

    @functools.wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 (raised again)
            raised = error
        del args, kwargs
        raised.__context__ = None
        raise raised.with_traceback(None)

    return checked
