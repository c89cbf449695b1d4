"""Bearer tokens from a JWT, a function, or the exchange of an API key; the last two are renewed in time.

Source: https://api.doc.aiwyn.ai/bundle (the BearerAuth text). It names the path ``/v1/auth/token``, the
credential ``jwtApiKey`` and the lifetime of one hour. The method (POST), the JSON body and the keys of the
response are inferred, and can be configured.
"""

from __future__ import annotations

import asyncio
import copy
import inspect
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec

from aiwyn_async._http.messages import Request, Response
from aiwyn_async._http.redaction import masked
from aiwyn_async._http.timeouts import TimeLimit
from aiwyn_async._http.token_responses import DOCUMENTED_LIFETIME, as_secret, lifetime_of, token_in
from aiwyn_async.config import Config, Secret, TokenProvider
from aiwyn_async.errors import (
    AiwynError,
    Attempt,
    AuthenticationError,
    ClientClosedError,
    InvalidRequestError,
    PermissionDeniedError,
    RequestError,
    TokenExchangeError,
)

logger: Final = logging.getLogger("aiwyn_async.auth")

PROACTIVE_LEFT: Final = 300.0
MANDATORY_LEFT: Final = 60.0
PAUSE_AFTER_FAILED_RENEWAL: Final = 5.0


class ReadyToken:
    """A fixed token, which cannot be renewed."""

    def __init__(self, token: Secret) -> None:
        self._token = token

    @property
    def known(self) -> tuple[Secret, ...]:
        return (self._token,)

    async def bearer(self) -> Secret:
        return self._token

    async def renewed(self, refused: Secret) -> Secret | None:  # noqa: ARG002 (as of a _RenewableToken)
        return None

    async def aclose(self) -> None:
        """Do nothing."""


class _Fetched(msgspec.Struct, frozen=True):
    """A new token, and the seconds that it is valid from its request on."""

    token: Secret
    lifetime: float

    def __repr__(self) -> str:
        return "<token fetched>"


