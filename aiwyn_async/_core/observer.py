"""What an observer of a client is called with: names, numbers and times, never content."""

from __future__ import annotations

import itertools
from typing import Literal, Protocol, runtime_checkable

import msgspec

WaitReason = Literal["queue", "pause", "retry"]


class ObservedCall(msgspec.Struct, frozen=True, kw_only=True):
    """One request with its retries, or one use of a read. It can be the key of a dict.

    Attributes:
        kind: "request", or "read" for a use of ``list()``, ``search()`` or ``pull()``, whose requests are
            calls of their own.
        method: the HTTP method; None for a read.
        path: below ``base_url``, without the query.
        template: the path with names for its variable parts, such as ``/gql/v1/invoice/{key}``; None if it is
            unknown, as with ``AiwynClient.request()``.
        base_url: of the server.
        id: unique in the process.
    """

    kind: Literal["request", "read"]
    method: str | None
    path: str
    template: str | None
    base_url: str
    id: int = msgspec.field(default_factory=itertools.count(1).__next__)


class WaitStart(msgspec.Struct, frozen=True, kw_only=True):
    """A wait before an attempt.

    Attributes:
        reason: "queue" for one of the ``max_concurrency`` slots, "pause" until the end of a pause that the
            server requested from another call, "retry" for backoff or Retry-After.
        seconds: how long it will take; None if unknown, as in a queue.
    """

    reason: WaitReason
    seconds: float | None


class AttemptEnd(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of one attempt.

    Attributes:
        number: of the attempt within its call, from 1.
        status: the HTTP status, or None without a complete response.
        error_type: None for a status below 400, else the status as text or the kind of failure, such as
            "read_timeout"; the class of the error if the call ended during the attempt.
        elapsed: seconds from sending to the outcome.
        queued: seconds queued for a slot before it.
        waited: seconds waited before it, for backoff or because of Retry-After.
        request_id: of the server, or None.
        bytes: length of the decoded body, 0 without a complete response.
    """

    number: int
    status: int | None = None
    error_type: str | None
    elapsed: float
    queued: float
    waited: float
    request_id: str | None = None
    bytes: int = 0


class CallEnd(msgspec.Struct, frozen=True, kw_only=True):
    """The end of a call.

    Attributes:
        status: of the last attempt with an outcome, or None if there was no response.
        error_type: the class of the error that the call raised, or None.
        attempts: how many there were; 0 for a read, whose requests are calls of their own.
        elapsed: seconds of the whole call, by the clock of the client.
        queued: seconds queued for slots.
        waited: seconds waited for backoff or because of Retry-After.
        request_id: of that response, or None.
        bytes: length of its decoded body, or of all responses of a read.
        rows: rows received by a read, duplicates and bad rows included; None for a request.
    """

    status: int | None = None
    error_type: str | None
    attempts: int = 0
    elapsed: float
    queued: float = 0.0
    waited: float = 0.0
    request_id: str | None = None
    bytes: int = 0
    rows: int | None = None


@runtime_checkable
class Observer(Protocol):
    """Is called at each step of each call of a client, in the task of the call.

    The methods must return quickly, since the event loop waits for them. They never receive a body, a
    header, a query or a credential. The first error of an observer is logged and the others are ignored: no
    error changes a call. Every call that has started ends, also if it fails or is cancelled.
    """

    def call_started(self, call: ObservedCall, /) -> None:
        """A call starts."""
        ...

    def wait_started(self, call: ObservedCall, wait: WaitStart, /) -> None:
        """A call starts to wait before an attempt."""
        ...

    def attempt_ended(self, call: ObservedCall, attempt: AttemptEnd, /) -> None:
        """An attempt of a call ended."""
        ...

    def call_ended(self, call: ObservedCall, end: CallEnd, /) -> None:
        """A call ended."""
        ...
