"""Bearer tokens: a ready JWT, a function that returns one, or an API key that is exchanged for one.

The last two are renewed in time.

Source: https://api.doc.aiwyn.ai/bundle (the BearerAuth text). It names the path ``/v1/auth/token``, the
credential ``jwtApiKey`` and the lifetime of one hour. The method (POST), the place of the key (a JSON body)
and the keys of the answer are inferred, and can be configured.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import copy
import inspect
import logging
import math
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import anyio.to_thread
import msgspec

from aiwyn_async._http.messages import Request, Response, fields_of
from aiwyn_async._http.redaction import masked, printable
from aiwyn_async._http.retry_after import timestamp_of
from aiwyn_async.config import Config, Secret, TokenProvider, bearer_secret
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

__all__ = ["ApiKeyExchange", "ProvidedToken", "ReadyToken", "lifetime_of"]

logger: Final = logging.getLogger("aiwyn_async._http.auth")

DOCUMENTED_LIFETIME: Final = 3600.0
PROACTIVE_LEFT: Final = 300.0
MANDATORY_LEFT: Final = 60.0
PAUSE_AFTER_FAILED_RENEWAL: Final = 5.0
CLOCK_SKEW: Final = 300.0
"""Seconds that the server's clock and this machine's may differ by until one of them is taken for wrong."""
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


class _Fetched(msgspec.Struct, frozen=True):
    """A new token, and the seconds from the moment it was asked for that it is good for."""

    token: Secret
    lifetime: float

    def __repr__(self) -> str:
        return "<token fetched>"


class _RenewableToken:
    """A token that is fetched once, however many tasks ask, and again before it expires.

    With 300 s left it is renewed in the background, with 60 s left everybody waits for the new one; both
    shrink for tokens of a short life. A renewal is a task of its own: cancelling one who waits for it does
    not cancel it for the others.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
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
        return f"<{type(self).__name__} token {'held' if self._token else 'missing'}>"

    @property
    def held(self) -> Secret | None:
        """The token in use, or None before the first one."""
        return self._token

    async def bearer(self) -> Secret:
        """Return a token with time left.

        Raises:
            AuthenticationError: the server refuses the API key.
            TokenExchangeError: no token could be had for another reason; the cause says which.
        """
        now = self._clock.monotonic()
        left = self._expires_at - now
        if self._token is not None and left > min(MANDATORY_LEFT, self._lifetime / 20):
            if left <= self._proactive_left and now >= self._no_renewal_before:
                self._renew()  # in the background: this token serves on
            return self._token
        return await self._wait_for(self._renew())

    async def renewed(self, refused: Secret) -> Secret | None:
        """Return a token other than the refused one: the one fetched since, or a new one."""
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

    async def _fetch(self) -> _Fetched:
        """Fetch a new token."""
        raise NotImplementedError

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

    async def _exchange(self) -> Secret:
        """Fetch a token and keep it."""
        asked_at = self._clock.monotonic()
        fetched = await self._fetch()
        self._token = fetched.token
        self._lifetime = fetched.lifetime
        self._expires_at = asked_at + fetched.lifetime
        # A little chance, so that many processes do not renew in the same second.
        self._proactive_left = min(PROACTIVE_LEFT, fetched.lifetime / 5) * random.uniform(0.9, 1.1)  # noqa: S311
        return fetched.token

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


class ProvidedToken(_RenewableToken):
    """A token that a function of the caller returns, called again when it expires or is refused.

    Args:
        provide: returns a token, or an awaitable of one. A function that is not async is called in a thread,
            since it may wait for a network.
        config: names the clock.
        timeout: seconds that one call may take.
    """

    def __init__(self, provide: TokenProvider, config: Config, timeout: float) -> None:
        super().__init__(config)
        self._provide = provide
        self._timeout = timeout

    async def renewed(self, refused: Secret) -> Secret | None:
        """Return a token other than the refused one; None if the function returns that one again."""
        token = await super().renewed(refused)
        return token if token != refused else None

    async def _fetch(self) -> _Fetched:
        # The function's own exception may hold the credential that it uses, in its text or its frames.
        failure = ""
        provided: object = None
        try:
            async with asyncio.timeout(self._timeout):
                provided = await self._call()
        except TimeoutError:
            failure = f"took longer than {self._timeout:g} s, or timed out itself"
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            failure = "raised CancelledError"
        except Exception as error:  # noqa: BLE001 (whatever the caller's function raises becomes typed)
            failure = f"raised {type(error).__name__}"
        token = None if failure else _secret(provided)
        if token is None:
            failure = failure or (
                "returned an empty text, or one with spaces, control or non-ASCII letters"
                if isinstance(provided, str)
                else f"returned {type(provided).__name__}; it must return a str or a Secret"
            )
            raise TokenExchangeError(f"no token: the function passed as token= {failure}")
        lifetime = lifetime_of(token, self._clock.time(), None)
        # A token that has expired by this machine's clock may be good by the server's, which decides.
        return _Fetched(token, lifetime if lifetime > 0 else DOCUMENTED_LIFETIME)

    async def _call(self) -> object:
        if inspect.iscoroutinefunction(self._provide):
            return await self._provide()
        provided: object = await anyio.to_thread.run_sync(self._provide, abandon_on_cancel=True)
        return await provided if inspect.isawaitable(provided) else provided


