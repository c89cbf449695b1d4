"""Everything this package raises on purpose.

    AiwynError
    ├── ConfigurationError          a wrong argument or setting; nothing was sent (also a ValueError)
    │   └── CheckpointError         this checkpoint belongs to another query, or is no checkpoint
    ├── ClientClosedError           the client was closed (also a RuntimeError)
    ├── LoopMismatchError           the client is in use in another thread (also a RuntimeError)
    ├── RequestError                one request went wrong: method, path, attempts, elapsed
    │   ├── TransportError        no answer came: kind tells why
    │   │   └── DeadlineExceededError    the deadline of the call ran out: phase tells in what
    │   ├── ProtocolError           the answer was not HTTP as it should be; never sent again
    │   │   ├── RedirectRefusedError    it pointed elsewhere; credentials do not travel
    │   │   ├── ResponseMismatchError   it belongs to another request
    │   │   └── ResponseTooLargeError   it was larger than max_response_bytes
    │   ├── StatusError             an answer with a status that is no success
    │   │   ├── InvalidRequestError     400, 422
    │   │   ├── AuthenticationError     401
    │   │   ├── PermissionDeniedError   403
    │   │   ├── NotFoundError           404
    │   │   ├── ConflictError           409
    │   │   ├── RateLimitError          429: retry_after
    │   │   └── ServerError             5xx
    │   ├── TokenExchangeError      no bearer token could be had for the API key
    │   ├── ApiError                a success status, and an error told in the body
    │   └── DecodeError            the body is not JSON, or not of the expected shape
    ├── PaginationError             a walk over pages cannot go on: checkpoint, report
    │   ├── PaginationLoopError     the server gives the same page again
    │   └── IncompleteError         strict=True, and rows are missing or cannot be vouched for
    ├── PartialWriteError           raise_on_partial=True, and not every record was written: report
    ├── StorageError                a local file, database or stdout cannot be read or written
    │   └── ExportError             an export cannot be written
    └── WebhookVerificationError    a delivery is not to be trusted: answer it with a 400

Every error survives pickling. None holds a secret, in its text, attributes or traceback locals.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    # For the types of attributes alone: this floor stands below those that define them.
    from aiwyn_async._core.reports import ListReport, PullReport
    from aiwyn_async._pagination.page import Checkpoint
    from aiwyn_async.models.records import WriteReport

__all__ = [
    "AiwynError",
    "ApiError",
    "Attempt",
    "AuthenticationError",
    "CheckpointError",
    "ClientClosedError",
    "ConfigurationError",
    "ConflictError",
    "DeadlineExceededError",
    "DecodeError",
    "ExportError",
    "IncompleteError",
    "InvalidRequestError",
    "LoopMismatchError",
    "NotFoundError",
    "PaginationError",
    "PaginationLoopError",
    "PartialWriteError",
    "PermissionDeniedError",
    "ProtocolError",
    "RateLimitError",
    "RedirectRefusedError",
    "RequestError",
    "ResponseMismatchError",
    "ResponseTooLargeError",
    "ServerError",
    "StatusError",
    "StorageError",
    "StorageWarning",
    "TokenExchangeError",
    "TransportError",
    "UndocumentedEndpointWarning",
    "WebhookVerificationError",
]


class Attempt(msgspec.Struct, frozen=True):
    """One time that a request was sent: what came of it, after how many seconds."""

    outcome: str
    elapsed: float
    """Seconds from sending to the answer or the failure."""
    waited: float = 0.0
    """Seconds waited before sending, for back-off or a pause the server asked for."""


class AiwynError(Exception):
    """The root: catch this to catch all that the package raises on purpose."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by class, args, attributes and a cause of this package; another cause may not pickle."""
        cause = self.__cause__ if isinstance(self.__cause__, AiwynError) else None
        return _restore, (type(self), self.args, self.__dict__, cause)


def _restore(
    cls: type[AiwynError], args: tuple[Any, ...], state: dict[str, Any], cause: AiwynError | None = None
) -> AiwynError:
    error = cls.__new__(cls)
    error.args = args
    error.__dict__.update(state)
    if cause is not None:
        error.__cause__ = cause
    return error


class ConfigurationError(AiwynError, ValueError):
    """A wrong argument or setting. Nothing was sent; the text names it and the fix."""


class CheckpointError(ConfigurationError):
    """A checkpoint that is damaged, too new, or bound to another endpoint or query."""


class ClientClosedError(AiwynError, RuntimeError):
    """The client was closed with ``aclose()`` or by leaving ``async with``; make a new one."""


class LoopMismatchError(AiwynError, RuntimeError):
    """The client is used in a thread without an asyncio event loop, or on another thread's event loop."""


