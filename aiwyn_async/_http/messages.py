"""What HTTP and this API say, without any I/O: requests, answers, waits asked for, errors.

Nothing here awaits or knows aiohttp, so each rule is a plain function with a table of tests.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Mapping
from numbers import Integral
from typing import Any, Final, cast
from urllib.parse import quote, urlsplit

import msgspec
from msgspec.structs import force_setattr

from aiwyn_async._http.error_bodies import failure_reason, find_reason, says_failure
from aiwyn_async._http.retry_after import (
    SANE_RETRY_AFTER,
    asks_to_come_back,
    parse_retry_after,
    requested_wait,
    timestamp_of,
)
from aiwyn_async.config import Secret
from aiwyn_async.errors import (
    ApiError,
    Attempt,
    AuthenticationError,
    ConfigurationError,
    ConflictError,
    DecodeError,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
    ProtocolError,
    RateLimitError,
    RedirectRefusedError,
    RequestError,
    ResponseTooLargeError,
    ServerError,
    StatusError,
    TransportError,
)

__all__ = [
    "MAX_ERROR_BODY",
    "SANE_RETRY_AFTER",
    "Failure",
    "FailureKind",
    "Outcome",
    "Request",
    "Response",
    "RetryClass",
    "Timeouts",
    "encode_json",
    "excerpt",
    "fields_of",
    "find_failure",
    "is_success",
    "looks_cut",
    "masked",
    "may_have_been_applied",
    "parse_retry_after",
    "path_segment",
    "printable",
    "requested_wait",
    "server_message",
    "timestamp_of",
    "to_error",
]

_encoder: Final = msgspec.json.Encoder(decimal_format="number")
_sorted_encoder: Final = msgspec.json.Encoder(decimal_format="number", order="deterministic")

MAX_ERROR_BODY: Final = 64 * 1024
# The documentation names no such header; these are the usual ones, most telling first.
REQUEST_ID_HEADERS: Final = ("X-Request-Id", "Request-Id", "X-Correlation-Id", "X-Amzn-RequestId", "Cf-Ray")
MAX_REQUEST_ID_LENGTH: Final = 128
MASK: Final = "***"
MAX_MASKED_DEPTH: Final = 50
"""Nested deeper, a value is replaced: it is shown to nobody, and walking it would exhaust the stack."""
MAX_REASON: Final = 500
_SUCCESS: Final = b'"success"'
_NO_SUCCESS: Final = re.compile(rb'"success"\s*:\s*false')
ENVELOPE_EDGE: Final = 400
"""Bytes at the start and end of a body within which its envelope says whether it is a success."""
MAX_FAILURE_BODY: Final = 64 * 1024
"""Bytes; a longer body holds rows, whatever its envelope says of success."""


class RetryClass(enum.Enum):
    """May a request be sent twice? It belongs to the endpoint, not to the verb: lists are POST here."""

    READ = "read"
    WRITE = "write"


class Timeouts(msgspec.Struct, frozen=True):
    """Seconds: to connect, of silence, and for one attempt in all."""

    connect: float
    read: float
    attempt: float


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One request as a resource method asks it. ``path`` is below base_url, already escaped."""

    method: str
    path: str
    body: bytes | None = None
    retry_class: RetryClass = RetryClass.READ
    authorised: bool = True

    def __repr__(self) -> str:
        # A body may hold a credential or personal data, and tracebacks show the repr of locals.
        return f"<Request {self.method} {self.path}>"


class Response(msgspec.Struct, frozen=True):
    """An answer that came whole: any status, the decoded body.

    Attributes:
        content: the body, or the pieces it came in. These are joined when ``body`` is asked for, and not
            before: that is as much memory again, which takes longer to get than what finds the rows in it.
    """

    status: int
    headers: Mapping[str, str]
    content: bytes | tuple[bytes, ...]
    elapsed: float
    attempts: tuple[Attempt, ...] = ()

    def __repr__(self) -> str:
        return f"<Response {self.status}, {self.length} bytes>"

    def after(self, attempts: Iterable[Attempt]) -> Response:
        """This answer, which is told of all the attempts that led to it."""
        force_setattr(self, "attempts", tuple(attempts))
        return self

    @property
    def body(self) -> bytes:
        """All of the body."""
        content = self.content
        if isinstance(content, tuple):
            content = b"".join(content)
            force_setattr(self, "content", content)
        return content

    @property
    def pieces(self) -> tuple[bytes, ...]:
        """The body as it came, at least one piece."""
        return self.content if isinstance(self.content, tuple) else (self.content,)

    @property
    def length(self) -> int:
        """Of the body, in bytes."""
        return sum(map(len, self.pieces))

    @property
    def request_id(self) -> str | None:
        """The server's name for the request; that it gives one, and in which header, is inferred."""
        for name in REQUEST_ID_HEADERS:
            if name in self.headers:
                return printable(self.headers[name], limit=MAX_REQUEST_ID_LENGTH).strip() or None
        return None

    @property
    def content_type(self) -> str:
        """The media type, without its parameters."""
        return self.headers.get("Content-Type", "").partition(";")[0].strip().lower()


