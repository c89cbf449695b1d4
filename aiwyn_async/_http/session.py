"""One request, from a resource method to bytes and back.

- ``call``: the deadline; the bearer token; after a 401, one renewal and one more attempt; the typed error if
  the final outcome is not a success
- ``retry_until_final`` (in ``retry``): how often it is sent again, and after which waits
- ``_once``: one attempt: the slot of the concurrency limiter, the free resend on a stale connection
- ``Transport.send``: the socket

Failures are values, not exceptions, until the top: no traceback holds a frame with a credential.
"""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Awaitable, Coroutine
from typing import Any, Final, NoReturn

import msgspec

from aiwyn_async._core.observer import ObservedCall
from aiwyn_async._http.auth import ApiKeyExchange, ProvidedToken, ReadyToken, TokenSource
from aiwyn_async._http.call import Call, DeadlinePassed
from aiwyn_async._http.concurrency import ConcurrencyLimiter
from aiwyn_async._http.error_mapping import MAX_REASON, to_error
from aiwyn_async._http.limits import Sample
from aiwyn_async._http.messages import Failure, Outcome, Request, Response, RetryClass, is_success
from aiwyn_async._http.observation import Observation, ReadObservation, SafeObserver, logger
from aiwyn_async._http.redaction import masked, masked_words, printable
from aiwyn_async._http.retry import RetryBudget, is_throttled, retry_until_final
from aiwyn_async._http.retry_after import requested_wait
from aiwyn_async._http.transport import Transport
from aiwyn_async.config import Config, Secret, secrets_in, secrets_in_url
from aiwyn_async.errors import (
    ApiError,
    ConfigurationError,
    DeadlineExceededError,
    DecodeError,
    RequestError,
    ResponseMismatchError,
    UndocumentedEndpointWarning,
)

MAX_SHOWN_PATH: Final = 2048
TOKEN_EXCHANGE_TIMEOUT: Final = 30.0


def create_session(config: Config) -> Session:
    """Return the session of a new client. Opens nothing."""
    session = Session(
        config,
        Transport(config),
        ConcurrencyLimiter(config.max_concurrency, config.clock),
        RetryBudget(config.retry_budget),
    )
    if config.api_key is not None:
        quick = msgspec.structs.replace(config, deadline=TOKEN_EXCHANGE_TIMEOUT)
        session.tokens = ApiKeyExchange(config.api_key, config, session.view(quick).call)
    elif isinstance(config.token, Secret):
        session.tokens = ReadyToken(config.token)
    elif config.token is not None:
        session.tokens = ProvidedToken(config.token, config, TOKEN_EXCHANGE_TIMEOUT)
    return session


async def repeated(earlier: Response, again: Awaitable[Response]) -> Response:
    """Await another response, which lists the attempts of both; its error does, too."""
    try:
        response = await again
    except RequestError as error:
        error.attempts = (*earlier.attempts, *error.attempts)
        raise
    return response.after((*earlier.attempts, *response.attempts))


