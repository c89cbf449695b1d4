"""What HTTP and this API say, without any I/O: requests, answers, waits asked for, errors.

Nothing here awaits or knows aiohttp, so each rule is a plain function with a table of tests.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any, Final, cast
from urllib.parse import quote, urlsplit

import msgspec
from msgspec.structs import force_setattr

from aiwyn_async.config import Secret
from aiwyn_async.errors import (
    Attempt,
    AuthenticationError,
    ConfigurationError,
    ConflictError,
    ConnectionFailed,
    DecodeFailed,
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
)

__all__ = [
    "MAX_ERROR_BODY",
    "Failure",
    "FailureKind",
    "Outcome",
    "Request",
    "Response",
    "RetryClass",
    "Timeouts",
    "encode_json",
    "error_of",
    "excerpt",
    "fields_of",
    "is_success",
    "looks_cut",
    "masked",
    "may_have_been_applied",
    "parse_retry_after",
    "path_segment",
    "printable",
    "timestamp_of",
]

_encoder: Final = msgspec.json.Encoder(decimal_format="number")
_sorted_encoder: Final = msgspec.json.Encoder(decimal_format="number", order="deterministic")

MAX_ERROR_BODY: Final = 64 * 1024
# A longer Retry-After is no wish of a server but garbage, and is treated as if it were absent.
SANE_RETRY_AFTER: Final = 31 * 24 * 3600.0
# The documentation names no such header; these are the usual ones, most telling first.
REQUEST_ID_HEADERS: Final = ("X-Request-Id", "Request-Id", "X-Correlation-Id", "X-Amzn-RequestId", "Cf-Ray")
LONGEST_REQUEST_ID: Final = 128
MASK: Final = "***"
# float() would take inf, nan, 1_0 and digits of other scripts as well.
_DELAY_SECONDS: Final = re.compile(r"[0-9]+(\.[0-9]*)?")


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
                return printable(self.headers[name], limit=LONGEST_REQUEST_ID).strip() or None
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


Outcome = Response | Failure


def path_segment(value: object, *, what: str = "key") -> str:
    """One path segment that cannot climb out of its path.

    Raises:
        ConfigurationError: the value is empty, not a number or string, ``.`` or ``..``, or holds control
            characters.
    """
    if type(value) is int:
        return str(value)
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise ConfigurationError(f"{what} must be an int or a str, not {type(value).__name__}")
    text = str(value)
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


def parse_retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds that Retry-After asks to wait, from its number or date form; None when absent or garbage.

    A date is held against the answer's own ``Date``, so that a wrong clock on either side does no harm.
    ``now`` is wall-clock seconds, for an answer without one.
    """
    text = headers.get("Retry-After", "").strip()
    if not text:
        return None
    if _DELAY_SECONDS.fullmatch(text):
        seconds = float(text)
    else:
        until = timestamp_of(text)
        if until is None:
            return None
        sent_at = timestamp_of(headers.get("Date", ""))
        seconds = max(0.0, until - (now if sent_at is None else sent_at))
    return seconds if seconds <= SANE_RETRY_AFTER else None


def timestamp_of(text: str) -> float | None:
    """The seconds since 1970 of an HTTP date; None when it is none."""
    try:
        date = parsedate_to_datetime(text)
        # The asctime form and the zone -0000 come out naive; HTTP dates are UTC, whatever zone is set here.
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def excerpt(body: bytes, secrets: Iterable[Secret] = (), limit: int = 200) -> str:
    """The beginning of a body as printable text, at most ``limit`` characters, credentials masked."""
    return printable(body[:MAX_ERROR_BODY].decode("utf-8", "replace"), secrets, limit)


def printable(text: str, secrets: Iterable[Secret] = (), limit: int = 200) -> str:
    """Text of a server as it can be shown anywhere: no control characters, lone surrogates, credentials."""
    shown = masked(text, secrets)[:limit]
    return "".join(letter if letter.isprintable() else " " for letter in shown)


def masked(value: Any, secrets: Iterable[Secret]) -> Any:
    """JSON with credentials masked wherever a server repeats them, in keys as in values."""
    match value:
        case str():
            for secret in secrets:
                value = value.replace(secret.reveal(), MASK)
            return value
        case list():
            return [masked(entry, secrets) for entry in cast("Iterable[Any]", value)]
        case dict():
            fields = cast("Mapping[str, Any]", value)
            return {masked(key, secrets): masked(entry, secrets) for key, entry in fields.items()}
        case _:
            return value


def error_of(
    request: Request,
    outcome: Outcome,
    *,
    now: float,
    elapsed: float,
    attempts: tuple[Attempt, ...],
    secrets: tuple[Secret, ...] = (),
    ambiguous: bool = False,
    retry_quota_exhausted: bool = False,
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
        "retry_quota_exhausted": retry_quota_exhausted,
    }
    if isinstance(outcome, Failure):
        return _failure_error(outcome, about)
    about["request_id"] = outcome.request_id and masked(outcome.request_id, secrets)
    if is_success(outcome.status):
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
    return outcome.status not in _REFUSED_UNREAD and not is_refused_for_now(outcome)


# Below 500 a server answers after it has looked at a request and before it has acted on it, but for 408;
# 501 and 505 say that it cannot act.
_REFUSED_UNREAD: Final = {*range(300, 408), *range(409, 500), 501, 505}


def is_refused_for_now(response: Response) -> bool:
    """True for a 503 that says when to come back: the server did not take the request on."""
    told = response.headers.get("Retry-After", "").strip()
    readable = _DELAY_SECONDS.fullmatch(told) is not None or timestamp_of(told) is not None
    return response.status == 503 and readable


def _failure_error(failure: Failure, about: dict[str, Any]) -> RequestError:
    match failure.kind:
        case FailureKind.PROTOCOL:
            return ProtocolError(failure.text, **about)
        case FailureKind.UNKNOWN_ENCODING:
            return DecodeFailed(failure.text, **about)
        case FailureKind.TOO_LARGE:
            return ResponseTooLargeError(failure.text, **about)
        case FailureKind.ENCODING:
            return DecodeFailed(failure.text, malformed=True, **about)
        case kind:
            return ConnectionFailed(failure.text, kind=kind.value, **about)


def _not_json_error(response: Response, about: dict[str, Any], secrets: tuple[Secret, ...]) -> DecodeFailed:
    kind = printable(response.content_type, secrets, limit=80) or "no content type"
    if not response.body.strip():
        return DecodeFailed(f"{response.status} with an empty body where JSON was expected", **about)
    if looks_cut(response.body):
        text = f"the JSON body breaks off after {len(response.body)} bytes"
        return DecodeFailed(text, malformed=True, **about)
    start = excerpt(response.body, secrets)
    return DecodeFailed(
        f"expected a JSON object or array, got {kind}: {start!r}; is base_url right?", **about
    )


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
    retry_after = parse_retry_after(response.headers, now)
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
    """What an error body tells, in any of the usual shapes, as one short printable line; '' if nothing.

    The API documents no error bodies; these shapes are those of GraphQL, Hasura and its own ``error`` key.
    """
    told = body
    errors = fields_of(body).get("errors")
    if errors and isinstance(errors, list):
        told = cast("Sequence[object]", errors)[0]
    elif nested := fields_of(fields_of(body).get("error")):
        told = nested
    named = (fields_of(told).get(name) for name in ("message", "error", "detail"))
    return printable(next((text for text in (told, *named) if isinstance(text, str)), ""))


def fields_of(value: object) -> dict[str, Any]:
    """A JSON object's fields; none when the value is another kind of JSON."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
