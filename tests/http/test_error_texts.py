"""Frequent errors name what happened and what to do."""

from __future__ import annotations

import pytest

from aiwyn_async import AiwynClient, AiwynError, ConfigurationError, DeadlineExceededError, Secret
from aiwyn_async._http.messages import Request, RetryClass
from aiwyn_async.errors import ProtocolError, TokenExchangeError, TransportError
from aiwyn_async.testing import FakeClock
from fault_server import READ, FaultServer, http_response, send


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (403, "access denied; check the roles of the API key"),
        (409, "the request conflicts with the current state of the resource"),
    ],
)
async def test_status_error_names_the_cause(status: int, text: str) -> None:
    async with (
        FaultServer([READ, send(http_response(status=status, body=b"{}"))]) as server,
        AiwynClient(base_url=server.url, token="t", retries=0, warn_undocumented=False) as aiwyn,
    ):
        with pytest.raises(AiwynError, match=f"status {status}: {text}$"):
            await aiwyn.event_subscriptions.deactivate(1)


@pytest.mark.parametrize(
    ("headers", "text"),
    [
        ({"X-Policy": "a" * 9000}, "a header of the response is longer than 8190 bytes; a proxy or gateway"),
        ({f"X-{number}": "a" for number in range(1000)}, "too many headers; a proxy or gateway"),
    ],
    ids=["long", "many"],
)
async def test_error_of_a_head_beyond_the_limits_names_it(headers: dict[str, str], text: str) -> None:
    async with (
        FaultServer([READ, send(http_response(headers=headers))]) as server,
        AiwynClient(base_url=server.url, token="t") as aiwyn,
    ):
        with pytest.raises(ProtocolError, match=text):
            await aiwyn.invoices.get(1)


async def test_error_of_a_reused_connection_does_not_ask_for_https() -> None:
    """The server has responded in plain HTTP on it."""
    async with (
        FaultServer([READ, send(http_response()), READ], [READ]) as server,
        AiwynClient(base_url=server.url, token="t", warn_undocumented=False) as aiwyn,
    ):
        request = Request(method="POST", path="/x", body=b"{}", retry_class=RetryClass.WRITE)
        await aiwyn.request(request)
        with pytest.raises(TransportError, match="closed the connection before responding; the write may"):
            await aiwyn.request(request)
        with pytest.raises(TransportError, match="if the server expects https"):
            await aiwyn.request(request)


async def test_error_of_expired_tokens_has_the_time_of_both_exchanges() -> None:
    body = b'{"token":"t","expiresIn":0}'
    async with (
        FaultServer([READ, send(http_response(body=body)), READ, send(http_response(body=body))]) as server,
        AiwynClient(base_url=server.url, api_key="key") as aiwyn,
    ):
        with pytest.raises(TokenExchangeError, match="already expired") as caught:
            await aiwyn.invoices.get(1)
    assert caught.value.elapsed >= sum(attempt.elapsed for attempt in caught.value.attempts) > 0


async def test_deadline_error_names_what_was_waited_for() -> None:
    clock = FakeClock()
    async with (
        FaultServer(
            [READ, send(http_response(status=503, body=b"{}", headers={"Retry-After": "60"}))]
        ) as server,
        AiwynClient(base_url=server.url, token="t", deadline=30, clock=clock) as aiwyn,
    ):
        with pytest.raises(DeadlineExceededError, match="deadline of 30 s exceeded while waiting to retry"):
            await aiwyn.invoices.get(1)


@pytest.mark.parametrize("text", ["", "a b", "schlüssel"])
def test_secret_error_names_what_to_check(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"characters; check that it was copied completely$"):
        Secret(text)
