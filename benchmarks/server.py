"""The page server: pages in memory, one `Protocol`, in a process of its own.

Reads lines of JSON from stdin, opens a port for each, and writes a line to stdout. Exits with its stdin.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gzip
import json
import os
import re
import ssl
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import msgspec
import trustme

from .corpus import FIRST_ID, THOUSAND, Corpus
from .specs import Spec
from .worker import seconds_of_cpu

try:
    import uvloop as loops
except ImportError:  # uvloop only makes the server faster
    loops = asyncio

API_KEY = "benchmark-key"
READY_BODIES = 256
"""Pages prepared per port; further pages are built on request. Workloads that use all cores read fewer pages,
so that the server uses as little CPU as possible."""

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_NO_ROWS_LEFT = (0, 0)


class Conditions(msgspec.Struct):
    """The bounds of the ids in a search, in any nesting of `_and`."""

    id: dict[str, int] = {}
    all_of: list[Conditions] = msgspec.field(default_factory=list, name="_and")

    def bounds(self, first: int, last: int) -> tuple[int, int]:
        """Return the ids from `first` to before `last` that match."""
        for operator, value in self.id.items():
            match operator:
                case "_gt":
                    first = max(first, value + 1)
                case "_gte":
                    first = max(first, value)
                case "_lt":
                    last = min(last, value)
                case "_lte":
                    last = min(last, value + 1)
                case "_eq":
                    first, last = max(first, value), min(last, value + 1)
                case "_neq":
                    pass  # not a bound; a pull asks for others than the only row, and accepts that row
                case _:
                    raise ValueError(f"the page server does not know {operator}")
        for condition in self.all_of:
            first, last = condition.bounds(first, last)
        return (first, last) if first < last else _NO_ROWS_LEFT


LISTED_STATUS = re.compile(rb'"status":"(?:PENDING|POSTED|CLOSED)"')
"""By-id objects do not have these statuses, and a generated client refuses them there."""


class Asked(msgspec.Struct, rename="camel"):
    """The body of a list or a search."""

    page_size: int = 25
    page: int = 0
    where: Conditions = msgspec.field(default_factory=Conditions)
    order_by: list[dict[str, str]] | dict[str, str] = []

    @property
    def is_descending(self) -> bool:
        orders = [self.order_by] if isinstance(self.order_by, dict) else self.order_by
        return bool(orders) and orders[0].get("id") == "desc"


class Pages:
    """Complete responses of one port, as bytes."""

    def __init__(self, corpus: Corpus, spec: Spec) -> None:
        self._corpus = corpus
        self._spec = spec
        self._all = (FIRST_ID, FIRST_ID + spec.rows)
        self._decode = msgspec.json.Decoder(Asked).decode
        self._page = functools.lru_cache(maxsize=READY_BODIES)(self._make_page)
        self._token = _answer(b'{"token":"benchmark-token"}')
        self._missing = _answer(b'{"errors":[{"message":"not found"}]}', status=b"404 Not Found")

    def answer(self, method: bytes, path: bytes, body: bytes, *, takes_gzip: bool) -> bytes:
        """Return the bytes to send for a request."""
        if method == b"GET":
            return self._one(path)
        if path.endswith(b"/auth/token"):
            return self._token
        asked = self._decode(body or b"{}")
        first, last = self._all
        if path.endswith(b"/search"):
            first, last = asked.where.bounds(first, last)
        count = last - first
        if asked.is_descending:
            last -= asked.page * asked.page_size
            first = max(first, last - asked.page_size)
        else:
            first += asked.page * asked.page_size
            last = min(last, first + asked.page_size)
        return self._page(first, last, count, asked.is_descending, with_gzip=self._spec.gzip and takes_gzip)

    def _one(self, path: bytes) -> bytes:
        number = int(path.rpartition(b"/")[2])
        if not self._all[0] <= number < self._all[1]:
            return self._missing
        return _answer(LISTED_STATUS.sub(b'"status":"SENT"', self._corpus.rows(number, number + 1), count=1))

    def _make_page(self, first: int, last: int, count: int, backwards: bool, *, with_gzip: bool) -> bytes:
        if backwards:
            rows = b",".join(
                self._corpus.rows(number, number + 1) for number in range(last - 1, first - 1, -1)
            )
        else:
            rows = self._corpus.rows(first, last)
        body = b'{"deid_invoice":[%s],"deid_invoice_aggregate":{"aggregate":{"count":%d}}}' % (rows, count)
        if with_gzip:
            return _answer(gzip.compress(body, 6), b"Content-Encoding: gzip\r\n")
        return _answer(body)


def _answer(body: bytes, headers: bytes = b"", *, status: bytes = b"200 OK") -> bytes:
    head = b"HTTP/1.1 %s\r\nContent-Type: application/json\r\n%sContent-Length: %d\r\n\r\n"
    return head % (status, headers, len(body)) + body


class Connection(asyncio.Protocol):
    def __init__(self, pages: Pages, latency: float) -> None:
        self._pages = pages
        self._latency = latency
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        for method, path, headers, body in self._requests():
            takes_gzip = b"gzip" in headers
            answer = self._pages.answer(method, path, body, takes_gzip=takes_gzip)
            if self._latency:
                asyncio.get_running_loop().call_later(self._latency, self._send, answer)
            else:
                self._send(answer)

    def _send(self, answer: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(answer)

    def _requests(self) -> Iterator[tuple[bytes, bytes, bytes, bytes]]:
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            head = self._received[:end]
            found = _LENGTH.search(head)
            whole = end + 4 + (int(found[1]) if found else 0)
            if len(self._received) < whole:
                return
            body, self._received = self._received[end + 4 : whole], self._received[whole:]
            method, path, _ = head.split(b" ", 2)
            yield method, path, head, body


class Ports:
    """Opens one port per spec."""

    def __init__(self, directory: Path) -> None:
        self._corpus = Corpus()
        self._authority = trustme.CA()
        self._file = directory / "authority.pem"
        self._authority.cert_pem.write_to_path(str(self._file))
        self._ports: dict[Spec, dict[str, Any]] = {}

    async def open(self, spec: Spec) -> dict[str, Any]:
        """Return where a spec is served, and the sums of its rows."""
        if spec not in self._ports:
            pages = Pages(self._corpus, spec)
            listening = await asyncio.get_running_loop().create_server(
                self._connections(pages, spec), "127.0.0.1", 0, ssl=self._context() if spec.tls else None
            )
            port = listening.sockets[0].getsockname()[1]
            thousands = -(-spec.rows // THOUSAND)
            self._ports[spec] = {
                # The certificate is for a name: not every client accepts an address.
                "url": f"https://localhost:{port}" if spec.tls else f"http://127.0.0.1:{port}",
                "api_key": API_KEY,
                "authority": str(self._file) if spec.tls else None,
                "first_id": FIRST_ID,
                "totals": [self._corpus.totals[at % len(self._corpus.totals)] for at in range(thousands)],
            }
        return self._ports[spec]

    @staticmethod
    def _connections(pages: Pages, spec: Spec) -> Callable[[], Connection]:
        return lambda: Connection(pages, spec.latency / 1000)

    def _context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._authority.issue_cert("localhost").configure_cert(context)
        return context


async def serve() -> None:
    with tempfile.TemporaryDirectory() as directory:
        ports = await asyncio.to_thread(Ports, Path(directory))
        while line := await asyncio.to_thread(sys.stdin.readline):
            asked = json.loads(line)
            port = await ports.open(Spec(**asked)) if asked else {"cpu": seconds_of_cpu()}
            sys.stdout.write(json.dumps(port) + "\n")
            sys.stdout.flush()


def main() -> None:
    if hasattr(os, "sched_setaffinity") and len(os.sched_getaffinity(0)) > 1:
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with contextlib.suppress(KeyboardInterrupt):
        loops.run(serve())


if __name__ == "__main__":
    main()
