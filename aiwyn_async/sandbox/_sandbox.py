"""The sandbox: its options, its lifecycle, and the controls of a test."""

import secrets
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from operator import index
from pathlib import Path
from typing import Literal, Self

from aiwyn_async.sandbox._checks import checked
from aiwyn_async.sandbox._data.collation import Collation
from aiwyn_async.sandbox._data.database import Database
from aiwyn_async.sandbox._data.drift import Drift
from aiwyn_async.sandbox._data.firm_options import FirmOptions
from aiwyn_async.sandbox._data.records import RecordFailure
from aiwyn_async.sandbox._data_controls import DataControls
from aiwyn_async.sandbox._events.deliveries import Delivery, Outbox, Sender
from aiwyn_async.sandbox._events.subscriptions import Subscriptions
from aiwyn_async.sandbox._http.application import create_application
from aiwyn_async.sandbox._http.auth import Tokens
from aiwyn_async.sandbox._http.control import FaultSpec, parse_faults
from aiwyn_async.sandbox._http.faults import Faults, Seconds, covers
from aiwyn_async.sandbox._http.handlers import PageLimits
from aiwyn_async.sandbox._http.rate_limit import MAX_PER_SECOND, RateLimit, TokenBucket
from aiwyn_async.sandbox._http.read_routes import ReadRoutes
from aiwyn_async.sandbox._http.requests import ServedRequest
from aiwyn_async.sandbox._http.server import HOST, Server
from aiwyn_async.sandbox._http.service import UNROUTED, Service
from aiwyn_async.sandbox._http.variants import Variant
from aiwyn_async.sandbox._http.write_routes import WriteRoutes
from aiwyn_async.sandbox._runtime import Runtime


