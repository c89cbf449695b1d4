"""A firm kept as a dictionary, served over HTTP as the API would: what a synchronised table must equal.

The server compares instants in microseconds and may show fewer digits, floored or rounded. It evaluates
``where``, ``orderBy`` and ``pageSize`` by itself, and shares no code with the client.
"""

from __future__ import annotations

import functools
import random
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any, NamedTuple

import msgspec
from aiohttp import web

__all__ = ["COMPARISONS", "FirmServer", "ModelFirm", "Row", "exact_firm", "micros_of", "serve"]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "_eq": lambda one, other: bool(one == other),
    "_neq": lambda one, other: bool(one != other),
    "_gt": lambda one, other: bool(one > other),
    "_gte": lambda one, other: bool(one >= other),
    "_lt": lambda one, other: bool(one < other),
    "_lte": lambda one, other: bool(one <= other),
    "_in": lambda one, other: one in other,
    "_nin": lambda one, other: one not in other,
}


def micros_of(text: str) -> int:
    """Microseconds since 1970; a text without a zone is UTC."""
    found = datetime.fromisoformat(text)
    return ((found if found.tzinfo else found.replace(tzinfo=UTC)) - EPOCH) // MICROSECOND


class Row(NamedTuple):
    """A row: when it was changed last, to the microsecond, and what it says."""

    at: int | None
    notes: str
    amount: int


