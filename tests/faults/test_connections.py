"""Connections that cannot be made, that die between two requests, and that lead elsewhere."""

# pyright: reportUnknownMemberType=false
# (a library of the tests is not typed)

from __future__ import annotations

import asyncio
import socket
import ssl
import subprocess
import sys
import threading
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Self

import pytest
import trustme

from aiwyn_async import AiwynClient
from aiwyn_async._http.messages import Request
from aiwyn_async.errors import DecodeError, RedirectRefusedError, RequestError, TransportError
from aiwyn_async.testing import FakeClock
from fault_server import FIN, READ, RST, STALL, Connection, FaultServer, Step, http_response, send
from looking_inside import GET, LIST, PUT, WRITE, assert_nothing_is_held, connectors_of, session_of
from secrecy import CANARY, assert_no_secret
from unreachable import authority, server_context, trusting

Connect = Callable[..., AiwynClient]
OK = send(http_response(body=b'{"deid_invoice":[]}'))


@pytest.fixture
def closed_port() -> int:
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def test_tls_below_1_2_is_never_offered() -> None:
    assert ssl.create_default_context().minimum_version >= ssl.TLSVersion.TLSv1_2


async def test_http_at_an_https_port_and_the_reverse_name_the_other_scheme(connect: Connect) -> None:
    async with FaultServer([send(http_response(400))]) as server:
        with pytest.raises(TransportError, match="speak https") as plain:
            await session_of(connect(server.url.replace("http", "https"))).call(GET)
    assert plain.value.kind == "tls"
    async with FaultServer([READ, OK], tls=server_context()) as server:
        with pytest.raises(TransportError, match="expects https"):
            await session_of(connect(server.url.replace("https", "http"))).call(GET)
    assert server.requests == []


async def test_requests_travel_over_tls_that_the_own_context_trusts(connect: Connect) -> None:
    async with FaultServer([READ, OK, READ, OK], tls=server_context()) as server:
        session = session_of(connect(server.url, ssl_context=trusting(authority())))
        await session.call(GET)
        await session.call(LIST)
    assert (server.connections, len(server.requests)) == (1, 2)


# Client certificates and proxies


class AskingForACertificate:
    """A TLS server on a thread that refuses clients without a certificate of its authority.

    Unlike asyncio's servers it sends the alert that says so.
    """

    def __init__(self, version: ssl.TLSVersion) -> None:
        self.requests = 0
        self.context = server_context()
        self.context.minimum_version = self.context.maximum_version = version
        self.context.verify_mode = ssl.CERT_REQUIRED
        authority().configure_trust(self.context)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://localhost:{self._listening.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listening.close()

    def _serve(self) -> None:
        while True:
            try:
                accepted, _ = self._listening.accept()
            except OSError:
                return
            with accepted, suppress(OSError):
                accepted.settimeout(5)
                with self.context.wrap_socket(accepted, server_side=True) as connection:
                    if connection.recv(65536):
                        self.requests += 1
                        connection.sendall(http_response())


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("request_", [GET, LIST, WRITE])
@pytest.mark.parametrize("is_given", [False, True], ids=["missing", "refused"])
async def test_client_certificate_that_is_missing_or_refused_is_a_tls_failure(
    version: ssl.TLSVersion, request_: Request, is_given: bool, connect: Connect
) -> None:
    context = trusting(authority())
    if is_given:
        trustme.CA().issue_cert("client@example.org").configure_cert(context)
    with AskingForACertificate(version) as server:
        client = connect(server.url, ssl_context=context)
        with pytest.raises(TransportError, match="client certificate") as caught:
            await session_of(client).call(request_)
    assert (caught.value.kind, len(caught.value.attempts)) == ("tls", 1)
    assert not caught.value.ambiguous
    assert server.requests == 0
    assert_no_secret(caught.value)
    await assert_nothing_is_held(client)


