"""Errors that a request is rejected with, and the decoding that raises them."""

from typing import TypeVar

import msgspec

T = TypeVar("T")


class RejectedRequestError(Exception):
    """The server responds with this status and code; by default, the code is that of the status."""

    def __init__(self, status: int, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class BadRequestError(RejectedRequestError, ValueError):
    """The request is not valid."""

    def __init__(self, message: str, code: str | None = None) -> None:
        super().__init__(400, message, code)


def decode_body(body: object, model: type[T]) -> T:
    """Convert a request body to its model, or raise BadRequestError."""
    try:
        return msgspec.convert(body, model)
    except msgspec.ValidationError as error:
        raise BadRequestError(str(error)) from None
