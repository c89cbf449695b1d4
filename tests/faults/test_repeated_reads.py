"""How often a by-id object that cannot be used is requested for, and that every time is reported."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from aiwyn_async import AiwynClient, Request, RetryClass
from aiwyn_async.errors import (
    DecodeError,
    NotFoundError,
    ProtocolError,
    RequestError,
    ServerError,
)
from fault_server import FIN, READ, FaultServer, Step, http_response, send
from looking_inside import GET, LIST, WRITE, session_of

Connect = Callable[..., AiwynClient]


@pytest.mark.parametrize(
    ("script", "outcome"),
    [
        ([READ, send(http_response(body=b'{"id":1,'))], "200"),
        ([READ, send(http_response(body=b'{"id":1,"x":}'))], "200"),
        (
            [READ, send(http_response(body=b'{"id":1}', headers={"Content-Encoding": "gzip"})), FIN],
            "encoding",
        ),
    ],
    ids=["cut", "broken within", "no gzip"],
)
async def test_get_that_breaks_off_reports_every_request(
    script: Sequence[Step], outcome: str, connect: Connect
) -> None:
    async with FaultServer(script) as server:
        with pytest.raises(DecodeError) as caught:
            await connect(server.url).invoices.get(1)
    assert [attempt.outcome for attempt in caught.value.attempts] == [outcome] * 2
    assert len(server.requests) == 2


@pytest.mark.parametrize(("status", "error", "times"), [(404, NotFoundError, 2), (500, ServerError, 4)])
async def test_error_of_the_second_time_lists_the_first_one(
    status: int, error: type[NotFoundError], times: int, connect: Connect
) -> None:
    broken = [READ, send(http_response(body=b'{"id":1,"x":}'))]
    async with FaultServer(broken, [READ, send(http_response(status))]) as server:
        with pytest.raises(error) as caught:
            await connect(server.url).invoices.get(1)
    assert len(caught.value.attempts) == len(server.requests) == times
    assert caught.value.attempts[0].outcome == "200"


async def test_get_that_broke_off_once_is_given(connect: Connect) -> None:
    broken = [READ, send(http_response(body=b'{"id":1,"x":}'))]
    async with FaultServer(broken, [READ, send(http_response(body=b'{"id":1}'))]) as server:
        assert (await connect(server.url).invoices.get(1)).id == 1


async def test_part_is_not_taken_for_the_whole(connect: Connect) -> None:
    part = http_response(206, b'{"deid_invoice":[{"id":1}]}', {"Content-Range": "bytes 0-26/99"})
    async with FaultServer([READ, send(part), FIN]) as server:
        client = connect(server.url)
        for request in (GET, LIST, WRITE):
            with pytest.raises(ProtocolError, match="206") as caught:
                await session_of(client).call(request)
            assert caught.value.ambiguous is (request is WRITE)
        with pytest.raises(ProtocolError, match="206"):
            await client.invoices.list().collect()
    assert len(server.requests) == 4


@pytest.mark.parametrize(
    ("method", "path", "retry_class", "is_read"),
    [
        ("GET", "/own/1", None, True),
        ("get", "/own/1", None, True),
        ("POST", "/gql/v1/own/search", None, True),
        ("POST", "/own/search", None, False),
        ("POST", "/own/search", RetryClass.READ, True),
        ("POST", "/gql/v1/own", RetryClass.WRITE, False),
        ("PUT", "/gql/v1/own/1", None, False),
        ("DELETE", "/own/1", None, False),
    ],
)
async def test_own_request_that_may_write_is_not_repeated(
    method: str, path: str, retry_class: RetryClass | None, connect: Connect, *, is_read: bool
) -> None:
    async with FaultServer([READ, FIN]) as server:
        request = Request(method=method, path=path, retry_class=retry_class)
        with pytest.raises(RequestError) as caught:
            await connect(server.url, retries=2).request(request)
    assert caught.value.ambiguous is not is_read
    assert len(server.requests) == (3 if is_read else 1)


@pytest.mark.parametrize(("status", "error", "times"), [(200, DecodeError, 2), (404, NotFoundError, 2)])
async def test_error_of_a_page_that_was_requested_twice_lists_both(
    status: int, error: type[NotFoundError | DecodeError], times: int, connect: Connect
) -> None:
    torn = http_response(body=b'{"deid_invoice":[{"id":1},]}')
    second = torn if status == 200 else http_response(status)
    async with FaultServer([READ, send(torn)], [READ, send(second)]) as server:
        with pytest.raises(error) as caught:
            await connect(server.url).invoices.list().collect()
    assert len(caught.value.attempts) == len(server.requests) == times
    assert caught.value.attempts[0].outcome == "200"


async def test_meta_of_a_page_that_was_requested_twice_lists_both(connect: Connect) -> None:
    torn = http_response(body=b'{"deid_invoice":[{"id":1},]}')
    whole = http_response(body=b'{"deid_invoice":[{"id":1}]}')
    async with FaultServer([READ, send(torn)], [READ, send(whole)]) as server:
        read = connect(server.url).invoices.list()
        page = await read
    assert len(page.meta.attempts) == 2
    assert read.report.requests == len(server.requests) == 3  # once more, since the page is short


async def test_scan_counts_each_request_once_if_its_pages_are_no_json(connect: Connect) -> None:
    async with FaultServer([READ, send(http_response(body=b'{"deid_invoice":[{"id":1},]}'))]) as server:
        read = connect(server.url, retries=0).invoices.pull(paging="page", page_size=1)
        with pytest.raises(DecodeError):
            await read.collect()
    assert read.report.requests == len(server.requests) == 2
