"""Change a profile in its TOML file; comments and all other lines stay as they are."""

from __future__ import annotations

import copy
import json
import re
import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Final, Self, cast

from aiwyn_async._core.files import disk_errors, replace_content
from aiwyn_async._core.profile import profile_path, selected_profile
from aiwyn_async.errors import ConfigurationError

_TABLE: Final = re.compile(r"\s*\[")
_BARE_NAME: Final = re.compile(r"[A-Za-z0-9_-]+")


class ProfileFile:
    """One profile of a file."""

    def __init__(self, path: Path, profile: str, text: str) -> None:
        self.path = path
        self.profile = profile
        self._text = text
        self._content = self._parse(text)
        self.options: dict[str, Any] = self._profiles(self._content).get(profile, {})

    @classmethod
    def open(cls, profile: str | None) -> Self:
        """Read a profile, by default ``AIWYN_PROFILE``, of the file that the client reads."""
        name = selected_profile(profile) or "default"
        path = profile_path()
        with disk_errors(path, "read"):
            try:
                text = path.read_text(encoding="utf-8")
            except FileNotFoundError:
                text = ""
            except UnicodeDecodeError as error:
                raise ConfigurationError(f"cannot read {path}: {error}") from None
        return cls(path, name, text)

    @property
    def name(self) -> str:
        """The profile and its file, for messages."""
        return f"profile {self.profile!r} of {self.path}"

    @property
    def is_selected(self) -> bool:
        """Whether the client reads this profile."""
        return self.profile == (selected_profile(None) or "default")

    def write(self, options: Mapping[str, str], *, remove: Collection[str]) -> None:
        """Set and remove options of the profile; the file gets mode 0600."""
        text = self._changed(options, remove)
        expected = copy.deepcopy(self._content)
        own = self._profiles(expected).setdefault(self.profile, {})
        for name in remove:
            own.pop(name, None)
        own |= options
        if self._parse(text) != expected:
            raise ConfigurationError(f"cannot change {self.name} line by line; edit the file")
        with disk_errors(self.path):
            path = self.path.resolve()  # a symbolic link stays one
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            replace_content(path, text.encode())

    def _changed(self, options: Mapping[str, str], remove: Collection[str]) -> str:
        lines = self._text.splitlines()
        start = next((number for number, line in enumerate(lines) if self._is_own_table(line)), None)
        if start is None:
            lines += ([""] if lines and lines[-1].strip() else []) + [f"[profiles.{self._key()}]"]
            start = len(lines) - 1
        end = next(
            (number for number in range(start + 1, len(lines)) if _TABLE.match(lines[number])), len(lines)
        )
        changed = {*options, *remove}
        own = [line for line in lines[start + 1 : end] if _option_of(line) not in changed]
        # JSON strings of printable ASCII are TOML strings.
        new = [f"{name} = {json.dumps(value)}" for name, value in options.items()]
        return "\n".join([*lines[: start + 1], *new, *own, *lines[end:], ""])

    def _is_own_table(self, line: str) -> bool:
        """Return whether a line is the header of the profile."""
        if not _TABLE.match(line):
            return False
        try:
            return tomllib.loads(line) == {"profiles": {self.profile: {}}}
        except tomllib.TOMLDecodeError:
            return False

    def _key(self) -> str:
        return self.profile if _BARE_NAME.fullmatch(self.profile) else json.dumps(self.profile)

    def _parse(self, text: str) -> dict[str, Any]:
        try:
            return tomllib.loads(text)
        except (ValueError, RecursionError) as error:
            raise ConfigurationError(f"cannot read {self.path}: {error}; correct it") from None

    def _profiles(self, content: dict[str, Any]) -> dict[str, Any]:
        profiles = content.setdefault("profiles", {})
        if not isinstance(profiles, dict) or not all(
            isinstance(each, dict) for each in cast("dict[str, Any]", profiles).values()
        ):
            raise ConfigurationError(f"in {self.path} each profile must be a table: [profiles.NAME]")
        return cast("dict[str, Any]", profiles)


def _option_of(line: str) -> str:
    return line.partition("=")[0].strip().strip("\"'")
