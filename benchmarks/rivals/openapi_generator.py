"""The client that openapi-generator makes for Python, on its asyncio library."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from openapi_client import ApiClient, Configuration, InvoiceListRequest, InvoicesApi

from benchmarks.rivals.tokens import token_for
from benchmarks.rivals.windows import in_order
from benchmarks.worker import Adder, Job, Tally, main


@asynccontextmanager
async def opened(job: Job) -> AsyncIterator[InvoicesApi]:
    configuration = Configuration(host=job.url, access_token=token_for(job))
    async with ApiClient(configuration) as client:
        yield InvoicesApi(client)


async def pull(job: Job) -> Tally:
    api = await job.client(opened)
    adder = Adder(job)

    async def fetch(number: int) -> Any:
        return await api.list_invoices(InvoiceListRequest(pageSize=1000, page=number))

    async for page in in_order(fetch, job.pages, job.options["in_flight"]):
        adder.add_objects(page.deid_invoice)
        del page
    return adder.tally


if __name__ == "__main__":
    main({"pull": pull})
