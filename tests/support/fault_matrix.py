"""The faults of servers and networks as data: a script for each, and what the client does about it.

The cells of tests/faults/test_matrix.py and the page docs/what-happens-when.md are made from this table.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from aiwyn_async.errors import (
    ApiError,
    AuthenticationError,
    ConflictError,
    DecodeError,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
    ProtocolError,
    RateLimitError,
    RedirectRefusedError,
    RequestError,
    ResponseTooLargeError,
    ServerError,
    StatusError,
    TransportError,
)
from fault_server import FIN, READ, RST, STALL, Step, drip, http_response, send
from secrecy import CANARY

__all__ = ["FAULTS", "GROUPS", "ROWS_BODY", "Fault"]

ROWS_BODY = b'{"deid_invoice":[]}'
ECHO = f'{{"errors":[{{"message":"you sent Bearer {CANARY}"}}],"{CANARY}":1}}'.encode()
ZIPPED = gzip.compress(ROWS_BODY * 50)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
GZIP = {"Content-Encoding": "gzip"}
SHORT = {"read_timeout": 0.06}
SMALL = {"max_response_bytes": 1_000_000}


class Fault(NamedTuple):
    """A fault and its outcome.

    Attributes:
        name: as the docs name it.
        script: what the server does on each connection; None if it cannot be reached.
        error: the exact type of the error.
        fields: attributes of the error.
        reads, writes: requests sent by a read and by a write.
        ambiguous: whether a write may have been applied.
        options: of the client.
        text: what the message of the error contains.
        sandbox: the same fault in ``Sandbox.faults``, if it can be expressed.
        documented: whether the docs list it; False for variants of others.
    """

    name: str
    script: Sequence[Step] | None
    error: type[RequestError]
    fields: Mapping[str, Any]
    reads: int = 3
    writes: int = 1
    ambiguous: bool = True
    options: Mapping[str, Any] = {}
    text: str = ""
    sandbox: Mapping[str, Any] | None = None
    documented: bool = True


NOT_RETRIED: dict[str, Any] = {"reads": 1, "ambiguous": False}
RETRIED_WRITE: dict[str, Any] = {"writes": 3, "ambiguous": False}


def unreachable(name: str, kind: str, **changes: Any) -> Fault:
    """No connection is established, so that no request is sent; ``unreachable`` has the server."""
    return Fault(name, None, TransportError, {"kind": kind}, ambiguous=False, **changes)


def broken(name: str, *script: Step, kind: str, **changes: Any) -> Fault:
    """The connection ends or is silent, so that no response is received."""
    return Fault(name, script, TransportError, {"kind": kind}, **changes)


def invalid(name: str, data: bytes, **changes: Any) -> Fault:
    """The server sends bytes that are not HTTP."""
    changes.setdefault("sandbox", {"action": "raw", "body": data})
    return Fault(name, [READ, send(data), FIN], ProtocolError, {}, reads=1, **changes)


def status(code: int, error: type[RequestError], name: str | None = None, **changes: Any) -> Fault:
    """The server responds with an error status."""
    headers, body = changes.pop("headers", {}), changes.pop("body", ECHO)
    fields = {"status": code, **changes.pop("fields", {})}
    changes.setdefault("sandbox", {"status": code, "body": body, "headers": headers})
    script = [READ, send(http_response(code, body, headers))]
    return Fault(name or f"status {code}", script, error, fields, **changes)


def content(name: str, body: bytes, headers: Mapping[str, str] | None = None, **changes: Any) -> Fault:
    """The server responds with 200 and a body that is not the expected JSON."""
    error, fields = changes.pop("error", DecodeError), changes.pop("fields", {})
    script = [READ, send(http_response(200, body, headers))]
    changes.setdefault("sandbox", {"status": 200, "body": body, "headers": headers or {}})
    return Fault(name, script, error, fields, **changes)


def redirect(code: int, location: str | None, name: str, **changes: Any) -> Fault:
    """The server redirects."""
    headers = {} if location is None else {"Location": location}
    script = [READ, send(http_response(code, ECHO, headers))]
    return Fault(name, script, RedirectRefusedError, {}, **NOT_RETRIED, **changes)


ONCE: dict[str, Any] = {"reads": 1, "writes": 1}

GROUPS: dict[str, list[Fault]] = {
    "The server cannot be reached": [
        unreachable("connection refused", "connect", writes=3, text="127.0.0.1:"),
        unreachable("unknown host name", "dns", writes=3, text="nope.invalid"),
        unreachable("connection never accepted", "connect_timeout", writes=3),
        unreachable("TLS handshake stalls", "connect_timeout", writes=3),
        unreachable("certificate expired", "tls", **ONCE, text="expired"),
        unreachable("certificate not yet valid", "tls", **ONCE, text="not yet valid"),
        unreachable("certificate of another host", "tls", **ONCE, text="Hostname mismatch"),
        unreachable("certificate of an unknown authority", "tls", **ONCE, text="ssl_context="),
        unreachable("TLS 1.1 or older", "tls", **ONCE),
        unreachable("plain HTTP at an https URL", "tls", **ONCE, text="speak https"),
    ],
    "The connection breaks": [
        broken("reset after the request", READ, RST, kind="disconnected", sandbox={"action": "reset"}),
        broken("closed after the request", READ, FIN, kind="disconnected", sandbox={"action": "close"}),
        broken("closed in the status line", READ, send(b"HTTP/1."), FIN, kind="disconnected"),
        broken("closed in the headers", READ, send(HEAD + b"Set-Co"), FIN, kind="disconnected"),
        broken("reset in the headers", READ, send(HEAD), RST, kind="disconnected"),
        broken(
            "reset in the body", READ, send(http_response(body=b'{"a":', length=1000)), RST, kind="truncated"
        ),
        broken(
            "body shorter than its Content-Length",
            READ,
            send(http_response(body=ROWS_BODY[:10], length=len(ROWS_BODY))),
            FIN,
            kind="truncated",
            sandbox={"status": 200, "body": ROWS_BODY, "action": "truncate"},
        ),
        broken("last chunk missing", READ, send(CHUNKED + b'5\r\n{"a":\r\n'), FIN, kind="truncated"),
        broken("chunk shorter than its length", READ, send(CHUNKED + b"ff\r\n{}"), FIN, kind="truncated"),
        broken(
            "compressed chunks end early",
            READ,
            send(CHUNKED.replace(b"\r\n\r\n", b"\r\nContent-Encoding: gzip\r\n\r\n")),
            send(b"10\r\n" + ZIPPED[:16] + b"\r\n"),
            FIN,
            kind="truncated",
        ),
    ],
    "The server is silent or slow": [
        broken("no response", READ, STALL, kind="read_timeout", options=SHORT, sandbox={"action": "stall"}),
        broken("silence in the headers", READ, send(HEAD), STALL, kind="read_timeout", options=SHORT),
        broken(
            "silence in the body",
            READ,
            send(http_response(length=9)),
            STALL,
            kind="read_timeout",
            options=SHORT,
        ),
        broken(
            "headers that never end",
            READ,
            send(b"HTTP/1.1 200 OK\r\n"),
            drip(b"X-Padding: x\r\n", 0.01),
            kind="read_timeout",
            options=SHORT,
        ),
        broken(
            "a body that arrives byte by byte",
            READ,
            send(HEAD + b"Content-Length: 9999\r\n\r\n{"),
            drip(b" ", 0.02),
            kind="attempt_timeout",
            options={"attempt_timeout": 0.1},
        ),
        broken(
            "a slow body, within read_timeout",
            READ,
            send(HEAD + b"Content-Length: 9999\r\n\r\n{"),
            drip(b" ", 0.02),
            kind="attempt_timeout",
            options={"read_timeout": 0.25, "attempt_timeout": 0.3},
            documented=False,
        ),
        broken(
            "endless 103 responses",
            READ,
            drip(b"HTTP/1.1 103 Early Hints\r\n\r\n", 0.01),
            kind="attempt_timeout",
            options={"attempt_timeout": 0.1},
        ),
    ],
    "The response is not valid HTTP": [
        invalid("invalid chunk size", CHUNKED + b"ZZ\r\n{}\r\n"),
        invalid(
            "Content-Length and chunks",
            HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ),
        invalid("two different Content-Lengths", HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{} "),
        invalid("negative Content-Length", HEAD + b"Content-Length: -2\r\n\r\n{}"),
        invalid(
            "Content-Length that is not a number", HEAD + f"Content-Length: {CANARY}\r\n\r\n{{}}".encode()
        ),
        invalid("NUL in a header", HEAD + b"X-A: \x00\r\nContent-Length: 2\r\n\r\n{}"),
        invalid("header of 9 KiB", HEAD + b"X-A: " + b"a" * 9000 + b"\r\nContent-Length: 2\r\n\r\n{}"),
        invalid("200 headers", HEAD + b"X-A: 1\r\n" * 200 + b"Content-Length: 2\r\n\r\n{}"),
        invalid("header without a colon", HEAD + f"{CANARY}\r\n\r\n".encode()),
        invalid("SSH banner", b"SSH-2.0-OpenSSH_9.6 " + CANARY.encode() + b"\r\n"),
        invalid("HTTP/0.9", b'{"deid_invoice":[]}\r\n\r\n'),
        invalid("HTTP/2 frame", b"\x00\x00\x12\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00d\r\n\r\n"),
        invalid("status that is not a number", b"HTTP/1.1 OK OK\r\n\r\n"),
        invalid(
            "status 101",
            b"HTTP/1.1 101 Switch\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        ),
        invalid("status 304", b"HTTP/1.1 304 Not Modified\r\n\r\n", ambiguous=False),
    ],
    "The server redirects": [
        *(
            redirect(code, f"https://evil.test/{CANARY}?{CANARY}", f"status {code} to another host")
            for code in (300, 301, 302, 303, 307, 308)
        ),
        redirect(302, "/elsewhere", "redirect to the same host"),
        redirect(302, None, "redirect without a Location"),
        redirect(302, "http://[bad", "redirect to an invalid URL"),
        redirect(302, "//\udcff", "redirect to an undecodable URL", documented=False),
    ],
    "The server responds with an error": [
        status(400, InvalidRequestError, **NOT_RETRIED),
        status(401, AuthenticationError, **NOT_RETRIED),
        status(402, StatusError, **NOT_RETRIED),
        status(403, PermissionDeniedError, **NOT_RETRIED),
        status(404, NotFoundError, **NOT_RETRIED),
        *(status(code, StatusError, **NOT_RETRIED) for code in (405, 407)),
        status(408, StatusError),
        status(409, ConflictError, ambiguous=False),
        *(status(code, StatusError, **NOT_RETRIED) for code in (410, 413, 418, 421)),
        status(422, InvalidRequestError, **NOT_RETRIED),
        status(425, StatusError, **RETRIED_WRITE),
        status(
            429,
            RateLimitError,
            "status 429 without Retry-After",
            **RETRIED_WRITE,
            fields={"retry_after": None},
        ),
        status(
            429,
            RateLimitError,
            "status 429 with Retry-After: 2",
            headers={"Retry-After": "2"},
            fields={"retry_after": 2.0},
            **RETRIED_WRITE,
        ),
        status(
            429,
            RateLimitError,
            "status 429 with Retry-After: 86400",
            headers={"Retry-After": "86400"},
            fields={"retry_after": 86400.0},
            **NOT_RETRIED,
        ),
        status(451, StatusError, **NOT_RETRIED),
        *(status(code, ServerError) for code in (500, 502, 503, 504)),
        status(
            503,
            ServerError,
            "status 503 with Retry-After: 1",
            headers={"Retry-After": "1"},
            **RETRIED_WRITE,
        ),
        status(
            503,
            ServerError,
            "status 503 with an invalid Retry-After",
            headers={"Retry-After": "soon"},
            documented=False,
        ),
        *(status(code, ServerError) for code in (520, 521, 522, 523, 524, 529)),
        *(status(code, ServerError, reads=1, ambiguous=False) for code in (501, 505)),
        *(status(code, ServerError, reads=1) for code in (507, 508, 511, 599)),
    ],
    "The body of an error is damaged": [
        status(500, ServerError, "300 KB of error text", body=b"x" * 300_000),
        status(
            400,
            InvalidRequestError,
            "compressed error",
            headers=GZIP,
            body=gzip.compress(ECHO),
            **NOT_RETRIED,
            documented=False,
        ),
        status(
            400,
            InvalidRequestError,
            "error that is not compressed as declared",
            headers=GZIP,
            body=b"plain",
            **NOT_RETRIED,
        ),
        status(
            400,
            InvalidRequestError,
            "error in an unknown encoding",
            headers={"Content-Encoding": "rot13"},
            body=b"ab",
            **NOT_RETRIED,
        ),
        Fault(
            "truncated error",
            [READ, send(http_response(404, b"{", length=99))],
            NotFoundError,
            {"status": 404},
            **NOT_RETRIED,
        ),
        Fault(
            "error whose body is reset",
            [READ, send(http_response(404, b"{", length=99)), RST],
            NotFoundError,
            {"status": 404},
            **NOT_RETRIED,
        ),
        Fault(
            "error whose body stalls",
            [READ, send(http_response(404, b"{", length=99)), STALL],
            NotFoundError,
            {"status": 404},
            **NOT_RETRIED,
            options=SHORT,
        ),
        Fault(
            "error whose body never ends",
            [READ, send(b"HTTP/1.1 403 No\r\n\r\n"), drip(b"x" * 65536, 0)],
            PermissionDeniedError,
            {"status": 403},
            **NOT_RETRIED,
        ),
        status(404, NotFoundError, "error that is not text", body=b"\xff\xfe\x00", **NOT_RETRIED),
        status(404, NotFoundError, "error nested 20,000 levels deep", body=b"[" * 20_000, **NOT_RETRIED),
        status(
            404,
            NotFoundError,
            "error whose headers repeat the credential",
            headers={"X-Request-Id": CANARY, "Content-Type": CANARY},
            fields={"request_id": "***"},
            **NOT_RETRIED,
        ),
        status(
            404,
            NotFoundError,
            "error whose text repeats the credential with escapes",
            body=b'{"message":"' + CANARY.replace("c", "\\u0063").encode() + b'"}',
            **NOT_RETRIED,
            documented=False,
        ),
        status(
            404,
            NotFoundError,
            "request id that is not text",
            headers={"X-Request-Id": "\udcff\udcfe a"},
            fields={"request_id": "a"},
            **NOT_RETRIED,
            documented=False,
            sandbox=None,
        ),
        status(
            404,
            NotFoundError,
            "request id of 5,000 characters",
            headers={"X-Request-Id": "a" * 5000},
            fields={"request_id": "a" * 128},
            **NOT_RETRIED,
            documented=False,
        ),
    ],
    "A success is not JSON": [
        content(
            "HTML",
            b"<html>" + ECHO,
            {"Content-Type": "text/html"},
            reads=1,
            fields={"malformed": False},
        ),
        content("empty body", b"", reads=1),
        content("only whitespace", b" \r\n ", reads=1),
        content("null", b"null", reads=1),
        content("a JSON string", b'"x"', reads=1),
        content(
            "undecodable Content-Type",
            b"x",
            {"Content-Type": "text/\udcff"},
            reads=1,
            documented=False,
            sandbox=None,
        ),
        content("truncated JSON", b'{"deid_invoice":[{', reads=2, fields={"malformed": True}),
        content("truncated gzip", ZIPPED[:20], GZIP, reads=2, fields={"malformed": True}),
        content("not compressed as declared", b"no gzip at all", GZIP, reads=2, fields={"malformed": True}),
        content("short and not compressed as declared", b"plain", GZIP, reads=2, documented=False),
        content("gzip with a wrong checksum", ZIPPED[:-8] + b"\0" * 8, GZIP, reads=2),
        content("invalid deflate", b"\xff\xff\xff", {"Content-Encoding": "deflate"}, reads=2),
        content("unknown Content-Encoding", b"{}", {"Content-Encoding": "rot13"}, reads=1),
        content("two Content-Encodings", gzip.compress(ZIPPED), {"Content-Encoding": "gzip, gzip"}, reads=1),
        content(
            "gzip bomb",
            gzip.compress(bytes(5_000_000)),
            GZIP,
            error=ResponseTooLargeError,
            reads=1,
            options=SMALL,
        ),
        content(
            "deflate bomb",
            zlib.compress(bytes(5_000_000)),
            {"Content-Encoding": "deflate"},
            error=ResponseTooLargeError,
            reads=1,
            options=SMALL,
            documented=False,
        ),
        content(
            "larger than max_response_bytes",
            b"{" + b" " * 2_000_000,
            error=ResponseTooLargeError,
            reads=1,
            options=SMALL,
        ),
        Fault(
            "a body that never ends",
            [READ, send(HEAD + b"\r\n{"), drip(b" " * 65536, 0)],
            ResponseTooLargeError,
            {},
            reads=1,
            options=SMALL,
        ),
    ],
    "A success contains an error": [
        content("errors in the body", ECHO, error=ApiError, reads=1),
        content(
            "error in the body",
            f'{{"error":{{"code":"{CANARY}","message":"you sent {CANARY}"}}}}'.encode(),
            error=ApiError,
            reads=1,
        ),
        content(
            "success: false in the body",
            f'{{"success":false,"meta":{{"message":"you sent {CANARY}"}}}}'.encode(),
            error=ApiError,
            reads=1,
            ambiguous=False,
        ),
    ],
}

FAULTS = [fault for group in GROUPS.values() for fault in group]