class ApiKeyExchange(_RenewableToken):
    """Exchanges an API key for a token.

    Args:
        key: the API key.
        config: names the path and the keys of the exchange.
        send: sends an unauthorised request through the client's retries.
    """

    def __init__(self, key: Secret, config: Config, send: Callable[[Request], Awaitable[Response]]) -> None:
        super().__init__(config)
        self._key = key
        self._send = send

    async def _fetch(self) -> _Fetched:
        for _ in range(2):
            response = await self._exchange_key()
            answer = token_in(response.body, self._config.token_response_key)
            if answer.token is None:
                raise TokenExchangeError(
                    f"the answer holds no token ({masked(answer.seen, [self._key])}); "
                    "set token_response_key to its key",
                    request_id=response.request_id and masked(response.request_id, [self._key]),
                    **self._where(),
                )
            lifetime = lifetime_of(
                answer.token, self._clock.time(), response.headers.get("Date"), answer.lifetime
            )
            if lifetime > 0:
                return _Fetched(answer.token, lifetime)
        raise TokenExchangeError("the server gives tokens that have expired already", **self._where())

    async def _exchange_key(self) -> Response:
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
            "retry_after": refused.retry_after,
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


class _TokenResponse(msgspec.Struct, frozen=True):
    """What an exchange's answer holds: a token or none, seconds told, and what keys were seen."""

    token: Secret | None
    lifetime: float | None
    seen: str

    def __repr__(self) -> str:
        return f"<token {'found' if self.token else 'missing'}>"


def token_in(body: bytes, key: str | None) -> _TokenResponse:
    """The token of an exchange's answer, under ``key`` or the usual ones, bare or inside ``data``.

    A ``key`` with dots is a path, unless the answer has a key of just that name.

    Raises nothing: this frame holds the token in the clear, and a traceback would show it.
    """
    try:
        answer: object = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _TokenResponse(None, None, "no JSON")
    top = fields_of(answer)
    if not isinstance(answer, dict):
        return _TokenResponse(None, None, "no JSON object")
    layers = [(top, name) for name in ((key,) if key else USUAL_TOKEN_KEYS)]
    data = fields_of(top.get("data"))
    layers += [(data, name) for _, name in layers]
    if key and "." in key:
        *path, last = key.split(".")
        layers.append((_below(top, path), last))
    for layer, name in layers:
        token = _secret(layer.get(name))
        if token is not None:
            return _TokenResponse(token, _lifetime_in(layer, data, top), "")
    return _TokenResponse(None, None, f"keys: {printable(', '.join(sorted(top))) or 'none'}")


def _below(fields: dict[str, Any], path: Sequence[str]) -> dict[str, Any]:
    for key in path:
        fields = fields_of(fields.get(key))
    return fields


def _lifetime_in(*layers: dict[str, Any]) -> float | None:
    """The seconds that an answer says a token lasts, beside it or further out."""
    for layer in layers:
        for name in ("expiresIn", "expires_in"):
            if name in layer:
                return _seconds(layer[name])
    return None


def _seconds(told: object) -> float | None:
    try:
        seconds = float(told) if isinstance(told, (int, float, str)) and not isinstance(told, bool) else None
    except (ValueError, OverflowError):
        return None
    return seconds if seconds is not None and math.isfinite(seconds) else None


def _secret(text: object) -> Secret | None:
    if isinstance(text, Secret):
        return text
    try:
        return bearer_secret(text) if isinstance(text, str) else None
    except ConfigurationError:
        return None


class _Claims(msgspec.Struct):
    exp: float | None = None
    iat: float | None = None


def lifetime_of(token: Secret, now: float, server_date: str | None, stated: float | None = None) -> float:
    """Seconds that a token is good for from the moment it was asked for; 0 or less when it has expired.

    From its claims ``exp - iat``, and not past ``exp`` by the server's clock or this machine's ``now``. Each
    of the two may be wrong, so a token has expired only if it has by both. A token that is not a JWT is taken
    to last as long as the answer ``stated``, or the documented hour. It is never verified: the server does
    that, and answers 401 to a token that was trusted for too long.
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
    # Before it was issued by one clock at least: that clock is wrong, and the other one no better.
    return lifetime if max(lefts) > 0 else max(lefts)


def _left_without_issue_time(exp: float, now: float, server_now: float | None, stated: float | None) -> float:
    left = exp - now
    if server_now is None:
        return left
    left_by_server = exp - server_now
    if left_by_server > 0 and abs(left_by_server - left) <= CLOCK_SKEW:
        return left_by_server
    # The clocks disagree. What the answer says of the token's life depends on neither.
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
