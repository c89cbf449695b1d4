"""A backend with Litestar: ``uvicorn litestar_app:app``.

AIWYN_BASE_URL, AIWYN_API_KEY and AIWYN_WEBHOOK_SECRET are read when it starts.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from litestar import Litestar, Request, Response, get, post
from litestar.datastructures import State
from litestar.params import FromPath

from aiwyn_async import (
    AiwynClient,
    AiwynError,
    Invoice,
    InvoiceDetail,
    NotFoundError,
    WebhookVerificationError,
)
from deliveries import Deliveries


@asynccontextmanager
async def lifespan(app: Litestar) -> AsyncIterator[None]:
    """Open one client per process, never per request: it holds the token and the connections."""
    async with AiwynClient(max_concurrency=32, deadline=10) as aiwyn:
        app.state.aiwyn = aiwyn
        app.state.deliveries = Deliveries(os.environ["AIWYN_WEBHOOK_SECRET"])
        yield


@get("/invoices/{invoice_id:int}")
async def get_invoice(invoice_id: FromPath[int], state: State) -> InvoiceDetail:
    aiwyn: AiwynClient = state.aiwyn
    return await aiwyn.invoices.get(invoice_id)


@get("/invoices")
async def list_overdue_invoices(state: State) -> list[Invoice]:
    aiwyn: AiwynClient = state.aiwyn
    return await aiwyn.invoices.list(status="OVERDUE", limit=100).collect()


@post("/webhooks")
async def receive(request: Request[Any, Any, State], state: State) -> Response[None]:
    deliveries: Deliveries = state.deliveries
    try:
        # The signature is that of the raw bytes, so the body must not be parsed first.
        event = deliveries.accept(await request.body(), request.headers)
    except WebhookVerificationError:
        return Response(None, status_code=400)
    if event is not None:
        print("received", event.id)
    return Response(None, status_code=204)  # also for a repeated delivery, so that it is not sent again


def on_error(_: Request[Any, Any, State], error: Exception) -> Response[None]:
    return Response(None, status_code=404 if isinstance(error, NotFoundError) else 502)


app = Litestar(
    [get_invoice, list_overdue_invoices, receive],
    lifespan=[lifespan],
    exception_handlers={AiwynError: on_error},
)