class ModelFirm:
    """A firm and its clock.

    Args:
        dice: decides how the firm shows its instants and keys.
        plain: keys are integers and pages have counts.
    """

    def __init__(self, dice: random.Random, *, plain: bool = True) -> None:
        self.dice = dice
        self.now = micros_of("2025-03-01T12:00:00Z") + dice.randrange(DAY)
        self.unit = dice.choice([1, 1, 1000, SECOND, SECOND, SECOND, MINUTE])
        self.rounds = dice.random() < 0.3
        self.zone = dice.choice(["Z", "+00:00", ""])
        self.has_counts = plain or dice.random() < 0.8
        self.has_text_keys = self.has_counts and dice.random() < 0.2
        self.rows: dict[int | str, Row] = {}
        self.seen: set[tuple[int | str, int | None]] = set()
        """The key and the shown instant of each version there was."""
        self.is_trusty = True
        """Two versions of a row may be shown with one instant: the clock was never set back."""
        self.next_key = 1
        self.versions = 0
        self.empty_pages = 0
        self.during: Callable[[], None] | None = None
        self.requests = 0
        self.more: dict[int | str, dict[str, Any]] = {}
        """Fields of rows on the wire, beside or instead of the usual ones."""
        self.has_date = True
        self.compares_text = False
        """Instants are compared as the text that is shown."""
        self.has_mixed_keys = False
        """Keys are compared as text, and may be shown as numbers."""
        self.order_of: Callable[[int | str, str], Any] | None = None
        """The place of a key by a column, where it is another than by value."""

    def key(self) -> int | str:
        """The next key."""
        number, self.next_key = self.next_key, self.next_key + self.dice.choice([1, 1, 1, 7])
        return f"{number:05}" if self.has_text_keys else number

    def shown(self, at: int | None) -> int | None:
        """An instant as a client sees it, in microseconds."""
        return None if at is None else (at + (self.unit // 2 if self.rounds else 0)) // self.unit * self.unit

    def text(self, at: int) -> str:
        """An instant on the wire."""
        moment = EPOCH + timedelta(microseconds=self.shown(at) or 0)
        spec = {1: "microseconds", 1000: "milliseconds", SECOND: "seconds", MINUTE: "minutes"}[self.unit]
        return moment.replace(tzinfo=None).isoformat(timespec=spec) + self.zone

    def tick(self, most: int = MINUTE) -> None:
        """Let some time pass."""
        self.now += self.dice.randrange(1, max(2, most))

    def write(self, key: int | str, at: int | None) -> None:
        """A new version of a row. One that a sync cannot tell from an earlier one is dated later."""
        self.versions += 1
        while at is not None and not self.is_trusty and (key, self.shown(at)) in self.seen:
            at += self.unit
        self.rows[key] = Row(at, f"version {self.versions}", self.dice.randrange(10_000))
        self.seen.add((key, self.shown(at)))

    def put(self, key: int | str, at: str | None, **more: Any) -> None:
        """A row of an exact instant, which the clock has reached."""
        micros = None if at is None else micros_of(at)
        self.write(key, micros)
        if more:
            self.more[key] = more

    def answer(self, body: Any) -> dict[str, Any]:
        """What a search returns."""
        found = [key for key in self.rows if self.fits(key, body.get("where", {}))]
        for order in reversed(body.get("orderBy", [])):
            ((column, direction),) = order.items()
            found.sort(key=functools.partial(self.place, column=column), reverse=direction == "desc")
        page = found[: body["pageSize"]]
        if self.empty_pages and len(page) > 1:
            self.empty_pages -= 1
            page = []
        answer: dict[str, Any] = {"deid_invoice": [self.wire(key) for key in page]}
        if self.has_counts:
            answer["deid_invoice_aggregate"] = {"aggregate": {"count": len(found)}}
        return answer

    def wire(self, key: int | str) -> dict[str, Any]:
        """A row on the wire."""
        row = self.rows[key]
        at = None if row.at is None else self.text(row.at)
        wire = {"id": key, "notes": row.notes, "totalAmount": row.amount / 4, "updatedAt": at}
        return wire | self.more.get(key, {})

    def place(self, key: int | str, column: str) -> tuple[bool, Any]:
        """Where a row stands in an order; nulls are last upwards and first downwards."""
        if self.order_of is not None:
            return False, self.order_of(key, column)
        value = self.value(key, column)
        return value is None, 0 if value is None else value

    def value(self, key: int | str, column: str) -> Any:
        """The value that the server compares."""
        if column == "id":
            return str(self.wire(key)["id"]) if self.has_mixed_keys else key
        if column != "updatedAt":
            return self.wire(key)[column]
        at = self.rows[key].at
        return self.text(at) if self.compares_text and at is not None else at

    def fits(self, key: int | str, where: Any) -> bool:
        """Whether a row meets a condition."""
        for name, clause in where.items():
            if name == "_and":
                fits = all(self.fits(key, each) for each in clause)
            elif name == "_or":
                fits = any(self.fits(key, each) for each in clause)
            else:
                fits = all(self.compares(key, name, *each) for each in clause.items())
            if not fits:
                return False
        return True

    def compares(self, key: int | str, column: str, operator: str, operand: Any) -> bool:
        """Whether a value compares with an operand; null does so with none."""
        value = self.value(key, column)
        if operator == "_is_null":
            return bool((value is None) == operand)
        if column == "updatedAt" and not self.compares_text:
            operand = micros_of(operand)
        return value is not None and COMPARISONS[operator](value, operand)


def exact_firm(*, now: str = "2025-03-02T12:00:00Z", unit: int = 1, zone: str = "Z") -> ModelFirm:
    """An empty firm that shows instants with as many digits as ``unit`` has, and counts."""
    firm = ModelFirm(random.Random(1))
    firm.now, firm.unit, firm.zone = micros_of(now), unit, zone
    firm.rounds = firm.has_text_keys = False
    return firm


class FirmServer:
    """Serves the firm that it holds at present."""

    def __init__(self) -> None:
        self.firm: ModelFirm
        self.url = ""

    async def search(self, request: web.Request) -> web.Response:
        """Answer a search, with the firm's clock."""
        firm, body = self.firm, msgspec.json.decode(await request.read())
        firm.requests += 1
        answer = msgspec.json.encode(firm.answer(body))
        if firm.during is not None:
            firm.during()
        date = format_datetime(EPOCH + timedelta(microseconds=firm.now), usegmt=True)
        return web.Response(
            body=answer, content_type="application/json", headers={"Date": date if firm.has_date else ""}
        )


@asynccontextmanager
async def serve() -> AsyncGenerator[FirmServer]:
    """A server on a free port of loopback."""
    server = FirmServer()
    app = web.Application()
    app.router.add_post("/gql/v1/invoices/search", server.search)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    server.url = f"http://{host}:{port}"
    try:
        yield server
    finally:
        await runner.cleanup()
