"""Tokens in the response of an exchange, and how long they are valid."""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Sequence
from typing import Annotated, Any, Final

import msgspec

from aiwyn_async._core.secret import Secret, bearer_secret
from aiwyn_async._http.error_bodies import find_reason
from aiwyn_async._http.messages import fields_of
from aiwyn_async._http.redaction import masked, printable
from aiwyn_async._http.retry_after import timestamp_of
from aiwyn_async._http.secret_forms import MASK
from aiwyn_async.errors import ConfigurationError

DOCUMENTED_LIFETIME: Final = 3600.0
CLOCK_SKEW: Final = 300.0
"""Seconds by which the clocks of the server and of this machine may differ before one is considered wrong."""
_LONG_WORD: Final = re.compile(r"[\w.~+=-]{32,}")
USUAL_TOKEN_KEYS: Final = ("token", "jwt", "accessToken", "access_token", "idToken", "id_token")


class TokenResponse(msgspec.Struct, frozen=True):
    """A parsed exchange: token or None, lifetime, and what there is instead."""

    token: Secret | None
    lifetime: float | None
    seen: str

    def __repr__(self) -> str:
        return f"<token {'present' if self.token else 'missing'}>"


def token_in(body: bytes, key: str | None, secrets: Sequence[Secret] = ()) -> TokenResponse:
    """Return the token of an exchange, under ``key`` or the usual keys, at the top or inside ``data``.

    A ``key`` with dots is a path, unless the document has a key of exactly that name. ``secrets`` are
    masked in the description of a response without a token.

    Does not raise: this frame holds the token as plain text, and a traceback would show it.
    """
    try:
        document: object = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return TokenResponse(None, None, "not JSON")
    top = fields_of(document)
    if not isinstance(document, dict):
        return TokenResponse(None, None, "not a JSON object")
    layers = [(top, name) for name in ((key,) if key else USUAL_TOKEN_KEYS)]
    data = fields_of(top.get("data"))
    layers += [(data, name) for _, name in layers]
    if key and "." in key:
        *path, last = key.split(".")
        below = top
        for each in path:
            below = fields_of(below.get(each))
        layers.append((below, last))
    for layer, name in layers:
        token = as_secret(layer.get(name))
        if token is not None:
            return TokenResponse(token, _lifetime_in(layer, data, top), "")
    keys = _words(", ".join(sorted(top)), secrets) or "none"
    reason = _words(find_reason(top), secrets)
    return TokenResponse(None, None, f"keys: {keys}" + (f"; the server says: {reason}" if reason else ""))


def _words(text: str, secrets: Sequence[Secret]) -> str:
    """Return text without long words, since one may be a token, under a key that nobody configured."""
    return printable(_LONG_WORD.sub(MASK, masked(text, secrets)))


def _lifetime_in(*layers: dict[str, Any]) -> float | None:
    """Return the lifetime that the response states, beside the token or further out."""
    for layer in layers:
        for name in ("expiresIn", "expires_in"):
            if name in layer:
                return _seconds(layer[name])
    return None


def _seconds(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        seconds = float(value)
    except (ValueError, OverflowError):
        return None
    return seconds if math.isfinite(seconds) else None


def as_secret(text: object) -> Secret | None:
    if isinstance(text, Secret):
        return text
    try:
        return bearer_secret(text) if isinstance(text, str) else None
    except ConfigurationError:
        return None


# Of larger numbers, a difference may be infinite.
_Timestamp = Annotated[float, msgspec.Meta(ge=-1e15, le=1e15)]


class _Claims(msgspec.Struct):
    exp: _Timestamp | None = None
    iat: _Timestamp | None = None


def lifetime_of(token: Secret, now: float, server_date: str | None, stated: float | None = None) -> float:
    """Return a token's lifetime in seconds since its request; 0 or less if expired.

    From its claims ``exp - iat``, and not past ``exp`` by the server's clock or this machine's ``now``. Each
    clock may be wrong, so a token has expired only if it has by both. A token that is not a JWT is assumed to
    last as long as the response ``stated``, or the documented hour. The token is not verified: the server
    does that, and responds with 401 to an expired token.
    """
    claims = _claims(token)
    if claims.exp is None:
        return stated if stated is not None else DOCUMENTED_LIFETIME
    server_now = timestamp_of(server_date or "")
    if claims.iat is None:
        return _left_without_issue_time(claims.exp, now, server_now, stated)
    lifetime = claims.exp - claims.iat
    if server_now is None or lifetime <= 0:
        return lifetime
    lefts = [claims.exp - server_now, claims.exp - now]
    plausible = [left for left in lefts if 0 < left <= lifetime]
    if plausible:
        return max(plausible)
    # By one clock at least, the token is not issued yet: that clock is wrong, and the other may be.
    return lifetime if max(lefts) > 0 else max(lefts)


def _left_without_issue_time(exp: float, now: float, server_now: float | None, stated: float | None) -> float:
    left = exp - now
    if server_now is None:
        return left
    left_by_server = exp - server_now
    if left_by_server > 0 and abs(left_by_server - left) <= CLOCK_SKEW:
        return left_by_server
    # The clocks disagree. The stated lifetime depends on neither.
    if stated is not None and stated > 0 and max(left, left_by_server) > 0:
        return stated
    return max(left, left_by_server)


def _claims(token: Secret) -> _Claims:
    _, _, rest = token.reveal().partition(".")
    payload = rest.partition(".")[0]
    try:
        text = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
        return msgspec.json.decode(text, type=_Claims)
    except (binascii.Error, ValueError, RecursionError):
        return _Claims()
