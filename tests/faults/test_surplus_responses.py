"""A response that nobody requested is never taken for that of the next request."""

# pyright: reportUnknownMemberType=false
# (a library of the tests is not typed)

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from typing import Any

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from aiwyn_async import AiwynClient
from aiwyn_async._resources.objects import is_same_key
from aiwyn_async.errors import ProtocolError, ResponseMismatchError, TransportError
from aiwyn_async.testing import FakeClock
from fault_server import READ, Connection, FaultServer, Step, http_response, send
from looking_inside import GET, LIST, WRITE, assert_nothing_is_held, session_of, until
from secrecy import CANARY, assert_no_secret

Connect = Callable[..., AiwynClient]


def invoice(key: Any) -> bytes:
    return http_response(body=json.dumps({"id": key, "invoiceNumber": f"A{key}"}).encode())


SURPLUS = invoice(666)
TIMEOUT = http_response(408, b"", {"Connection": "close"})


async def echo_keys(connection: Connection) -> None:
    """Answer each request with the object that it asks for, until the client hangs up."""
    while True:
        await READ(connection)
        key = connection.server.requests[-1].target.rpartition("/")[2]
        await send(invoice(int(key)))(connection)


@pytest.fixture(params=["http", "https"])
async def server(request: pytest.FixtureRequest) -> AsyncIterator[FaultServer]:
    tls: ssl.SSLContext | None = None
    if request.param == "https":
        authority = trustme.CA()
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("localhost").configure_cert(tls)
        request.node.trusted = ssl.create_default_context()
        authority.configure_trust(request.node.trusted)
    async with FaultServer([echo_keys], tls=tls) as running:
        yield running


@pytest.fixture
def client(server: FaultServer, connect: Connect, request: pytest.FixtureRequest) -> AiwynClient:
    return connect(server.url, ssl_context=getattr(request.node, "trusted", None))


class Remembered:
    """A step that keeps its connection, so that a test can write to it whenever it wants."""

    connection: Connection

    async def __call__(self, connection: Connection) -> None:
        self.connection = connection

    def write(self, data: bytes) -> None:
        self.connection.writer.write(data)


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


IDLE_BYTES = [SURPLUS, SURPLUS * 3, SURPLUS[:20], SURPLUS[:-3], TIMEOUT, b"x", b"\r\n", b"SSH-2.0-x\r\n"]


@pytest.mark.parametrize("surplus", IDLE_BYTES)
@pytest.mark.parametrize("is_read_by_the_loop", [True, False])
async def test_connection_that_received_bytes_while_idle_is_not_reused(
    surplus: bytes, is_read_by_the_loop: bool, server: FaultServer, client: AiwynClient
) -> None:
    remembered = Remembered()
    server.play([remembered, READ, send(invoice(1)), echo_keys], [echo_keys])
    assert (await client.invoices.get(1)).id == 1
    remembered.write(surplus)
    if is_read_by_the_loop:
        await settle()
    assert [(await client.invoices.get(key)).id for key in (2, 3, 4, 5)] == [2, 3, 4, 5]
    assert (server.connections, len(server.requests)) == (2, 5)
    await assert_nothing_is_held(client)


@pytest.mark.parametrize("is_read_by_the_loop", [True, False])
async def test_write_is_not_sent_on_a_connection_that_received_bytes_while_idle(
    is_read_by_the_loop: bool, server: FaultServer, client: AiwynClient
) -> None:
    remembered = Remembered()
    server.play([remembered, READ, send(invoice(1)), echo_keys], [READ, send(http_response(body=b'{"a":1}'))])
    await client.invoices.get(1)
    remembered.write(SURPLUS)
    if is_read_by_the_loop:
        await settle()
    assert (await session_of(client).call(WRITE)).body == b'{"a":1}'


async def test_surplus_response_in_the_segment_of_the_awaited_one_is_dropped(
    server: FaultServer, client: AiwynClient
) -> None:
    server.play([READ, send(invoice(1) + SURPLUS), echo_keys], [echo_keys])
    assert [(await client.invoices.get(key)).id for key in (1, 2, 3)] == [1, 2, 3]
    assert server.connections == 2


async def test_surplus_head_whose_rest_arrives_with_the_next_request_is_dropped(
    server: FaultServer, client: AiwynClient
) -> None:
    half = len(SURPLUS) // 3
    server.play(
        [READ, send(invoice(1) + SURPLUS[:half]), READ, send(SURPLUS[half:] + invoice(2)), echo_keys],
        [echo_keys],
    )
    assert [(await client.invoices.get(key)).id for key in (1, 2, 3)] == [1, 2, 3]