class Session:
    """Sends requests with one set of options. Views share the transport, limiter and retry budget."""

    def __init__(
        self, config: Config, transport: Transport, limiter: ConcurrencyLimiter, retry_budget: RetryBudget
    ) -> None:
        self.config = config
        self.tokens: TokenSource | None = None
        self.transport = transport
        self.limiter = limiter
        self.retry_budget = retry_budget
        self.warned_paths: set[str] = set()
        """Undocumented endpoints already warned about."""
        self._headers = config.headers
        self._fixed_secrets = (*secrets_in(config.headers), *secrets_in_url(config.proxy))
        self._observer = None if config.observer is None else SafeObserver(config.observer)

    def view(self, config: Config) -> Session:
        """Return a session with other options, sharing pool, token, limiter and budget."""
        session = Session(config, self.transport, self.limiter, self.retry_budget)
        session.tokens = self.tokens
        session.warned_paths = self.warned_paths
        if config.observer is self.config.observer:
            session._observer = self._observer  # logs one error in all
        return session

    def __copy__(self) -> Session:
        return self

    def __deepcopy__(self, _memo: object) -> Session:
        return self  # reads can be copied; a second pool would outlive its client

    def __reduce__(self) -> NoReturn:
        raise ConfigurationError(
            "a client, and its reads and writes, cannot be pickled: it holds connections and credentials; "
            "create an AiwynClient in each process"
        )

    def mask_text(self, text: str) -> str:
        """Return text of the server as one printable line without credentials."""
        return printable(text, self.secrets(), limit=MAX_REASON)

    def attach_request(self, error: RequestError, request: Request, response: Response) -> RequestError:
        """Add the request to an error found in its response; mask what the error quotes."""
        error.method, error.path = request.method, masked_words(request.plain_path, self.secrets())
        error.attempts, error.request_id = response.attempts, response.request_id
        return self.mask(error)

    def mask(self, error: RequestError) -> RequestError:
        """Mask credentials in what an error quotes of a response; drop its frames, whose locals hold it."""
        secrets = self.secrets()
        if isinstance(error, (ApiError, ResponseMismatchError)):
            error.args = (printable(error.args[0], secrets, limit=MAX_REASON),)
        else:
            error.args = (masked_words(error.args[0], secrets),)
        error.request_id = masked(error.request_id, secrets)
        if isinstance(error, DecodeError):
            error.location = masked(error.location, secrets)
        elif isinstance(error, ApiError):
            error.errors = masked(error.errors, secrets)
        elif isinstance(error, ResponseMismatchError):
            error.received_key = masked(error.received_key, secrets)
        error.__context__ = None
        return error.with_traceback(None)

    def observe_read(self, path: str) -> ReadObservation:
        """Return a context that reports one use of a read to the observer."""
        return ReadObservation(self._observer, path, self.config)

    def _shown(self, text: str | None) -> str | None:
        """Return a path or an id for observers and logs: printable, without credentials."""
        if text is None:
            return None
        return printable(masked_words(text, self.secrets()), limit=MAX_SHOWN_PATH)

    def _described(self, request: Request) -> ObservedCall:
        path = request.plain_path
        return ObservedCall(
            kind="request",
            method=request.method,
            path=self._shown(path) or "",
            template=path if request.template is None else request.template or None,
            base_url=self.config.base_url,
        )

    def warn_undocumented(self, use: str, path: str) -> None:
        """Warn once per client that an undocumented endpoint is used."""
        if self.config.warn_undocumented and use not in self.warned_paths:
            self.warned_paths.add(use)
            warnings.warn(
                f"{use}: the path {path} is inferred, not documented; "
                "override it in endpoints if the server differs, or pass warn_undocumented=False",
                UndocumentedEndpointWarning,
                stacklevel=_levels_to_the_caller(),
            )

    def call(self, request: Request) -> Coroutine[Any, Any, Response]:
        """Send a request until its outcome is final; return a successful response.

        Raises:
            RequestError: one of its subclasses; see ``errors``.
            ClientClosedError: after ``aclose()``.
            LoopMismatchError: another thread's event loop uses this client.
        """
        # Not a coroutine itself: each small call would pay for one more frame.
        if self._observer is None and not logger.isEnabledFor(logging.INFO):
            return self._call(request)
        return self._observed_call(request)

    async def _observed_call(self, request: Request) -> Response:
        observation = Observation(self._observer, self._described(request))
        call = Call(request, self.config.clock, self.config.deadline, observation)
        error_type: str | None = None
        try:
            return await self._call(request, call)
        except BaseException as error:
            error_type = type(error).__name__
            if (attempt := call.interrupt(error)) is not None:
                observation.attempt_ended(attempt)
            raise
        finally:
            observation.call_ended(call.end(error_type))

    async def _call(self, request: Request, call: Call | None = None) -> Response:
        call = call or Call(request, self.config.clock, self.config.deadline)
        outcome: Outcome | None = None
        try:
            with call.limit as limit:
                self.transport.check_usable(limit.loop)
                if request.authorised and self.tokens is not None:
                    call.bearer = await self.tokens.bearer()
                outcome = await self._once(call)
                outcome = await retry_until_final(call, outcome, self._once, self.config, self.retry_budget)
                if isinstance(outcome, Response) and outcome.status == 401:
                    outcome = await self._renewed(call, outcome)
        except (DeadlinePassed, TimeoutError):
            outcome = None
        if outcome is None:
            raise self._deadline_exceeded(call)
        if isinstance(outcome, Response) and call.succeeded:
            return outcome.after(call.attempts)
        raise self._error(call, outcome)

    async def _renewed(self, call: Call, refused: Response) -> Outcome:
        """Send once more with another token, if there is one."""
        if call.bearer is None or self.tokens is None:
            return refused
        call.phase = "token"
        renewed = await self.tokens.renewed(call.bearer)
        if renewed is None:
            return refused
        call.bearer = renewed
        outcome = await self._once(call)
        return await retry_until_final(call, outcome, self._once, self.config, self.retry_budget)

    async def _once(self, call: Call, wait: float = 0.0) -> Outcome:
        if wait:
            await call.wait("retry_wait", wait)
        # All queued requests may be waiting for the token that an unauthorised request fetches.
        admitted_at = await self.limiter.acquire(
            call, loop=call.limit.loop, priority=not call.request.authorised
        )
        try:
            call.phase = "response"
            outcome = await self.transport.send(
                call.request, call.bearer, self.config, call.limit, self._headers
            )
            if (
                isinstance(outcome, Failure)
                and outcome.on_reused_connection
                and call.request.retry_class is not RetryClass.WRITE
                and not call.retried
            ):
                # The server had closed a kept-alive connection; nothing was read.
                call.retried = True
                outcome = await self.transport.send(
                    call.request, call.bearer, self.config, call.limit, self._headers
                )
            # Before the slot is released, so that the next request sees the pause.
            self._learn(call.request, outcome, admitted_at)
        finally:
            self.limiter.release(call.limit.loop)
        call.record(outcome)
        if call.observation is not None:
            call.observation.attempt_ended(call.attempt_end(self._shown))
        return outcome

    def _learn(self, request: Request, outcome: Outcome, admitted_at: float) -> None:
        if isinstance(outcome, Response) and is_success(outcome.status):
            # A page of rows takes longer than a single row of the same path.
            kind = request.template or request.path, outcome.length.bit_length() // 4
            self.limiter.succeeded(Sample(kind, outcome.latency, outcome.busy, admitted_at))
        elif isinstance(outcome, Failure) and outcome.out_of_sockets:
            self.limiter.out_of_sockets()
        elif is_throttled(outcome):
            self.limiter.throttled(admitted_at)
            if isinstance(outcome, Response) and outcome.status == 429:
                wait = requested_wait(outcome.status, outcome.headers, self.config.clock.time())
                if wait is not None and wait <= self.config.max_retry_after:
                    self.limiter.pause(wait)

    def _error(self, call: Call, outcome: Outcome) -> RequestError:
        clock = self.config.clock
        return to_error(
            call.request,
            outcome,
            now=clock.time(),
            elapsed=clock.monotonic() - call.started,
            attempts=tuple(call.attempts),
            secrets=self.secrets(call.bearer),
            ambiguous=call.ambiguous,
            retry_budget_exhausted=call.retry_budget_exhausted,
        )

    def secrets(self, bearer: Secret | None = None) -> tuple[Secret, ...]:
        """Return the credentials to mask if a server repeats them."""
        held = () if self.tokens is None else self.tokens.known
        known = (bearer, *held, self.config.api_key, *self._fixed_secrets)
        return tuple(dict.fromkeys(secret for secret in known if secret is not None))

    def _deadline_exceeded(self, call: Call) -> DeadlineExceededError:
        cause = None if call.last is None else self._error(call, call.last)
        text = f"deadline of {self.config.deadline:g} s exceeded while {_PHASES[call.phase]}"
        error = DeadlineExceededError(
            text if cause is None else f"{text}; the last attempt failed: {cause.args[0]}",
            phase=call.phase,
            retry_after=self._pause_left(call) if cause is None else cause.retry_after,
            method=call.request.method,
            path=masked_words(call.request.plain_path, self.secrets(call.bearer)),
            attempts=tuple(call.attempts),
            elapsed=self.config.clock.monotonic() - call.started,
            ambiguous=call.ambiguous
            or (call.request.retry_class is RetryClass.WRITE and call.phase == "response"),
        )
        error.__cause__ = cause
        return error

    def _pause_left(self, call: Call) -> float | None:
        """Return the rest of a pause that the server requested from another call."""
        left = self.limiter.paused_until - self.config.clock.monotonic()
        return left if call.phase == "pause" and left > 0 else None


_PHASES: Final = {
    "token": "waiting for a token",
    "queue": "waiting for one of max_concurrency slots",
    "pause": "waiting for the end of a pause that the server requested",
    "response": "waiting for the response",
    "retry_wait": "waiting to retry",
}


def _levels_to_the_caller() -> int:
    """Return the stack level of the first frame outside the package, for warnings."""
    package = __name__.partition(".")[0]
    frame, level = sys._getframe(1), 1  # noqa: SLF001 (what warnings.warn itself looks at)  # pyright: ignore[reportPrivateUsage]
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == package:
        frame, level = frame.f_back, level + 1
    return level
