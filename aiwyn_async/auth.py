"""Bearer tokens: a ready JWT, or an API key that is exchanged for one and renewed in time.

Source: https://api.doc.aiwyn.ai/bundle (the BearerAuth text). It names the path ``/v1/auth/token``, the
credential ``jwtApiKey`` and the lifetime of one hour. The method (POST), the place of the key (a JSON body)
and the keys of the answer are inferred, and can be configured.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import copy
import logging
import math
import random
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec

from aiwyn_async.config import Config, Secret
from aiwyn_async.errors import (
    AiwynError,
    AuthenticationError,
    ClientClosedError,
    ConfigurationError,
    InvalidRequestError,
    PermissionDeniedError,
    RequestError,
    TokenExchangeError,
)
from aiwyn_async.session.protocol import Request, Response, fields_of, printable, timestamp_of

__all__ = ["ApiKeyExchange", "ReadyToken", "lifetime_of"]

logger: Final = logging.getLogger("aiwyn_async.auth")

DOCUMENTED_LIFETIME: Final = 3600.0
PROACTIVE_LEFT: Final = 300.0
MANDATORY_LEFT: Final = 60.0
PAUSE_AFTER_FAILED_RENEWAL: Final = 5.0
USUAL_TOKEN_KEYS: Final = ("token", "jwt", "accessToken", "access_token", "idToken", "id_token")


class ReadyToken:
    """A token that the caller brought. There is nothing to renew it with."""

    def __init__(self, token: Secret) -> None:
        self._token = token

    @property
    def held(self) -> Secret | None:
        """The token."""
        return self._token

    async def bearer(self) -> Secret:
        """The token."""
        return self._token

    async def renewed(self, refused: Secret) -> Secret | None:  # noqa: ARG002 (a TokenSource's signature)
        """None: the caller has to bring another."""
        return None

    async def aclose(self) -> None:
        """Nothing to end."""


class ApiKeyExchange:
    """Exchanges an API key for a token once, however many tasks ask, and renews it before it ends.

    With 300 s left it is renewed in the background, with 60 s left everybody waits for the new one; both
    shrink for tokens of a short life. A renewal is a task of its own: cancelling one who waits for it does
    not cancel it for the others.

    Args:
        key: the API key.
        config: names the path and the keys of the exchange.
        send: sends an unauthorised request through the client's retries.
    """

    def __init__(self, key: Secret, config: Config, send: Callable[[Request], Awaitable[Response]]) -> None:
        self._key = key
        self._config = config
        self._send = send
        self._clock = config.clock
        self._token: Secret | None = None
        self._expires_at = float("-inf")
        self._lifetime = DOCUMENTED_LIFETIME
        self._proactive_left = PROACTIVE_LEFT
        # A failure is its result and no exception, so that each who waits raises one of his own.
        self._renewal: asyncio.Task[Secret | AiwynError] | None = None
        self._no_renewal_before = float("-inf")
        self._closed = False

    def __repr__(self) -> str:
        return f"<ApiKeyExchange token {'held' if self._token else 'missing'}>"

    @property
    def held(self) -> Secret | None:
        """The token in use, or None before the first exchange."""
        return self._token

    async def bearer(self) -> Secret:
        """A token with time left.

        Raises:
            AuthenticationError: the server refuses the API key.
            TokenExchangeError: no token could be had for another reason; the cause tells.
        """
        now = self._clock.monotonic()
        left = self._expires_at - now
        if self._token is not None and left > min(MANDATORY_LEFT, self._lifetime / 20):
            if left <= self._proactive_left and now >= self._no_renewal_before:
                self._renew()  # in the background: this token serves on
            return self._token
        return await self._wait_for(self._renew())

    async def renewed(self, refused: Secret) -> Secret | None:
        """A token other than the refused one: the one that somebody got meanwhile, or a new one."""
        if self._token is not None and self._token != refused:
            return self._token
        return await self._wait_for(self._renew())

    async def aclose(self) -> None:
        """End a renewal that is under way."""
        self._closed = True
        renewal, self._renewal = self._renewal, None
        if renewal is not None and renewal.get_loop() is asyncio.get_running_loop():
            renewal.cancel()
            await asyncio.wait([renewal])

    def _renew(self) -> asyncio.Task[Secret | AiwynError]:
        if self._closed:
            raise ClientClosedError("the client is closed; make a new AiwynClient")
        loop = asyncio.get_running_loop()
        if self._renewal is None or self._renewal.done() or self._renewal.get_loop() is not loop:
            self._renewal = loop.create_task(self._renewal_result(), name="aiwyn token renewal")
        return self._renewal

    async def _renewal_result(self) -> Secret | AiwynError:
        try:
            return await self._exchange()
        except AiwynError as error:
            self._no_renewal_before = self._clock.monotonic() + PAUSE_AFTER_FAILED_RENEWAL
            # In the background nobody waits for it: this is the trace of it.
            logger.warning("token renewal failed: %s", error)
            return error.with_traceback(None)

    async def _wait_for(self, renewal: asyncio.Task[Secret | AiwynError]) -> Secret:
        try:
            result = await asyncio.shield(renewal)
        except asyncio.CancelledError:
            waiter = asyncio.current_task()
            if not (self._closed and renewal.cancelled()) or (waiter is not None and waiter.cancelling()):
                raise
            result = ClientClosedError("the client was closed while it waited for a token")
        if isinstance(result, Secret):
            return result
        # One error in many tasks would gather all their tracebacks, and one's checkpoint would be another's.
        raise copy.copy(result) from result.__cause__

    async def _exchange(self) -> Secret:
        for _ in range(2):
            asked_at = self._clock.monotonic()
            response = await self._ask()
            answer = token_in(response.body, self._config.token_response_key)
            if answer.token is None:
                raise TokenExchangeError(
                    f"the answer holds no token ({answer.seen}); set token_response_key to its key",
                    request_id=response.request_id,
                    **self._where(),
                )
            lifetime = lifetime_of(
                answer.token, self._clock.time(), response.headers.get("Date"), answer.lifetime
            )
            if lifetime > 0:
                self._token = answer.token
                self._lifetime = lifetime
                self._expires_at = asked_at + lifetime
                # A little chance, so that many processes do not renew in the same second.
                self._proactive_left = min(PROACTIVE_LEFT, lifetime / 5) * random.uniform(0.9, 1.1)  # noqa: S311
                return answer.token
        raise TokenExchangeError("the server gives tokens that have expired already", **self._where())

    async def _ask(self) -> Response:
        refused: RequestError
        try:
            return await self._send(
                Request(
                    method="POST",
                    path=self._config.token_path,
                    body=msgspec.json.encode({self._config.token_request_key: self._key.reveal()}),
                    authorised=False,
                )
            )
        except RequestError as error:
            refused = error
        about: dict[str, Any] = self._where() | {
            "attempts": refused.attempts,
            "elapsed": refused.elapsed,
            "request_id": refused.request_id,
        }
        if isinstance(refused, (AuthenticationError, InvalidRequestError, PermissionDeniedError)):
            hint = (
                f"; token_request_key is {self._config.token_request_key!r}, is that its name there?"
                if isinstance(refused, InvalidRequestError)
                else ""
            )
            raise AuthenticationError(
                f"the API key is refused by the token exchange: {refused.args[0]}{hint}",
                status=refused.status,
                body=refused.body,
                **about,
            )
        raise TokenExchangeError(f"no token for the API key: {refused.args[0]}", **about) from refused

    def _where(self) -> dict[str, Any]:
        return {"method": "POST", "path": self._config.token_path}


class _Answer(msgspec.Struct, frozen=True):
    """What an exchange's answer holds: a token or none, seconds told, and what keys were seen."""

    token: Secret | None
    lifetime: float | None
    seen: str

    def __repr__(self) -> str:
        return f"<token {'found' if self.token else 'missing'}>"