class Sandbox(DataControls):
    """The Aiwyn API on loopback, with the data of a firm.

    It binds 127.0.0.1 only, rejects other Host headers, and accepts one API key.

        async with Sandbox(invoices=1000, seed=7) as box:
            print(box.url, box.api_key)

    Code without an event loop uses a plain ``with``: the sandbox then serves from a thread. Everything except
    the coroutines may be called from any thread.

    Points that the documentation leaves open are inferred: the token exchange is ``POST /v1/auth/token`` with
    ``{"jwtApiKey": key}`` and the response ``{"token": jwt, "expiresIn": seconds}``; searches use the
    envelope of the list and accept a ``page``; an unknown field is a 400; errors are ``{"errors":
    [{"message": ..., "extensions": {"code": ...}}]}``. ``/openapi.json`` describes the rest.

    Args:
        invoices: Number of invoices of the firm.
        seed: Selects the firm; the same seed and size produce the same bytes.
        clients: Number of clients; scales with the invoices by default.
        latency: Seconds added to each response.
        rate_limit: Requests per second over all routes, or a ``RateLimit`` with a burst; 429 above it.
        token_lifetime: Seconds for which a token is valid.
        api_key: The API key; random by default.
        port: The port; a free one by default.
        path: A file to store the firm in. An existing file is opened if it holds the same firm. One sandbox
            at a time can use it; reads write to it too, such as JSON that is generated when it is first read.
        max_page_size: Maximum ``pageSize``; a larger one is rejected with 400.
        clamp_page_size: Reduce a larger ``pageSize`` to this value without an error, as some servers do.
        default_page_size: Replaces the default of each route.
        count_cap: Maximum count in an envelope.
        ties: ``fixed`` returns rows that sort equal in one order, which is not that of their ids.
            ``shifting`` changes the order with each request, as Postgres may.
        drift: Changes to the data after each page served.
        faults: Planned faults, as text (see ``parse_fault``) or ``FaultSpec``; ``faults`` adds others.
        sender: How deliveries of events are signed, retried and timed.
        variant: A variation of the API where the documentation leaves points open.
        sizes: Number of rows by resource, instead of what follows from ``invoices``.
        collation: How texts compare and sort: ``C`` by code points, ``en_US`` approximately as Postgres does
            in a database of that locale (letters before accents before case before punctuation).
        firm: Special properties of the firm: currencies, refunds, missing clients, syncs.
        clock: Seconds since the epoch, for tokens.
        monotonic: Seconds, for the rate limit and ``ServedRequest.at``.
        log_bodies: Record request bodies in ``requests``.

    Raises:
        ValueError: An option is out of range, or a fault names an unknown route.
    """

    @checked
    def __init__(
        self,
        invoices: int = 1000,
        seed: int = 7,
        *,
        clients: int | None = None,
        latency: Seconds = 0.0,
        rate_limit: float | RateLimit | None = None,
        token_lifetime: float = 3600,
        api_key: str | None = None,
        port: int = 0,
        path: str | Path | None = None,
        max_page_size: int = 1000,
        clamp_page_size: int | None = None,
        default_page_size: int | None = None,
        count_cap: int | None = None,
        ties: Literal["fixed", "shifting"] = "fixed",
        drift: Drift | None = None,
        faults: Iterable[FaultSpec | str] = (),
        sender: Sender | None = None,
        variant: Variant | None = None,
        sizes: Mapping[str, int] | None = None,
        collation: Collation = "C",
        firm: FirmOptions | None = None,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        log_bodies: bool = True,
    ) -> None:
        # A number of numpy would overflow.
        invoices, seed, port = index(invoices), index(seed), index(port)
        if invoices < 0:
            raise ValueError(f"invoices must not be negative, got {invoices}")
        numbers = dict(sizes or {}) | ({} if clients is None else {"clients": clients})
        _check_options(port, seed, api_key)
        if rate_limit is not None and not isinstance(rate_limit, RateLimit):
            rate_limit = RateLimit(rate_limit, max(1, int(min(MAX_PER_SECOND, rate_limit))))
        self.api_key: str = f"sandbox-{secrets.token_urlsafe(24)}" if api_key is None else api_key
        self._database = database = Database(
            invoices=invoices,
            seed=seed,
            path=None if path is None else Path(path),
            sizes={name: index(number) for name, number in numbers.items()},
            collation=collation,
            options=firm,
        )
        self._outbox = Outbox(sender or Sender(clock=clock), Subscriptions(database).subscribers)
        database.on_change = self._outbox.add
        self._server = Server()
        self._service = service = Service(
            tokens=Tokens(token_lifetime, clock),
            lock=database.lock,
            bucket=None if rate_limit is None else TokenBucket(rate_limit, monotonic),
            is_own_host=self._server.is_own_host,
            clock=clock,
            monotonic=monotonic,
            log_bodies=log_bodies,
        )
        limits = PageLimits(max_page_size, clamp_page_size, default_page_size, count_cap)
        reads = ReadRoutes(service, database, limits, shifting_ties=ties == "shifting", variant=variant)
        self._writes = WriteRoutes(service, database)
        self._app = create_application(service, reads, self._writes, database, self.api_key)
        self._runtime = Runtime(database, service, reads, self._outbox, self._server, port)
        self._faults = parse_faults(faults)
        self._latency, self._drift = latency, drift
        self._set_options()

    def _set_options(self) -> None:
        self.latency, self.drift = self._latency, self._drift
        for fault in self._faults:
            fault.add_to(self.faults)

    def __repr__(self) -> str:
        if "_runtime" not in vars(self):
            return "<Sandbox without valid options>"
        state = "stopped" if self._server.port is None else self.url
        return f"<Sandbox {state}, {self._database!r}, {self._service!r}>"

    # Lifecycle

    def __enter__(self) -> Self:
        """Serve from a thread with its own event loop, for code without one."""
        self._runtime.start_in_thread(self._app)
        return self

    def __exit__(self, *_: object) -> None:
        self._runtime.stop_thread()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Generate the firm and serve.

        Raises:
            RuntimeError: The sandbox was started before; it serves once.
            ValueError: ``path`` holds another firm.
            OSError: The port is in use.
        """
        await self._runtime.start(self._app)

    async def stop(self) -> None:
        """Stop serving, close connections, delete temporary files; may be called twice."""
        await self._runtime.stop()

    # Controls

    def reset(self) -> None:
        """Return to the state of the start, for the next test.

        Rows are those generated, and a firm in a file is generated again if it changed. Faults, latency and
        drift are those passed to ``Sandbox()``. Requests, counts, rules of ``fail_records()``, records,
        record types, event subscriptions and deliveries are removed, and requests in progress change and
        record nothing. Tokens remain valid.

        Raises:
            RuntimeError: The sandbox is not running.
        """
        self._runtime.reset()
        self.record_failures.clear()
        if self._drift is not None:
            self._drift.reset()
        self._set_options()

    @property
    def url(self) -> str:
        """The base URL, ``http://127.0.0.1:PORT``."""
        if self._server.port is None:
            raise RuntimeError("the sandbox is not running; enter `async with Sandbox() as box` first")
        return f"http://{HOST}:{self._server.port}"

    @property
    def token(self) -> str:
        """A valid token, a new one each time; not counted in ``token_exchanges``."""
        return self._service.tokens.issue()

    @property
    def token_exchanges(self) -> int:
        """Number of tokens exchanged for the API key."""
        return self._service.token_exchanges

    @property
    def faults(self) -> Faults:
        """The planned faults."""
        return self._service.faults

    @property
    def requests(self) -> deque[ServedRequest]:
        """The latest 10,000 requests, oldest first."""
        return self._service.requests

    @property
    def latency(self) -> float:
        """Seconds added to each response."""
        return self._service.latency

    @latency.setter
    @checked
    def latency(self, seconds: Seconds) -> None:
        self._service.latency = seconds

    @property
    def drift(self) -> Drift | None:
        """Changes to the data after each page of a list or search, or None."""
        return self._service.drift

    @drift.setter
    @checked
    def drift(self, drift: Drift | None) -> None:
        self._service.drift = drift

    @property
    def deliveries(self) -> deque[Delivery]:
        """The latest 10,000 deliveries of events, oldest first."""
        return self._outbox.deliveries

    async def delivered(self) -> None:
        """Wait until every delivery has succeeded or failed; in any event loop."""
        await self._runtime.delivered()

    @property
    def record_failures(self) -> list[RecordFailure]:
        """The rules that make records fail; clear the list to remove them."""
        return self._writes.records.failures

    @checked
    def fail_records(
        self,
        when: Callable[[Mapping[str, object]], bool] | None = None,
        *,
        every: int | None = None,
        times: int | None = None,
        code: str = "VALIDATION_FAILED",
        message: str = "planned failure",
    ) -> RecordFailure:
        """Make records fail within bulk writes that succeed, and return the rule.

        For the arguments, of which ``when`` or ``every`` is needed, see ``RecordFailure``.

        Raises:
            ValueError: Both ``when`` and ``every`` are missing, or a number is below 1.
        """
        if when is None and every is None:
            raise ValueError("fail_records() needs when or every")
        if any(count is not None and count < 1 for count in (every, times)):
            raise ValueError("every and times must be at least 1")
        rule = RecordFailure(when, every, times, code, message)
        self.record_failures.append(rule)
        return rule

    def expire_tokens(self) -> None:
        """Reject every token issued so far with 401."""
        self._service.tokens.revoke_all()

    def calls(self, route: str | None = None) -> int:
        """Return the number of requests of a route, of a verb such as ``list``, or of all; failed ones too.

        Requests to other paths have the route ``unknown``.

        Raises:
            ValueError: The route or the verb is unknown.
        """
        name = "*" if route is None else route
        if name != UNROUTED:
            self.faults.check_route(name)
        return sum(count for each, count in self._service.calls.copy().items() if covers(name, each))


def _check_options(port: int, seed: int, api_key: str | None) -> None:
    if not 0 <= port < 2**16:
        raise ValueError(f"port {port} is not between 0 and 65535")
    if not -(2**63) <= seed < 2**63:
        raise ValueError("seed must fit in 64 bits")
    if api_key is not None and not (
        api_key.isascii() and api_key.isprintable() and api_key.split() == [api_key]
    ):
        raise ValueError("api_key must be printable ASCII without spaces")
