"""Reading the body of a response within its limits."""

from __future__ import annotations

from typing import Final, NamedTuple

import aiohttp
from aiohttp import hdrs

from aiwyn_async._http.charsets import UnknownCharsetError, as_utf8
from aiwyn_async._http.messages import FailureKind, is_success
from aiwyn_async._http.redaction import MAX_ERROR_BODY, printable
from aiwyn_async._http.timeouts import Stage, TimeLimit

MAX_NAME_LENGTH: Final = 8192
"""Characters of a header value quoted in an error, as many as aiohttp reads; shortened after masking."""
SMALL_PIECE: Final = 4096
"""Bytes; a body in smaller pieces is joined, since each piece is an object."""
READABLE_ENCODINGS: Final = {"", "identity", "gzip", "deflate", "br", "zstd"}
PARTIAL_CONTENT: Final = 206
UNCHECKED_BYTES: Final = 16 * 1024 * 1024
MAX_EXPANSION: Final = 100
"""Decoded bytes per compressed byte received, beyond ``UNCHECKED_BYTES``. Pages of invoices have 9 to 14; a
gzip bomb has 1030, but its first piece, of up to 256 KiB, is counted before it is expanded."""


class UnusableBody(NamedTuple):
    """Why the body of a response cannot be used."""

    kind: FailureKind
    text: str


def buffered_body(response: aiohttp.ClientResponse, max_bytes: int) -> bytes | None:
    """Return the body if it was received with the head, as in small calls; else None."""
    content = response.content
    if not content.is_eof() or content.total_bytes > max_bytes or hdrs.CONTENT_ENCODING in response.headers:
        return None
    is_whole = is_success(response.status) and response.status != PARTIAL_CONTENT
    return content.read_nowait() if is_whole else None


async def read_body(
    response: aiohttp.ClientResponse, max_bytes: int, stage: Stage
) -> bytes | tuple[bytes, ...] | UnusableBody:
    """Return the decoded body, in pieces as received, or why it is unusable; release the connection."""
    try:
        return await _read(response, max_bytes, stage)
    finally:
        if not response.closed:  # closed once it is read completely
            response.release()


async def _read(
    response: aiohttp.ClientResponse, max_bytes: int, stage: Stage
) -> bytes | tuple[bytes, ...] | UnusableBody:
    encoding = ", ".join(response.headers.getall("Content-Encoding", ())).strip().lower()
    readable = encoding in READABLE_ENCODINGS
    if not is_success(response.status):
        start = await _beginning(response, stage)
        return start if readable else b""
    if not readable:
        return UnusableBody(
            FailureKind.UNKNOWN_ENCODING,
            f"the response has an unsupported Content-Encoding: {printable(encoding, limit=MAX_NAME_LENGTH)}",
        )
    if response.status == PARTIAL_CONTENT:
        response.close()
        return UnusableBody(FailureKind.PROTOCOL, "status 206: only a part of the response was sent")
    # Content-Length counts the bytes sent, which an encoding may expand.
    length = 0 if encoding else response.content_length or 0
    body = _too_large(max_bytes) if length > max_bytes else await _read_capped(response, max_bytes, stage)
    if isinstance(body, UnusableBody):
        response.close()
    return body


def undecodable_body(
    response: aiohttp.ClientResponse, body: bytes | tuple[bytes, ...], error: LookupError | UnicodeError
) -> bytes | tuple[bytes, ...] | UnusableBody:
    """Return why a body is invalid in its charset, or the body if it is of an error response."""
    is_unknown = isinstance(error, UnknownCharsetError)
    if not is_success(response.status):
        return body if is_unknown else as_utf8(body, response.headers.get(hdrs.CONTENT_TYPE, ""), "replace")
    if is_unknown:
        charset = printable(str(error.args[0]), limit=MAX_NAME_LENGTH)
        return UnusableBody(
            FailureKind.UNKNOWN_ENCODING, f"the response declares an unknown charset: {charset}"
        )
    return UnusableBody(
        FailureKind.ENCODING,
        "the body is not valid text in the charset of its Content-Type or byte order mark",
    )


def _too_large(max_bytes: int) -> UnusableBody:
    return UnusableBody(
        FailureKind.TOO_LARGE, f"the response is larger than max_response_bytes ({max_bytes} bytes)"
    )


async def _read_capped(
    response: aiohttp.ClientResponse, max_bytes: int, stage: Stage
) -> bytes | tuple[bytes, ...] | UnusableBody:
    """Return the decoded body, in pieces unless they are small, or that it is too large."""
    chunks: list[bytes] = []
    size = 0
    content = response.content
    while not content.at_eof():
        if content.is_eof():
            chunk = content.read_nowait()
        else:
            stage.listen()
            chunk = await content.readany()
        size += len(chunk)
        if size > max_bytes:
            return _too_large(max_bytes)
        if size > UNCHECKED_BYTES and size > MAX_EXPANSION * (content.total_compressed_bytes or size):
            return UnusableBody(
                FailureKind.TOO_LARGE,
                f"the response expands to more than {MAX_EXPANSION} times its compressed size",
            )
        chunks.append(chunk)
    return tuple(chunks) if len(chunks) > 1 and size > len(chunks) * SMALL_PIECE else b"".join(chunks)


async def _beginning(response: aiohttp.ClientResponse, stage: Stage) -> bytes:
    """Return the start of the body of an error response, at most 64 KiB.

    A body that is truncated, stalls or does not decode must not hide the status.
    """
    chunks: list[bytes] = []
    size = 0
    stage.stop_listening()
    try:
        while not response.content.at_eof():
            with TimeLimit(stage.silence):
                chunk = await response.content.readany()
            chunks.append(chunk)
            size += len(chunk)
            if size >= MAX_ERROR_BODY:
                response.close()
                break
    except (aiohttp.ClientError, OSError):
        response.close()
    return b"".join(chunks)[:MAX_ERROR_BODY]