@pytest.mark.parametrize("request_", [GET, LIST])
async def test_of_two_responses_on_a_reused_connection_none_is_used_by_a_read(
    request_: Any, server: FaultServer, client: AiwynClient
) -> None:
    server.play(
        [READ, send(http_response()), READ, send(SURPLUS + http_response(body=b'{"a":2}'))],
        [READ, send(http_response(body=b'{"a":2}'))],
    )
    session = session_of(client)
    await session.call(request_)
    assert (await session.call(request_)).body == b'{"a":2}'
    assert server.connections == 2


async def test_of_two_responses_on_a_reused_connection_none_is_used_by_a_write(
    server: FaultServer, client: AiwynClient
) -> None:
    server.play(
        [READ, send(http_response()), READ, send(SURPLUS + http_response())], [READ, send(http_response())]
    )
    await session_of(client).call(LIST)
    with pytest.raises(TransportError, match="two responses") as caught:
        await session_of(client).call(WRITE)
    assert caught.value.ambiguous


def a_moment_later(data: bytes) -> Step:
    async def step(connection: Connection) -> None:
        await settle()
        await send(data)(connection)

    return step


async def test_get_with_another_key_is_sent_again_on_a_fresh_connection(
    server: FaultServer, client: AiwynClient, clock: FakeClock
) -> None:
    server.play(
        [READ, send(invoice(1)), READ, send(SURPLUS), a_moment_later(invoice(2)), echo_keys], [echo_keys]
    )
    assert [(await client.invoices.get(key)).id for key in (1, 2, 3, 4)] == [1, 2, 3, 4]
    assert (server.connections, len(server.requests)) == (2, 5)
    assert clock.sleeps == []


async def test_get_many_compares_keys_too(server: FaultServer, client: AiwynClient) -> None:
    server.play([READ, send(SURPLUS), a_moment_later(invoice(1)), echo_keys], [echo_keys])
    results = client.invoices.get_many(range(5))
    received = [(result.key, result.item and result.item.id) async for result in results]
    assert received == [(key, key) for key in range(5)]


async def test_no_connection_of_the_time_of_a_mismatch_is_reused(
    server: FaultServer, client: AiwynClient
) -> None:
    server.play([echo_keys], [READ, send(SURPLUS), echo_keys], [echo_keys])
    await asyncio.gather(client.invoices.get(1), client.invoices.get(2))
    assert server.connections >= 3
    before = server.connections
    await client.invoices.get(3)
    assert server.connections == before


async def test_server_that_mistakes_keys_gets_an_error_that_names_both(
    server: FaultServer, client: AiwynClient
) -> None:
    server.play([READ, send(SURPLUS), READ, send(SURPLUS)])
    with pytest.raises(ResponseMismatchError, match=r"requested key 2, received .* key 666") as caught:
        await client.invoices.get(2)
    error = caught.value
    assert (error.requested_key, error.received_key) == (2, 666)
    assert (error.method, error.path) == ("GET", "/gql/v1/invoice/2")
    assert [attempt.outcome for attempt in error.attempts] == ["200", "200"]
    assert isinstance(error, ProtocolError)
    assert (server.connections, len(server.requests)) == (2, 2)


ODD_KEY = json.dumps({"id": f"{CANARY}\u202e{'x' * 5000}\n"}).encode()


async def test_key_of_another_object_is_shown_in_one_short_line_without_credentials(
    server: FaultServer, client: AiwynClient
) -> None:
    server.play([READ, send(http_response(body=ODD_KEY))])
    with pytest.raises(ResponseMismatchError) as caught:
        await client.invoices.get(2)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 700
    assert_no_secret(caught.value)


@pytest.mark.parametrize(
    ("requested", "shown"),
    [
        (7720, 7720),
        (7720, "7720"),
        ("7720", 7720),
        ("A-1", "A-1"),
        ("C0FFEE00-0000-4000-8000-00000000000A", "c0ffee00-0000-4000-8000-00000000000a"),
    ],
)
async def test_key_in_another_form_is_the_same_key(
    requested: Any, shown: Any, server: FaultServer, client: AiwynClient
) -> None:
    server.play([READ, send(invoice(shown))])
    assert (await client.invoices.get(requested)).id == shown
    assert len(server.requests) == 1


@pytest.mark.parametrize(("requested", "shown"), [("07720", 7720), (7720, "07720"), ("a", "A"), (1, 2)])
async def test_key_that_is_not_canonical_is_another_key(
    requested: Any, shown: Any, server: FaultServer, client: AiwynClient
) -> None:
    server.play([READ, send(invoice(shown))])
    with pytest.raises(ResponseMismatchError):
        await client.invoices.get(requested)


