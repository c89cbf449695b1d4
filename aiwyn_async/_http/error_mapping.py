"""Map the final outcome of a request to its typed error, and decide what may have been applied.

Nothing here awaits or imports aiohttp: each rule is a plain function with a table of tests.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from aiwyn_async._core.secret import Secret
from aiwyn_async._http.error_bodies import failure_reason, find_reason, find_text, says_failure
from aiwyn_async._http.messages import (
    Failure,
    FailureKind,
    Outcome,
    Request,
    Response,
    RetryClass,
    fields_of,
    is_success,
    looks_cut,
)
from aiwyn_async._http.redaction import MAX_ERROR_BODY, excerpt, masked, masked_words, printable
from aiwyn_async._http.retry_after import asks_to_come_back, requested_wait
from aiwyn_async.errors import (
    ApiError,
    Attempt,
    AuthenticationError,
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

MAX_REASON: Final = 500
PROXY_CREDENTIALS: Final = "the proxy requires credentials: proxy=http://{user}:{password}@host:port"
_SUCCESS: Final = b'uccess"'
_NO_SUCCESS: Final = re.compile(rb'uccess"\s*:\s*false')
ENVELOPE_EDGE: Final = 2000
"""Bytes at the start and end of a body within which an envelope says whether it is a success."""
MAX_FAILURE_BODY: Final = 64 * 1024
"""Bytes; a longer body holds rows, whatever its envelope says."""


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
    """Return the typed error for the outcome of the last attempt, with ``secrets`` masked.

    ``now`` is in wall-clock seconds. ``ambiguous``: an earlier attempt may have been applied.
    """
    context: dict[str, Any] = {
        "method": request.method,
        "path": masked_words(request.plain_path, secrets),
        "attempts": attempts,
        "elapsed": elapsed,
        "ambiguous": ambiguous or may_have_been_applied(request, outcome),
        "retry_budget_exhausted": retry_budget_exhausted,
    }
    if isinstance(outcome, Failure):
        return _failure_error(outcome, context, secrets)
    context["request_id"] = outcome.request_id and masked(outcome.request_id, secrets)
    if is_success(outcome.status):
        failure = find_failure(request, outcome)
        if failure is not None:
            return _api_error(request, outcome, failure, context | {"ambiguous": ambiguous}, secrets)
        return _not_json_error(request, outcome, context, secrets)
    if outcome.status < 400:
        return _redirect_or_upgrade_error(outcome, context, secrets)
    return _status_error(request, outcome, context, secrets, now)


def may_have_been_applied(request: Request, outcome: Outcome) -> bool:
    """Return whether a write without a confirming response may have been applied."""
    if request.retry_class is not RetryClass.WRITE:
        return False
    if isinstance(outcome, Failure):
        return not outcome.kind.never_sent
    if outcome.status in _REFUSED_UNREAD or is_refused_for_now(outcome):
        return False
    return not is_success(outcome.status) or find_failure(request, outcome) is None


# Below 500 a server responds after reading a request and before acting on it, except for 408;
# 501 and 505 say that it cannot act.
_REFUSED_UNREAD: Final = {*range(300, 408), *range(409, 500), 501, 505}


def is_refused_for_now(response: Response) -> bool:
    """Return whether a 503 or 529 says when to retry, so it was not accepted."""
    return response.status in {503, 529} and asks_to_come_back(response.headers)


def _failure_error(failure: Failure, context: dict[str, Any], secrets: tuple[Secret, ...]) -> RequestError:
    text = failure.text
    match failure.kind:
        case FailureKind.PROTOCOL:
            return ProtocolError(text, **context)
        case FailureKind.UNKNOWN_ENCODING:
            # It quotes a response header, which may repeat a credential.
            return DecodeError(printable(text, secrets), **context)
        case FailureKind.TOO_LARGE:
            return ResponseTooLargeError(text, **context)
        case FailureKind.ENCODING:
            return DecodeError(text, malformed=True, **context)
        case kind:
            return TransportError(text, kind=kind.value, **context)


def find_failure(request: Request, response: Response) -> dict[str, Any] | None:
    """Return the envelope of a success with ``success: false``, else None.

    A write whose response has data is left to its reader: some records may have been written.
    """
    content = response.content
    # Called for every response, so other bodies are recognized by their ends.
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
    has_data = any(value for key, value in envelope.items() if key.lower() == "data")
    is_partial = request.retry_class is RetryClass.WRITE and has_data
    return envelope if says_failure(envelope) and not is_partial else None


def _api_error(
    request: Request,
    response: Response,
    envelope: dict[str, Any],
    context: dict[str, Any],
    secrets: tuple[Secret, ...],
) -> ApiError:
    known = masked(envelope, secrets)
    # Elsewhere in the response to an exchange, the token may be.
    find = failure_reason if request.authorised else find_reason
    reason = printable(find(known), limit=MAX_REASON) or "without a reason"
    return ApiError(
        f"status {response.status}, but the response says success: false; the server says: {reason}",
        errors=known if request.authorised else None,
        **context,
    )


def _not_json_error(
    request: Request, response: Response, context: dict[str, Any], secrets: tuple[Secret, ...]
) -> DecodeError:
    kind = printable(response.content_type, secrets, limit=80) or "no content type"
    if not response.body.strip():
        return DecodeError(f"{response.status} with an empty body where JSON was expected", **context)
    if looks_cut(response.body):
        text = f"the JSON body is truncated after {len(response.body)} bytes"
        return DecodeError(text, malformed=True, **context)
    # The response to an exchange may be the token itself.
    start = f": {excerpt(response.body, secrets)!r}" if request.authorised else ""
    return DecodeError(f"expected a JSON object or array, got {kind}{start}; is base_url right?", **context)


def _redirect_or_upgrade_error(
    response: Response, context: dict[str, Any], secrets: tuple[Secret, ...]
) -> ProtocolError:
    if response.status not in {300, 301, 302, 303, 305, 307, 308}:
        return ProtocolError(f"unexpected status {response.status}", **context)
    location = masked(response.headers.get("Location", ""), secrets)
    return RedirectRefusedError(
        f"status {response.status} redirects to {_host_of(location)}; redirects are refused, check base_url",
        **context,
    )


def _host_of(location: str) -> str:
    """Return scheme and host of a redirect; the rest may contain credentials."""
    try:
        parts = urlsplit(location)
        host, port = parts.hostname, parts.port
    except ValueError:
        return "an invalid address"
    if not host:
        return "another path of this host" if location.strip() else "nowhere"
    return printable(f"{parts.scheme or 'http(s)'}://{host}{f':{port}' if port else ''}")


_BY_STATUS: Final[Mapping[int, tuple[type[StatusError], str]]] = {
    400: (InvalidRequestError, "the server rejected the request"),
    401: (AuthenticationError, "invalid credentials; check the API key or token"),
    403: (PermissionDeniedError, "access denied; check the roles of the API key"),
    404: (NotFoundError, "not found"),
    407: (StatusError, PROXY_CREDENTIALS),
    409: (ConflictError, "the request conflicts with the current state of the resource"),
    422: (InvalidRequestError, "the server rejected the request"),
    429: (RateLimitError, "too many requests; lower max_concurrency or wait"),
}


def _status_error(
    request: Request, response: Response, context: dict[str, Any], secrets: tuple[Secret, ...], now: float
) -> StatusError:
    default = (ServerError, "the server failed") if response.status >= 500 else (StatusError, "refused")
    cls, advice = _BY_STATUS.get(response.status, default)
    body = error_body(response.body, secrets)
    message = server_message(body) if request.authorised else printable(find_reason(body), limit=MAX_REASON)
    retry_after = requested_wait(response.status, response.headers, now)
    text = f"status {response.status}: {advice}"
    if retry_after is not None:
        text += f"; retry after {retry_after:g} s"
    if message:
        text += f"; the server says: {message}"
    shown = body if request.authorised else None  # as above
    return cls(text, status=response.status, body=shown, retry_after=retry_after, **context)


def error_body(body: bytes, secrets: tuple[Secret, ...] = ()) -> object:
    """Return the start of an error body as JSON or text, masked; None if it is empty. Never raises."""
    if not body.strip():
        return None
    text = body[:MAX_ERROR_BODY].decode("utf-8", "replace")
    try:
        # Masked after decoding: JSON has several spellings of a character.
        return masked(msgspec.json.decode(text), secrets)
    except (msgspec.MsgspecError, RecursionError):
        return masked(text, secrets)


def server_message(body: object) -> str:
    """Return the reason in an error body as one printable line, or ''."""
    return printable(find_text(body), limit=MAX_REASON)
