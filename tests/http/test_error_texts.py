"""Frequent errors name what happened and what to do."""

from __future__ import annotations

import pytest

from aiwyn_async import AiwynClient, AiwynError, ConfigurationError, DeadlineExceededError, Secret
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
