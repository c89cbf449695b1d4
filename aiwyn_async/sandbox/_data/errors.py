"""Errors that a request is rejected with, and the decoding that raises them."""

from typing import TypeVar

import msgspec

T = TypeVar("T")


class BadRequestError(ValueError):
    """The request is not valid; the server responds with 400 and a code."""

    def __init__(self, message: str, code: str = "validation-failed") -> None:
        super().__init__(message)
        self.code = code


class NotFoundError(Exception):
    """The row does not exist; the server responds with 404."""


class RejectedRequestError(Exception):
    """A request under ``/api/v1`` is rejected with a status and a code of its own."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


def decode_body(body: object, model: type[T]) -> T:
    """Convert a request body to its model, or raise BadRequestError."""
    try:
        return msgspec.convert(body, model)
    except msgspec.ValidationError as error:
        raise BadRequestError(str(error)) from None