async def test_object_without_a_key_is_accepted(server: FaultServer, client: AiwynClient) -> None:
    bodies = [b'{"name":"x"}', b'{"id":null}', b'{"id":[2]}', b'{"id":2}']
    server.play([step for body in bodies for step in (READ, send(http_response(body=body)))])
    collection = client.collection("/x")
    assert await collection.get(1) == {"name": "x"}
    assert await collection.get(1) == {"id": None}
    assert await collection.get(1) == {"id": [2]}
    assert await client.collection("/y", key=None).get(1) == {"id": 2}


@given(
    st.one_of(st.integers(), st.text(), st.none(), st.booleans(), st.floats(), st.decimals(allow_nan=False))
)
def test_any_value_can_be_compared_with_a_key(received: Any) -> None:
    for requested in (1, "1", "x"):
        assert isinstance(is_same_key(requested, received), bool)


@given(st.integers(-(10**30), 10**30))
def test_number_is_the_same_key_as_its_text(number: int) -> None:
    assert is_same_key(number, str(number))
    assert is_same_key(str(number), number)
    assert is_same_key(str(number), Decimal(number))
    assert not is_same_key(number, f"0{number}")
    assert not is_same_key(number + 1, str(number))


# Writes of records


def results(*references: Any) -> bytes:
    records = [
        {"status": "CREATED", "id": position} | ({} if reference is None else {"systemRef": reference})
        for position, reference in enumerate(references)
    ]
    return http_response(body=json.dumps({"data": {"records": records}}).encode())


def records(*references: Any) -> list[dict[str, Any]]:
    return [{"type": "CLIENT", "systemRef": reference, "attributes": {}} for reference in references]


@pytest.mark.parametrize(
    ("shown", "statuses"),
    [
        ([{"k": "a"}, {"k": "b"}], ["created", "created"]),
        ([None, None], ["created", "created"]),
        ([{"k": "a"}, None], ["created", "created"]),
        ([{"k": "x"}, {"k": "y"}], ["ambiguous", "ambiguous"]),
        ([{"k": "a"}, {"k": "y"}], ["ambiguous", "ambiguous"]),
        ([None, {"k": "y"}], ["ambiguous", "ambiguous"]),
        ([{"k": "a"}, {"k": "a"}], ["ambiguous", "ambiguous"]),
        ([None, {"k": "a"}], ["created", "ambiguous"]),
        ([{"k": "b"}], ["ambiguous", "created"]),
        ([{"k": "a"}, {"k": "b"}, {"k": "b"}], ["created", "ambiguous"]),
        ([None, None, None], ["ambiguous", "ambiguous"]),
    ],
)
async def test_references_in_the_results_are_compared_with_those_that_were_sent(
    shown: list[Any], statuses: list[str], server: FaultServer, client: AiwynClient
) -> None:
    server.play([READ, send(results(*shown)), READ, send(results(None))], [READ, send(results(None))])
    outcomes = [outcome async for outcome in client.records.upsert(records({"k": "a"}, {"k": "b"}))]
    assert [outcome.status for outcome in outcomes] == statuses
    assert (await client.records.upsert(records({"k": "c"}))).created == 1
    # The connection of a response that is another's is not used again.
    assert server.connections == (2 if "ambiguous" in statuses else 1)


async def test_results_in_another_order_are_matched_by_their_references(
    server: FaultServer, client: AiwynClient
) -> None:
    server.play([READ, send(results({"k": "b"}, {"k": "a"}))])
    outcomes = [outcome async for outcome in client.records.upsert(records({"k": "a"}, {"k": "b"}))]
    assert [(outcome.index, outcome.id) for outcome in outcomes] == [(0, 1), (1, 0)]


@pytest.mark.parametrize(
    ("sent", "shown"), [({"a": 1, "b": 2}, {"b": 2, "a": 1}), ({"n": Decimal("1.50")}, {"n": 1.5}), (1.0, 1)]
)
async def test_references_are_compared_as_json(
    sent: Any, shown: Any, server: FaultServer, client: AiwynClient
) -> None:
    server.play([READ, send(results(shown))])
    assert (await client.records.upsert(records(sent))).created == 1


async def test_surplus_response_is_not_reported_as_a_creation(
    server: FaultServer, client: AiwynClient
) -> None:
    surplus = results({"k": "other"})
    server.play([READ, send(http_response()), READ, send(surplus), a_moment_later(results({"k": "a"}))])
    await session_of(client).call(LIST)
    report = await client.records.upsert(records({"k": "a"}))
    assert (report.created, report.ambiguous) == (0, 1)
    await until(lambda: len(server.requests) == 2)
