"""The sandbox is reachable from this machine alone, and only with its key."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

from pathlib import Path

import aiohttp
import pytest

from aiwyn_async.sandbox import Sandbox

SOCKETS = [Path("/proc/net/tcp"), Path("/proc/net/tcp6")]
LISTENING = "0A"


@pytest.mark.skipif(not SOCKETS[0].exists(), reason="no /proc to list sockets from")
async def test_sandbox_listens_on_127_0_0_1_alone(sandbox: Sandbox) -> None:
    port = int(sandbox.url.rpartition(":")[2])
    rows = [line.split() for path in SOCKETS if path.exists() for line in path.read_text().splitlines()[1:]]
    addresses = [row[1] for row in rows if row[3] == LISTENING and row[1].endswith(f":{port:04X}")]
    assert addresses == [f"0100007F:{port:04X}"]


async def test_each_sandbox_has_its_own_port_and_key() -> None:
    async with Sandbox(invoices=1) as one, Sandbox(invoices=1) as other:
        assert one.url != other.url
        assert one.api_key != other.api_key
        assert min(len(one.api_key), len(other.api_key)) >= 32
        async with aiohttp.ClientSession() as http:
            body = {"jwtApiKey": one.api_key}
            async with http.post(f"{other.url}/v1/auth/token", json=body) as response:
                assert response.status == 401


async def test_every_route_but_two_needs_a_credential(sandbox: Sandbox) -> None:
    """The token exchange needs the key in its body; the description of the API has no data."""
    open_routes: list[str] = []
    app = sandbox._app
    async with aiohttp.ClientSession() as http:
        for route in app.router.routes():
            path = str(route.resource.canonical if route.resource else "")
            url = sandbox.url + path.replace("{", "").replace("}", "")
            async with http.request(route.method.replace("*", "GET"), url, json={}) as response:
                if response.status not in {401, 403}:
                    open_routes.append(f"{route.method} {path} {response.status}")
    assert sorted(open_routes) == ["GET /openapi.json 200", "POST /v1/auth/token 400"]
