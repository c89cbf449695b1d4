"""A firm as a dictionary, served over HTTP like the API: what a synced table must equal.

The server compares timestamps in microseconds and may show fewer digits, floored or rounded. It evaluates
``where``, ``orderBy`` and ``pageSize`` itself, and shares no code with the client.
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
    """Return microseconds since 1970; a text without a zone is UTC."""
    moment = datetime.fromisoformat(text.upper())
    return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - EPOCH) // MICROSECOND


class Row(NamedTuple):
    """A row, and the time of its last change in microseconds."""

    at: int | None
    notes: str
    amount: int


class ModelFirm:
    """A firm and its clock.

    Args:
        rng: decides how the firm shows its timestamps and keys.
        plain: keys are integers and pages have counts.
    """

    def __init__(self, rng: random.Random, *, plain: bool = True) -> None:
        self.rng = rng
        self.now = micros_of("2025-03-01T12:00:00Z") + rng.randrange(DAY)
        self.unit = rng.choice([1, 1, 1000, SECOND, SECOND, SECOND, MINUTE])
        self.rounds = rng.random() < 0.3
        self.zone = rng.choice(["Z", "+00:00", ""])
        self.has_counts = plain or rng.random() < 0.8
        self.has_text_keys = self.has_counts and rng.random() < 0.2
        self.rows: dict[int | str, Row] = {}
        self.seen: set[tuple[int | str, int | None]] = set()
        """The key and the shown timestamp of each version."""
        self.has_monotonic_clock = True
        """The clock is never set back, so two versions of a row may be shown with the same timestamp."""
        self.next_key = 1
        self.versions = 0
        self.empty_pages = 0
        self.on_request: Callable[[], None] | None = None
        self.requests = 0
        self.extra_fields: dict[int | str, dict[str, Any]] = {}
        """Fields of rows on the wire, added to or replacing the usual ones."""
        self.has_date = True
        self.date: str | None = None
        """Sent as Date instead of the firm's clock."""
        self.compares_text = False
        """Timestamps are compared as the text that is shown."""
        self.has_mixed_keys = False
        """Keys are compared as text, and may be shown as numbers."""
        self.custom_order: Callable[[int | str, str], Any] | None = None
        """Returns what a key is sorted by for a column, if not by value."""

    def key(self) -> int | str:
        """Return a new key."""
        number, self.next_key = self.next_key, self.next_key + self.rng.choice([1, 1, 1, 7])
        return f"{number:05}" if self.has_text_keys else number

    def shown(self, at: int | None) -> int | None:
        """Return a timestamp as it is shown, in microseconds."""
        return None if at is None else (at + (self.unit // 2 if self.rounds else 0)) // self.unit * self.unit

    def text(self, at: int) -> str:
        """Return a timestamp on the wire."""
        moment = EPOCH + timedelta(microseconds=self.shown(at) or 0)
        spec = {1: "microseconds", 1000: "milliseconds", SECOND: "seconds", MINUTE: "minutes"}[self.unit]
        return moment.replace(tzinfo=None).isoformat(timespec=spec) + self.zone

    def tick(self, max_micros: int = MINUTE) -> None:
        """Let some time pass."""
        self.now += self.rng.randrange(1, max(2, max_micros))

    def write(self, key: int | str, at: int | None) -> None:
        """Write a new version of a row; it is dated later if a sync could not distinguish it otherwise."""
        self.versions += 1
        while at is not None and not self.has_monotonic_clock and (key, self.shown(at)) in self.seen:
            at += self.unit
        self.rows[key] = Row(at, f"version {self.versions}", self.rng.randrange(10_000))
        self.seen.add((key, self.shown(at)))

    def put(self, key: int | str, at: str | None, **more: Any) -> None:
        """Write a row with an exact timestamp."""
        micros = None if at is None else micros_of(at)
        self.write(key, micros)
        if more:
            self.extra_fields[key] = more

    def notes(self) -> dict[int | str, str]:
        """Return the notes of all rows by key."""
        return {key: row.notes for key, row in self.rows.items()}

    def search(self, body: Any) -> dict[str, Any]:
        """Return the response to a search."""
        matching = [key for key in self.rows if self.matches(key, body.get("where", {}))]
        for order in reversed(body.get("orderBy", [])):
            ((column, direction),) = order.items()
            matching.sort(key=functools.partial(self.sort_key, column=column), reverse=direction == "desc")
        page = matching[: body["pageSize"]]
        if self.empty_pages and len(page) > 1:
            self.empty_pages -= 1
            page = []
        response: dict[str, Any] = {"deid_invoice": [self.wire(key) for key in page]}
        if self.has_counts:
            response["deid_invoice_aggregate"] = {"aggregate": {"count": len(matching)}}
        return response

    def wire(self, key: int | str) -> dict[str, Any]:
        """Return a row on the wire."""
        row = self.rows[key]
        at = None if row.at is None else self.text(row.at)
        wire = {"id": key, "notes": row.notes, "totalAmount": row.amount / 4, "updatedAt": at}
        return wire | self.extra_fields.get(key, {})

    def sort_key(self, key: int | str, column: str) -> tuple[bool, Any]:
        """Return what a row is sorted by; nulls are last in ascending and first in descending order."""
        if self.custom_order is not None:
            return False, self.custom_order(key, column)
        value = self.value(key, column)
        return value is None, 0 if value is None else value

    def value(self, key: int | str, column: str) -> Any:
        """Return the value that the server compares."""
        if column == "id":
            return str(self.wire(key)["id"]) if self.has_mixed_keys else key
        if column != "updatedAt":
            return self.wire(key)[column]
        at = self.rows[key].at
        return self.text(at) if self.compares_text and at is not None else at

    def matches(self, key: int | str, where: Any) -> bool:
        """Return True if a row matches a condition."""
        for name, clause in where.items():
            if name == "_and":
                is_match = all(self.matches(key, each) for each in clause)
            elif name == "_or":
                is_match = any(self.matches(key, each) for each in clause)
            else:
                is_match = all(self.compares(key, name, *each) for each in clause.items())
            if not is_match:
                return False
        return True

    def compares(self, key: int | str, column: str, operator: str, operand: Any) -> bool:
        """Return True if a comparison is true; one with null never is."""
        value = self.value(key, column)
        if operator == "_is_null":
            return bool((value is None) == operand)
        if column == "updatedAt" and not self.compares_text:
            operand = micros_of(operand)
        return value is not None and COMPARISONS[operator](value, operand)


def exact_firm(*, now: str = "2025-03-02T12:00:00Z", unit: int = 1, zone: str = "Z") -> ModelFirm:
    """Return an empty firm with counts, which shows timestamps in multiples of ``unit`` microseconds."""
    firm = ModelFirm(random.Random(1))
    firm.now, firm.unit, firm.zone = micros_of(now), unit, zone
    firm.rounds = firm.has_text_keys = False
    return firm


class FirmServer:
    """Serves its current firm."""

    def __init__(self) -> None:
        self.firm: ModelFirm
        self.url = ""
        self.alter: Callable[[Any, bytes], bytes | None] | None = None
        """Returns what is sent instead of a response, or None to refuse the request."""
        self.refusal = 403

    async def search(self, request: web.Request) -> web.Response:
        """Respond to a search, with the firm's clock as Date."""
        firm, body = self.firm, msgspec.json.decode(await request.read())
        firm.requests += 1
        content: bytes | None
        content = sent = msgspec.json.encode(firm.search(body))
        if self.alter is not None:
            content = self.alter(body, sent)
        if content is None:
            return web.Response(status=self.refusal)
        if firm.on_request is not None:
            firm.on_request()
        date = firm.date or format_datetime(EPOCH + timedelta(microseconds=firm.now), usegmt=True)
        return web.Response(
            body=content, content_type="application/json", headers={"Date": date if firm.has_date else ""}
        )


@asynccontextmanager
async def serve() -> AsyncGenerator[FirmServer]:
    """Serve on a free port of the loopback interface."""
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
