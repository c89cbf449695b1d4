"""The client that openapi-python-client generates, blocking and async."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiwyn_api_sandbox_client import AuthenticatedClient
from aiwyn_api_sandbox_client.api.invoices import get_invoice, list_invoices
from aiwyn_api_sandbox_client.models import InvoiceListRequest

from benchmarks.rivals.tokens import token_for
from benchmarks.rivals.windows import in_order
from benchmarks.worker import Adder, Job, Tally, at_once, main


def client_of(job: Job) -> AuthenticatedClient:
    return AuthenticatedClient(base_url=job.url, token=token_for(job))


@asynccontextmanager
async def opened(job: Job) -> AsyncIterator[AuthenticatedClient]:
    async with client_of(job) as client:
        yield client


def pull(job: Job) -> Tally:
    client = job.shared(client_of)
    adder = Adder(job)
    for number in range(job.pages):
        page: Any = list_invoices.sync(client=client, body=InvoiceListRequest(page_size=1000, page=number))
        adder.add_objects(page.deid_invoice)
        del page
    return adder.tally


async def pull_async(job: Job) -> Tally:
    client = await job.client(opened)
    adder = Adder(job)

    async def fetch(number: int) -> Any:
        return await list_invoices.asyncio(
            client=client, body=InvoiceListRequest(page_size=1000, page=number)
        )

    async for page in in_order(fetch, job.pages, job.options["in_flight"]):
        adder.add_objects(page.deid_invoice)
        del page
    return adder.tally


def one_by_one(job: Job) -> Tally:
    client = job.shared(client_of)
    calls = job.options["calls"]
    for key in range(job.first_id, job.first_id + calls):
        found: Any = get_invoice.sync(key, client=client)
        assert found.id == key
    return Tally(calls)


async def many_at_once(job: Job) -> Tally:
    client = await job.client(opened)

    async def get(key: int) -> None:
        found: Any = await get_invoice.asyncio(key, client=client)
        assert found.id == key

    return await at_once(get, job)


if __name__ == "__main__":
    main({"pull": pull, "pull_async": pull_async, "one_by_one": one_by_one, "many_at_once": many_at_once})