async def test_client_certificate_that_the_server_trusts_is_used(connect: Connect) -> None:
    context = trusting(authority())
    authority().issue_cert("client@example.org").configure_cert(context)
    with AskingForACertificate(ssl.TLSVersion.TLSv1_3) as server:
        client = connect(server.url, ssl_context=context)
        assert (await session_of(client).call(WRITE)).status == 200
        await client.aclose()


@pytest.mark.parametrize("target", ["http://127.0.0.1:9", "https://api.example.org"])
async def test_proxy_that_cannot_be_reached_is_called_a_proxy(
    target: str, connect: Connect, closed_port: int
) -> None:
    client = connect(target, proxy=f"http://user:{CANARY}@127.0.0.1:{closed_port}", token="t", retries=0)
    with pytest.raises(
        TransportError, match=f"could not connect to the proxy 127.0.0.1:{closed_port}"
    ) as caught:
        await session_of(client).call(WRITE)
    assert (caught.value.kind, caught.value.ambiguous) == ("connect", False)
    assert_no_secret(caught.value)


async def test_proxy_whose_name_does_not_resolve_is_called_a_proxy(connect: Connect) -> None:
    client = connect("https://api.example.org", proxy="http://nope.invalid:3128", retries=0)
    with pytest.raises(TransportError, match=r"the proxy nope\.invalid:3128: its host name") as caught:
        await session_of(client).call(GET)
    assert caught.value.kind == "dns"


@pytest.mark.parametrize("step", [FIN, RST, send(b"SSH-2.0-x\r\n")])
@pytest.mark.parametrize("request_", [GET, WRITE])
async def test_proxy_that_opens_no_tunnel_is_called_a_proxy(
    step: Step, request_: Request, connect: Connect
) -> None:
    async with FaultServer([READ, step]) as proxy:
        client = connect("https://api.example.org", proxy=f"http://127.0.0.1:{proxy.port}", retries=0)
        with pytest.raises(TransportError, match=f"the proxy 127.0.0.1:{proxy.port}") as caught:
            await session_of(client).call(request_)
    assert (caught.value.kind, caught.value.ambiguous) == ("connect", False)


async def test_proxy_that_is_silent_is_called_a_proxy(connect: Connect) -> None:
    async with FaultServer([READ, STALL]) as proxy:
        client = connect(
            "https://api.example.org",
            proxy=f"http://127.0.0.1:{proxy.port}",
            retries=0,
            connect_timeout=0.06,
        )
        with pytest.raises(TransportError, match=f"the proxy 127.0.0.1:{proxy.port}") as caught:
            await session_of(client).call(WRITE)
    assert (caught.value.kind, caught.value.ambiguous) == ("connect_timeout", False)


async def test_server_that_fails_behind_a_good_proxy_is_not_called_a_proxy(connect: Connect) -> None:
    async with FaultServer([READ, RST]) as proxy:
        client = connect("http://127.0.0.1:9", proxy=f"http://127.0.0.1:{proxy.port}", retries=0)
        with pytest.raises(TransportError) as caught:
            await session_of(client).call(WRITE)
    assert "the proxy" not in str(caught.value)
    assert caught.value.ambiguous


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "https://127.0.0.1:9"])
async def test_proxy_that_requires_credentials_says_where_to_pass_them(url: str, connect: Connect) -> None:
    async with FaultServer([READ, send(http_response(407))]) as proxy:
        with pytest.raises(RequestError, match=r"the proxy requires credentials: proxy="):
            await session_of(connect(url, proxy=proxy.url, retries=0)).call(GET)


async def test_certificate_of_a_proxy_is_called_that_of_the_proxy(connect: Connect) -> None:
    async with FaultServer([READ, OK], tls=server_context()) as proxy:
        client = connect("https://api.example.org", proxy=proxy.url)
        with pytest.raises(
            TransportError, match=r"the proxy localhost:.* invalid server certificate"
        ) as caught:
            await session_of(client).call(WRITE)
    assert (caught.value.kind, len(caught.value.attempts), caught.value.ambiguous) == ("tls", 1, False)


