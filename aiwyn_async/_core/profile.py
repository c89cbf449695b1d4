"""Options from the environment and from profile files."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import msgspec

from aiwyn_async._core.headers import has_secret_name
from aiwyn_async.errors import ConfigurationError

ENVIRONMENT_PREFIX: Final = "AIWYN_"
MAX_FILE_BYTES: Final = 1 << 20
"""A device such as /dev/zero never ends."""
SECRETS: Final = {"api_key", "token"}


def from_environment(options: Iterable[str]) -> dict[str, Any]:
    """Return the options that environment variables set, as text without the whitespace around it."""
    names = {f"{ENVIRONMENT_PREFIX}{name.upper()}": name for name in options}
    texts = {name: os.environ.get(variable, "").strip() for variable, name in names.items()}
    return {name: text for name, text in texts.items() if text}


def profile_path() -> Path:
    """Return the profile file: ``AIWYN_CONFIG``, or ``aiwyn/config.toml`` in the user's configuration."""
    configured = os.environ.get("AIWYN_CONFIG")
    # Unlike Path.home(), expanduser() does not fail for a user without a home, as containers have.
    config_home = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")  # noqa: PTH111
    return Path(configured or Path(config_home) / "aiwyn" / "config.toml")


def missing_file() -> Path | None:
    """Return the file that ``AIWYN_CONFIG`` names if it does not exist."""
    path = profile_path()
    return path if os.environ.get("AIWYN_CONFIG") and not path.exists() else None


def selected_profile(profile: str | None) -> str | None:
    """Return the name of the profile to use, or None for the default one.

    Raises:
        ConfigurationError: the name is empty, as that of an unset variable of a shell.
    """
    if profile == "":
        raise ConfigurationError("profile must not be empty; name one, or leave it out")
    return profile or os.environ.get("AIWYN_PROFILE") or None


def from_profile(profile: str | None) -> tuple[str, dict[str, Any]]:
    """Return the name of a profile with its file, and its options.

    Without a file, there are no options.

    Raises:
        ConfigurationError: the file or the profile cannot be read, or others can read its credential.
    """
    name = selected_profile(profile)
    path = profile_path()
    full_name = f"profile {name or 'default'!r} of {path}"
    try:
        with path.open("rb") as file:
            readable_by_others = os.fstat(file.fileno()).st_mode & (stat.S_IRGRP | stat.S_IROTH)
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        if name or (os.environ.get("AIWYN_CONFIG") and not isinstance(error, FileNotFoundError)):
            raise ConfigurationError(
                f"profile {name or 'default'!r} cannot be read from {path}: {error.strerror}"
            ) from None
        return full_name, {}
    content = _parse(data, path)
    try:
        profiles = msgspec.convert(content.get("profiles", {}), dict[str, dict[str, Any]])
    except msgspec.ValidationError:
        raise ConfigurationError(f"in {path} each profile must be a table: [profiles.NAME]") from None
    if name and name not in profiles:
        raise ConfigurationError(f"no profile {name!r} in {path}; it has {', '.join(profiles) or 'none'}")
    options = profiles.get(name or "default", {})
    has_secret = SECRETS & options.keys() or has_secret_name(options.get("headers"))
    if has_secret and readable_by_others:
        raise ConfigurationError(
            f"{path} contains a credential and others can read it; run: chmod 600 {path}"
        )
    return full_name, options


def _parse(data: bytes, path: Path) -> dict[str, Any]:
    import tomllib  # noqa: PLC0415 (loaded only if needed)

    if len(data) > MAX_FILE_BYTES:
        raise ConfigurationError(f"cannot read {path}: it is larger than 1 MiB")
    try:
        return tomllib.loads(data.decode())
    except ValueError as error:  # not TOML, or not UTF-8
        raise ConfigurationError(f"cannot read {path}: {error}") from None
    except RecursionError:
        raise ConfigurationError(f"cannot read {path}: it is nested too deeply") from None
