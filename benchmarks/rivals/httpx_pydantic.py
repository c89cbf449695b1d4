"""httpx and pydantic v2, decimals exact, one model for the whole page."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from decimal import Decimal

import httpx
from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from benchmarks.rivals.tokens import token_for
from benchmarks.rivals.windows import in_order
from benchmarks.worker import Adder, Job, Tally, main


class Model(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel)


class Line(Model):
    id: int
    description: str
    quantity: Decimal
    unit_price: Decimal
    amount: Decimal
    tax_rate: Decimal


class Payment(Model):
    id: int
    amount: Decimal
    payment_date: datetime
    payment_method: str
    status: str


class Invoice(Model):
    id: int
    invoice_number: str
    reference: str | None
    description: str
    status: str
    payment_status: str
    client_id: int
    client_name: str
    client_email: str | None
    project_id: int | None
    project_name: str | None
    issue_date: datetime
    due_date: datetime
    subtotal: Decimal
    tax_amount: Decimal
    total_amount: Decimal
    currency: str
    paid_amount: Decimal
    outstanding_amount: Decimal
    line_items: list[Line]
    payments: list[Payment]
    notes: str | None
    created_at: datetime
    updated_at: datetime


class Page(BaseModel):
    deid_invoice: list[Invoice]


@asynccontextmanager
async def opened(job: Job) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Authorization": f"Bearer {token_for(job)}"}
    async with httpx.AsyncClient(base_url=job.url, headers=headers, trust_env=False) as client:
        yield client


async def pull(job: Job) -> Tally:
    client = await job.client(opened)
    adder = Adder(job)

    async def fetch(number: int) -> bytes:
        answer = await client.post("/gql/v1/invoices", json={"pageSize": 1000, "page": number})
        return answer.raise_for_status().content

    async for body in in_order(fetch, job.pages, job.options["in_flight"]):
        adder.add_objects(Page.model_validate_json(body).deid_invoice)
    return adder.tally


if __name__ == "__main__":
    main({"pull": pull})
