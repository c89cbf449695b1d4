"""``aiwyn auth``: store an API key in a profile, remove it, or check it."""

from __future__ import annotations

import getpass
import os
import shlex
import sys
import warnings
from collections.abc import Coroutine
from typing import Any

from aiwyn_async._cli.errors import ExitCode
from aiwyn_async._cli.options import Flag
from aiwyn_async._cli.output import write_data, write_message
from aiwyn_async._cli.profile_file import ProfileFile
from aiwyn_async._core.profile import SECRETS
from aiwyn_async.client import AiwynClient
from aiwyn_async.config import option_sources
from aiwyn_async.errors import ConfigurationError


def login(
    *, base_url: str | None = None, profile: str | None = None, no_verify: Flag = False
) -> Coroutine[Any, Any, int]:
    """Store an API key in a profile.

    The key is read from a prompt, or from stdin if that is not a terminal, and tried: it is exchanged for a
    token. The profile file has mode 0600.

    Args:
        base_url: The server; by default that of the profile, or AIWYN_BASE_URL.
        profile: Name of the profile; by default AIWYN_PROFILE, or default.
        no_verify: Store the key without trying it.
    """
    file = ProfileFile.open(profile)
    url = base_url
    if url is None:
        url = file.options.get("base_url") or os.environ.get("AIWYN_BASE_URL")
    if not url:
        raise ConfigurationError("no base_url for the profile; pass --base-url or set AIWYN_BASE_URL")
    # In a synchronous function, because a prompt blocks the event loop, which handles Ctrl-C.
    return _login(file, url, _read_key(f"API key for {url}: "), verify=not no_verify)


async def _login(file: ProfileFile, url: str, key: str, *, verify: bool) -> int:
    # Refuses an invalid key or url before anything is written. Headers may be credentials of another server.
    async with AiwynClient(base_url=url, api_key=key, headers={}) as aiwyn:
        if verify:
            await _verify(aiwyn)
        file.write({"base_url": aiwyn.config.base_url, "api_key": key}, remove={"token"})
    write_message(f"stored the API key for {url} in {file.name}")
    if not file.is_selected:
        write_message(f"note: set AIWYN_PROFILE={shlex.quote(file.profile)} to use this profile")
    _note_overrides()
    return ExitCode.OK


def logout(*, profile: str | None = None) -> int:
    """Remove the credentials of a profile.

    Args:
        profile: Name of the profile; by default AIWYN_PROFILE, or default.
    """
    file = ProfileFile.open(profile)
    if not SECRETS & file.options.keys():
        write_message(f"{file.name} has no credentials")
        return ExitCode.OK
    file.write({}, remove=SECRETS)
    write_message(f"removed the credentials of {file.name}")
    _note_overrides()
    return ExitCode.OK


async def status(*, no_verify: Flag = False) -> int:
    """Print which credential is used, where it is set, and whether the server accepts it.

    Args:
        no_verify: Send nothing to the server.
    """
    async with AiwynClient() as aiwyn:
        sources = option_sources()
        option = "api_key" if aiwyn.config.api_key is not None else "token"
        write_data(f"credential: {option} from {sources[option]}".encode())
        write_data(f"server: {aiwyn.config.base_url} from {sources['base_url']}".encode())
        if not no_verify:
            await _verify(aiwyn)
            write_data(b"accepted by the server")
    return ExitCode.OK


async def _verify(aiwyn: AiwynClient) -> None:
    """Exchange the API key for a token, or send a request with the token."""
    if aiwyn.config.api_key is None:
        await aiwyn.invoices.list(page_size=1, limit=1)
        return
    tokens = aiwyn._session.tokens  # noqa: SLF001 (no request is needed)  # pyright: ignore[reportPrivateUsage]
    assert tokens is not None  # a client has one  # noqa: S101
    await tokens.bearer()


def _read_key(prompt: str) -> str:
    """Read a key from the terminal without echo, or the first line of stdin."""
    if sys.stdin is None:
        raise ConfigurationError("no API key: stdin is closed; pipe the key to stdin")
    try:
        if not sys.stdin.isatty():
            key = sys.stdin.readline()
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("error", getpass.GetPassWarning)
                key = getpass.getpass(prompt)
    except EOFError:
        key = ""
    except UnicodeDecodeError:
        raise ConfigurationError("the API key is not UTF-8; check that it was copied completely") from None
    except getpass.GetPassWarning:
        raise ConfigurationError(
            "the terminal would show the API key while it is typed; pipe the key to stdin"
        ) from None
    if not key.strip():
        raise ConfigurationError("no API key was entered; enter it at the prompt, or pipe it to stdin")
    return key.strip()


def _note_overrides() -> None:
    for option in sorted(SECRETS):
        if os.environ.get(f"AIWYN_{option.upper()}"):
            write_message(f"note: AIWYN_{option.upper()} is set, and is used instead of the profile")