async def test_connection_that_is_closed_during_the_tls_handshake_says_so(connect: Connect) -> None:
    async def read_hello(connection: Connection) -> None:
        await connection.reader.read(65536)

    async with FaultServer([read_hello, FIN]) as server:
        client = connect(server.url.replace("http", "https"), retries=0)
        with pytest.raises(TransportError, match="closed during the TLS handshake") as caught:
            await session_of(client).call(WRITE)
    assert (caught.value.kind, caught.value.ambiguous) == ("connect", False)


# Kept-alive connections


@pytest.fixture(params=["http", "https"])
async def idle_death(
    request: pytest.FixtureRequest, connect: Connect
) -> AsyncIterator[tuple[FaultServer, AiwynClient]]:
    """A client with one connection that answered once and dies at its second request."""
    tls = server_context() if request.param == "https" else None
    async with FaultServer([READ, OK, READ, FIN], [READ, OK, READ, OK], tls=tls) as server:
        client = connect(server.url, ssl_context=trusting(authority()) if tls else None)
        await session_of(client).call(LIST)
        yield server, client


@pytest.mark.parametrize("request_", [GET, LIST])
async def test_read_on_a_dead_kept_alive_connection_is_sent_again_at_once_and_not_counted(
    request_: Request, idle_death: tuple[FaultServer, AiwynClient], clock: FakeClock
) -> None:
    server, client = idle_death
    response = await session_of(client).call(request_)
    assert [attempt.outcome for attempt in response.attempts] == ["200"]
    assert (server.connections, len(server.requests), clock.sleeps) == (2, 3, [])
    assert session_of(client).retry_budget.tokens == session_of(client).retry_budget.capacity


@pytest.mark.parametrize("request_", [WRITE, PUT])
async def test_write_on_a_dead_kept_alive_connection_is_not_sent_again(
    request_: Request, idle_death: tuple[FaultServer, AiwynClient]
) -> None:
    server, client = idle_death
    with pytest.raises(TransportError) as caught:
        await session_of(client).call(request_)
    assert caught.value.ambiguous
    assert (server.connections, len(server.requests)) == (1, 2)


async def test_free_resend_happens_once_a_call(connect: Connect, clock: FakeClock) -> None:
    # Three kept-alive connections, all of which die: the first two in one attempt, the third in the next.
    dying = [READ, OK, READ, RST]
    async with FaultServer(dying, dying, dying, [READ, OK]) as server:
        client = connect(server.url)
        session = session_of(client)
        await asyncio.gather(*(session.call(LIST) for _ in range(3)))
        assert server.connections == 3
        response = await session.call(LIST)
    assert [attempt.outcome for attempt in response.attempts] == ["disconnected", "disconnected", "200"]
    assert (len(server.requests), len(clock.sleeps)) == (7, 2)


async def test_success_after_retries_refunds_the_cost_of_the_last(connect: Connect) -> None:
    refused = send(http_response(500))
    async with FaultServer([READ, refused, READ, refused, READ, OK, READ, OK, FIN]) as server:
        session = session_of(connect(server.url, retry_budget=100))
        await session.call(LIST)
        assert session.retry_budget.tokens == 100 - 14 - 14 + 14
        await session.call(LIST)
        assert session.retry_budget.tokens == 87


@pytest.mark.parametrize("step", [STALL, send(http_response(206))], ids=["silence", "part of a response"])
async def test_other_failure_of_a_kept_alive_connection_is_an_attempt(step: Step, connect: Connect) -> None:
    async with FaultServer([READ, OK, READ, step]) as server:
        session = session_of(connect(server.url, read_timeout=0.1, retries=0))
        await session.call(LIST)
        with pytest.raises(RequestError):
            await session.call(LIST)
        assert len(server.requests) == 2


