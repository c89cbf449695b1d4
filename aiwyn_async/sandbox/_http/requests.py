"""Requests as the server receives and records them."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec
from aiohttp import web

from aiwyn_async.sandbox._data.errors import BadRequestError

_EXACT: msgspec.json.Decoder[Any] = msgspec.json.Decoder(float_hook=Decimal)


@dataclass(frozen=True, slots=True)
class ServedRequest:
    """A request and the status of its response.

    Args:
        route: Name of the route, such as ``invoices.list`` or ``auth.token``, or ``unknown``.
        method: HTTP method.
        path: Path without the query.
        body: Decoded JSON, None if there was none. API keys are masked. Fractions in the body of a list or
            search are Decimals.
        status: Status of the response; 0 if the connection was closed without one.
        at: Monotonic seconds at arrival.
        authorization: Whether the request had an Authorization header.
        request_id: ``X-Request-Id`` of the response.
    """

    route: str
    method: str
    path: str
    body: object
    status: int
    at: float
    authorization: bool
    request_id: str


def parse_id(text: str) -> int:
    """Return the id in a path, or raise BadRequestError."""
    if not (text.isascii() and text.isdigit() and len(text) < 20 and 0 < int(text) < 2**63):
        raise BadRequestError(f"id: {text[:40]!r} is not a positive integer")
    return int(text)


async def read_body(request: web.Request, *, exact: bool) -> tuple[object, str | None]:
    """Return the decoded body, or the problem with it; if exact, with Decimals."""
    try:
        raw = await request.read()
    except web.RequestPayloadError:
        return None, "the body cannot be read; check its Content-Encoding"
    if not raw:
        return None, None
    try:
        body = _EXACT.decode(raw) if exact else msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ArithmeticError):
        # ArithmeticError: an exponent beyond what a Decimal holds.
        return None, "the body is not JSON"
    return body, "the body must be a JSON object" if body is None else None
