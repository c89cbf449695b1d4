"""The client of a command."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Any

from aiwyn_async.client import AiwynClient
from aiwyn_async.errors import ConfigurationError
from aiwyn_async.sandbox import Sandbox
from aiwyn_async.tuning import inflate_with_isal, prime_allocator

__all__ = ["client_of_command", "sandbox_of_command"]


@asynccontextmanager
async def client_of_command(*, sandbox: bool, invoices: int, seed: int) -> AsyncGenerator[AiwynClient, None]:
    """A client of the configured server, or of a sandbox that lives as long as it.

    Args:
        sandbox: of a sandbox.
        invoices: of its firm.
        seed: of its firm.
    """
    # A process of the command line only pulls.
    prime_allocator()
    with suppress(ConfigurationError):
        inflate_with_isal()
    if not sandbox:
        async with AiwynClient() as aiwyn:
            yield aiwyn
        return
    async with (
        sandbox_of_command(invoices=invoices, seed=seed) as box,
        AiwynClient(base_url=box.url, api_key=box.api_key) as aiwyn,
    ):
        yield aiwyn


def sandbox_of_command(**options: Any) -> Sandbox:
    """A sandbox that was not started.

    Raises:
        ConfigurationError: there is no such firm.
    """
    try:
        return Sandbox(**options)
    except ValueError as wrong:
        raise ConfigurationError(f"no sandbox: {wrong}") from None
