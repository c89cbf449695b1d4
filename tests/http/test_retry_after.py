"""The requested wait, in every header that servers use for it."""

from __future__ import annotations

from collections.abc import Callable
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiwyn_async import AiwynClient
from aiwyn_async._http.limits import INITIAL_LIMIT
from aiwyn_async._http.retry_after import RESET_HEADERS, SANE_RETRY_AFTER, requested_wait
from aiwyn_async.errors import RateLimitError, ServerError
from aiwyn_async.testing import FakeClock
from fault_server import READ, FaultServer, http_response, send
from looking_inside import LIST, WRITE, session_of

Connect = Callable[..., AiwynClient]

NOW = 1_750_000_000.0
DATE = formatdate(NOW + 1000, usegmt=True)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after-ms": "1500"}, 1.5),
        ({"retry-after-ms": "1500", "Retry-After": "9"}, 1.5),
        ({"retry-after-ms": "soon", "Retry-After": "9"}, 9),
        ({"retry-after-ms": "-5"}, None),
        ({"retry-after-ms": "9" * 30}, None),
        ({"RateLimit-Reset": "30"}, 30),
        ({"X-RateLimit-Reset": "30"}, 30),
        ({"X-RateLimit-Reset": "0"}, 0),
        ({"X-RateLimit-Reset": "1750000030"}, 30),
        ({"X-RateLimit-Reset": "1750000030.5"}, 30.5),
        ({"X-RateLimit-Reset": "1750000030000"}, 30),
        ({"X-RateLimit-Reset": "1750001030", "Date": DATE}, 30),
        ({"X-RateLimit-Reset": "1749999000"}, 0),
        ({"X-RateLimit-Reset": formatdate(NOW + 20, usegmt=True)}, 20),
        ({"RateLimit-Reset": "5", "X-RateLimit-Reset": "30"}, 5),
        ({"RateLimit-Reset": "soon", "X-RateLimit-Reset": "30"}, 30),
        ({"Retry-After": "2", "X-RateLimit-Reset": "30"}, 2),
        ({"Retry-After": "soon", "X-RateLimit-Reset": "30"}, 30),
        ({"X-RateLimit-Reset": "9000000"}, None),
        ({"X-RateLimit-Reset": "1999999999"}, None),
        ({"X-RateLimit-Reset": "6m0s"}, None),
        ({"X-RateLimit-Reset": "nan"}, None),
        ({"X-RateLimit-Reset": "-1"}, None),
        ({"X-RateLimit-Reset": ""}, None),
        ({"X-RateLimit-Remaining": "0"}, None),
    ],
)
def test_throttled_response_has_a_wait_in_any_header(headers: dict[str, str], seconds: float | None) -> None:
    for status in (429, 503, 529):
        assert requested_wait(status, headers, NOW) == seconds


@pytest.mark.parametrize("status", [200, 400, 404, 500, 502])
def test_rate_limit_reset_is_ignored_unless_throttled(status: int) -> None:
    assert requested_wait(status, {"X-RateLimit-Reset": "30"}, NOW) is None
    assert requested_wait(status, {"X-RateLimit-Reset": "30", "Retry-After": "3"}, NOW) == 3


@given(
    st.sampled_from(["Retry-After", "retry-after-ms", *RESET_HEADERS]),
    st.one_of(
        st.text(),
        st.integers().map(str),
        st.floats().map(str),
        st.datetimes().map(lambda at: formatdate(at.timestamp(), usegmt=True)),
    ),
    st.text(),
    st.floats(0, 1e11),
)
def test_header_of_any_text_is_a_bounded_wait_or_none(name: str, text: str, sent: str, now: float) -> None:
    seconds = requested_wait(429, {name: text, "Date": sent}, now)
    assert seconds is None or 0 <= seconds <= SANE_RETRY_AFTER


@pytest.mark.parametrize("header", ["X-RateLimit-Reset", "RateLimit-Reset"])
async def test_reset_is_the_floor_of_the_wait(header: str, connect: Connect, clock: FakeClock) -> None:
    limited = http_response(429, b"{}", {header: "7"})
    async with FaultServer([READ, send(limited), READ, send(http_response())]) as server:
        await session_of(connect(server.url)).call(LIST)
    assert max(clock.sleeps) >= 7


async def test_reset_later_than_max_retry_after_is_raised_at_once(connect: Connect) -> None:
    async with FaultServer([READ, send(http_response(429, b"", {"X-RateLimit-Reset": "1000"}))]) as server:
        with pytest.raises(RateLimitError) as caught:
            await session_of(connect(server.url)).call(LIST)
    assert caught.value.retry_after == 1000
    assert len(server.requests) == 1


async def test_overloaded_server_is_retried_with_a_lower_limit(connect: Connect, clock: FakeClock) -> None:
    overloaded = http_response(529, b'{"error":{"message":"Overloaded"}}', {"retry-after-ms": "2500"})
    async with FaultServer([READ, send(overloaded), READ, send(http_response())]) as server:
        session = session_of(connect(server.url))
        clock.advance(1)
        await session.call(WRITE)  # a Retry-After means that the write was not processed
    assert max(clock.sleeps) >= 2.5
    assert session.limiter.limit == INITIAL_LIMIT / 2


async def test_lasting_overload_raises_server_error(connect: Connect) -> None:
    async with FaultServer([READ, send(http_response(529, b'{"error":{"message":"Overloaded"}}'))]) as server:
        with pytest.raises(ServerError, match="Overloaded"):
            await session_of(connect(server.url)).call(LIST)
    assert server.connections == 3
