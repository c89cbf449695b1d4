"""Token exchange, and requests with and without a valid token."""

import base64
import json
from typing import Any

import aiohttp
import pytest

from aiwyn_async.sandbox import Sandbox
from sandbox_requests import LIST, bearer


async def test_token_exchange_returns_a_valid_token(box: Sandbox, http: aiohttp.ClientSession) -> None:
    async with http.post(f"{box.url}/v1/auth/token", json={"jwtApiKey": box.api_key}) as response:
        assert response.status == 200
        issued = await response.json()
    assert issued["expiresIn"] == 3600
    claims = json.loads(base64.urlsafe_b64decode(issued["token"].split(".")[1] + "=="))
    assert claims["exp"] - claims["iat"] == 3600
    assert claims["https://hasura.io/jwt/claims"]["x-hasura-default-role"] == "aiwynsb_API_ADMIN"
    assert claims["tenant"] == "aiwynsb"
    async with http.post(f"{box.url}{LIST}", json={}, headers=bearer(issued["token"])) as response:
        assert response.status == 200
    assert box.token_exchanges == 1


@pytest.mark.parametrize(
    ("body", "status"), [({"jwtApiKey": "wrong"}, 401), ({}, 400), ([], 400), (None, 400)]
)
async def test_token_exchange_rejects_an_unknown_key(
    box: Sandbox, http: aiohttp.ClientSession, body: Any, status: int
) -> None:
    async with http.post(f"{box.url}/v1/auth/token", json=body) as response:
        assert response.status == status
        assert (await response.json())["errors"][0]["message"]
    assert box.token_exchanges == 0


async def test_token_expires_after_its_lifetime(http: aiohttp.ClientSession) -> None:
    now = 1_700_000_000.0
    async with Sandbox(10, token_lifetime=60, clock=lambda: now) as box:
        headers = bearer(box.token)

        async def status() -> int:
            async with http.post(f"{box.url}{LIST}", json={}, headers=headers) as response:
                return response.status

        now += 59
        assert await status() == 200
        now += 1
        assert await status() == 401
        assert box.token != headers["Authorization"][7:]


async def test_expire_tokens_rejects_old_tokens_only(box: Sandbox, http: aiohttp.ClientSession) -> None:
    old = box.token
    box.expire_tokens()
    for token, status in ((old, 401), (box.token, 200)):
        async with http.post(f"{box.url}{LIST}", json={}, headers=bearer(token)) as response:
            assert response.status == status


@pytest.mark.parametrize(
    "value", ["", "Bearer", "Basic abc", "Bearer a.b.c", "Bearer \u00e9.\u00e9.\u00e9", "Bearer .."]
)
async def test_bearer_token_is_required(box: Sandbox, http: aiohttp.ClientSession, value: str) -> None:
    async with http.post(f"{box.url}{LIST}", json={}, headers={"Authorization": value}) as response:
        assert response.status == 401
        assert (await response.json())["errors"][0]["extensions"]["code"] == "invalid-jwt"