def token_in(body: bytes, key: str | None) -> _Answer:
    """The token of an exchange's answer, under ``key`` or the usual ones, bare or inside ``data``.

    Raises nothing: this frame holds the token in the clear, and a traceback would show it.
    """
    try:
        answer: object = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _Answer(None, None, "no JSON")
    top = fields_of(answer)
    if not isinstance(answer, dict):
        return _Answer(None, None, "no JSON object")
    for layer in (top, fields_of(top.get("data"))):
        for name in (key,) if key else USUAL_TOKEN_KEYS:
            token = _secret(layer.get(name))
            if token is not None:
                return _Answer(token, _seconds(layer.get("expiresIn", layer.get("expires_in"))), "")
    return _Answer(None, None, f"keys: {printable(', '.join(sorted(top))) or 'none'}")


def _seconds(told: object) -> float | None:
    try:
        seconds = float(told) if isinstance(told, (int, float, str)) and not isinstance(told, bool) else None
    except (ValueError, OverflowError):
        return None
    return seconds if seconds is not None and math.isfinite(seconds) else None


def _secret(text: object) -> Secret | None:
    try:
        return Secret(text) if isinstance(text, str) else None
    except ConfigurationError:
        return None


class _Claims(msgspec.Struct):
    exp: float | None = None
    iat: float | None = None


def lifetime_of(token: Secret, now: float, server_date: str | None, told: float | None = None) -> float:
    """Seconds that a token is good for from the moment it was asked for; 0 or less when it has expired.

    From its claims ``exp - iat``, and not past ``exp`` by the server's own clock. A token that is no JWT is
    taken to last as long as the answer ``told``, or the documented hour. It is never verified: that is the
    server's work.
    """
    claims = _claims(token)
    if claims.exp is None:
        return told if told is not None else DOCUMENTED_LIFETIME
    server_now = timestamp_of(server_date or "")
    if claims.iat is None:
        return claims.exp - (now if server_now is None else server_now)
    lifetime = claims.exp - claims.iat
    return lifetime if server_now is None else min(lifetime, claims.exp - server_now)


def _claims(token: Secret) -> _Claims:
    _, _, rest = token.reveal().partition(".")
    payload = rest.partition(".")[0]
    try:
        text = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
        return msgspec.json.decode(text, type=_Claims)
    except (binascii.Error, ValueError, RecursionError):
        return _Claims()
