"""Rows with some amounts read: decimals, deferred decimals, floats."""

from __future__ import annotations

import operator
from decimal import Decimal
from typing import Any, get_args

import msgspec

from aiwyn_async import Invoice, deferred
from aiwyn_async.models.invoices import InvoiceLineItem, InvoicePayment
from benchmarks.slices.sdk import client_of
from benchmarks.worker import Job, Tally

AMOUNTS = ("total_amount", "paid_amount", "outstanding_amount", "subtotal", "tax_amount")


async def exact(job: Job) -> Tally:
    """Rows of `list()`."""
    return await _added_up(Invoice, job)


async def floats(job: Job) -> Tally:
    """The same Struct with floats for its amounts."""
    return await _added_up(FLOAT_INVOICE, job)


async def when_read(job: Job) -> Tally:
    """Rows of `deferred(Invoice)`."""
    return await _added_up(deferred(Invoice), job)


async def _added_up(row_type: Any, job: Job) -> Tally:
    aiwyn = await client_of(job)
    walk = aiwyn.invoices.list().decode_as(row_type)
    rows = ids = 0
    total: Any = 0
    if job.verify:
        async for row in walk:
            rows += 1
            ids += row.id
            total += row.total_amount
        return Tally(rows, ids, total)
    if not job.options["amounts"]:
        async for row in walk:
            rows += 1
            ids += row.id
        return Tally(rows, ids)
    read = operator.attrgetter(*AMOUNTS[: job.options["amounts"]])
    async for row in walk:
        rows += 1
        ids += row.id
        read(row)
    assert walk.report.complete, walk.report
    return Tally(rows, ids)


def _with_floats(row_type: Any, **others: Any) -> Any:
    declared = msgspec.structs.fields(row_type)
    kinds = {
        field.name: float | None if Decimal in get_args(field.type) else field.type for field in declared
    }
    named = {field.name: msgspec.field(name=field.encode_name, default=None) for field in declared}
    return msgspec.defstruct(
        f"Float{row_type.__name__}",
        [(name, kind, named[name]) for name, kind in (kinds | others).items()],
        frozen=True,
        kw_only=True,
        gc=False,
    )


FLOAT_INVOICE = _with_floats(
    Invoice,
    line_items=tuple[_with_floats(InvoiceLineItem), ...] | None,
    payments=tuple[_with_floats(InvoicePayment), ...] | None,
)