async def test_death_on_a_fresh_connection_is_an_attempt(connect: Connect) -> None:
    async with FaultServer([READ, RST], [READ, OK]) as server:
        response = await session_of(connect(server.url)).call(GET)
    assert [attempt.outcome for attempt in response.attempts] == ["disconnected", "200"]
    assert len(server.requests) == 2


async def test_fresh_connection_is_known_as_such_when_addresses_race(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    # With two addresses aiohttp opens sockets in tasks of its own (happy eyeballs).
    async with FaultServer([READ, RST], [READ, OK]) as server:
        loop = asyncio.get_running_loop()

        async def two_addresses(_: str, port: int, **__: Any) -> list[Any]:
            result = (socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))
            return [(socket.AF_INET6, *result[:3], ("::1", port, 0, 0)), (socket.AF_INET, *result)]

        monkeypatch.setattr(loop, "getaddrinfo", two_addresses)
        client = connect(f"http://localhost:{server.port}")
        response = await session_of(client).call(LIST)
    assert [attempt.outcome for attempt in response.attempts] == ["disconnected", "200"]


async def test_http_1_0_server_is_read_on_a_new_connection_each_time(connect: Connect) -> None:
    old = send(b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n{}")
    async with FaultServer([READ, old, FIN]) as server:
        session = session_of(connect(server.url))
        assert (await session.call(GET)).body == (await session.call(LIST)).body == b"{}"
    assert server.connections == 2


async def test_informational_responses_are_passed_over(connect: Connect) -> None:
    early = send(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
    async with FaultServer([READ, early, OK]) as server:
        assert (await session_of(connect(server.url)).call(LIST)).status == 200


async def test_reason_phrase_may_hold_anything(connect: Connect) -> None:
    async with FaultServer(
        [READ, send(http_response(200, b"{}", reason="d\u2019accord \U0001f600"))]
    ) as server:
        assert (await session_of(connect(server.url)).call(LIST)).status == 200


# Nothing leads away from the configured origin


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_redirect_is_followed(status: int, connect: Connect) -> None:
    async with FaultServer([READ, OK]) as other:
        away = send(http_response(status, b"", {"Location": f"{other.url}/x/{CANARY}"}))
        async with FaultServer([READ, away]) as server:
            for request in (GET, LIST, WRITE):
                with pytest.raises(RedirectRefusedError, match=f"redirects to {other.url};") as caught:
                    await session_of(connect(server.url)).call(request)
                assert_no_secret(caught.value)
    assert (other.connections, other.requests) == (0, [])
    assert len(server.requests) == 3


async def test_cookies_are_not_kept(connect: Connect) -> None:
    baking = send(http_response(200, b"{}", {"Set-Cookie": "session=1; Path=/"}))
    async with FaultServer([READ, baking, READ, baking]) as server:
        session = session_of(connect(server.url))
        await session.call(GET)
        await session.call(GET)
    assert [request.headers.get("cookie") for request in server.requests] == [None, None]


async def test_neither_netrc_nor_proxy_variables_are_read(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login a password b")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    async with FaultServer([READ, OK]) as server:
        await session_of(connect(server.url)).call(GET)
    assert server.requests[0].headers["authorization"] == f"Bearer {CANARY}"


async def test_proxy_that_refuses_is_reported_and_shows_no_credentials(connect: Connect) -> None:
    async with FaultServer([READ, send(http_response(407, b""))]) as proxy:
        client = connect(
            "https://api.example.org",
            proxy=f"http://user:{CANARY}@127.0.0.1:{proxy.port}",
            token="t",
        )
        with pytest.raises(TransportError, match="407") as caught:
            await session_of(client).call(WRITE)
    assert caught.value.kind == "connect"
    assert_no_secret(caught.value)


BOUNDED = """
import asyncio, sys, tracemalloc, zlib
from aiwyn_async import AiwynClient, errors
from aiwyn_async.tuning import inflate_with_isal

MEBIBYTE = 1024 * 1024

def peak():
    # Not ru_maxrss: a process begins with that of its parent.
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) // 1024

def zeros(mebibytes, wbits):
    packer = zlib.compressobj(9, wbits=wbits)
    return b"".join([packer.compress(bytes(MEBIBYTE)) for _ in range(mebibytes)] + [packer.flush()])

async def main():
    if "isal" in sys.argv[1]:
        inflate_with_isal()
    encoding, wbits = ("deflate", 15) if "deflate" in sys.argv[1] else ("gzip", 31)
    bomb = zeros(256, wbits) if "bomb" in sys.argv[1] else b""
    # The default cap is too much for a bomb.
    options = {} if bomb else {"max_response_bytes": 8 * MEBIBYTE}

    async def serve(reader, writer):
        await reader.readuntil(b"\\r\\n\\r\\n")
        head = b"HTTP/1.1 200 OK\\r\\nContent-Type: application/json\\r\\n"
        try:
            if bomb:
                length = f"Content-Encoding: {encoding}\\r\\nContent-Length: {len(bomb)}\\r\\n\\r\\n"
                writer.write(head + length.encode() + bomb)
                await writer.drain()
            else:
                writer.write(head + b"\\r\\n{")
                while True:
                    writer.write(b" " * MEBIBYTE)
                    await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        url = "http://127.0.0.1:%d" % server.sockets[0].getsockname()[1]
        async with AiwynClient(base_url=url, token="t", **options) as client:
            before = peak()
            tracemalloc.start()
            try:
                await client.invoices.get(1)
            except errors.ResponseTooLargeError:
                print(peak() - before, tracemalloc.get_traced_memory()[0] // MEBIBYTE)

asyncio.run(main())
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc to read the peak from")
@pytest.mark.parametrize("fault", ["gzip bomb", "deflate bomb", "gzip bomb, isal", "endless"])
def test_endless_body_or_bomb_uses_little_memory(fault: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", BOUNDED, fault], capture_output=True, text=True, timeout=50, check=True
    )
    grown_mebibytes, retained_mebibytes = map(int, done.stdout.split())
    print(f"{fault}: {grown_mebibytes} MiB more")  # noqa: T201
    assert grown_mebibytes < 32
    assert retained_mebibytes <= 2, "what the server of this process has not sent yet"


async def test_closed_client_holds_no_connection(connect: Connect) -> None:
    async with FaultServer([READ, OK, READ, OK]) as server:
        client = connect(server.url)
        await session_of(client).call(GET)
        (connector,) = connectors_of(session_of(client).transport)
        await client.aclose()
        assert connector.closed
        await client.aclose()


@pytest.mark.parametrize("encoding", ["br", "zstd"])
async def test_encoding_that_was_not_requested_is_named(connect: Connect, encoding: str) -> None:
    """If its library is not installed; else the body is not valid in it."""
    async with FaultServer([READ, send(http_response(headers={"Content-Encoding": encoding}))]) as server:
        with pytest.raises(DecodeError, match="Content-Encoding"):
            await session_of(connect(server.url)).call(GET)


@pytest.mark.parametrize("cut", [slice(-6), slice(10)])
@pytest.mark.parametrize("wbits", [15, -15])
async def test_deflated_body_that_ends_early_is_read_again(cut: slice, wbits: int, connect: Connect) -> None:
    deflate = zlib.compressobj(wbits=wbits)
    whole = deflate.compress(b'{"id":1,"invoiceNumber":"A1"}') + deflate.flush()
    first, second = (
        http_response(body=each, headers={"Content-Encoding": "deflate"}) for each in (whole[cut], whole)
    )
    async with FaultServer([READ, send(first)], [READ, send(second)]) as server:
        assert (await connect(server.url).invoices.get(1)).id == 1
        server.play([READ, send(first)])
        with pytest.raises(DecodeError, match="Content-Encoding"):
            await connect(server.url).invoices.get(1)
        assert len(server.requests) == 2