class FailureKind(enum.Enum):
    """Why no whole answer came."""

    CONNECT = "connect"
    DNS = "dns"
    TLS = "tls"
    CONNECT_TIMEOUT = "connect_timeout"
    READ_TIMEOUT = "read_timeout"
    ATTEMPT_TIMEOUT = "attempt_timeout"
    DISCONNECTED = "disconnected"
    TRUNCATED = "truncated"
    ENCODING = "encoding"
    UNKNOWN_ENCODING = "unknown_encoding"
    PROTOCOL = "protocol"
    TOO_LARGE = "too_large"

    @property
    def never_sent(self) -> bool:
        """True when the server cannot have seen the request."""
        return self in _NEVER_SENT

    @property
    def is_timeout(self) -> bool:
        """True when time ran out, which counts as a sign of an overloaded server."""
        return self in _TIMEOUTS


_NEVER_SENT: Final = {FailureKind.CONNECT, FailureKind.DNS, FailureKind.TLS, FailureKind.CONNECT_TIMEOUT}
_TIMEOUTS: Final = {FailureKind.CONNECT_TIMEOUT, FailureKind.READ_TIMEOUT, FailureKind.ATTEMPT_TIMEOUT}


class Failure(msgspec.Struct, frozen=True):
    """No whole answer came. ``text`` is ours: it quotes neither wire bytes nor a credential."""

    kind: FailureKind
    text: str
    elapsed: float
    on_reused_connection: bool = False
    """It broke on a kept-alive connection before anything was answered."""
    out_of_sockets: bool = False
    """This process could open no socket, so the server is not to blame."""


Outcome = Response | Failure


def path_segment(value: object, *, what: str = "key") -> str:
    """One path segment that cannot climb out of its path.

    Raises:
        ConfigurationError: the value is empty, not a number or string, ``.`` or ``..``, or holds control
            characters.
    """
    if type(value) is int:
        return str(value)
    is_array = getattr(value, "shape", ()) != ()
    if isinstance(value, bool) or is_array or not isinstance(value, (Integral, str)):
        raise ConfigurationError(f"{what} must be an int or a str, not {type(value).__name__}")
    text = str(value if isinstance(value, str) else int(value))
    if not text.strip() or not text.isprintable():
        raise ConfigurationError(f"{what} is empty or holds control characters")
    if text.lower().replace("%2e", ".") in {".", ".."}:
        raise ConfigurationError(f"{what} must not be {text!r}")
    try:
        return quote(text, safe="")
    except UnicodeEncodeError:
        raise ConfigurationError(f"{what} holds characters that no text encoding can send") from None


def encode_json(value: object, *, in_order: bool = False) -> bytes:
    """JSON with decimals as exact numbers; ``in_order`` sorts keys, so that equal values give equal bytes."""
    return (_sorted_encoder if in_order else _encoder).encode(value)


def is_success(status: int) -> bool:
    """True for 2xx."""
    return 200 <= status < 300


def looks_cut(body: bytes) -> bool:
    """True when a body begins as a JSON object or array and does not end as one.

    A body cut short can arrive without any error of the transport, so the end is looked at here.
    """
    text = body.strip()
    return (text[:1], text[-1:]) not in {(b"{", b"}"), (b"[", b"]")} and text[:1] in {b"{", b"["}


def excerpt(body: bytes, secrets: Iterable[Secret] = (), limit: int = 200) -> str:
    """The beginning of a body as printable text, at most ``limit`` characters, credentials masked."""
    return printable(body[:MAX_ERROR_BODY].decode("utf-8", "replace"), secrets, limit)


