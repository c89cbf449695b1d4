"""The client of a command."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiwyn_async._cli.options import SandboxOptions
from aiwyn_async._cli.translations import flag_name
from aiwyn_async._cli.waiting import waiting_messages
from aiwyn_async.client import AiwynClient
from aiwyn_async.errors import ConfigurationError, StorageError
from aiwyn_async.tuning import inflate_with_isal, prime_allocator

if TYPE_CHECKING:
    from aiwyn_async.sandbox import Sandbox


@asynccontextmanager
async def open_client(options: SandboxOptions) -> AsyncGenerator[AiwynClient, None]:
    """Open a client of the configured server, or of a sandbox that is closed with it.

    Raises:
        ConfigurationError: an option of the sandbox is given without it, or is wrong.
    """
    # These settings affect the whole process, which runs only this command.
    prime_allocator()
    with suppress(ConfigurationError):
        inflate_with_isal()
    if not options.sandbox:
        for flag, value in (("--sandbox-invoices", options.sandbox_invoices), ("--seed", options.seed)):
            if value is not None:
                raise ConfigurationError(f"{flag} is for a sandbox; pass --sandbox too, or remove it")
        async with waiting_messages() as messages, AiwynClient(observer=messages) as aiwyn:
            yield aiwyn
        return
    box = create_sandbox({"invoices": "--sandbox-invoices"}, **options.arguments())
    with sandbox_errors():
        await box.start()
    try:
        # Headers of a profile may be credentials of another server.
        async with AiwynClient(base_url=box.url, api_key=box.api_key, headers={}) as aiwyn:
            yield aiwyn
    finally:
        await box.stop()


@contextmanager
def sandbox_errors(path: Path | None = None, port: int = 0) -> Generator[None]:
    """Raise what ends the start of a sandbox as an error of the command line."""
    import sqlite3  # noqa: PLC0415 (loaded by the sandbox, too)

    try:
        yield
    except sqlite3.Error as error:
        if path is None:
            raise StorageError(f"cannot generate the sandbox: {error}") from None
        raise ConfigurationError(f"cannot open the sandbox file {path}: {error}") from None
    except (ValueError, OverflowError) as error:
        raise ConfigurationError(f"cannot create the sandbox: {error}") from None
    except OSError as error:
        raise ConfigurationError(f"cannot serve on port {port}: {error}") from None


def create_sandbox(flags: Mapping[str, str], /, **options: Any) -> Sandbox:
    """Create a sandbox without starting it, or raise ConfigurationError.

    ``flags`` has the names of options in errors, if they are not those of the flags.
    """
    from aiwyn_async.sandbox import Sandbox  # noqa: PLC0415 (takes as long to load as the client)

    try:
        return Sandbox(**options)
    except ValueError as error:
        text = str(error)
        name = text.partition(" ")[0]
        if name in options or name in flags:
            text = text.replace(name, flags.get(name, flag_name(name)), 1)
        raise ConfigurationError(f"cannot create the sandbox: {text}") from None
