"""``aiwyn doctor``: what is wrong between here and the data, and what to do about it."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator

import msgspec

from aiwyn_async._cli.exits import Exit, exit_of
from aiwyn_async._http.messages import Request, timestamp_of
from aiwyn_async.client import AiwynClient
from aiwyn_async.errors import AiwynError

__all__ = ["Finding", "examine"]

TOLERABLE_SKEW = 60.0


class Finding(msgspec.Struct, frozen=True):
    """One thing looked at: whether it is well, what was seen, and the exit code when it is not."""

    what: str
    ok: bool
    text: str
    exit: Exit = Exit.OK


async def examine(aiwyn: AiwynClient) -> AsyncGenerator[Finding, None]:
    """Findings from the outside in; the first bad one ends it, since the others stand on it."""
    config = aiwyn.config
    kind = "an API key" if config.api_key is not None else "a ready token"
    yield Finding("configuration", ok=True, text=f"{config.base_url} with {kind}")
    started = time.perf_counter()
    try:
        response = await aiwyn.request(
            Request(
                method="POST",
                path=f"{config.gql_prefix}/invoices",
                body=b'{"pageSize":1,"page":0}',
            )
        )
    except AiwynError as error:
        yield Finding("token and one page", ok=False, text=str(error), exit=exit_of(error))
        return
    elapsed = time.perf_counter() - started
    yield Finding("reachable, token accepted", ok=True, text=f"one page in {elapsed * 1e3:.0f} ms")
    yield _clock(response.headers.get("Date"), config.clock.time())
    try:
        walk = aiwyn.invoices.list(page_size=5, limit=5)
        page = await walk
    except AiwynError as error:
        yield Finding("invoices", ok=False, text=str(error), exit=exit_of(error))
        return
    count = "the server gives no count" if page.count is None else f"{page.count} in all"
    yield Finding("invoices", ok=True, text=f"{len(page.items)} rows decode, {count}")


def _clock(date: str | None, now: float) -> Finding:
    sent_at = timestamp_of(date or "")
    if sent_at is None:
        return Finding("clock", ok=True, text="the server does not tell its time")
    skew = now - sent_at
    if abs(skew) <= TOLERABLE_SKEW:
        return Finding("clock", ok=True, text=f"within {abs(skew):.0f} s of the server's")
    way = "ahead of" if skew > 0 else "behind"
    text = f"{abs(skew):.0f} s {way} the server's; set the clock right, tokens and webhooks depend on it"
    return Finding("clock", ok=False, text=text, exit=Exit.FAILURE)
