"""The `{data, error, meta}` envelope of the /api/v1 family, and the reading of request bodies there."""

import datetime as dt
from collections.abc import Callable
from typing import TypeVar

import msgspec

from .values import BadRequestError

__all__ = ["VERSION", "Refusal", "failure", "read", "success"]

VERSION = "1.0.0"

T = TypeVar("T")


class Refusal(Exception):  # noqa: N818 - it is what the server says, not what went wrong with it
    """The request is refused.

    Args:
        status: The HTTP status.
        code: The code in the envelope's `error`.
        message: What is wrong.
    """

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


def _meta(clock: Callable[[], float], message: str, *, success: bool) -> dict[str, object]:
    moment = dt.datetime.fromtimestamp(clock(), dt.UTC)
    stamp = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {"success": success, "message": message, "timestamp": stamp, "version": VERSION}


def success(data: object, message: str, clock: Callable[[], float]) -> bytes:
    """The envelope of an answer."""
    return msgspec.json.encode({"data": data, "error": None, "meta": _meta(clock, message, success=True)})


def failure(code: str, message: str, clock: Callable[[], float]) -> bytes:
    """The envelope of a refusal. The documents list statuses and no body; `error` is our inference."""
    error = {"code": code, "message": message}
    return msgspec.json.encode({"data": None, "error": error, "meta": _meta(clock, message, success=False)})


def read(body: object, model: type[T]) -> T:
    """The request's fields.

    Raises:
        BadRequestError: A field is unknown, missing or of another type.
    """
    try:
        return msgspec.convert(body, model)
    except msgspec.ValidationError as error:
        raise BadRequestError(str(error)) from None
