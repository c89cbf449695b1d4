"""Requests, responses and failures, without any I/O."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from typing import Any, Final, cast
from urllib.parse import quote

import msgspec
from msgspec.structs import force_setattr

from aiwyn_async._core.checks import MAX_ID, as_id, check_kind, shown
from aiwyn_async._http.redaction import printable
from aiwyn_async.errors import Attempt, ConfigurationError

_encoder: Final = msgspec.json.Encoder(decimal_format="number")
_sorted_encoder: Final = msgspec.json.Encoder(decimal_format="number", order="deterministic")

# The documentation names no such header; these are the usual ones, most specific first.
REQUEST_ID_HEADERS: Final = ("X-Request-Id", "Request-Id", "X-Correlation-Id", "X-Amzn-RequestId", "Cf-Ray")
MAX_REQUEST_ID_LENGTH: Final = 128


class RetryClass(enum.Enum):
    """Whether a request may be repeated: by its endpoint, not its method, since lists are POST."""

    READ = "read"
    WRITE = "write"


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One request.

    Attributes:
        path: relative to base_url and already escaped.
        retry_class: WRITE if it must not be repeated; with READ it is sent again after a failure. None is
            READ, but ``AiwynClient.request()`` takes it for READ only with GET, or with POST below
            ``gql_prefix``, where the API has only reads.
        template: for observers, the path with a name in braces for each variable part; None if it has none.
    """

    method: str
    path: str
    body: bytes | None = None
    retry_class: RetryClass | None = None
    authorised: bool = True
    template: str | None = None

    def __repr__(self) -> str:
        # A body may contain a credential or personal data, and tracebacks show the repr of locals.
        is_text = isinstance(self.path, str)  # pyright: ignore[reportUnnecessaryIsInstance]
        return f"<Request {self.method} {self.plain_path if is_text else type(self.path).__name__}>"

    @property
    def plain_path(self) -> str:
        """The path without its query, which may contain a credential."""
        return self.path.partition("#")[0].partition("?")[0]


_FIELDS: Final[tuple[tuple[str, type[Any], str], ...]] = (
    ("method", str, "a str such as GET"),
    ("path", str, "a str such as /v1/whatever"),
    ("body", bytes, "bytes, such as those of JSON"),
    ("retry_class", RetryClass, "RetryClass.READ or RetryClass.WRITE"),
    ("authorised", bool, "True or False"),
    ("template", str, "a str such as /v1/whatever/{id}"),
)


def prepare_own(request: Request, reads: str) -> Request:
    """Return a request of a user with its retry class and template.

    ``reads`` is the prefix below which POST reads.

    Raises:
        ConfigurationError: it is not a ``Request``, or one of its fields has another type. An error of
            aiohttp would have frames that hold the token.
    """
    check_kind("request", request, Request, "a Request")
    for name, kind, hint in _FIELDS:
        value = getattr(request, name)
        if value is not None or name not in {"body", "retry_class", "template"}:
            check_kind(f"{name} of a Request", value, kind, hint)
    if not (request.method.isascii() and request.method.isalpha()):
        raise ConfigurationError(
            f"method of a Request must be a word such as GET, got {shown(request.method)}"
        )
    method = request.method.upper()
    is_read = method == "GET" or (method == "POST" and request.path.startswith(f"{reads}/"))
    return msgspec.structs.replace(
        request,
        retry_class=request.retry_class or (RetryClass.READ if is_read else RetryClass.WRITE),
        # Unlike in other requests, any part of the path may be variable.
        template="" if request.template is None else request.template,
    )


