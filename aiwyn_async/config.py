"""All options with their defaults, from keywords, environment or a profile."""

from __future__ import annotations

import re
import ssl
import sys
from collections.abc import Mapping
from types import UnionType
from typing import Any, Final, Union, cast, get_args, get_origin

import msgspec

from aiwyn_async._core.checks import check_kind
from aiwyn_async._core.clock import Clock, SystemClock
from aiwyn_async._core.endpoints import EndpointOverride
from aiwyn_async._core.headers import Headers, secrets_in, secrets_in_url
from aiwyn_async._core.observer import Observer
from aiwyn_async._core.profile import SECRETS, missing_file
from aiwyn_async._core.secret import Secret, TokenProvider, bearer_secret, without_locals
from aiwyn_async._core.sources import Source, check_destination, find_sources, merge
from aiwyn_async._core.urls import PATH, check_proxy, checked_url, is_plain_setting
from aiwyn_async.errors import ConfigurationError

__all__ = [
    "DEMO_URL",
    "OBJECTS",
    "STAGING_URL",
    "Clock",
    "Config",
    "EndpointOverride",
    "Headers",
    "Observer",
    "Secret",
    "SystemClock",
    "TokenProvider",
    "bearer_secret",
    "option_sources",
    "option_values",
    "secrets_in",
    "secrets_in_url",
]

