"""``aiwyn doctor``: check everything between this machine and the data."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Mapping
from typing import Final

import msgspec

from aiwyn_async._cli.client import open_client
from aiwyn_async._cli.config import note_unknown_variables
from aiwyn_async._cli.errors import ExitCode, exit_code_for
from aiwyn_async._cli.options import SandboxOptions
from aiwyn_async._cli.output import replace_control_characters, write_data
from aiwyn_async._cli.translations import to_flags
from aiwyn_async._http.messages import Request
from aiwyn_async._http.retry_after import timestamp_of
from aiwyn_async.client import AiwynClient
from aiwyn_async.config import option_sources
from aiwyn_async.errors import AiwynError

MAX_CLOCK_SKEW: Final = 60.0


class _Check(msgspec.Struct, frozen=True):
    name: str
    detail: str
    exit_code: ExitCode = ExitCode.OK


async def doctor(*, sandbox: SandboxOptions = SandboxOptions()) -> int:
    """Check configuration, connection, token, clock and one page; print the fixes.

    Args:
        sandbox: A sandbox to use instead of the configured server.
    """
    note_unknown_variables()
    exit_code = ExitCode.OK
    async with open_client(sandbox) as aiwyn:
        sources = option_sources()
        if sandbox.sandbox:
            sources = {name: source for name, source in sources.items() if name not in {"api_key", "token"}}
            sources |= dict.fromkeys(("api_key", "base_url"), "--sandbox")
        async for check in _run_checks(aiwyn, sources):
            result = "FAIL" if check.exit_code else "ok"
            write_data(replace_control_characters(f"{result:5} {check.name}: {check.detail}").encode())
            exit_code = exit_code or check.exit_code
    return exit_code


async def _run_checks(aiwyn: AiwynClient, sources: Mapping[str, str]) -> AsyncGenerator[_Check, None]:
    """Run checks until one fails on which the others depend."""
    config = aiwyn.config
    kind = "an API key" if config.api_key is not None else "a token"
    yield _Check("configuration", f"{config.base_url} with {kind}")
    # Of an option that is set twice, only the winning source.
    yield _Check("sources", ", ".join(f"{name} from {source}" for name, source in sources.items()))
    started = time.perf_counter()
    path = f"{config.gql_prefix}/invoices"
    try:
        response = await aiwyn.request(Request(method="POST", path=path, body=b'{"pageSize":1,"page":0}'))
    except AiwynError as error:
        yield _Check("token and one page", to_flags(str(error)), exit_code_for(error))
        return
    elapsed = time.perf_counter() - started
    yield _Check("connected, token accepted", f"one page in {elapsed * 1e3:.0f} ms")
    yield _check_clock(response.headers.get("Date"), config.clock.time())
    try:
        page = await aiwyn.invoices.list(page_size=5, limit=5)
    except AiwynError as error:
        yield _Check("invoices", to_flags(str(error)), exit_code_for(error))
        return
    count = "the server sends no count" if page.count is None else f"{page.count} in total"
    yield _Check("invoices", f"{len(page.items)} rows decode, {count}")


def _check_clock(date: str | None, now: float) -> _Check:
    sent_at = timestamp_of(date or "")
    if sent_at is None:
        return _Check("clock", "the server sends no Date header")
    skew = now - sent_at
    if abs(skew) <= MAX_CLOCK_SKEW:
        return _Check("clock", f"within {abs(skew):.0f} s of the server's")
    direction = "ahead of" if skew > 0 else "behind"
    detail = f"{abs(skew):.0f} s {direction} the server's; correct it, tokens and webhooks depend on it"
    return _Check("clock", detail, ExitCode.FAILURE)
