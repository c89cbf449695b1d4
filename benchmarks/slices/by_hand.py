"""Clients that careful users write with aiohttp and msgspec, without retries, checks or resuming."""

from __future__ import annotations

import asyncio
import functools
import re
import ssl
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from decimal import Decimal
from itertools import islice
from typing import Generic, TypeVar

import aiohttp
import msgspec

from aiwyn_async import Invoice
from aiwyn_async.models.invoices import InvoiceDetail
from benchmarks.worker import Job, Tally, added_up, at_once, counted

PAGE_SIZE = 1000
IN_FLIGHT = 4
"""More do not help without latency; workloads with latency pass more."""
OBVIOUS_GROUP = 8
BLOCK_BYTES = 64_000


class Count(msgspec.Struct):
    count: int


class Aggregate(msgspec.Struct):
    aggregate: Count


RowT = TypeVar("RowT")


class Envelope(msgspec.Struct, Generic[RowT]):
    deid_invoice: list[RowT]
    deid_invoice_aggregate: Aggregate


decode_page = msgspec.json.Decoder(Envelope[Invoice]).decode
split_page = msgspec.json.Decoder(Envelope[msgspec.Raw]).decode
decode_block = msgspec.json.Decoder(list[Invoice]).decode
between_rows = re.compile(rb'\},\{"id":[0-9]+,"invoiceNumber":').search
leading_id = re.compile(rb'\{"id":([0-9]+),').match
"""Faster than to decode the row, and enough for these pages."""
decode_one = msgspec.json.Decoder(InvoiceDetail).decode


@asynccontextmanager
async def session_of(job: Job) -> AsyncIterator[aiohttp.ClientSession]:
    """Return a default aiohttp session with the token."""
    context = ssl.create_default_context(cafile=job.authority) if job.authority else True
    async with aiohttp.ClientSession() as session:
        ask = {"jwtApiKey": job.api_key}
        async with session.post(f"{job.url}/v1/auth/token", json=ask, ssl=context) as answer:
            token = (await answer.json())["token"]
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    connector = aiohttp.TCPConnector(ssl=context)
    async with aiohttp.ClientSession(job.url, headers=headers, connector=connector) as session:
        yield session


async def fetch(session: aiohttp.ClientSession, number: int) -> bytes:
    body = b'{"pageSize":%d,"page":%d}' % (PAGE_SIZE, number)
    async with session.post("/gql/v1/invoices", data=body) as answer:
        answer.raise_for_status()
        return await answer.read()


