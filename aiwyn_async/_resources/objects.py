"""The object in a response, its key, and whether it is the requested one."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from decimal import Decimal
from operator import attrgetter
from typing import Any, Final, TypeVar

import msgspec

from aiwyn_async._decoding.objects import decode_object
from aiwyn_async._http.messages import Request, Response
from aiwyn_async._http.session import Session
from aiwyn_async.errors import RequestError

T = TypeVar("T")

_CANONICAL: Final = re.compile(r"0|-?[1-9][0-9]{0,99}", re.ASCII)
"""An integer as JSON writes it, of a length that int() takes."""


def decode_response(session: Session, request: Request, response: Response, kind: type[T]) -> T:
    """Return the object in a response, or raise DecodeError or ApiError."""
    try:
        return decode_object(response.body, kind)
    except RequestError as error:
        raise session.attach_request(error, request, response)  # noqa: B904 (the same error)


def key_getter(kind: type[Any], name: str | None) -> Callable[[Any], object]:
    """Return a function from a Struct or dict to its key by wire name, None without."""
    if issubclass(kind, dict):
        return lambda row: row.get(name)
    wire_names = kind.__struct_encode_fields__ if issubclass(kind, msgspec.Struct) else ()
    attribute = kind.__struct_fields__[wire_names.index(name)] if name in wire_names else None
    return attrgetter(attribute) if attribute is not None else lambda _: None


def is_same_key(requested: object, received: object) -> bool:
    """Return whether ``received`` may be the key of a response to ``requested``.

    The text of a number equals the number if it is written as in JSON; UUIDs have no case. A value that is
    neither a number nor text is not a key, so it proves nothing.
    """
    if isinstance(received, bool) or not isinstance(received, (int, str, Decimal, float)):
        return True
    if isinstance(requested, str) and isinstance(received, str):
        return requested == received or _are_one_uuid(requested, received)
    if isinstance(requested, str):
        return _CANONICAL.fullmatch(requested) is not None and int(requested) == received
    if isinstance(received, str):
        return str(requested) == received
    return requested == received


def _are_one_uuid(one: str, other: str) -> bool:
    try:
        return uuid.UUID(one) == uuid.UUID(other)
    except ValueError:
        return False
