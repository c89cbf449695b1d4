"""Responses: JSON, errors in Hasura's form, and the envelope of ``/api/v1``."""

import datetime as dt
import secrets
from collections.abc import Callable, Mapping
from typing import Any, cast

import msgspec
from aiohttp import web

API_VERSION = "1.0.0"
_CODES = {
    400: "validation-failed",
    401: "invalid-jwt",
    403: "access-denied",
    404: "not-found",
    405: "method-not-allowed",
    413: "payload-too-large",
    421: "misdirected-request",
    429: "too-many-requests",
    503: "unavailable",
}


def json_response(body: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """Return a JSON response with a new request id."""
    return web.Response(
        body=body,
        status=status,
        content_type="application/json",
        headers={"X-Request-Id": secrets.token_hex(8), "Server": "aiwyn-sandbox", **(headers or {})},
    )


def error_response(
    status: int,
    message: str,
    *,
    code: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    """Return an error in Hasura's form; the documentation shows no error body."""
    extensions = {"code": code or _CODES.get(status, "unexpected")}
    body = msgspec.json.encode({"errors": [{"message": message, "extensions": extensions}]})
    return json_response(body, status, headers)


def success_envelope(data: object, message: str, clock: Callable[[], float]) -> bytes:
    """Return the body of a successful response of ``/api/v1``."""
    return msgspec.json.encode({"data": data, "error": None, "meta": _meta(clock, message, success=True)})


def failure_envelope(code: str, message: str, clock: Callable[[], float]) -> bytes:
    """Return the body of an error of ``/api/v1``.

    The documentation lists no body; ``error`` is inferred.
    """
    error = {"code": code, "message": message}
    return msgspec.json.encode({"data": None, "error": error, "meta": _meta(clock, message, success=False)})


def to_failure_envelope(response: web.Response, clock: Callable[[], float]) -> None:
    """Replace the body of an error in Hasura's form by the envelope."""
    decoded = msgspec.json.decode(cast("bytes", response.body), type=dict[str, Any])
    if "errors" in decoded:
        error = decoded["errors"][0]
        code = str(error["extensions"]["code"]).upper().replace("-", "_")
        response.body = failure_envelope(code, error["message"], clock)


def _meta(clock: Callable[[], float], message: str, *, success: bool) -> dict[str, object]:
    moment = dt.datetime.fromtimestamp(clock(), dt.UTC)
    stamp = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {"success": success, "message": message, "timestamp": stamp, "version": API_VERSION}
