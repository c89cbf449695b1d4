"""No path leaves its place: it is refused before anything is sent."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from aiwyn_async import AiwynClient
from aiwyn_async._http.messages import Request
from aiwyn_async.config import Config
from aiwyn_async.errors import ConfigurationError
from fault_server import READ, FaultServer, http_response, send

CLIMBING = [
    "//evil/x",
    "///evil",
    "/a//b",
    "/a/../../b",
    "/..",
    "/.",
    "/a/.",
    "/./a",
    "/a/%2e%2e/b",
    "/a/.%2E/b",
    "/a/..;/b",
    "/\\evil/x",
    "/a\\..\\b",
]
WITHOUT_SLASH = [
    "",
    "evil",
    "@evil.example/x",
    ".evil.example/x",
    ":80/x",
    "https://evil.example/x",
    "\\evil",
]
ENCODED_SLASHES = ["/a/..%2f..%2fb", "/%2fevil/x", "/a/%5c..%5cb"]


@pytest.mark.parametrize("argument", ["path", "search_path", "get_path"])
@pytest.mark.parametrize("path", [*CLIMBING, *WITHOUT_SLASH, *ENCODED_SLASHES])
def test_collection_refuses_a_path_that_climbs(path: str, argument: str) -> None:
    client = AiwynClient(base_url="https://a.test", token="t")
    with pytest.raises(ConfigurationError, match="path must start with /"):
        client.collection(**{"path": "/x", argument: path})


@pytest.mark.parametrize(
    "path", ["/x", "/gql/v1/x", "/x/", "/.well-known/x", "/a..b/c...", "/a.b;c=1", "/x%20y"]
)
def test_collection_accepts_other_paths(path: str) -> None:
    assert AiwynClient(base_url="https://a.test", token="t").collection(path).endpoint.list_path == path


@pytest.mark.parametrize("option", ["gql_prefix", "api_prefix", "token_path"])
@pytest.mark.parametrize("path", [*CLIMBING, *WITHOUT_SLASH[1:], *ENCODED_SLASHES])
def test_option_refuses_a_path_that_climbs(path: str, option: str) -> None:
    with pytest.raises(ConfigurationError, match=option):
        Config.load(**{"base_url": "https://a.test", "token": "t", option: path})


@pytest.mark.parametrize("query", ["", "?a=b"])
@pytest.mark.parametrize("path", [*CLIMBING, *WITHOUT_SLASH])
async def test_request_with_a_path_that_climbs_is_not_sent(
    path: str, query: str, connect: Callable[..., AiwynClient]
) -> None:
    async with FaultServer([READ, send(http_response())]) as server:
        with pytest.raises(ConfigurationError):
            await connect(server.url).request(Request(method="GET", path=path + query))
        endpoints = {"clients": {"list_path": path + query}}
        with pytest.raises(ConfigurationError):
            await connect(server.url, endpoints=endpoints, gql_prefix="").clients.list()
    assert server.connections == 0


async def test_request_may_have_anything_in_its_query(connect: Callable[..., AiwynClient]) -> None:
    target = "/.well-known/a..b?next=//evil/../x"
    async with FaultServer([READ, send(http_response())]) as server:
        await connect(server.url).request(Request(method="GET", path=target))
    assert server.requests[0].target == target
