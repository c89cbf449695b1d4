"""Requests as they are sent: method, URL, headers and body, observed without a socket."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# (a library of the tests is not typed)

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote

import aiohttp
import pytest
from aioresponses import aioresponses
from yarl import URL

from aiwyn_async import AiwynClient
from aiwyn_async._http.messages import Request
from aiwyn_async._http.transport import USER_AGENT
from aiwyn_async.errors import AuthenticationError, ConfigurationError
from fault_server import READ, FaultServer, http_response, send
from looking_inside import session_of
from secrecy import CANARY

BASE = "https://api.example.org/root"


ONE_ROW = b'{"deid_invoice":[{"id":1}],"deid_invoice_aggregate":{"aggregate":{"count":1}}}'


class FakeResponse(aiohttp.ClientResponse):
    """aioresponses does not pass the argument that aiohttp 3.14 requires."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        keywords.setdefault("stream_writer", SimpleNamespace(output_size=0))
        super().__init__(*arguments, **keywords)


@pytest.fixture
async def client() -> AsyncIterator[AiwynClient]:
    async with AiwynClient(base_url=f"{BASE}/", token=CANARY) as made:
        yield made


def sent_call(mocked: aioresponses) -> tuple[str, URL, dict[str, Any]]:
    (((method, url), (call,)),) = mocked.requests.items()
    return method, url, call.kwargs


async def test_get_sends_the_key_in_the_path(client: AiwynClient) -> None:
    with aioresponses() as mocked:
        mocked.get(f"{BASE}/gql/v1/invoice/7", body=b'{"id":7}', response_class=FakeResponse)
        await client.invoices.get(7)
    method, url, sent = sent_call(mocked)
    assert (method, str(url), sent["data"]) == ("GET", f"{BASE}/gql/v1/invoice/7", None)
    assert sent["headers"] == {
        "Accept": "application/json",
        "Authorization": f"Bearer {CANARY}",
        "User-Agent": USER_AGENT,
    }
    assert sent["allow_redirects"] is False


async def test_list_sends_its_options_as_json(client: AiwynClient) -> None:
    with aioresponses() as mocked:
        mocked.post(f"{BASE}/gql/v1/invoices", body=ONE_ROW, response_class=FakeResponse)
        await client.invoices.list(page_size=2, status="POSTED")
    method, url, sent = sent_call(mocked)
    assert (method, url.path) == ("POST", "/root/gql/v1/invoices")
    assert sent["headers"]["Content-Type"] == "application/json"
    assert b'"pageSize":2' in sent["data"]
    assert b'"status":"POSTED"' in sent["data"]


@pytest.mark.parametrize("key", ["../admin", "a/b", "a?b=c", "a#b", "a b", "ä", "%2e%2e%2f", "..;", "a\\b"])
async def test_key_stays_one_segment_on_the_wire(key: str, connect: Callable[..., AiwynClient]) -> None:
    async with FaultServer([READ, send(http_response(body=json.dumps({"id": key}).encode()))]) as server:
        await connect(server.url).invoices.get(key)
    target = server.requests[0].target
    assert target.startswith("/gql/v1/invoice/")
    assert target.count("/") == 4
    assert not set(target) & set("?#\\ ")
    assert unquote(target.rpartition("/")[2]) == key


async def test_query_of_a_path_is_sent_as_written() -> None:
    async with (
        FaultServer([READ, send(http_response())]) as server,
        AiwynClient(base_url=f"{server.url}/root", token=CANARY) as client,
    ):
        await client.request(Request(method="GET", path="/x/a%2Fb?y=c%20d&z=/../"))
    assert server.requests[0].target == "/root/x/a%2Fb?y=c%20d&z=/../"


@pytest.mark.parametrize(
    "path",
    ["/a b", "/a\r\nX-Evil: 1", "/a\nb", "/ü", "/a\x00", "/a HTTP/1.1\r\n\r\n", "/\u2028", "/a#b", "/a?b#c"],
)
async def test_path_that_would_break_the_request_line_is_refused(path: str, client: AiwynClient) -> None:
    with pytest.raises(ConfigurationError, match="printable ASCII"):
        await session_of(client).call(Request(method="GET", path=path))


async def test_unauthorised_request_is_never_sent_with_the_token() -> None:
    refuse = send(http_response(status=401, body=b"{}"))
    async with (
        FaultServer([READ, refuse, READ, refuse]) as server,
        AiwynClient(base_url=server.url, token=lambda: CANARY) as client,
    ):
        with pytest.raises(AuthenticationError):
            await client.request(Request(method="GET", path="/health", authorised=False))
    assert ["authorization" in request.headers for request in server.requests] == [False]