class _RenewableToken:
    """A token that is fetched once for all tasks, and again before it expires.

    With 300 s left it is renewed in the background, with 60 s left all requests wait for the new one; both
    limits shrink for short-lived tokens. A renewal is a task of its own: cancelling one waiter does not
    cancel it for the others.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._clock = config.clock
        self._token: Secret | None = None
        self._earlier: Secret | None = None
        self._expires_at = float("-inf")
        self._lifetime = DOCUMENTED_LIFETIME
        self._proactive_left = PROACTIVE_LEFT
        # A failure is a result, not an exception, so that each waiter raises its own copy.
        self._renewal: asyncio.Task[Secret | AiwynError] | None = None
        self._no_renewal_before = float("-inf")
        self._closed = False

    def __repr__(self) -> str:
        return f"<{type(self).__name__} token {'held' if self._token else 'missing'}>"

    @property
    def known(self) -> tuple[Secret, ...]:
        """The current token and the one before, whose responses may still arrive; to be masked."""
        return tuple(token for token in (self._token, self._earlier) if token is not None)

    async def bearer(self) -> Secret:
        """Return a valid token.

        Raises:
            AuthenticationError: the server refuses the API key.
            TokenExchangeError: no token was received for another reason, named by the cause.
        """
        now = self._clock.monotonic()
        left = self._expires_at - now
        if self._token is not None and left > min(MANDATORY_LEFT, self._lifetime / 20):
            if left <= self._proactive_left and now >= self._no_renewal_before:
                self._renew()  # in the background; this token is still valid
            return self._token
        return await self._wait_for(self._renew())

    async def renewed(self, refused: Secret) -> Secret | None:
        """Return another token than the refused one: one fetched since, or a new one."""
        if self._token is not None and self._token != refused:
            return self._token
        return await self._wait_for(self._renew())

    async def aclose(self) -> None:
        self._closed = True
        renewal, self._renewal = self._renewal, None
        if renewal is not None and renewal.get_loop() is asyncio.get_running_loop():
            renewal.cancel()
            await asyncio.wait([renewal])

    async def _fetch(self) -> _Fetched:
        raise NotImplementedError

    def _renew(self) -> asyncio.Task[Secret | AiwynError]:
        if self._closed:
            raise ClientClosedError("the client is closed; create a new AiwynClient")
        loop = asyncio.get_running_loop()
        if self._renewal is None or self._renewal.done() or self._renewal.get_loop() is not loop:
            self._renewal = loop.create_task(self._renewal_result(), name="aiwyn token renewal")
        return self._renewal

    async def _renewal_result(self) -> Secret | AiwynError:
        try:
            return await self._exchange()
        except AiwynError as error:
            self._no_renewal_before = self._clock.monotonic() + PAUSE_AFTER_FAILED_RENEWAL
            # In the background nothing else reports the failure.
            logger.warning("token renewal failed: %s", error)
            return error.with_traceback(None)

    async def _exchange(self) -> Secret:
        requested_at = self._clock.monotonic()
        fetched = await self._fetch()
        self._token, self._earlier = fetched.token, self._token
        self._lifetime = fetched.lifetime
        self._expires_at = requested_at + fetched.lifetime
        # Jitter, so that many processes do not renew in the same second.
        self._proactive_left = min(PROACTIVE_LEFT, fetched.lifetime / 5) * random.uniform(0.9, 1.1)  # noqa: S311
        return fetched.token

    async def _wait_for(self, renewal: asyncio.Task[Secret | AiwynError], *, again: bool = True) -> Secret:
        try:
            result = await asyncio.shield(renewal)
        except asyncio.CancelledError:
            waiter = asyncio.current_task()
            if not (again and renewal.cancelled()) or (waiter is not None and waiter.cancelling()):
                raise
            # The renewal alone was cancelled: by a close, or by a caller that cancels the tasks of others.
            return await self._wait_for(self._renew(), again=False)
        if isinstance(result, Secret):
            return result
        # An error shared by tasks would collect all their tracebacks, and share one checkpoint.
        raise copy.copy(result) from result.__cause__


class ProvidedToken(_RenewableToken):
    """A token from the caller's function, which is called again when the token expires or is refused.

    A sync function is called in a thread, since it may block. ``timeout`` is in seconds, per call.
    """

    def __init__(self, provide: TokenProvider, config: Config, timeout: float) -> None:
        super().__init__(config)
        self._provide = provide
        self._timeout = timeout

    async def renewed(self, refused: Secret) -> Secret | None:
        """Return a new token, or None if only the refused one is available."""
        token = await super().renewed(refused)
        return token if token != refused else None

    async def _fetch(self) -> _Fetched:
        # The exception of the function may contain a credential in its text or frames.
        failure = ""
        provided: object = None
        try:
            with TimeLimit(self._timeout):
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
        token = None if failure else as_secret(provided)
        if token is None:
            failure = failure or (
                "returned text that is empty or contains spaces, control or non-ASCII characters"
                if isinstance(provided, str)
                else f"returned {type(provided).__name__}; it must return a str or a Secret"
            )
            raise TokenExchangeError(f"no token: the function passed as token= {failure}")
        lifetime = lifetime_of(token, self._clock.time(), None)
        # A token that has expired by this machine's clock may be valid by the server's, which decides.
        return _Fetched(token, lifetime if lifetime > 0 else DOCUMENTED_LIFETIME)

    async def _call(self) -> object:
        if inspect.iscoroutinefunction(self._provide):
            return await self._provide()
        import anyio.to_thread  # noqa: PLC0415 (loaded only if needed)

        provided: object = await anyio.to_thread.run_sync(self._provide, abandon_on_cancel=True)
        return await provided if inspect.isawaitable(provided) else provided


class ApiKeyExchange(_RenewableToken):
    """Exchanges an API key for a token. ``send`` sends an unauthorised request through the retries."""

    def __init__(self, key: Secret, config: Config, send: Callable[[Request], Awaitable[Response]]) -> None:
        super().__init__(config)
        self._key = key
        self._send = send

    async def _fetch(self) -> _Fetched:
        attempts: tuple[Attempt, ...] = ()
        started = self._clock.monotonic()
        for _ in range(2):
            response = await self._exchange_key()
            attempts += response.attempts
            parsed = token_in(response.body, self._config.token_response_key, [self._key])
            if parsed.token is None:
                raise TokenExchangeError(
                    f"the response contains no token ({parsed.seen}); set token_response_key to its key",
                    request_id=response.request_id and masked(response.request_id, [self._key]),
                    attempts=attempts,
                    elapsed=self._clock.monotonic() - started,
                    **self._where(),
                )
            lifetime = lifetime_of(
                parsed.token, self._clock.time(), response.headers.get("Date"), parsed.lifetime
            )
            if lifetime > 0:
                return _Fetched(parsed.token, lifetime)
        raise TokenExchangeError(
            "the server returned a token that has already expired",
            attempts=attempts,
            elapsed=self._clock.monotonic() - started,
            **self._where(),
        )

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
        context: dict[str, Any] = self._where() | {
            "attempts": refused.attempts,
            "elapsed": refused.elapsed,
            "request_id": refused.request_id,
            "retry_after": refused.retry_after,
        }
        if isinstance(refused, (AuthenticationError, InvalidRequestError, PermissionDeniedError)):
            hint = (
                f"; check that the server expects the token_request_key {self._config.token_request_key!r}"
                if isinstance(refused, InvalidRequestError)
                else ""
            )
            raise AuthenticationError(
                f"the token exchange refused the API key: {refused.args[0]}{hint}",
                status=refused.status,
                body=refused.body,
                **context,
            )
        raise TokenExchangeError(f"no token for the API key: {refused.args[0]}", **context) from refused

    def _where(self) -> dict[str, Any]:
        return {"method": "POST", "path": self._config.token_path}


TokenSource = ReadyToken | ProvidedToken | ApiKeyExchange
