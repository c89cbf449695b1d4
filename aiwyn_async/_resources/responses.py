"""Decode the response to a request for one object."""

from __future__ import annotations

from typing import TypeVar

from aiwyn_async._decoding.objects import decode_object
from aiwyn_async._http.messages import Request, Response
from aiwyn_async._http.session import Session
from aiwyn_async.errors import RequestError

T = TypeVar("T")


def decode_response(session: Session, request: Request, response: Response, kind: type[T]) -> T:
    """Return the object in a response, or raise DecodeError or ApiError."""
    try:
        return decode_object(response.body, kind)
    except RequestError as error:
        raise session.attach_request(error, request, response)  # noqa: B904 (the same error)
