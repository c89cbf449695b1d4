"""Every error and warning that the package raises on purpose.

    AiwynError
    ├── ConfigurationError          an invalid argument or setting; nothing was sent (also a ValueError)
    │   └── CheckpointError         a checkpoint is not valid, or belongs to another query
    ├── ClientClosedError           the client is closed (also a RuntimeError)
    ├── LoopMismatchError           the client is used from another thread (also a RuntimeError)
    ├── RequestError                a request failed: method, path, attempts, elapsed
    │   ├── TransportError          no response was received; kind is the cause
    │   │   └── DeadlineExceededError   the deadline of the call was exceeded; phase says while doing what
    │   ├── ProtocolError           the response is not valid HTTP; never retried
    │   │   ├── RedirectRefusedError    the response is a redirect; credentials do not follow it
    │   │   ├── ResponseMismatchError   the response belongs to another request
    │   │   └── ResponseTooLargeError   the response is larger than max_response_bytes
    │   ├── StatusError             a response with an error status
    │   │   ├── InvalidRequestError     400, 422
    │   │   ├── AuthenticationError     401
    │   │   ├── PermissionDeniedError   403
    │   │   ├── NotFoundError           404
    │   │   ├── ConflictError           409
    │   │   ├── RateLimitError          429: retry_after
    │   │   └── ServerError             5xx
    │   ├── TokenExchangeError      the API key could not be exchanged for a bearer token
    │   ├── ApiError                a success status with an error in the body
    │   └── DecodeError             the body is not JSON, or does not have the expected shape
    ├── PaginationError             a read cannot continue: checkpoint, report
    │   ├── PaginationLoopError     the server keeps returning the same rows
    │   └── IncompleteError         rows are missing, or strict=True and the read is not proven complete
    ├── PartialWriteError           raise_on_partial=True, and not every record was written: report
    ├── StorageError                a local file, database or stdout cannot be read or written
    │   └── ExportError             an export cannot be written
    └── WebhookVerificationError    a delivery cannot be verified; respond with 400

Every error can be pickled. None contains a secret in its text, attributes or traceback locals.
"""

from __future__ import annotations

import copyreg
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    # Types of attributes only: this module is below those that define them.
    from aiwyn_async._core.pull_report import PullReport
    from aiwyn_async._core.reports import ListReport
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
    """One attempt to send a request: its outcome, and the seconds that it took."""

    outcome: str
    elapsed: float
    """Seconds from sending to the response or the failure."""
    waited: float = 0.0
    """Seconds waited before sending, for backoff or because of Retry-After."""
    queued: float = 0.0
    """Seconds queued before sending for one of the ``max_concurrency`` slots."""


class AiwynError(Exception):
    """The base class of all errors that the package raises on purpose."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle class, args, attributes, and the cause if it is of this package."""
        state = dict(self.__dict__)
        if isinstance(self.__cause__, AiwynError):
            state["__cause__"] = self.__cause__
        # Not __init__, which takes keyword arguments.
        return copyreg.__newobj__, (type(self), *self.args), state  # type: ignore[attr-defined]


class ConfigurationError(AiwynError, ValueError):
    """An invalid argument or setting. Nothing was sent; the message names the fix."""


class CheckpointError(ConfigurationError):
    """Stored progress, such as a checkpoint, that is damaged, newer, or of another query or server."""


class ClientClosedError(AiwynError, RuntimeError):
    """The client was closed by ``aclose()`` or ``async with``; create a new one."""


class LoopMismatchError(AiwynError, RuntimeError):
    """The client is used without an event loop, or with another thread's loop."""


