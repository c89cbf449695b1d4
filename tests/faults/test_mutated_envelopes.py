"""Whole responses with a few bytes changed: rows or a typed error, never another exception."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from aiwyn_async import AiwynClient, AiwynError

RESPONSE = (
    b'{"success":true,"total":3,"meta":{"message":"ok","x":[1,2,{"a":null}]},"errors":null,"deid_invoice":'
    b'[{"id":1,"totalAmount":"5.5","dueDate":"2024-05-01"},{"id":2,"lineItems":[{"id":1}],"n\\u00e4me":1e2}],'
    b'"deid_invoice_aggregate":{"aggregate":{"count":2}}}'
)
PIECES = (
    b"\xe9",
    b"\\",
    b'"',
    b"\\ud83d",
    b"\\u0000",
    b"9" * 5000,
    b"[" * 700,
    b"null",
    b"1E+999999",
    b"\x00",
)
READS: tuple[Callable[[AiwynClient], Any], ...] = (
    lambda aiwyn: aiwyn.invoices.list().collect(),
    lambda aiwyn: aiwyn.invoices.list().decode_as(dict).collect(),
    lambda aiwyn: aiwyn.invoices.list().count(),
    lambda aiwyn: aiwyn.invoices.search(on_bad_row="collect").collect(),
    lambda aiwyn: aiwyn.invoices.pull(on_bad_row="skip").collect(),
    lambda aiwyn: aiwyn.invoices.get(1),
)


def mutated(choose: random.Random) -> bytes:
    body = bytearray(RESPONSE)
    for _ in range(choose.choice((1, 1, 2, 4))):
        at = choose.randrange(len(body))
        piece = choose.choice((bytes([choose.randrange(256)]), choose.choice(PIECES)))
        body[at : at + choose.randrange(2)] = piece
    return bytes(body)


@pytest.mark.parametrize("seed", range(4))
async def test_mutated_response_raises_only_typed_errors(seed: int, connect: Any) -> None:
    choose = random.Random(seed)
    body = b""

    async def respond(_: web.Request) -> web.Response:
        return web.Response(body=body, content_type="application/json")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", respond)
    async with TestServer(app) as server:
        client = connect(str(server.make_url("")).rstrip("/"), retry_budget=100_000)
        for _ in range(100):
            body = mutated(choose)
            with contextlib.suppress(AiwynError):
                await choose.choice(READS)(client)
