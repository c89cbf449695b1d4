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
    status: int, message: str, *, code: str | None = None, headers: Mapping[str, str] | None = None
) -> web.Response:
    """Return an error in Hasura's form; the documentation shows no error body."""
    extensions = {"code": code or _CODES.get(status, "unexpected")}
    body = msgspec.json.encode({"errors": [{"message": message, "extensions": extensions}]})
    return json_response(body, status, headers)


def envelope(
    message: str, clock: Callable[[], float], *, data: object = None, code: str | None = None
) -> bytes:
    """Return the body of a response of ``/api/v1``; with a code, of an error.

    The documentation lists no body of an error; its ``error`` is inferred.
    """
    error = None if code is None else {"code": code, "message": message}
    moment = dt.datetime.fromtimestamp(clock(), dt.UTC)
    stamp = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    meta = {"success": code is None, "message": message, "timestamp": stamp, "version": API_VERSION}
    return msgspec.json.encode({"data": data, "error": error, "meta": meta})


def to_envelope(response: web.Response, clock: Callable[[], float]) -> None:
    """Replace the body of an error in Hasura's form by the envelope."""
    (error,) = msgspec.json.decode(cast("bytes", response.body), type=dict[str, Any])["errors"]
    code = str(error["extensions"]["code"]).upper().replace("-", "_")
    response.body = envelope(error["message"], clock, code=code)
