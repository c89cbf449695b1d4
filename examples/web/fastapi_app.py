"""A backend with FastAPI: ``uvicorn fastapi_app:app``.

AIWYN_BASE_URL, AIWYN_API_KEY and AIWYN_WEBHOOK_SECRET are read when it starts.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import msgspec
from fastapi import Depends, FastAPI, Request, Response

from aiwyn_async import AiwynClient, AiwynError, NotFoundError, WebhookVerificationError
from deliveries import Deliveries


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, Any]]:
    """Open one client per process, never per request: it holds the token and the connections."""
    async with AiwynClient(max_concurrency=32, deadline=10) as aiwyn:
        yield {"aiwyn": aiwyn, "deliveries": Deliveries(os.environ["AIWYN_WEBHOOK_SECRET"])}


async def get_aiwyn(request: Request) -> AiwynClient:
    # Async, since FastAPI runs other dependencies in a thread.
    aiwyn: AiwynClient = request.state.aiwyn
    return aiwyn


app = FastAPI(lifespan=lifespan)
Client = Annotated[AiwynClient, Depends(get_aiwyn)]


def to_json(value: object) -> Response:
    # FastAPI encodes pydantic models, and the rows are msgspec Structs.
    return Response(msgspec.json.encode(value), media_type="application/json")


@app.get("/invoices/{invoice_id}")
async def get_invoice(invoice_id: int, aiwyn: Client) -> Response:
    return to_json(await aiwyn.invoices.get(invoice_id))


@app.get("/invoices")
async def list_overdue_invoices(aiwyn: Client) -> Response:
    return to_json(await aiwyn.invoices.list(status="OVERDUE", limit=100).collect())


@app.post("/webhooks", status_code=204)
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


@app.exception_handler(AiwynError)
async def on_error(_: Request, error: Exception) -> Response:
    return Response(status_code=404 if isinstance(error, NotFoundError) else 502)
