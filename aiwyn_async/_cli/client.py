"""The client of a command."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

from aiwyn_async._cli.options import SandboxOptions
from aiwyn_async.client import AiwynClient
from aiwyn_async.errors import ConfigurationError
from aiwyn_async.tuning import inflate_with_isal, prime_allocator

if TYPE_CHECKING:
    from aiwyn_async.sandbox import Sandbox

__all__ = ["create_sandbox", "open_client"]


@asynccontextmanager
async def open_client(options: SandboxOptions) -> AsyncGenerator[AiwynClient, None]:
    """Open a client of the configured server, or of a sandbox that is closed with it."""
    # These settings affect the whole process, which runs only this command.
    prime_allocator()
    with suppress(ConfigurationError):
        inflate_with_isal()
    if not options.sandbox:
        async with AiwynClient() as aiwyn:
            yield aiwyn
        return
    async with (
        create_sandbox(invoices=options.sandbox_invoices, seed=options.seed) as box,
        # Headers of a profile may be credentials of another server.
        AiwynClient(base_url=box.url, api_key=box.api_key, headers={}) as aiwyn,
    ):
        yield aiwyn


def create_sandbox(**options: Any) -> Sandbox:
    """Create a sandbox without starting it.

    Raises:
        ConfigurationError: an option is wrong.
    """
    from aiwyn_async.sandbox import Sandbox  # noqa: PLC0415 (takes as long to load as the client)

    try:
        return Sandbox(**options)
    except ValueError as error:
        raise ConfigurationError(f"cannot create the sandbox: {error}") from None
