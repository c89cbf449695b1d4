"""How often a by-id object that cannot be used is requested for, and that every time is reported."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from aiwyn_async import AiwynClient
from aiwyn_async.errors import DecodeError, NotFoundError, ProtocolError, ServerError
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
