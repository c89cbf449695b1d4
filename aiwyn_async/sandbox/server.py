"""The sandbox as its users hold it: options, life, and what a test looks at and turns."""

import asyncio
import contextlib
import secrets
import time
from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Literal, Self, get_args

from aiohttp import web

from .auth import Tokens
from .books import Books
from .collation import Collation
from .deliveries import Delivery, Outbox, Sender
from .drift import Drift
from .faults import Faults
from .firm_options import FirmOptions
from .handlers import PageLimits
from .http_log import LOGGER
from .loop_thread import LoopThread
from .records import RecordFailure
from .schema import RESOURCES
from .service import HOST, Bucket, RateLimit, ServedRequest
from .subscriptions import Subscriptions
from .values import BadRequestError, SqlValue
from .variants import Variant
from .writes import WritingService

__all__ = ["Sandbox"]


class Sandbox:
    """The Aiwyn API on loopback, with a firm behind it.

    It binds 127.0.0.1 alone, answers no other Host, and takes one API key, new for each run unless given.

        async with Sandbox(invoices=1000, seed=7) as box:
            print(box.url, box.api_key)

    Code without a loop enters it with a plain `with`: it serves from a thread, and all but the coroutines of
    this class may be called from the code's own.

    What the documents leave open is our inference: the token exchange is `POST /v1/auth/token` with
    `{"jwtApiKey": key}`, answered by `{"token": jwt, "expiresIn": seconds}`; searches are answered in the
    list's envelope and take a `page`; a request field nobody knows is a 400; errors are
    `{"errors": [{"message": ..., "extensions": {"code": ...}}]}`. What writes and events do beyond the
    documents is told in `records`, `subscriptions` and `deliveries`; `/openapi.json` describes it all.

    Args:
        invoices: How many invoices the firm has at the start.
        seed: Which firm: the same seed and size give the same bytes.
        clients: How many clients; scales with the invoices by default.
        latency: Seconds added to each answer.
        rate_limit: Requests per second over all routes, or a `RateLimit` with its burst; 429 above it.
        token_lifetime: Seconds a token is valid.
        api_key: The key to exchange; random by default.
        port: The port; 0 takes a free one.
        path: A file to keep the firm in. An existing one is opened if it holds the same firm.
        max_page_size: A larger `pageSize` is refused with 400.
        clamp_page_size: Cut a larger `pageSize` to this without a word, as some servers do.
        default_page_size: Replaces each route's own default.
        count_cap: The largest count an envelope admits to.
        ties: `fixed` gives rows that sort equal in one order, which is not that of their ids. `shifting`
            gives them in another order at each request, as Postgres may.
        drift: Changes to the firm after each page served.
        sender: How event subscriptions are signed, repeated and timed.
        variant: Answer in a way that the documentation leaves open.
        sizes: Rows of a tag, by its name, where they shall not follow from `invoices`.
        collation: How texts compare and sort: `C` by code points, `en_US` approximately as Postgres does in a
            database of that locale (letters before accents before case before punctuation).
        firm: What is special about the firm: currencies, refunds, missing clients, syncs in bursts.
        clock: Seconds since the epoch, for tokens.
        monotonic: Seconds, for the rate limit and `ServedRequest.at`.
        log_bodies: Keep request bodies in `requests`.
    """

    def __init__(
        self,
        invoices: int = 1000,
        seed: int = 7,
        *,
        clients: int | None = None,
        latency: float = 0.0,
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
        sender: Sender | None = None,
        variant: Variant | None = None,
        sizes: Mapping[str, int] | None = None,
        collation: Collation = "C",
        firm: FirmOptions | None = None,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        log_bodies: bool = True,
    ) -> None:
        if invoices < 0 or (clients is not None and clients < 1):
            raise ValueError("a firm has no fewer than 0 invoices and 1 client")
        if collation not in get_args(Collation):
            raise ValueError(f"collation must be one of {', '.join(get_args(Collation))}, got {collation!r}")
        if latency < 0:
            raise ValueError(f"latency must not be negative, got {latency:g}")
        if isinstance(rate_limit, int | float):
            rate_limit = RateLimit(rate_limit, max(1, int(rate_limit)))
        self.api_key = api_key or f"sandbox-{secrets.token_urlsafe(24)}"
        self._port = port
        self._store = Books(
            invoices=invoices,
            seed=seed,
            clients=clients,
            path=None if path is None else Path(path),
            sizes=sizes,
            collation=collation,
            options=firm,
        )
        self._outbox = Outbox(sender or Sender(clock=clock), Subscriptions(self._store).subscribers)
        self._store.told = self._outbox.take
        self._service = WritingService(
            books=self._store,
            clock=clock,
            tokens=Tokens(token_lifetime, clock),
            api_key=self.api_key,
            limits=PageLimits(max_page_size, clamp_page_size, default_page_size, count_cap),
            bucket=None if rate_limit is None else Bucket(rate_limit, monotonic),
            shifting_ties=ties == "shifting",
            monotonic=monotonic,
            log_bodies=log_bodies,
            variant=variant,
        )
        self.latency = latency
        self.drift = drift
        self._runner: web.AppRunner | None = None
        self._thread: LoopThread | None = None
        self._worker: ThreadPoolExecutor | None = None

    def __repr__(self) -> str:
        where = "stopped" if self._service.port is None else self.url
        return f"<Sandbox {where}, {self._store!r}, {self._service!r}>"

    # Lifecycle

    def __enter__(self) -> Self:
        """Serve from a thread, with a loop of its own, for code that has none."""
        if self._thread is not None or self._runner is not None:
            raise RuntimeError("the sandbox is running already")
        self._thread = LoopThread("aiwyn-sandbox")
        try:
            self._thread.run(self.start())
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        thread, self._thread = self._thread, None
        if thread is not None:
            try:
                thread.run(self.stop())
            finally:
                thread.close()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Make the firm and begin to serve.

        Raises:
            RuntimeError: It has been started already; a sandbox serves once.
            ValueError: `path` holds something else than this firm.
            OSError: The port is taken.
        """
        service = self._service
        if self._worker is not None or service.stopping.is_set():
            raise RuntimeError("a sandbox is started once; make another")
        self._worker = service.worker = ThreadPoolExecutor(1, thread_name_prefix="aiwyn-sandbox")
        try:
            await asyncio.get_running_loop().run_in_executor(self._worker, service.open)
            # A handler is cancelled when its client goes, so that a stalled one ends with the client.
            self._runner = web.AppRunner(
                service.app(),
                handler_cancellation=True,
                access_log=None,
                logger=LOGGER,
                shutdown_timeout=0.5,
            )
            await self._runner.setup()
            await web.TCPSite(self._runner, HOST, self._port).start()
            service.port = int(self._runner.addresses[0][1])
            self._outbox.start()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop serving, end every connection and remove what is not to be kept. May be called twice."""
        self._service.stopping.set()
        self._store.cancel()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        self._service.port = None
        await self._outbox.stop()
        if self._worker is not None:
            worker, self._worker = self._worker, None
            worker.shutdown(wait=True)
            self._store.close()

    # What a test looks at and turns

    @property
    def url(self) -> str:
        """Where it serves, `http://127.0.0.1:PORT`."""
        if self._service.port is None:
            raise RuntimeError("the sandbox is not running: enter `async with Sandbox() as box` first")
        return f"http://{HOST}:{self._service.port}"

    @property
    def token(self) -> str:
        """A token valid now, another one each time. Not counted in `token_exchanges`."""
        return self._service.tokens.issue()

    @property
    def token_exchanges(self) -> int:
        """How many tokens were given for the API key."""
        return self._service.token_exchanges

    @property
    def faults(self) -> Faults:
        """What is to go wrong."""
        return self._service.faults

    @property
    def requests(self) -> deque[ServedRequest]:
        """The latest 10,000 requests, oldest first."""
        return self._service.requests

    @property
    def latency(self) -> float:
        """Seconds added to each answer."""
        return self._service.latency

    @latency.setter
    def latency(self, seconds: float) -> None:
        self._service.latency = seconds

    @property
    def drift(self) -> Drift | None:
        """What changes after each list or search page; None for nothing."""
        return self._service.drift

    @drift.setter
    def drift(self, drift: Drift | None) -> None:
        self._service.drift = drift

    @property
    def deliveries(self) -> deque[Delivery]:
        """The latest 10,000 events sent or being sent to subscribers, oldest first."""
        return self._outbox.deliveries

    async def delivered(self) -> None:
        """Wait until every event was delivered or given up."""
        await self._outbox.settled()

    @property
    def record_failures(self) -> list[RecordFailure]:
        """The rules by which records fail; clear it to have them succeed again."""
        return self._service.records.failures

    def fail_records(
        self,
        when: Callable[[Mapping[str, object]], bool] | None = None,
        *,
        every: int | None = None,
        times: int | None = None,
        code: str = "VALIDATION_FAILED",
        message: str = "planned failure",
    ) -> RecordFailure:
        """Have records fail inside bulk writes that succeed.

        Args:
            when: Asked with a record as it was sent, `{"type", "systemRef", "attributes"}`.
            every: Or each n-th record (that `when` likes) fails, counted over all requests.
            times: Stop after so many.
            code: The code of the item's error.
            message: Its message.

        Returns:
            The rule, with its `hits`.

        Raises:
            ValueError: Neither `when` nor `every` is given, or a number is below 1.
        """
        if when is None and every is None:
            raise ValueError("fail_records needs a predicate or every=n")
        if any(count is not None and count < 1 for count in (every, times)):
            raise ValueError("every and times count from 1")
        rule = RecordFailure(when, every, times, code, message)
        self.record_failures.append(rule)
        return rule

    def expire_tokens(self) -> None:
        """Refuse every token issued so far with a 401."""
        self._service.tokens.revoke_all()

    def calls(self, route: str | None = None) -> int:
        """How many requests a route has served, or all routes; what was refused or broken counts too."""
        calls = self._service.calls
        return calls.total() if route is None else calls[route]

    def insert(
        self,
        resource: str,
        values: Mapping[str, object] | None = None,
        *,
        count: int = 1,
    ) -> list[int]:
        """Add rows of the firm's own making, with some fields set.

        Each one's `updatedAt` is later than that of every row before it, unless it is among the fields. With
        `FirmOptions.sync_minutes`, the rows of one call share one.

        Args:
            resource: The name of a resource, such as `invoices`.
            values: Fields to set, by their names in a row. The books then tie out only as far as these do.
            count: How many rows.

        Returns:
            The new ids.

        Raises:
            ValueError: A field is unknown or does not fit.
        """
        with _as_value_error():
            return self._store.insert(RESOURCES[resource], count, values)

    def update(self, resource: str, row_id: int, values: Mapping[str, object]) -> None:
        """Set fields of a row. `updatedAt` becomes later than every other row's unless it is among them.

        Raises:
            KeyError: There is no such row.
            ValueError: A field is unknown or does not fit.
        """
        with _as_value_error():
            self._store.update(RESOURCES[resource], row_id, values)

    def delete(self, resource: str, row_id: int) -> None:
        """Remove a row.

        Raises:
            KeyError: There is no such row.
        """
        self._store.delete(RESOURCES[resource], row_id)

    def refresh(self, resource: str | None = None) -> None:
        """Move the `updatedAt` of every row to one instant, later than all, as a full refresh does.

        Args:
            resource: The name of a resource; all of them by default.
        """
        for name in RESOURCES if resource is None else (resource,):
            self._store.refresh(RESOURCES[name])

    def query(self, sql: str, parameters: Sequence[SqlValue] = ()) -> list[tuple[SqlValue, ...]]:
        """The rows of a SELECT. Money is in cents (`total_cents`), instants in UTC microseconds."""
        return self._store.query(sql, parameters)

    def scalar(self, sql: str, parameters: Sequence[SqlValue] = ()) -> SqlValue:
        """The first value of the first row of a SELECT, None without a row."""
        rows = self._store.query(sql, parameters)
        return rows[0][0] if rows else None


@contextlib.contextmanager
def _as_value_error() -> Generator[None]:
    """What is a 400 to a client is a wrong argument to a test."""
    try:
        yield
    except BadRequestError as error:
        raise ValueError(error.message) from error