# The two hosts that the documentation of the API names; it does not name a production host.
DEMO_URL: Final = "https://demo.api.aiwyn.ai"
STAGING_URL: Final = "https://staging.api.aiwyn.app"
MAX_NUMBER: Final = 2**53
"""Of options that are whole numbers: the largest that every JSON reader and float holds exactly."""


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """All options. Times are seconds, sizes bytes. Build one with ``Config.load()``.

    Raises:
        ConfigurationError: an option is out of bounds; the message names it and the fix.
    """

    base_url: str
    api_key: Secret | None = None
    """Exchanged for a bearer token at ``token_path``."""
    token: Secret | TokenProvider | None = None
    """A bearer token (JWT), or a function, sync or async, that returns one. The function is called again
    when the token is about to expire or the server refuses it."""
    headers: Mapping[str, str] = msgspec.field(default_factory=Headers)
    """Sent with every request; those of ``with_options()`` are added to them."""

    max_concurrency: int | None = None
    """Maximum number of requests in flight, reduced while the server throttles. None adapts it to the server:
    16 at first, up to 64 while latency stays low."""
    retries: int = 2
    """How often a request that is safe to repeat is retried."""
    retry_writes: bool = False
    """Retry a write even if it may have been applied."""
    connect_timeout: float = 5.0
    read_timeout: float = 30.0
    """Maximum wait for the head of a response, and for the next bytes of its body."""
    attempt_timeout: float = 60.0
    deadline: float = 300.0
    """Limit on queueing, all attempts and all waits of one call; always enforced."""
    backoff_base: float = 0.5
    """Upper bound of the first backoff, doubled per retry; 0 disables waiting except for Retry-After."""
    throttled_backoff_base: float = 1.0
    """The same after a 429."""
    backoff_cap: float = 20.0
    max_retry_after: float = 120.0
    """A longer Retry-After raises at once instead of waiting."""
    retry_budget: int = 500
    """Tokens of the client's retry budget; a retry costs 14, or 5 after a 429."""
    max_response_bytes: int = 64 * 1024 * 1024
    """Size of the decoded body above which a response is refused while it is read."""

    gql_prefix: str = "/gql/v1"
    api_prefix: str = "/api/v1"
    token_path: str = "/v1/auth/token"  # noqa: S105 (a path)
    token_request_key: str = "jwtApiKey"  # noqa: S105 (a key's name)
    """Undocumented: the key that the API key is sent under (inferred from the credential's name)."""
    token_response_key: str | None = None
    """Undocumented: the key of the token in the response; None tries the usual names."""

    endpoints: dict[str, EndpointOverride] = msgspec.field(default_factory=dict[str, EndpointOverride])
    """By resource, where the server differs: ``{"clients": {"items_key": "customers"}}``."""
    warn_undocumented: bool = True
    """Warn at the first use of an undocumented endpoint."""

    allow_insecure_http: bool = False
    """Allow http:// to another host than this machine."""
    proxy: str | None = None
    ssl_context: ssl.SSLContext | None = None
    """A TLS context, for a private CA or client certificates. Verification cannot be disabled."""
    observer: Observer | None = None
    """Called at each step of each call; see ``Observer``."""
    clock: Clock = msgspec.field(default_factory=SystemClock)

    @without_locals
    def __post_init__(self) -> None:
        """Check every option, so that nothing invalid is sent."""
        self._check_types()
        msgspec.structs.force_setattr(
            self, "base_url", checked_url(self.base_url, allow_insecure_http=self.allow_insecure_http)
        )
        msgspec.structs.force_setattr(self, "headers", Headers(self.headers))
        if self.proxy is not None:
            check_proxy(self.proxy)
        if (self.api_key is None) == (self.token is None):
            raise ConfigurationError(
                "no credentials: pass api_key= or token=, or set AIWYN_API_KEY or AIWYN_TOKEN; "
                "to try without an account, use aiwyn_async.sandbox.Sandbox"
                if self.api_key is None
                else "both api_key and token are set; pass one of them"
            )
        self._check_bounds()
        for name in ("gql_prefix", "api_prefix", "token_path"):
            path = getattr(self, name)
            if path and not (PATH.fullmatch(path) and is_plain_setting(path)):
                raise ConfigurationError(
                    f"{name} must start with / and have no trailing /, query, fragment, space, "
                    "and no empty, . or .. segment"
                )
        if not self.token_request_key or not self.token_request_key.isprintable():
            raise ConfigurationError("token_request_key must not be empty, and have no control characters")

    def _check_bounds(self) -> None:
        for name in ("connect_timeout", "read_timeout", "attempt_timeout", "deadline"):
            if not 0 < getattr(self, name) <= sys.float_info.max:
                raise ConfigurationError(f"{name} must be a finite number of seconds above 0")
        for name in ("backoff_base", "throttled_backoff_base", "backoff_cap", "max_retry_after"):
            if not 0 <= getattr(self, name) <= sys.float_info.max:
                raise ConfigurationError(f"{name} must be a finite number of seconds, 0 or more")
        for name, minimum in (
            ("max_concurrency", 1),
            ("retries", 0),
            ("retry_budget", 0),
            ("max_response_bytes", 1024),
        ):
            value = getattr(self, name)
            if value is not None and not minimum <= value <= MAX_NUMBER:
                raise ConfigurationError(f"{name} must be at least {minimum} and at most {MAX_NUMBER}")

    def _check_types(self) -> None:
        """Check the types; values passed from code are unchecked so far."""
        for name, kinds in _TYPES.items():
            value = getattr(self, name)
            # A class has the methods of its instances, so it passes for one.
            is_class = isinstance(value, type) and name in {"observer", "clock"}
            if is_class or not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
                expected = " or ".join(kind.__name__ for kind in kinds if kind is not type(None))
                raise ConfigurationError(f"{name} must be {expected}, not {type(value).__name__}")
        context = self.ssl_context
        if context is not None and not (context.verify_mode is ssl.CERT_REQUIRED and context.check_hostname):
            raise ConfigurationError(
                "ssl_context does not verify the server; use ssl.create_default_context(cafile=...) "
                "to trust a private CA"
            )

    def __repr__(self) -> str:
        return f"Config(base_url={self.base_url!r})"

    @classmethod
    @without_locals
    def load(cls, *, profile: str | None = None, **options: Any) -> Config:
        """Return the options from keywords, environment, profile file and defaults.

        The first of these that sets an option wins.

        The environment sets ``AIWYN_API_KEY``, ``AIWYN_TOKEN``, ``AIWYN_BASE_URL`` and any other option of
        plain type under ``AIWYN_`` and its name in capitals. The profile file is ``AIWYN_CONFIG`` or
        ``~/.config/aiwyn/config.toml``, with a table per profile: ``[profiles.NAME]``; ``profile`` or
        ``AIWYN_PROFILE`` selects one, otherwise ``default`` is used if it exists.

        A credential is only sent to the ``base_url`` of its own source: keywords, environment or profile.

        Raises:
            ConfigurationError: no base_url or credentials anywhere, an unknown or wrong option, or the
                credentials and base_url have different sources.
        """
        _refuse_none(options)
        if profile is not None:
            check_kind("profile", profile, str, "the name of a profile")
        merged = merge(find_sources(profile, options, _NAMES - OBJECTS), _NAMES)
        if "base_url" not in merged:
            missing = missing_file()
            raise ConfigurationError(
                f"no base_url{'' if missing is None else f', and {missing} does not exist'}: "
                "pass base_url= or set AIWYN_BASE_URL "
                f"(the API's documentation names {DEMO_URL} and {STAGING_URL}); "
                "to try without an account, use aiwyn_async.sandbox.Sandbox"
            )
        check_destination(merged)
        values = {name: source.options[name] for name, source in merged.items()}
        plain = {name: value for name, value in values.items() if name not in OBJECTS | SECRETS}
        others = {name: value for name, value in values.items() if name in OBJECTS}
        try:
            others |= {name: _secret(name, values[name]) for name in SECRETS & values.keys()}
            checked = msgspec.convert(plain, _PlainOptions, strict=False)
            return cls(**{name: getattr(checked, name) for name in plain}, **others)
        except msgspec.ValidationError as error:
            refused = ConfigurationError(_describe(error))
        except ConfigurationError as error:
            refused = error
        except ValueError:  # a lone surrogate, or a signaling NaN
            refused = ConfigurationError(
                f"{_unreadable(plain)}: the value cannot be read; check its characters"
            )
        raise ConfigurationError(_with_source(str(refused), merged))


