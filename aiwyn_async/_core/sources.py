"""The sources of options (keyword arguments, environment, profile), and where a credential may be sent."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from aiwyn_async._core.headers import has_secret_name
from aiwyn_async._core.profile import ENVIRONMENT_PREFIX, SECRETS, from_environment, from_profile
from aiwyn_async.errors import ConfigurationError

_KEYWORDS: Final = "keyword arguments"
_ENVIRONMENT: Final = "environment"


class Source:
    """The options that one source sets. The repr shows no value, since it may be a credential."""

    def __init__(self, name: str, options: Mapping[str, Any]) -> None:
        self._name = name
        self.options = options

    def __repr__(self) -> str:
        return f"<options of {self._name}>"

    def named(self, option: str) -> str:
        """Return the source of an option, such as ``AIWYN_TOKEN`` or ``profile 'prod' of config.toml``."""
        if self.is_keywords:
            return f"the argument {option}"
        return f"{ENVIRONMENT_PREFIX}{option.upper()}" if self._name == _ENVIRONMENT else self._name

    @property
    def is_keywords(self) -> bool:
        """True for keyword arguments."""
        return self._name == _KEYWORDS


def find_sources(
    profile: str | None, keywords: Mapping[str, Any], environment_options: Collection[str]
) -> list[Source]:
    """Return all sources of options, the one that wins first.

    Raises:
        ConfigurationError: the profile cannot be read.
    """
    passed = {name: value for name, value in keywords.items() if value is not None}
    profile_name, of_profile = from_profile(profile)
    return [
        Source(_KEYWORDS, passed),
        Source(_ENVIRONMENT, from_environment(environment_options)),
        Source(profile_name, of_profile),
    ]


def merge(sources: Sequence[Source], known: Collection[str]) -> dict[str, Source]:
    """Return the source of each option: the first that sets it; a credential hides those of later sources.

    Raises:
        ConfigurationError: a source sets an unknown option.
    """
    merged: dict[str, Source] = {}
    for source in sources:
        unknown = sorted(source.options.keys() - known)
        if unknown:
            of = "" if source.is_keywords else f"{source.named(unknown[0])}: "
            import difflib  # noqa: PLC0415 (of this error alone)

            near = difflib.get_close_matches(unknown[0], known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"options are {', '.join(sorted(known))}"
            raise ConfigurationError(f"{of}unknown option {unknown[0]!r}; {hint}")
        hidden = merged.keys() | (SECRETS if SECRETS & merged.keys() else set[str]())
        merged |= dict.fromkeys(source.options.keys() - hidden, source)
    return merged


def check_destination(merged: Mapping[str, Source]) -> None:
    """Refuse to send a credential to a ``base_url`` that its own source does not name.

    Raises:
        ConfigurationError: names both sources.
    """
    destination = merged["base_url"]
    for option in sorted(merged.keys() & {*SECRETS, "headers"}):
        source = merged[option]
        if option == "headers" and (source.is_keywords or not has_secret_name(source.options["headers"])):
            continue
        own_url = source.options.get("base_url")
        if source is destination or _same_url(own_url, destination.options["base_url"]):
            continue
        other = destination.named("base_url")
        fix = "set both in one of them" if own_url is None else f"remove {other}, or set {option} there too"
        raise ConfigurationError(
            f"{option} is set by {source.named(option)} but base_url by {other}, "
            f"and a credential is only sent to the base_url of its own source; {fix}"
        )


def _same_url(one: object, other: object) -> bool:
    return (
        isinstance(one, str)
        and isinstance(other, str)
        and one.strip().rstrip("/") == other.strip().rstrip("/")
    )
