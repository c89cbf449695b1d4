"""The fixtures are those of aiwyn_async: a sandbox, as new in each test, and a client of it."""

import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

import receivables
from aiwyn_async import AiwynClient, ServerError
from aiwyn_async.sandbox import Sandbox
from aiwyn_async.testing import FakeClock


def expected(sandbox: Sandbox) -> Decimal:
    cents = sandbox.scalar("SELECT sum(outstanding_cents) FROM invoices WHERE status = 'POSTED'")
    return Decimal(str(cents)) / 100


async def test_outstanding_is_the_sum_of_posted_invoices(
    aiwyn_client: AiwynClient, aiwyn_sandbox: Sandbox
) -> None:
    before = await receivables.outstanding(aiwyn_client)
    assert before == expected(aiwyn_sandbox) > 0
    aiwyn_sandbox.insert("invoices", {"status": "POSTED", "outstandingAmount": 12.5})
    assert await receivables.outstanding(aiwyn_client) == before + Decimal("12.5")


async def test_outstanding_retries_a_failed_page(
    aiwyn_client: AiwynClient, aiwyn_sandbox: Sandbox, aiwyn_clock: FakeClock
) -> None:
    aiwyn_sandbox.faults.add("invoices.list", status=503, nth=2)
    assert await receivables.outstanding(aiwyn_client) == expected(aiwyn_sandbox)
    assert len(aiwyn_clock.sleeps) == 1


async def test_outstanding_fails_if_the_server_remains_down(
    aiwyn_client: AiwynClient, aiwyn_sandbox: Sandbox
) -> None:
    aiwyn_sandbox.faults.add("invoices.list", status=503, every=1)
    with pytest.raises(ServerError):
        await receivables.outstanding(aiwyn_client)


def test_program_prints_the_sum(aiwyn_sandbox: Sandbox) -> None:
    # The fixture has set AIWYN_BASE_URL and AIWYN_API_KEY, which a process inherits.
    program = Path(receivables.__file__)
    done = subprocess.run([sys.executable, program], check=True, capture_output=True, text=True)
    assert Decimal(done.stdout) == expected(aiwyn_sandbox)
    assert aiwyn_sandbox.token_exchanges == 1
