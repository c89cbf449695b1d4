"""The log of the HTTP server: its own errors, not the malformed requests of clients."""

import logging

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

__all__ = ["LOGGER"]

LOGGER = logging.getLogger("aiwyn_async.sandbox.http")
"""What aiohttp logs to: exceptions of handlers with their tracebacks."""


def _is_own_error(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, HttpProcessingError | web.RequestPayloadError | ConnectionError)


LOGGER.addFilter(_is_own_error)