class RequestError(AiwynError):
    """A request failed.

    Attributes:
        method, path: of the request, without query or body.
        attempts: every attempt, in order.
        elapsed: seconds over all attempts and waits.
        request_id: the request id of the last response, or None.
        ambiguous: True for a write that may have been applied although no response confirms it.
        retry_budget_exhausted: True if the client's retry budget prevented another attempt.
        retry_after: seconds that the server asked to wait, or None; of the last attempt.
        checkpoint: where to resume, if the request was part of a paged read.
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
            parts.append("; not retried: the retry budget of the client is exhausted")
        if self.ambiguous:
            parts.append("; the write may have been applied, check before you send it again")
        return "".join(parts)


class TransportError(RequestError):
    """No response was received.

    ``kind`` is one of: connect, dns, tls, connect_timeout, read_timeout, attempt_timeout, disconnected,
    truncated, deadline.
    """

    def __init__(self, message: str, *, kind: str = "", **about: Any) -> None:
        super().__init__(message, **about)
        self.kind = kind


class DeadlineExceededError(TransportError):
    """The deadline over queueing, attempts and waits was exceeded.

    ``phase`` is one of: token, queue, pause, response, retry_wait. The cause is the error of the last
    attempt, if there was one; ``retry_after`` is copied from it.
    """

    def __init__(self, message: str, *, phase: str, **about: Any) -> None:
        super().__init__(message, kind="deadline", **about)
        self.phase = phase


class ProtocolError(RequestError):
    """The response is not valid HTTP; its bytes may be anything and are not quoted."""


class RedirectRefusedError(ProtocolError):
    """The server redirected, which credentials never follow; check base_url."""


class ResponseMismatchError(ProtocolError):
    """The response belongs to another request, on a fresh connection too; not used."""

    def __init__(
        self, message: str, *, requested_key: int | str = "", received_key: object = None, **about: Any
    ) -> None:
        super().__init__(message, **about)
        self.requested_key = requested_key
        self.received_key = received_key


class ResponseTooLargeError(ProtocolError):
    """The decoded body exceeded ``max_response_bytes``, or expanded too much."""


class StatusError(RequestError):
    """A response with an error status.

    Attributes:
        status: the HTTP status.
        body: the parsed JSON body, or its text, at most 64 KiB of it, credentials masked; None if empty.
    """

    def __init__(self, message: str, *, status: int, body: object = None, **about: Any) -> None:
        super().__init__(message, **about)
        self.status = status
        self.body = body


class InvalidRequestError(StatusError):
    """400 or 422: the server refuses the request."""


class AuthenticationError(StatusError):
    """401, after one token renewal if possible; check the API key or token."""


class PermissionDeniedError(StatusError):
    """403: access denied; check the roles of the API key."""


class NotFoundError(StatusError):
    """404: no object with this path or key."""


class ConflictError(StatusError):
    """409: the request conflicts with the current state of the resource."""


class RateLimitError(StatusError):
    """429, after the retries; ``retry_after`` has the seconds, if they were sent."""


class ServerError(StatusError):
    """5xx, after the retries."""


class TokenExchangeError(RequestError):
    """The exchange of the API key failed, for another reason than its refusal."""


class ApiError(RequestError):
    """A success status with an error in the body, such as ``{"errors": [...]}``.

    ``errors`` is that part of the body, as parsed JSON.
    """

    def __init__(self, message: str, *, errors: object = None, **about: Any) -> None:
        super().__init__(message, **about)
        self.errors = errors


class DecodeError(RequestError):
    """The body is not JSON, or does not have the expected shape.

    Attributes:
        location: the JSON path of the value, such as ``$.deid_invoice[3].totalAmount``, if known.
        malformed: True if the body is not a complete JSON document (it was probably truncated).
    """

    def __init__(self, message: str, *, location: str = "", malformed: bool = False, **about: Any) -> None:
        super().__init__(message, **about)
        self.location = location
        self.malformed = malformed


class PaginationError(AiwynError):
    """A paged read cannot continue.

    Attributes:
        checkpoint: where to resume, or None.
        report: the report of the read so far, or None.
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
    """The server keeps returning the same rows; it may ignore ``page``."""


class IncompleteError(PaginationError):
    """Rows are missing, or a read with ``strict=True`` is not proven complete."""


class PartialWriteError(AiwynError):
    """With ``raise_on_partial=True``: a record failed or is ambiguous; see ``report``."""

    def __init__(self, message: str, *, report: WriteReport) -> None:
        super().__init__(message)
        self.report = report


class StorageError(AiwynError):
    """A local file, a database or stdout cannot be read or written."""


class ExportError(StorageError):
    """An export cannot be written; an existing file is unchanged."""


class WebhookVerificationError(AiwynError):
    """A delivery that cannot be verified, for any reason; respond with 400."""


class UndocumentedEndpointWarning(UserWarning):
    """An endpoint without documented path or method is used; warned once per client."""


class StorageWarning(UserWarning):
    """The file system lacks an operation, or keeps files that are not needed; the work continues."""