def printable(text: str, secrets: Iterable[Secret] = (), limit: int = 200) -> str:
    """Text of a server as it can be shown anywhere: no control characters, lone surrogates, credentials."""
    shown = masked(text, secrets)[:limit]
    return "".join(letter if letter.isprintable() else " " for letter in shown)


def masked(value: Any, secrets: Iterable[Secret], depth: int = MAX_MASKED_DEPTH) -> Any:
    """JSON with credentials masked wherever a server repeats them, in keys as in values."""
    match value:
        case str():
            for secret in secrets:
                value = value.replace(secret.reveal(), MASK)
            return value
        case list() | dict() if not depth:
            return "..."
        case list():
            return [masked(entry, secrets, depth - 1) for entry in cast("Iterable[Any]", value)]
        case dict():
            fields = cast("Mapping[str, Any]", value)
            return {masked(key, secrets): masked(entry, secrets, depth - 1) for key, entry in fields.items()}
        case _:
            return value


def to_error(
    request: Request,
    outcome: Outcome,
    *,
    now: float,
    elapsed: float,
    attempts: tuple[Attempt, ...],
    secrets: tuple[Secret, ...] = (),
    ambiguous: bool = False,
    retry_budget_exhausted: bool = False,
) -> RequestError:
    """The typed error for an outcome that is final.

    ``now`` is wall-clock seconds, ``ambiguous`` what is known from the attempts before this outcome.
    """
    about: dict[str, Any] = {
        "method": request.method,
        "path": request.path,
        "attempts": attempts,
        "elapsed": elapsed,
        "ambiguous": ambiguous or may_have_been_applied(request, outcome),
        "retry_budget_exhausted": retry_budget_exhausted,
    }
    if isinstance(outcome, Failure):
        return _failure_error(outcome, about, secrets)
    about["request_id"] = outcome.request_id and masked(outcome.request_id, secrets)
    if is_success(outcome.status):
        failure = find_failure(request, outcome)
        if failure is not None:
            return _api_error(outcome, failure, about | {"ambiguous": ambiguous}, secrets)
        return _not_json_error(outcome, about, secrets)
    if outcome.status < 400:
        return _redirect_or_upgrade_error(outcome, about, secrets)
    return _status_error(outcome, about, secrets, now)


def may_have_been_applied(request: Request, outcome: Outcome) -> bool:
    """True for a write of which nobody can say whether the server applied it."""
    if request.retry_class is RetryClass.READ:
        return False
    if isinstance(outcome, Failure):
        return not outcome.kind.never_sent
    if outcome.status in _REFUSED_UNREAD or is_refused_for_now(outcome):
        return False
    return not is_success(outcome.status) or find_failure(request, outcome) is None


# Below 500 a server answers after it has looked at a request and before it has acted on it, but for 408;
# 501 and 505 say that it cannot act.
_REFUSED_UNREAD: Final = {*range(300, 408), *range(409, 500), 501, 505}


def is_refused_for_now(response: Response) -> bool:
    """True for a 503 or 529 that says when to come back: the server did not take the request on."""
    return response.status in {503, 529} and asks_to_come_back(response.headers)


def _failure_error(failure: Failure, about: dict[str, Any], secrets: tuple[Secret, ...]) -> RequestError:
    text = failure.text
    match failure.kind:
        case FailureKind.PROTOCOL:
            return ProtocolError(text, **about)
        case FailureKind.UNKNOWN_ENCODING:
            # It quotes a header of the response, which may repeat a credential.
            return DecodeError(printable(text, secrets), **about)
        case FailureKind.TOO_LARGE:
            return ResponseTooLargeError(text, **about)
        case FailureKind.ENCODING:
            return DecodeError(text, malformed=True, **about)
        case kind:
            return TransportError(text, kind=kind.value, **about)


def find_failure(request: Request, response: Response) -> dict[str, Any] | None:
    """Return the envelope of a success status that says ``success: false``; None of any other response.

    A write whose response has data is left to its reader: some of its records may have been written.
    """
    content = response.content
    # For every response, so what is no envelope is recognised by its ends.
    if isinstance(content, tuple) or content.startswith(b'{"id"'):
        return None
    if content.find(_SUCCESS, 0, ENVELOPE_EDGE) < 0 and content.find(_SUCCESS, -ENVELOPE_EDGE) < 0:
        return None
    if len(content) > MAX_FAILURE_BODY or _NO_SUCCESS.search(content) is None:
        return None
    try:
        envelope = fields_of(msgspec.json.decode(content))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None  # the reader of the body reports it
    is_partial = request.retry_class is RetryClass.WRITE and bool(envelope.get("data"))
    return envelope if says_failure(envelope) and not is_partial else None