class Response(msgspec.Struct, frozen=True):
    """A complete response with any status.

    Attributes:
        content: the body, or the pieces in which it was received. ``body`` joins them on first use only:
            joining needs as much memory again, which takes longer than finding the rows.
        latency: seconds from sending the request to the end of the response, without those to connect.
        busy: seconds of the latency in which this thread worked; 0 for a latency that is never long.
    """

    status: int
    headers: Mapping[str, str]
    content: bytes | tuple[bytes, ...]
    elapsed: float
    attempts: tuple[Attempt, ...] = ()
    latency: float = 0.0
    busy: float = 0.0

    def __repr__(self) -> str:
        return f"<Response {self.status}, {self.length} bytes>"

    def after(self, attempts: Iterable[Attempt]) -> Response:
        """Return this response with the attempts that led to it."""
        force_setattr(self, "attempts", tuple(attempts))
        return self

    @property
    def body(self) -> bytes:
        """The whole body."""
        content = self.content
        if isinstance(content, tuple):
            content = b"".join(content)
            force_setattr(self, "content", content)
        return content

    @property
    def pieces(self) -> tuple[bytes, ...]:
        """The body as received, at least one piece."""
        return self.content if isinstance(self.content, tuple) else (self.content,)

    @property
    def length(self) -> int:
        """Bytes of the body."""
        content = self.content
        return len(content) if isinstance(content, bytes) else sum(map(len, content))

    @property
    def request_id(self) -> str | None:
        """The request id of the server, or None; which header has it is inferred."""
        for name in REQUEST_ID_HEADERS:
            if name in self.headers:
                return printable(self.headers[name], limit=MAX_REQUEST_ID_LENGTH).strip() or None
        return None

    @property
    def content_type(self) -> str:
        """The media type, without its parameters."""
        return self.headers.get("Content-Type", "").partition(";")[0].strip().lower()


class FailureKind(enum.Enum):
    """Why no complete response was received."""

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
        """True if the server cannot have received the request."""
        return self in _NEVER_SENT

    @property
    def is_timeout(self) -> bool:
        """True for timeouts, which count as a sign of an overloaded server."""
        return self in _TIMEOUTS


_NEVER_SENT: Final = {FailureKind.CONNECT, FailureKind.DNS, FailureKind.TLS, FailureKind.CONNECT_TIMEOUT}
_TIMEOUTS: Final = {FailureKind.CONNECT_TIMEOUT, FailureKind.READ_TIMEOUT, FailureKind.ATTEMPT_TIMEOUT}


class Failure(msgspec.Struct, frozen=True):
    """No complete response was received. ``text`` may quote a header of it, so the repr does not show it."""

    kind: FailureKind
    text: str
    elapsed: float
    on_reused_connection: bool = False
    """A kept-alive connection broke before any response."""
    out_of_sockets: bool = False
    """This process could not open a socket; the server is not the cause."""

    def __repr__(self) -> str:
        return f"<Failure {self.kind.value}>"


Outcome = Response | Failure


def path_segment(value: object, *, what: str = "key") -> str:
    """Return a value as one escaped path segment.

    Raises:
        ConfigurationError: the value is empty, not a number or string, ``.`` or ``..``, or contains control
            characters.
    """
    if type(value) is int and -MAX_ID < value < MAX_ID:
        return str(value)
    text = str(as_id(what, value))
    if not text.strip() or not text.isprintable():
        raise ConfigurationError(f"{what} is empty or contains control characters")
    if text.lower().replace("%2e", ".") in {".", ".."}:
        raise ConfigurationError(f"{what} must not be {text!r}")
    try:
        return quote(text, safe="")
    except UnicodeEncodeError:
        raise ConfigurationError(f"{what} contains characters that no text encoding can send") from None


def encode_json(value: object, *, in_order: bool = False) -> bytes:
    """Return JSON with exact decimals; ``in_order`` sorts keys, so that equal values have equal bytes."""
    return (_sorted_encoder if in_order else _encoder).encode(value)


def is_success(status: int) -> bool:
    return 200 <= status < 300


def looks_cut(body: bytes) -> bool:
    """Return whether a body starts as a JSON object or array and does not end as one.

    A truncated body can be received without a transport error.
    """
    text = body.strip()
    return (text[:1], text[-1:]) not in {(b"{", b"}"), (b"[", b"]")} and text[:1] in {b"{", b"["}


def fields_of(value: object) -> dict[str, Any]:
    """Return the fields of a JSON object; none for another kind of JSON."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
