"""Bodies of 64 KiB that are made to be slow: the time to reject them stays linear."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from aiwyn_async import AiwynError
from aiwyn_async.export import export
from invoice_pages import page_of

ROWS = b'{"deid_invoice":['
SIZE = 64 * 1024
BODIES = {
    "brackets": ROWS + b"[" * (SIZE // 2) + b"}" * (SIZE // 2),
    "braces": ROWS + b"{" * (SIZE // 2) + b"]" * (SIZE // 2),
    "escaped quotes": ROWS + b'"' + b'\\"' * (SIZE // 2),
    "row with escaped quotes": ROWS + b'{"id":1,"a":"' + b'\\"' * (SIZE // 2) + b"}]}",
    "lists after a string without an end": b'{"message":"' + b'[\\"]' * (SIZE // 4),
    "keys": b"{" + b'"a":"\\"' * (SIZE // 8),
    "spaces": b'{"deid_invoice"' + b" " * SIZE,
    "surrogates": ROWS + b'{"id":1,"a":"' + b"\\ud83d" * (SIZE // 6) + b'"}]}',
    "empty rows": ROWS + b"{}," * (SIZE // 3) + b"{\t",
    "markup": b"<" * SIZE,
}


@pytest.mark.parametrize("name", BODIES)
async def test_hostile_body_is_rejected_in_linear_time(name: str, connect: Any) -> None:
    status = 200

    async def respond(_: web.Request) -> web.Response:
        return web.Response(body=BODIES[name], status=status, content_type="application/json")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", respond)
    async with TestServer(app) as server:
        client = connect(str(server.make_url("")).rstrip("/"), retry_budget=100_000)
        reads: tuple[Callable[[], Any], ...] = (
            lambda: client.invoices.list(on_bad_row="collect").collect(),
            lambda: client.invoices.search(on_bad_row="skip").decode_as(dict).collect(),
            lambda: client.invoices.get(1),
        )
        for status in (200, 400):  # noqa: B007 (the handler reads it)
            for read in reads:
                begin = time.process_time()
                with contextlib.suppress(AiwynError):
                    await read()
                # Linear work takes a few hundredths of a second; quadratic work took ten seconds.
                assert time.process_time() - begin < 2


@pytest.mark.parametrize("suffix", ["", ".parquet", ".csv"])
async def test_rows_with_an_unknown_key_each_take_linear_time(
    suffix: str, connect: Any, tmp_path: Path
) -> None:
    rows = [f'{{"id":{number},"field {number}":1}}' for number in range(999)]

    async def respond(_: web.Request) -> web.Response:
        return web.Response(body=page_of(*rows, count="999"), content_type="application/json")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", respond)
    async with TestServer(app) as server:
        read = connect(str(server.make_url("")).rstrip("/")).invoices.list()
        begin = time.process_time()
        if suffix:
            await export(read, tmp_path / f"x{suffix}")
        else:
            await read.collect()
        assert time.process_time() - begin < 2
    assert len(read.report.unknown_fields) == 999
