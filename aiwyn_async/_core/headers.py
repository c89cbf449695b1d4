"""Headers that the user adds to every request."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, cast
from urllib.parse import unquote, urlsplit

from aiwyn_async._core.checks import shown
from aiwyn_async._core.secret import Secret
from aiwyn_async.errors import ConfigurationError

# RFC 9110: a header name is a token.
_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# Set by this package: they describe the connection, the body or the credential.
_OWN_HEADERS: Final = {
    *("authorization", "content-encoding", "content-length", "content-type", "expect", "host"),
    *("connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"),
    *("proxy-authenticate", "proxy-authorization", "proxy-connection"),
}
SECRET_NAME: Final = re.compile(
    r"auth|bearer|cookie|credential|jwt|key|passw|passphrase|pwd|secret|session|signature|token",
    re.IGNORECASE,
)
_SEPARATORS: Final = re.compile(r"[\s,;\"']+")
_LABEL_ENDS: Final = re.compile(r":|=(?!=*$)")
MIN_SECRET_LENGTH: Final = 6
"""Characters; shorter words are not masked, since they occur in ordinary text."""


class Headers(dict[str, str]):
    """Headers to send with every request; the repr shows only their names.

    Raises:
        ConfigurationError: a name or value cannot be sent, or this package sets the header itself.
    """

    def __init__(self, headers: Mapping[str, str] | None = None) -> None:
        super().__init__()
        if headers is not None and not isinstance(headers, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError("headers must be a mapping of names to values")
        for name, value in (headers or {}).items():
            self[_checked_header_name(name)] = _checked_header_value(name, value)
        if len({name.lower() for name in self}) < len(self):
            raise ConfigurationError("headers has the same name twice, in upper and lower case")

    def __repr__(self) -> str:
        return f"Headers({dict.fromkeys(self, '***')})"

    def updated(self, headers: Mapping[str, str]) -> Headers:
        """Return the union; ``headers`` wins if both have a name, ignoring case."""
        theirs = Headers(headers)
        replaced = {name.lower() for name in theirs}
        return Headers({name: value for name, value in self.items() if name.lower() not in replaced} | theirs)


def has_secret_name(headers: object) -> bool:
    """Return whether the name of a header suggests a credential."""
    return isinstance(headers, Mapping) and any(map(SECRET_NAME.search, cast("Mapping[str, Any]", headers)))


def secrets_in(headers: Mapping[str, str]) -> list[Secret]:
    """Return the words in the values of headers whose names suggest credentials.

    Of a word such as ``session=abc123`` or ``user:password``, also its end.
    """
    words = [
        part
        for name, value in headers.items()
        if SECRET_NAME.search(name)
        for word in _SEPARATORS.split(value)
        for part in (word, *(word[end.end() :] for end in _LABEL_ENDS.finditer(word)))
    ]
    return [Secret(word) for word in words if len(word) >= MIN_SECRET_LENGTH]


def secrets_in_url(url: str | None) -> list[Secret]:
    """Return the password of a URL, or the user without one, as written and decoded."""
    parts = None if url is None else urlsplit(url)
    text = "" if parts is None else parts.password or parts.username or ""
    words = [word for each in dict.fromkeys((text, unquote(text))) for word in each.split() if word.isascii()]
    return [Secret(word) for word in words if word.isprintable() and len(word) >= MIN_SECRET_LENGTH]


def _checked_header_name(name: object) -> str:
    if not isinstance(name, str) or not _HEADER_NAME.fullmatch(name):
        raise ConfigurationError(f"headers: {shown(name)} is not a valid header name")
    if name.lower() in _OWN_HEADERS:
        raise ConfigurationError(
            f"headers must not contain {name}: the client sets it itself"
            + ("; pass token= or api_key=" if name.lower() == "authorization" else "")
        )
    return name


def _checked_header_value(name: str, value: object) -> str:
    # The value may be a credential, so it is not quoted.
    if not isinstance(value, str):
        raise ConfigurationError(f"headers: the value of {name} must be str, not {type(value).__name__}")
    if not (value.isascii() and value.isprintable()):
        raise ConfigurationError(f"headers: the value of {name} must be printable ASCII in one line")
    return value.strip()
