"""A backend with Starlette: ``uvicorn starlette_app:app``.

AIWYN_BASE_URL, AIWYN_API_KEY and AIWYN_WEBHOOK_SECRET are read when it starts.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from aiwyn_async import AiwynClient, AiwynError, NotFoundError, WebhookVerificationError
from deliveries import Deliveries


@asynccontextmanager
async def lifespan(_: Starlette) -> AsyncIterator[dict[str, Any]]:
    """Open one client per process, never per request: it holds the token and the connections."""
    async with AiwynClient(max_concurrency=32, deadline=10) as aiwyn:
        yield {"aiwyn": aiwyn, "deliveries": Deliveries(os.environ["AIWYN_WEBHOOK_SECRET"])}


def to_json(value: object) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")


async def get_invoice(request: Request) -> Response:
    aiwyn: AiwynClient = request.state.aiwyn
    return to_json(await aiwyn.invoices.get(request.path_params["invoice_id"]))


async def list_overdue_invoices(request: Request) -> Response:
    aiwyn: AiwynClient = request.state.aiwyn
    return to_json(await aiwyn.invoices.list(status="OVERDUE", limit=100).collect())


async def receive(request: Request) -> Response:
    deliveries: Deliveries = request.state.deliveries
    try:
        # The signature is that of the raw bytes, so the body must not be parsed first.
        event = deliveries.accept(await request.body(), request.headers)
    except WebhookVerificationError:
        return Response(status_code=400)
    if event is not None:
        print("received", event.id)
    return Response(status_code=204)  # also for a repeated delivery, so that it is not sent again


async def on_error(_: Request, error: Exception) -> Response:
    return Response(status_code=404 if isinstance(error, NotFoundError) else 502)


app = Starlette(
    routes=[
        Route("/invoices/{invoice_id:int}", get_invoice),
        Route("/invoices", list_overdue_invoices),
        Route("/webhooks", receive, methods=["POST"]),
    ],
    exception_handlers={AiwynError: on_error},
    lifespan=lifespan,
)