async def bodies(job: Job) -> AsyncGenerator[bytes, None]:
    """Yield the pages in order, with several in flight; release each before the next."""
    session = await job.client(session_of)
    in_flight = job.options.get("in_flight", IN_FLIGHT)
    first = await fetch(session, 0)
    pages = -(-decode_count(first) // PAGE_SIZE)
    numbers = iter(range(1, pages))
    window = deque(asyncio.ensure_future(fetch(session, number)) for number in islice(numbers, in_flight))
    yield first
    del first
    while window:
        body = await window.popleft()
        window += [asyncio.ensure_future(fetch(session, number)) for number in islice(numbers, 1)]
        yield body
        del body


def decode_count(body: bytes) -> int:
    """Read the count at the end of a page without decoding the rows."""
    return int(body[body.rindex(b":") + 1 : body.rindex(b"}}}")])


async def invoices(
    job: Job, decode: Callable[[bytes], Envelope[RowT]] = decode_page
) -> AsyncGenerator[RowT, None]:
    """The same as `bodies()`, in one generator, since each generator costs time per row."""
    session = await job.client(session_of)
    in_flight = job.options.get("in_flight", IN_FLIGHT)
    page = decode(await fetch(session, 0))
    pages = -(-page.deid_invoice_aggregate.aggregate.count // PAGE_SIZE)
    numbers = iter(range(1, pages))
    window = deque(asyncio.ensure_future(fetch(session, number)) for number in islice(numbers, in_flight))
    rows = page.deid_invoice
    del page
    for row in rows:
        yield row
    del rows
    while window:
        body = await window.popleft()
        window += [asyncio.ensure_future(fetch(session, number)) for number in islice(numbers, 1)]
        rows = decode(body).deid_invoice
        del body
        for row in rows:
            yield row
        del rows


async def tuned(job: Job) -> Tally:
    """The SDK's own Struct, one decoder, ordered pages in flight."""
    return await added_up(invoices(job), job)


async def invoices_in_blocks(job: Job) -> AsyncGenerator[Invoice, None]:
    """Decode blocks of rows as `list()` does. Works only for pages in exactly this format."""
    async for body in bodies(job):
        at, end = body.index(b"[") + 1, body.rindex(b"]")
        while at < end:
            cut = between_rows(body, at + BLOCK_BYTES, end)
            stop = cut.start() + 1 if cut else end
            rows = decode_block(b"".join((b"[", memoryview(body)[at:stop], b"]")))
            at = stop + 1
            for row in rows:
                yield row
            del rows
        del body


async def tuned_in_blocks(job: Job) -> Tally:
    """Typed rows, decoded in blocks."""
    return await added_up(invoices_in_blocks(job), job)


async def raw(job: Job) -> Tally:
    """The bytes of the pages, not decoded."""
    size = rows = 0
    async for body in bodies(job):
        size += len(body)
        if job.verify:
            rows += len(decode_page(body).deid_invoice)
        del body
    return Tally(rows if job.verify else job.rows, notes={"bytes": size})


async def raw_rows(job: Job) -> Tally:
    """`async for` over the bytes of each row, without any check."""
    return await counted(invoices(job, split_page), job)


async def checked_pages(job: Job) -> AsyncGenerator[tuple[bytes, list[msgspec.Raw]], None]:
    """Yield the body and the rows of each page. Raise unless all rows were received, each once."""
    ids: set[int] = set()
    received = count = 0
    async for body in bodies(job):
        page = split_page(body)
        rows, count = page.deid_invoice, page.deid_invoice_aggregate.aggregate.count
        del page
        ids.update([int(leading_id(row)[1]) for row in rows])  # type: ignore[index]
        received += len(rows)
        yield body, rows
        del body, rows
    if not len(ids) == received == count:
        raise ValueError(f"{received} rows with {len(ids)} ids received, of {count}")


async def checked_raw_rows(job: Job) -> Tally:
    """`async for` over the bytes of each row, whose ids are compared."""

    async def rows_of_pages() -> AsyncGenerator[msgspec.Raw, None]:
        async for body, rows in checked_pages(job):
            del body
            for row in rows:
                yield row
            del rows

    return await counted(rows_of_pages(), job)


class NaiveLine(msgspec.Struct, rename="camel"):
    id: int
    description: str
    quantity: Decimal
    unit_price: Decimal
    amount: Decimal
    tax_rate: Decimal


class NaivePayment(msgspec.Struct, rename="camel"):
    id: int
    amount: Decimal
    payment_date: datetime
    payment_method: str
    status: str


class NaiveInvoice(msgspec.Struct, rename="camel"):
    """The fields as the documentation lists them, lists as lists."""

    id: int
    invoice_number: str
    status: str
    payment_status: str
    client_id: int
    client_name: str
    issue_date: datetime
    due_date: datetime
    subtotal: Decimal
    tax_amount: Decimal
    total_amount: Decimal
    currency: str
    paid_amount: Decimal
    outstanding_amount: Decimal
    line_items: list[NaiveLine]
    payments: list[NaivePayment]
    created_at: datetime
    updated_at: datetime
    reference: str | None = None
    description: str | None = None
    client_email: str | None = None
    project_id: int | None = None
    project_name: str | None = None
    notes: str | None = None


class NaiveEnvelope(msgspec.Struct):
    deid_invoice: list[NaiveInvoice]
    deid_invoice_aggregate: Aggregate


async def obvious(job: Job) -> Tally:
    """The obvious client: a plain Struct, and groups of pages with `gather()`."""
    session = await job.client(session_of)

    async def page(number: int) -> NaiveEnvelope:
        ask = {"pageSize": PAGE_SIZE, "page": number}
        async with session.post("/gql/v1/invoices", json=ask) as answer:
            return msgspec.json.decode(await answer.read(), type=NaiveEnvelope)

    async def pages() -> AsyncGenerator[NaiveInvoice, None]:
        first = await page(0)
        for row in first.deid_invoice:
            yield row
        count = -(-first.deid_invoice_aggregate.aggregate.count // PAGE_SIZE)
        for begin in range(1, count, OBVIOUS_GROUP):
            numbers = range(begin, min(count, begin + OBVIOUS_GROUP))
            for found in await asyncio.gather(*(page(number) for number in numbers)):
                for row in found.deid_invoice:
                    yield row

    return await added_up(pages(), job)


async def get(session: aiohttp.ClientSession, key: int) -> None:
    async with session.get(f"/gql/v1/invoice/{key}") as answer:
        answer.raise_for_status()
        assert decode_one(await answer.read()).id == key


async def many_at_once(job: Job) -> Tally:
    """A session and a decoder, in `max_concurrency` tasks."""
    return await at_once(functools.partial(get, await job.client(session_of)), job)


async def small_searches(job: Job) -> Tally:
    """Searches of few rows, whose condition is a dict."""
    session = await job.client(session_of)
    calls, rows = job.options["calls"], job.options["rows"]
    first = job.first_id
    for _ in range(calls):
        ask = {
            "pageSize": PAGE_SIZE,
            "where": {"_and": [{"id": {"_gte": first}}, {"id": {"_lt": first + rows}}]},
            "orderBy": [{"id": "asc"}],
        }
        async with session.post("/gql/v1/invoices/search", data=msgspec.json.encode(ask)) as answer:
            answer.raise_for_status()
            page = decode_page(await answer.read())
        assert len(page.deid_invoice) == page.deid_invoice_aggregate.aggregate.count == rows
    return Tally(calls)


async def tree_of_many_clauses(job: Job) -> Tally:
    """A dict, without checks."""
    calls, clauses = job.options["calls"], job.options["clauses"]
    for _ in range(calls):
        _ = {"where": {"_or": [{"clientId": {"_eq": number}} for number in range(clauses)]}}
    return Tally(calls)
