"""The page class of Stainless, from its best-known client: `async for` over its pages."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Generic, TypeVar

from openai import AsyncOpenAI, BaseModel
from openai._base_client import BaseAsyncPage, BasePage, PageInfo
from pydantic import Field

from benchmarks.rivals.tokens import token_for
from benchmarks.worker import Job, Tally, main

ItemT = TypeVar("ItemT")


class Line(BaseModel):
    id: int
    description: str
    quantity: float
    unit_price: float = Field(alias="unitPrice")
    amount: float
    tax_rate: float = Field(alias="taxRate")


class Payment(BaseModel):
    id: int
    amount: float
    payment_date: str = Field(alias="paymentDate")
    payment_method: str = Field(alias="paymentMethod")
    status: str


class Invoice(BaseModel):
    id: int
    invoice_number: str = Field(alias="invoiceNumber")
    reference: str | None = None
    description: str
    status: str
    payment_status: str = Field(alias="paymentStatus")
    client_id: int = Field(alias="clientId")
    client_name: str = Field(alias="clientName")
    client_email: str | None = Field(alias="clientEmail", default=None)
    project_id: int | None = Field(alias="projectId", default=None)
    project_name: str | None = Field(alias="projectName", default=None)
    issue_date: str = Field(alias="issueDate")
    due_date: str = Field(alias="dueDate")
    subtotal: float
    tax_amount: float = Field(alias="taxAmount")
    total_amount: float = Field(alias="totalAmount")
    currency: str
    paid_amount: float = Field(alias="paidAmount")
    outstanding_amount: float = Field(alias="outstandingAmount")
    line_items: list[Line] = Field(alias="lineItems")
    payments: list[Payment]
    notes: str | None = None
    created_at: str = Field(alias="createdAt")
    updated_at: str = Field(alias="updatedAt")


class Count(BaseModel):
    count: int


class Aggregate(BaseModel):
    aggregate: Count


class InvoicesPage(BaseAsyncPage[ItemT], BasePage[ItemT], Generic[ItemT]):
    deid_invoice: list[ItemT]
    deid_invoice_aggregate: Aggregate

    def _get_page_items(self) -> list[ItemT]:
        return self.deid_invoice

    def next_page_info(self) -> PageInfo | None:
        asked: Any = self._options.json_data
        if (asked["page"] + 1) * asked["pageSize"] >= self.deid_invoice_aggregate.aggregate.count:
            return None
        return PageInfo(json={"page": asked["page"] + 1})


@asynccontextmanager
async def opened(job: Job) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=job.url, api_key=token_for(job)) as client:
        yield client


async def pull(job: Job) -> Tally:
    client = await job.client(opened)
    pages = client.get_api_list(
        "/gql/v1/invoices",
        model=Invoice,
        page=InvoicesPage[Invoice],
        body={"pageSize": 1000, "page": 0},
        method="post",
    )
    rows = ids = 0
    total = 0.0
    async for row in pages:
        rows += 1
        ids += row.id
        if job.verify:
            total += row.total_amount
    return Tally(rows, ids, total if job.verify else None)


if __name__ == "__main__":
    main({"pull": pull})
