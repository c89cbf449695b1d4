"""Logs: silent by default, one INFO line per request, nothing secret; AIWYN_LOG turns them on."""

from __future__ import annotations

import contextlib
import logging
import re
import subprocess
import sys
from collections.abc import Callable

import pytest

from aiwyn_async import AiwynClient, Request
from aiwyn_async.errors import AiwynError, NotFoundError, RateLimitError, TokenExchangeError
from aiwyn_async.sandbox import Sandbox
from fault_server import READ, FaultServer, http_response, send
from secrecy import CANARY

Connect = Callable[..., AiwynClient]

PROGRAM = """
import asyncio, logging, sys
from aiwyn_async import AiwynClient
from aiwyn_async.sandbox import Sandbox

async def main():
    async with Sandbox(invoices=5, seed=7) as box:
        for _ in range(2):
            async with AiwynClient(base_url=box.url, api_key=box.api_key) as aiwyn:
                await aiwyn.invoices.list().first()
        {late}

{early}
asyncio.run(main())
"""


def run(level: str | None, early: str = "", late: str = "") -> subprocess.CompletedProcess[str]:
    code = PROGRAM.replace("{early}", early).replace("{late}", late)
    environment = {"PYTHONPATH": ":".join(sys.path)} | ({} if level is None else {"AIWYN_LOG": level})
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("level", [None, "", " "])
def test_nothing_is_logged_by_default(level: str | None) -> None:
    done = run(level)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("level", ["info", "INFO"])
def test_info_logs_one_line_per_request_to_stderr(level: str) -> None:
    done = run(level)
    assert (done.returncode, done.stdout) == (0, "")
    lines = done.stderr.splitlines()
    assert all(" INFO aiwyn_async.http: " in line for line in lines)
    starts = [line.partition("http: ")[2].partition(" in ")[0] for line in lines]
    assert starts == ["POST /v1/auth/token: 200", "POST /gql/v1/invoices: 200"] * 2
    assert all(re.search(r" in \d+ ms, attempts 1, request id \w+$", line) for line in lines)


def test_debug_logs_each_attempt() -> None:
    lines = run("debug").stderr.splitlines()
    assert sum(" INFO " in line for line in lines) == 4
    assert sum(" DEBUG aiwyn_async.http: " in line and ": attempt 1: 200 in " in line for line in lines) == 4


def test_unknown_level_is_an_error_that_names_the_levels() -> None:
    done = run("verbose-and-secret")
    assert done.returncode == 1
    assert "ConfigurationError: AIWYN_LOG must be 'debug' or 'info'" in done.stderr
    assert "verbose-and-secret" not in done.stderr


@pytest.mark.parametrize(
    "setup",
    [
        "logging.basicConfig(stream=sys.stdout, level='WARNING')",
        "logging.getLogger('aiwyn_async').addHandler(logging.StreamHandler(sys.stdout))",
        "logging.getLogger('aiwyn_async.http').addHandler(logging.StreamHandler(sys.stdout))",
    ],
)
def test_handlers_of_the_application_take_precedence(setup: str) -> None:
    done = run("debug", early=setup)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_handlers_that_are_added_later_replace_the_own_one() -> None:
    late = (
        "logging.basicConfig(stream=sys.stdout, format='%(message)s'); "
        "logging.getLogger('aiwyn_async.http').info('late')"
    )
    done = run("info", late=late)
    assert done.stdout == "late\n"
    assert "late" not in done.stderr
    assert len(done.stderr.splitlines()) == 4


async def test_call_with_retries_is_one_line(connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "aiwyn_async")
    response = http_response(429, headers={"Retry-After": "3", "Connection": "close"})
    async with FaultServer([READ, send(response)]) as server:
        with pytest.raises(RateLimitError):
            await connect(server.url).invoices.get(1)
    infos = [record.getMessage() for record in caplog.records if record.levelno == logging.INFO]
    assert infos == [
        "GET /gql/v1/invoice/1: RateLimitError (status 429) in 6000 ms, attempts 3, request id None"
    ]
    debugs = [record.getMessage() for record in caplog.records if record.levelno == logging.DEBUG]
    assert [text.partition(" in ")[0] for text in debugs] == [
        "GET /gql/v1/invoice/1: attempt 1: 429",
        "GET /gql/v1/invoice/1: wait before a retry of 3 s",
        "GET /gql/v1/invoice/1: attempt 2: 429",
        "GET /gql/v1/invoice/1: wait before a retry of 3 s",
        "GET /gql/v1/invoice/1: attempt 3: 429",
    ]
    assert {record.name for record in caplog.records} == {"aiwyn_async.http"}


@pytest.mark.parametrize("status", [200, 302, 404, 429, 503])
async def test_no_log_record_contains_a_credential(
    status: int, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    headers = {"X-Request-Id": CANARY, "X-Echo": CANARY, "Location": f"/?key={CANARY}"}
    body = f'{{"id": 1, "message": "{CANARY}", "errors": [{{"message": "{CANARY}"}}]}}'.encode()
    request = Request(method="POST", path=f"/a/{CANARY}?key={CANARY}&q=queried", body=body)
    async with FaultServer([READ, send(http_response(status, body, headers))]) as server:
        for options in ({}, {"api_key": CANARY}, {"headers": {"X-Api-Key": CANARY}, "token": "other-token"}):
            client = connect(server.url, **options)
            for call in (client.request(request), client.invoices.get(1), client.invoices.list().collect()):
                with contextlib.suppress(AiwynError):
                    await call
    assert caplog.records
    for record in caplog.records:
        shown = (record.getMessage(), str(record.args), str(vars(record)), caplog.handler.format(record))
        assert not any(CANARY in text or "queried" in text for text in shown)


async def test_failed_renewal_is_logged_without_the_key(
    connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with FaultServer([READ, send(http_response(500, CANARY.encode()))]) as server:
        with pytest.raises(TokenExchangeError):
            await connect(server.url, api_key=CANARY, retries=0).invoices.get(1)
    assert "aiwyn_async.auth" in {record.name for record in caplog.records}
    assert CANARY not in caplog.text


async def test_line_break_in_a_path_does_not_forge_a_log_line(
    sandbox: Sandbox, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "aiwyn_async")
    client = connect(sandbox.url)
    for path in ("/a\nINFO forged", "/a\x1b[2J"):
        with pytest.raises(ValueError, match="printable"):
            await client.request(Request(method="GET", path=path))
    with pytest.raises(NotFoundError):
        await connect(sandbox.url, api_key=sandbox.api_key).request(Request(method="GET", path="/none"))
    assert all(record.getMessage().isprintable() for record in caplog.records)
