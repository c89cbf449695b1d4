"""Each fault of a server, over each kind of request: what is raised, how often it was sent, what is left."""

from __future__ import annotations

import gzip
import logging
import re
import zlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import pytest

from aiwyn_async import AiwynClient
from aiwyn_async._http.messages import RetryClass
from aiwyn_async.errors import (
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
from fake_clock import FakeClock
from fault_server import FIN, READ, RST, STALL, FaultServer, Step, answer, drip, send
from inflating import isal
from looking_inside import GET, LIST, PUT, WRITE, assert_nothing_is_held, session_of
from secrecy import CANARY, assert_no_secret

Connect = Callable[..., AiwynClient]

ECHO = f'{{"errors":[{{"message":"you sent Bearer {CANARY}"}}],"{CANARY}":1}}'.encode()
SHORT = {"read_timeout": 0.06}
ROWS = b'{"deid_invoice":[]}'
ZIPPED = gzip.compress(ROWS * 50)


class Fault(NamedTuple):
    """A script for a connection, and what must come of it.

    ``reads`` and ``writes`` are how often a read and a write are sent; ``ambiguous`` is what a write says.
    """

    name: str
    script: Sequence[Step]
    error: type[RequestError]
    fields: dict[str, Any]
    reads: int = 3
    writes: int = 1
    ambiguous: bool = True
    options: dict[str, Any] = {}  # noqa: RUF012


def status(code: int, error: type[RequestError], **changes: Any) -> Fault:
    fields: dict[str, Any] = {"status": code, **changes.pop("fields", {})}
    headers, body = changes.pop("headers", {}), changes.pop("body", ECHO)
    name = changes.pop("name", f"status {code}")
    return Fault(name, [READ, send(answer(code, body, headers))], error, fields, **changes)


def ok(name: str, body: bytes, error: type[RequestError], headers: Any = None, **changes: Any) -> Fault:
    fields = changes.pop("fields", {})
    return Fault(name, [READ, send(answer(200, body, headers))], error, fields, **changes)


def wire(name: str, data: bytes, error: type[RequestError] = ProtocolError, **changes: Any) -> Fault:
    fields = changes.pop("fields", {})
    changes.setdefault("reads", 1)
    return Fault(name, [READ, send(data), FIN], error, fields, **changes)


def broken(name: str, *script: Step, kind: str, **changes: Any) -> Fault:
    return Fault(name, script, TransportError, {"kind": kind}, **changes)


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
ONCE: dict[str, Any] = {"reads": 1, "writes": 1}
REFUSED: dict[str, Any] = {"reads": 1, "ambiguous": False}

FAULTS = [
    broken("F10 RST on accept", RST, kind="disconnected"),
    broken("F11 RST before headers", READ, RST, kind="disconnected"),
    broken("F12 FIN before headers", READ, FIN, kind="disconnected"),
    broken("F13 FIN in headers", READ, send(HEAD + b"Set-Co"), FIN, kind="disconnected"),
    broken("F13 RST in headers", READ, send(HEAD), RST, kind="disconnected"),
    broken("FIN in the status line", READ, send(b"HTTP/1."), FIN, kind="disconnected"),
    broken("F14 RST in the body", READ, send(answer(body=b'{"a":', length=1000)), RST, kind="truncated"),
    broken("F15 short of Content-Length", READ, send(answer(length=1000)), FIN, kind="truncated"),
    broken(
        "F16 chunks end early",
        READ,
        send(HEAD + b'Transfer-Encoding: chunked\r\n\r\n5\r\n{"a":\r\n'),
        FIN,
        kind="truncated",
    ),
    broken(
        "chunk shorter than said",
        READ,
        send(HEAD + b"Transfer-Encoding: chunked\r\n\r\nff\r\n{}"),
        FIN,
        kind="truncated",
    ),
    broken(
        "gzip in chunks that end early",
        READ,
        send(
            HEAD
            + b"Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n"
            + ZIPPED[:16]
            + b"\r\n"
        ),
        FIN,
        kind="truncated",
    ),
    broken("F18 no answer", READ, STALL, kind="read_timeout", options=SHORT),
    broken("F20 stall in the body", READ, send(answer(length=9)), STALL, kind="read_timeout", options=SHORT),
    broken("stall in the headers", READ, send(HEAD), STALL, kind="read_timeout", options=SHORT),
    broken(
        "F19 slow drip",
        READ,
        send(HEAD + b"Content-Length: 9999\r\n\r\n{"),
        drip(b" ", 0.02),
        kind="attempt_timeout",
        options={"attempt_timeout": 0.1},
    ),
    broken(
        "endless 103",
        READ,
        drip(b"HTTP/1.1 103 Early Hints\r\n\r\n", 0.01),
        kind="attempt_timeout",
        options={"attempt_timeout": 0.1},
    ),
    broken(
        "a body that drips is not silent",
        READ,
        send(HEAD + b"Content-Length: 9999\r\n\r\n{"),
        drip(b" ", 0.02),
        kind="attempt_timeout",
        options={"read_timeout": 0.15, "attempt_timeout": 0.3},
    ),
    broken(
        "a head that drips is late as a whole",
        READ,
        send(b"HTTP/1.1 200 OK\r\n"),
        drip(b"X-Padding: x\r\n", 0.01),
        kind="read_timeout",
        options=SHORT,
    ),
    wire("F16 bad chunk size", HEAD + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n{}\r\n"),
    wire("F50 CL and TE", HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    wire("F50 two lengths", HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{} "),
    wire("negative length", HEAD + b"Content-Length: -2\r\n\r\n{}"),
    wire("length of letters", HEAD + f"Content-Length: {CANARY}\r\n\r\n{{}}".encode()),
    wire("F50 NUL in a header", HEAD + b"X-A: \x00\r\nContent-Length: 2\r\n\r\n{}"),
    wire("F50 9 KiB header", HEAD + b"X-A: " + b"a" * 9000 + b"\r\nContent-Length: 2\r\n\r\n{}"),
    wire("F50 200 headers", HEAD + b"X-A: 1\r\n" * 200 + b"Content-Length: 2\r\n\r\n{}"),
    wire("header without a colon", HEAD + f"{CANARY}\r\n\r\n".encode()),
    wire("F52 SSH banner", b"SSH-2.0-OpenSSH_9.6 " + CANARY.encode() + b"\r\n"),
    wire("F52 HTTP/0.9", b'{"deid_invoice":[]}\r\n\r\n'),
    wire("F52 HTTP/2 frame", b"\x00\x00\x12\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00d\r\n\r\n"),
    wire("status of letters", b"HTTP/1.1 OK OK\r\n\r\n"),
    wire("F56 101", b"HTTP/1.1 101 Switch\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"),
    wire("304", b"HTTP/1.1 304 Not Modified\r\n\r\n", ambiguous=False),
    *(
        status(
            code,
            RedirectRefusedError,
            headers={"Location": f"https://evil.test/{CANARY}?{CANARY}"},
            name=f"F59 redirect {code}",
            **REFUSED,
            fields={"status": ...},
        )
        for code in (300, 301, 302, 303, 307, 308)
    ),
    status(
        302,
        RedirectRefusedError,
        headers={"Location": "/elsewhere"},
        name="F60 loop",
        **REFUSED,
        fields={"status": ...},
    ),
    status(
        302,
        RedirectRefusedError,
        headers={"Location": "http://[bad"},
        name="bad Location",
        **REFUSED,
        fields={"status": ...},
    ),
    status(
        302,
        RedirectRefusedError,
        headers={"Location": "//\udcff"},
        name="raw Location",
        **REFUSED,
        fields={"status": ...},
    ),
    status(302, RedirectRefusedError, name="no Location", **REFUSED, fields={"status": ...}),
    status(400, InvalidRequestError, **REFUSED),
    status(422, InvalidRequestError, **REFUSED),
    status(401, AuthenticationError, **REFUSED),
    status(402, StatusError, **REFUSED),
    status(403, PermissionDeniedError, **REFUSED),
    status(404, NotFoundError, **REFUSED),
    status(405, StatusError, **REFUSED),
    status(407, StatusError, **REFUSED),
    status(408, StatusError),
    status(409, ConflictError, ambiguous=False),
    status(410, StatusError, **REFUSED),
    status(413, StatusError, **REFUSED),
    status(418, StatusError, **REFUSED),
    status(421, StatusError, **REFUSED),
    status(425, StatusError, writes=3, ambiguous=False),
    status(429, RateLimitError, writes=3, ambiguous=False, fields={"retry_after": None}),
    status(
        429,
        RateLimitError,
        writes=3,
        ambiguous=False,
        fields={"retry_after": 2.0},
        headers={"Retry-After": "2"},
        name="F21 429 for 2 s",
    ),
    status(
        429,
        RateLimitError,
        fields={"retry_after": 86400.0},
        headers={"Retry-After": "86400"},
        name="F24 429 for a day",
        **REFUSED,
    ),
    status(451, StatusError, **REFUSED),
    *(status(code, ServerError) for code in (500, 502, 503, 504, 520, 521, 522, 523, 524)),
    status(503, ServerError, headers={"Retry-After": "1"}, writes=3, ambiguous=False, name="503 for 1 s"),
    status(503, ServerError, headers={"Retry-After": "soon"}, name="503 for who knows"),
    *(status(code, ServerError, reads=1, ambiguous=False) for code in (501, 505)),
    *(status(code, ServerError, reads=1) for code in (507, 508, 511, 599)),
    status(500, ServerError, body=b"x" * 300_000, name="huge error body"),
    status(
        400,
        InvalidRequestError,
        headers={"Content-Encoding": "gzip"},
        body=gzip.compress(ECHO),
        name="compressed error body",
        **REFUSED,
    ),
    status(
        400,
        InvalidRequestError,
        headers={"Content-Encoding": "gzip"},
        body=b"no gzip",
        name="error body not as encoded",
        **REFUSED,
    ),
    status(
        400,
        InvalidRequestError,
        headers={"Content-Encoding": "rot13"},
        body=b"ab",
        name="error body of unknown encoding",
        **REFUSED,
    ),
    Fault("error body cut", [READ, send(answer(404, b"{", length=99))], NotFoundError, {}, **REFUSED),
    Fault("error body reset", [READ, send(answer(404, b"{", length=99)), RST], NotFoundError, {}, **REFUSED),
    Fault(
        "error body stalls",
        [READ, send(answer(404, b"{", length=99)), STALL],
        NotFoundError,
        {},
        **REFUSED,
        options=SHORT,
    ),
    Fault(
        "endless error body",
        [READ, send(b"HTTP/1.1 403 No\r\n\r\n"), drip(b"x" * 65536, 0)],
        PermissionDeniedError,
        {"status": 403},
        **REFUSED,
    ),
    status(404, NotFoundError, body=b"\xff\xfe\x00", name="error body of raw bytes", **REFUSED),
    status(404, NotFoundError, body=b"[" * 20_000, name="deep error body", **REFUSED),
    status(
        404,
        NotFoundError,
        headers={"X-Request-Id": CANARY, "Content-Type": CANARY},
        name="headers tell the secret",
        fields={"request_id": "***"},
        **REFUSED,
    ),
    status(
        404,
        NotFoundError,
        headers={"X-Request-Id": "\udcff\udcfe a"},
        name="raw request id",
        fields={"request_id": "a"},
        **REFUSED,
    ),
    status(
        404,
        NotFoundError,
        headers={"X-Request-Id": "a" * 5000},
        name="long request id",
        fields={"request_id": "a" * 128},
        **REFUSED,
    ),
    status(
        404,
        NotFoundError,
        body=b'{"message":"' + CANARY.replace("c", "\\u0063").encode() + b'"}',
        name="secret in other letters",
        **REFUSED,
    ),
    ok(
        "F35 HTML",
        b"<html>" + ECHO,
        DecodeError,
        {"Content-Type": "text/html"},
        **ONCE,
        fields={"malformed": False},
    ),
    ok("F36 empty", b"", DecodeError, reads=1, writes=0),
    ok("only blanks", b" \r\n ", DecodeError, reads=1),
    ok("F37 null", b"null", DecodeError, reads=1),
    ok("F37 text", b'"x"', DecodeError, reads=1),
    ok("BOM", b"\xef\xbb\xbf{}", DecodeError, reads=0, writes=0),
    ok("raw Content-Type", b"x", DecodeError, {"Content-Type": "text/\udcff"}, reads=1),
    ok("F39 cut JSON", b'{"deid_invoice":[{', DecodeError, reads=2, fields={"malformed": True}),
    ok(
        "A5 cut gzip of matching length",
        ZIPPED[:20],
        DecodeError,
        {"Content-Encoding": "gzip"},
        reads=2,
        fields={"malformed": True},
    ),
    ok(
        "F47 gzip of nothing",
        b"plain",
        DecodeError,
        {"Content-Encoding": "gzip"},
        reads=2,
        fields={"malformed": True},
    ),
    ok(
        "F47 gzip of plain text",
        b"no gzip at all",
        DecodeError,
        {"Content-Encoding": "gzip"},
        reads=2,
        fields={"malformed": True},
    ),
    ok(
        "F47 bad CRC",
        ZIPPED[:-8] + b"\0" * 8,
        DecodeError,
        {"Content-Encoding": "gzip"},
        reads=2,
        fields={"malformed": True},
    ),
    ok("deflate of garbage", b"\xff\xff\xff", DecodeError, {"Content-Encoding": "deflate"}, reads=2),
    ok("F49 unknown encoding", b"{}", DecodeError, {"Content-Encoding": "rot13"}, reads=1),
    ok(
        "F49 stacked encodings",
        gzip.compress(ZIPPED),
        DecodeError,
        {"Content-Encoding": "gzip, gzip"},
        reads=1,
    ),
    ok(
        "F46 gzip bomb",
        gzip.compress(bytes(5_000_000)),
        ResponseTooLargeError,
        {"Content-Encoding": "gzip"},
        reads=1,
        options={"max_response_bytes": 1_000_000},
    ),
    ok(
        "deflate bomb",
        zlib.compress(bytes(5_000_000)),
        ResponseTooLargeError,
        {"Content-Encoding": "deflate"},
        reads=1,
        options={"max_response_bytes": 1_000_000},
    ),
    ok(
        "F45 long Content-Length",
        b"{" + b" " * 2000,
        ResponseTooLargeError,
        reads=1,
        options={"max_response_bytes": 1024},
    ),
    Fault(
        "F45 endless body",
        [READ, send(HEAD + b"\r\n{"), drip(b" " * 65536, 0)],
        ResponseTooLargeError,
        {},
        reads=1,
        options={"max_response_bytes": 1_000_000},
    ),
]

REQUESTS = {"get": GET, "list": LIST, "write": WRITE, "put": PUT}
# ISA-L takes less than the ten bytes of a header for the beginning of one.
COMPRESSED = [
    fault
    for fault in FAULTS
    if re.search("gzip|deflate|CRC|bomb|encoding", fault.name) and fault.name != "F47 gzip of nothing"
]


@pytest.mark.parametrize("request_name", REQUESTS)
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
async def test_fault(
    fault: Fault, request_name: str, connect: Connect, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    await suffer(fault, request_name, connect, clock, caplog)


@pytest.mark.parametrize("request_name", REQUESTS)
@pytest.mark.parametrize("fault", COMPRESSED, ids=lambda fault: fault.name)
async def test_fault_of_compression_is_the_same_with_isal(
    fault: Fault,
    request_name: str,
    connect: Connect,
    clock: FakeClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with isal():
        await suffer(fault, request_name, connect, clock, caplog)


async def suffer(
    fault: Fault, request_name: str, connect: Connect, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    request = REQUESTS[request_name]
    is_write = request.retry_class is RetryClass.WRITE
    times = fault.writes if is_write else fault.reads
    caplog.set_level(logging.DEBUG, "aiwyn_async")
    async with FaultServer(fault.script) as server:
        client = connect(server.url, **fault.options)
        session = session_of(client)
        if times == 0:
            assert (await session.call(request)).status == 200
            return
        with pytest.raises(fault.error) as caught:
            await session.call(request)
        error = caught.value
        assert type(error) is fault.error
        told = {name: getattr(error, name) for name, value in fault.fields.items() if value is not ...}
        assert told == {name: value for name, value in fault.fields.items() if value is not ...}
        assert (error.method, error.path, error.ambiguous) == (
            request.method,
            request.path,
            is_write and fault.ambiguous,
        )
        _check_attempts(error, server, clock, times)
        assert_no_secret(error)
        assert CANARY not in caplog.text
        await assert_nothing_is_held(client)
        server.play([READ, send(answer(body=ROWS))])
        assert (await session.call(request)).body == ROWS
        await assert_nothing_is_held(client)


def _check_attempts(error: RequestError, server: FaultServer, clock: FakeClock, times: int) -> None:
    assert server.connections == times == len(error.attempts)
    assert len(clock.sleeps) >= times - 1
    asked = getattr(error, "retry_after", None) or 0.0
    for number, attempt in enumerate(error.attempts):
        most = 2.0 ** max(number - 1, 0) if number else 0.0
        assert (asked if number else 0.0) <= attempt.waited <= max(asked, most)