class RequestError(AiwynError):
    """One request went wrong.

    Attributes:
        method, path: what was asked, without query or body.
        attempts: every time it was sent, in order.
        elapsed: seconds over all attempts and waits.
        request_id: the server's name for the last answer, where it gave one.
        ambiguous: True for a write that may have been applied although no answer told so.
        retry_budget_exhausted: True when it would have been sent again, had the client's retry budget lasted.
        retry_after: seconds that the server asked to wait, or None; of the last error if the deadline passed.
        checkpoint: where a walk over pages can go on, when the request was a page of one.
    """

    def __init__(
        self,
        message: str,
        *,
        method: str = "",
        path: str = "",
        attempts: tuple[Attempt, ...] = (),
        elapsed: float = 0.0,
        request_id: str | None = None,
        ambiguous: bool = False,
        retry_budget_exhausted: bool = False,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.method = method
        self.path = path
        self.attempts = attempts
        self.elapsed = elapsed
        self.request_id = request_id
        self.ambiguous = ambiguous
        self.retry_budget_exhausted = retry_budget_exhausted
        self.retry_after = retry_after
        self.checkpoint: Checkpoint | None = None

    def __str__(self) -> str:
        parts = [f"{self.method} {self.path}: " if self.method else "", str(self.args[0])]
        if len(self.attempts) > 1:
            parts.append(f" ({len(self.attempts)} attempts in {self.elapsed:.1f} s)")
        if self.request_id:
            parts.append(f" [request id {self.request_id}]")
        if self.retry_budget_exhausted:
            parts.append(" It was not sent again: the client's retry budget is used up.")
        if self.ambiguous:
            parts.append(" The write may have been applied: look before you send it again.")
        return "".join(parts)


class TransportError(RequestError):
    """No answer came.

    ``kind`` is one of: connect, dns, tls, connect_timeout, read_timeout, attempt_timeout, disconnected,
    truncated, deadline.
    """

    def __init__(self, message: str, *, kind: str = "", **about: Any) -> None:
        super().__init__(message, **about)
        self.kind = kind


class DeadlineExceededError(TransportError):
    """The deadline over queueing, attempts and waits ran out.

    ``phase`` says in what: token, queue, pause, response or retry_wait. The cause is the error of the last
    attempt, if there was one; its ``retry_after`` is this error's too.
    """

    def __init__(self, message: str, *, phase: str, **about: Any) -> None:
        super().__init__(message, kind="deadline", **about)
        self.phase = phase


class ProtocolError(RequestError):
    """The answer is not HTTP as it should be. Its bytes are not quoted: they may hold anything."""


class RedirectRefusedError(ProtocolError):
    """The server answered with a redirect. Credentials never follow one; check base_url."""


class ResponseMismatchError(ProtocolError):
    """The response belongs to another request, on a fresh connection too; its content was not used.

    Attributes:
        requested_key: the key that was asked for.
        received_key: the key of the object in the response.
    """

    def __init__(
        self, message: str, *, requested_key: int | str = "", received_key: object = None, **about: Any
    ) -> None:
        super().__init__(message, **about)
        self.requested_key = requested_key
        self.received_key = received_key


class ResponseTooLargeError(ProtocolError):
    """The decoded body passed ``max_response_bytes`` and was dropped; ask for a smaller page_size."""


class StatusError(RequestError):
    """An answer came whose status is no success.

    Attributes:
        status: the HTTP status.
        body: the parsed JSON body, or its text, at most 64 KiB of it, credentials masked; None when empty.
    """

    def __init__(self, message: str, *, status: int, body: object = None, **about: Any) -> None:
        super().__init__(message, **about)
        self.status = status
        self.body = body


class InvalidRequestError(StatusError):
    """400 or 422: the server refuses what was asked."""


class AuthenticationError(StatusError):
    """401, after one renewal where a renewal is possible: check the API key or token."""


class PermissionDeniedError(StatusError):
    """403: the credentials are good but do not reach this."""


class NotFoundError(StatusError):
    """404: nothing is there under this path or key."""


class ConflictError(StatusError):
    """409: the server's state does not allow it."""


class RateLimitError(StatusError):
    """429 for longer than the retries last; ``retry_after`` has the seconds, where told."""


class ServerError(StatusError):
    """5xx, after the retries."""


class TokenExchangeError(RequestError):
    """No bearer token could be had for the API key, for another reason than its refusal."""


class ApiError(RequestError):
    """A success status whose body tells of an error, as ``{"errors": [...]}`` does.

    ``errors`` holds what the body told, as parsed JSON.
    """

    def __init__(self, message: str, *, errors: object = None, **about: Any) -> None:
        super().__init__(message, **about)
        self.errors = errors


class DecodeError(RequestError):
    """The body is not JSON, or not of the expected shape.

    Attributes:
        location: the JSON path of the misfit, such as ``$.deid_invoice[3].totalAmount``, where known.
        malformed: True when the body is no whole JSON document (a cut is likely).
    """

    def __init__(self, message: str, *, location: str = "", malformed: bool = False, **about: Any) -> None:
        super().__init__(message, **about)
        self.location = location
        self.malformed = malformed


class PaginationError(AiwynError):
    """A walk over pages cannot go on.

    Attributes:
        checkpoint: where it can be resumed, or None.
        report: what was seen until then, or None.
    """

    def __init__(
        self,
        message: str,
        *,
        checkpoint: Checkpoint | None = None,
        report: ListReport | PullReport | None = None,
    ) -> None:
        super().__init__(message)
        self.checkpoint = checkpoint
        self.report = report


class PaginationLoopError(PaginationError):
    """The server gives a page that it gave already: it may ignore ``page``."""


class IncompleteError(PaginationError):
    """Asked with ``strict=True``, and rows are missing, or nothing vouches that none is."""


class PartialWriteError(AiwynError):
    """Asked with ``raise_on_partial=True``, and a record failed or is ambiguous; ``report`` tells which."""

    def __init__(self, message: str, *, report: WriteReport) -> None:
        super().__init__(message)
        self.report = report


class StorageError(AiwynError):
    """A local file, a database or stdout cannot be read or written."""


class ExportError(StorageError):
    """An export cannot be written; an existing file is unchanged."""


class WebhookVerificationError(AiwynError):
    """A delivery that is not to be trusted, whatever is wrong with it; answer it with a 400."""


class UndocumentedEndpointWarning(UserWarning):
    """An endpoint is used whose path or method the documentation does not show; told once a client."""


class StorageWarning(UserWarning):
    """A file system lacks an operation (file modes, locks or syncing a folder); the work goes on without."""