def _api_error(
    response: Response, envelope: dict[str, Any], about: dict[str, Any], secrets: tuple[Secret, ...]
) -> ApiError:
    known = masked(envelope, secrets)
    reason = printable(failure_reason(known), limit=MAX_REASON) or "without a reason"
    return ApiError(
        f"status {response.status}, but the response says success: false; the server says: {reason}",
        errors=known,
        **about,
    )


def _not_json_error(response: Response, about: dict[str, Any], secrets: tuple[Secret, ...]) -> DecodeError:
    kind = printable(response.content_type, secrets, limit=80) or "no content type"
    if not response.body.strip():
        return DecodeError(f"{response.status} with an empty body where JSON was expected", **about)
    if looks_cut(response.body):
        text = f"the JSON body breaks off after {len(response.body)} bytes"
        return DecodeError(text, malformed=True, **about)
    start = excerpt(response.body, secrets)
    return DecodeError(f"expected a JSON object or array, got {kind}: {start!r}; is base_url right?", **about)


def _redirect_or_upgrade_error(
    response: Response, about: dict[str, Any], secrets: tuple[Secret, ...]
) -> ProtocolError:
    if response.status not in {300, 301, 302, 303, 305, 307, 308}:
        return ProtocolError(f"unexpected status {response.status}", **about)
    location = masked(response.headers.get("Location", ""), secrets)
    return RedirectRefusedError(
        f"status {response.status} points to {_host_of(location)}; redirects are refused, check base_url",
        **about,
    )


def _host_of(location: str) -> str:
    """Scheme and host of a redirect. The rest of it may hold what the server was told in confidence."""
    try:
        parts = urlsplit(location)
        host, port = parts.hostname, parts.port
    except ValueError:
        return "no valid address"
    if not host:
        return "another path of this host" if location.strip() else "nowhere"
    return printable(f"{parts.scheme or 'http(s)'}://{host}{f':{port}' if port else ''}")


_BY_STATUS: Final[Mapping[int, tuple[type[StatusError], str]]] = {
    400: (InvalidRequestError, "the server refuses the request"),
    401: (AuthenticationError, "the credentials are refused; check the API key or token"),
    403: (PermissionDeniedError, "the credentials do not reach this; check the roles of the API key"),
    404: (NotFoundError, "not found"),
    409: (ConflictError, "in conflict with the server's state"),
    422: (InvalidRequestError, "the server refuses the request"),
    429: (RateLimitError, "too many requests; lower max_concurrency or wait"),
}


def _status_error(
    response: Response, about: dict[str, Any], secrets: tuple[Secret, ...], now: float
) -> StatusError:
    default = (ServerError, "the server failed") if response.status >= 500 else (StatusError, "refused")
    cls, advice = _BY_STATUS.get(response.status, default)
    body = _error_body(response.body, secrets)
    told = server_message(body)
    retry_after = requested_wait(response.status, response.headers, now)
    text = f"status {response.status}: {advice}"
    if retry_after is not None:
        text += f"; it asks to wait {retry_after:g} s"
    if told:
        text += f"; the server says: {told}"
    return cls(text, status=response.status, body=body, retry_after=retry_after, **about)


def _error_body(body: bytes, secrets: tuple[Secret, ...]) -> object:
    if not body.strip():
        return None
    text = body[:MAX_ERROR_BODY].decode("utf-8", "replace")
    try:
        # Masked after decoding: JSON can spell a letter in more than one way.
        return masked(msgspec.json.decode(text), secrets)
    except (msgspec.MsgspecError, RecursionError):
        return masked(text, secrets)


def server_message(body: object) -> str:
    """Return the reason in an error body as one printable line of bounded length; '' if there is none."""
    return printable(find_reason(body), limit=MAX_REASON)


def fields_of(value: object) -> dict[str, Any]:
    """A JSON object's fields; none when the value is another kind of JSON."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