def _refuse_none(options: Mapping[str, object]) -> None:
    """Refuse None for an option that always has a value, such as ``deadline``."""
    for field in _FIELDS:
        has_value = field.default not in {None, msgspec.NODEFAULT}
        if has_value and options.get(field.name, ...) is None:
            raise ConfigurationError(f"{field.name} must not be None; leave it out for {field.default!r}")


def _describe(error: msgspec.ValidationError) -> str:
    """Return the option and the type that it needs; msgspec never shows the value."""
    reason, _, path = str(error).partition(" - at `$.")
    expected, got, given = reason.partition(", got ")
    reason = re.sub(r"`([^`]*)`", _type_names, expected) + got + given.replace("`", "")
    return f"{path.rstrip('`') or 'invalid option'}: {reason[:1].lower()}{reason[1:]}"


def _type_names(match: re.Match[str]) -> str:
    names = (_TYPE_NAMES.get(name, name) for name in match[1].split(" | ") if name != "null")
    return " or ".join(names) or "null"


def _unreadable(options: Mapping[str, object]) -> str:
    """Return the name of the option that cannot be converted."""
    for name, value in options.items():
        try:
            msgspec.convert({name: value}, _PlainOptions, strict=False)
        except ValueError:
            return name
    return "invalid option"


def _with_source(text: str, merged: Mapping[str, Source]) -> str:
    """Put the environment variable or profile of an option before an error that begins with its name."""
    name = re.split(r"\W", text, maxsplit=1)[0]
    source = merged.get(name)
    return text if source is None or source.is_keywords else f"{source.named(name)}: {text}"


def option_sources() -> dict[str, str]:
    """Return the source of each option that the environment or the profile sets.

    Raises:
        ConfigurationError: the profile cannot be read, or an option is unknown.
    """
    return {name: source for name, (_, source) in option_values().items()}


def option_values() -> dict[str, tuple[Any, str]]:
    """Return value and source of each option that the environment or the profile sets.

    Values are unchecked, and may be credentials.

    Raises:
        ConfigurationError: the profile cannot be read, or an option is unknown.
    """
    merged = merge(find_sources(None, {}, _NAMES - OBJECTS), _NAMES)
    return {name: (source.options[name], source.named(name)) for name, source in sorted(merged.items())}


def _kinds(annotation: Any) -> tuple[type, ...]:
    """Return the classes of the values that an annotation allows."""
    origin = get_origin(annotation)
    if origin in {Union, UnionType}:
        return tuple(kind for each in get_args(annotation) for kind in _kinds(each))
    return (int, float) if annotation is float else (origin or annotation,)


_FIELDS: Final = msgspec.structs.fields(Config)
_TYPES: Final = {field.name: _kinds(field.type) for field in _FIELDS}
OBJECTS: Final = {"headers", "ssl_context", "observer", "clock"}
"""Options that no environment variable sets."""
_NAMES: Final = frozenset(Config.__struct_fields__)

_TYPE_NAMES: Final[Mapping[str, str]] = {
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "object": "a dict, or a table of a profile",
}

_PlainOptions = msgspec.defstruct(
    "_PlainOptions",
    [
        (field.name, field.type, msgspec.field(default=None))
        for field in _FIELDS
        if field.name not in OBJECTS | SECRETS
    ],
)


def _secret(name: str, text: object) -> Secret | TokenProvider:
    if isinstance(text, str):
        return bearer_secret(text) if name == "token" else Secret(text)
    if isinstance(text, Secret):
        return text
    if name == "token" and callable(text):
        return cast("TokenProvider", text)
    expected = "a str, a Secret or a function that returns one" if name == "token" else "a str or a Secret"
    raise ConfigurationError(f"{name} must be {expected}, not {type(text).__name__}")
