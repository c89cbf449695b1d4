"""Every option and its default, once; read from keywords, the environment or a profile file."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import re
import ssl
import stat
import tomllib
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from time import monotonic
from time import time as wall_clock
from typing import Any, Final, Literal, Protocol, Self, cast, runtime_checkable
from urllib.parse import urlsplit

import msgspec

from aiwyn_async.errors import ConfigurationError

__all__ = [
    "DEMO_URL",
    "STAGING_URL",
    "Clock",
    "Config",
    "EndpointOverride",
    "Headers",
    "Secret",
    "SystemClock",
    "TokenProvider",
    "bearer_secret",
    "secrets_in",
]

# The two hosts that the API's documentation names. It shows no production host.
DEMO_URL: Final = "https://demo.api.aiwyn.ai"
STAGING_URL: Final = "https://staging.api.aiwyn.app"

ENVIRONMENT_PREFIX: Final = "AIWYN_"

# A host that every parser reads in the same way: labels of 1 to 63 letters, or an IP address.
_HOST: Final = re.compile(r"(?:[a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}\.?|[0-9a-f:.]*:[0-9a-f:.]*")
# Segments of printable ASCII but for space, slash, ? and #.
_PATH: Final = re.compile(r"(?:/[!\"$-.0->@-~]+)+")


class Secret:
    """A credential that no repr, log, pickle or traceback shows. ``reveal()`` gives its text."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text.strip()
        del text  # a traceback of the complaint shows the locals of this frame
        # aiohttp would refuse these only after connecting, and would quote them.
        if not (self._text and self._text.isascii() and self._text.isprintable()) or " " in self._text:
            raise ConfigurationError(
                "the API key or token is empty or holds spaces, control or non-ASCII letters; paste it anew"
            )

    def reveal(self) -> str:
        """The credential itself, for the header it is sent in and nothing else."""
        return self._text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __repr__(self) -> str:
        return "Secret('***')"

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, _memo: object) -> Self:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError("a Secret is not pickled; read the credential anew where it is needed")


@runtime_checkable
class Clock(Protocol):
    """Where time comes from. Tests give one whose sleep returns at once."""

    def time(self) -> float:
        """Wall-clock seconds since 1970, UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after that many seconds."""
        ...


class SystemClock:
    """The machine's own time."""

    time = staticmethod(wall_clock)
    monotonic = staticmethod(monotonic)

    async def sleep(self, seconds: float) -> None:
        """Return after that many seconds."""
        await asyncio.sleep(seconds)


TokenProvider = Callable[[], str | Secret | Awaitable[str | Secret]]
"""A function, also an async one, that returns a bearer token that is good now."""


def bearer_secret(text: str) -> Secret:
    """Return a bearer token as a ``Secret``, without the word Bearer that may come with it.

    Raises:
        ConfigurationError: it is empty, or cannot be sent.
    """
    scheme, _, rest = text.strip().partition(" ")
    return Secret(rest if scheme.lower() == "bearer" and rest.strip() else text)


# RFC 9110: a header's name is a token.
_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# Those that describe the connection or the body, and the credential: this package sets them.
_OWN_HEADERS: Final = {
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
}
_SECRET_NAME: Final = re.compile(
    r"auth|cookie|credential|key|passw|secret|session|signature|token", re.IGNORECASE
)
SHORTEST_SECRET: Final = 6
"""Characters; what is shorter is masked nowhere, since it occurs in innocent texts."""


class Headers(dict[str, str]):
    """Headers to send with every request. A repr shows their names and no value.

    Raises:
        ConfigurationError: a name or value cannot be sent, or this package sets the header itself.
    """

    def __init__(self, headers: Mapping[str, str] | None = None) -> None:
        super().__init__()
        if headers is not None and not isinstance(headers, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError("headers must be a mapping of names to values")
        for name, value in (headers or {}).items():
            self[_checked_header_name(name)] = _checked_header_value(name, value)
        if len({name.lower() for name in self}) < len(self):
            raise ConfigurationError("headers has the same name twice, in upper and lower case")

    def __repr__(self) -> str:
        return f"Headers({dict.fromkeys(self, '***')})"

    def updated(self, headers: Mapping[str, str]) -> Headers:
        """Return these and those; where both have a name, in whatever case, the value of those."""
        theirs = Headers(headers)
        replaced = {name.lower() for name in theirs}
        return Headers({name: value for name, value in self.items() if name.lower() not in replaced} | theirs)


def secrets_in(headers: Mapping[str, str]) -> list[Secret]:
    """Return the values of headers whose names say that they are credentials, word by word."""
    return [
        Secret(word)
        for name, value in headers.items()
        if _SECRET_NAME.search(name)
        for word in value.split()
        if len(word) >= SHORTEST_SECRET
    ]


def _checked_header_name(name: object) -> str:
    if not isinstance(name, str) or not _HEADER_NAME.fullmatch(name):
        raise ConfigurationError(f"headers: {name!r} is not a name of a header")
    if name.lower() in _OWN_HEADERS:
        raise ConfigurationError(
            f"headers must not contain {name}: the client sets it itself"
            + ("; pass token= or api_key=" if name.lower() == "authorization" else "")
        )
    return name


def _checked_header_value(name: str, value: object) -> str:
    # The value may be a credential, so it is not quoted.
    if not isinstance(value, str):
        raise ConfigurationError(f"headers: the value of {name} must be str, not {type(value).__name__}")
    if not (value.isascii() and value.isprintable()):
        raise ConfigurationError(f"headers: the value of {name} must be printable ASCII in one line")
    return value.strip()


class EndpointOverride(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a tenant has otherwise than the documentation shows; None leaves an entry as it is.

    Attributes:
        list_path, search_path, get_path: below ``gql_prefix``; a key is appended to ``get_path``.
        key: wire name of the rows' unique key.
        items_key, count_key: where an answer keeps its rows and its count, nested keys joined with dots.
        page_style: "page", "offset" or "auto".
        search_page_size_key: the search body's name for the page size.
        modified_at_field: wire name of the field with the time of a row's last change, by which ``changes()``
            and ``sync`` filter and order the search.
    """

    list_path: str | None = None
    search_path: str | None = None
    get_path: str | None = None
    key: str | None = None
    items_key: str | None = None
    count_key: str | None = None
    page_style: Literal["page", "offset", "auto"] | None = None
    search_page_size_key: str | None = None
    modified_at_field: str | None = None


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """All options. Times are seconds, sizes bytes. Build one with ``Config.load()``.

    Raises:
        ConfigurationError: an option is out of bounds; the text names it and the fix.
    """

    base_url: str
    api_key: Secret | None = None
    """Exchanged for a bearer token at ``token_path``."""
    token: Secret | TokenProvider | None = None
    """A ready bearer token (JWT), used as it is; or a function, also an async one, that returns one. It is
    called again when the token is about to expire or the server refuses it, so that work can outlive it."""
    headers: Mapping[str, str] = msgspec.field(default_factory=Headers)
    """Sent with every request; those of ``with_options()`` are added to them."""

    max_concurrency: int = 8
    """Requests in flight at once, at most; fewer after the server throttles."""
    retries: int = 2
    """How often a request that may be repeated is sent again."""
    retry_writes: bool = False
    """Send a write again even when it may have been applied."""
    connect_timeout: float = 5.0
    read_timeout: float = 30.0
    """Longest wait for the head of an answer, and longest silence while its body is read."""
    attempt_timeout: float = 60.0
    deadline: float = 300.0
    """Over queueing, all attempts and all waits of one call; it always holds."""
    backoff_base: float = 0.5
    """First back-off, drawn between 0 and this, doubling; 0 turns waiting off but for Retry-After."""
    throttled_backoff_base: float = 1.0
    """The same after a 429."""
    backoff_cap: float = 20.0
    max_retry_after: float = 120.0
    """A longer Retry-After is not waited for but raised at once."""
    retry_budget: int = 500
    """Tokens of the client's retry budget; a retry costs 14, or 5 after a 429."""
    max_response_bytes: int = 64 * 1024 * 1024
    """Decoded body above which an answer is refused while it streams."""

    gql_prefix: str = "/gql/v1"
    api_prefix: str = "/api/v1"
    token_path: str = "/v1/auth/token"  # noqa: S105 (a path)
    token_request_key: str = "jwtApiKey"  # noqa: S105 (a key's name)
    """Undocumented: the key that the API key is sent under (inferred from the credential's name)."""
    token_response_key: str | None = None
    """Undocumented: the key that the token comes under; None tries the usual names."""

    endpoints: dict[str, EndpointOverride] = msgspec.field(default_factory=dict[str, EndpointOverride])
    """By tag, what the server has otherwise: ``{"clients": {"items_key": "customers"}}``."""
    warn_undocumented: bool = True
    """Warn at the first use of an endpoint that the documentation does not show."""

    allow_insecure_http: bool = False
    """Allow http:// to another host than this machine."""
    proxy: str | None = None
    ssl_context: ssl.SSLContext | None = None
    """An own TLS context, for a private CA or client certificates. Verification cannot be turned off here."""
    clock: Clock = msgspec.field(default_factory=SystemClock)

    def __post_init__(self) -> None:
        """Check every option, so that nothing wrong is ever sent."""
        self._check_types()
        msgspec.structs.force_setattr(self, "base_url", _checked_url(self.base_url, self.allow_insecure_http))
        msgspec.structs.force_setattr(self, "headers", Headers(self.headers))
        if self.proxy is not None:
            _check_proxy(self.proxy)
        if (self.api_key is None) == (self.token is None):
            raise ConfigurationError(
                "no credentials: pass api_key= or token=, or set AIWYN_API_KEY or AIWYN_TOKEN; "
                "to try without an account, use aiwyn_async.sandbox.Sandbox"
                if self.api_key is None
                else "both an API key and a token are given: keep one of api_key= and token="
            )
        self._check_bounds()
        for name in ("gql_prefix", "api_prefix", "token_path"):
            path = getattr(self, name)
            if path and not _PATH.fullmatch(path):
                raise ConfigurationError(
                    f"{name} must start with / and have no trailing /, query, fragment or space"
                )
        if not self.token_request_key:
            raise ConfigurationError("token_request_key must not be empty")

    def _check_bounds(self) -> None:
        for name in ("connect_timeout", "read_timeout", "attempt_timeout", "deadline"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ConfigurationError(f"{name} must be a finite number of seconds above 0")
        for name in ("backoff_base", "throttled_backoff_base", "backoff_cap", "max_retry_after"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ConfigurationError(f"{name} must be a finite number of seconds, 0 or more")
        for name, least in (
            ("max_concurrency", 1),
            ("retries", 0),
            ("retry_budget", 0),
            ("max_response_bytes", 1024),
        ):
            if getattr(self, name) < least:
                raise ConfigurationError(f"{name} must be at least {least}")

    def _check_types(self) -> None:
        """See that each option has its type; values from code come here unchecked."""
        for name, kinds in _TYPES.items():
            value = getattr(self, name)
            if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
                wanted = " or ".join(kind.__name__ for kind in kinds if kind is not type(None))
                raise ConfigurationError(f"{name} must be {wanted}, not {type(value).__name__}")
        context = self.ssl_context
        if context is not None and not (context.verify_mode is ssl.CERT_REQUIRED and context.check_hostname):
            raise ConfigurationError(
                "ssl_context does not verify the server; use ssl.create_default_context(cafile=...) "
                "to trust a private CA"
            )

    def __repr__(self) -> str:
        return f"Config(base_url={self.base_url!r})"

    @classmethod
    def load(cls, *, profile: str | None = None, **options: Any) -> Config:
        """The options, each from the first of: keywords, environment, profile file, default.

        The environment gives ``AIWYN_API_KEY``, ``AIWYN_TOKEN``, ``AIWYN_BASE_URL`` and any other option of
        plain type under ``AIWYN_`` and its name in capitals. The profile file is ``AIWYN_CONFIG`` or
        ``~/.config/aiwyn/config.toml``, with a table a profile: ``[profiles.NAME]``; ``profile`` or
        ``AIWYN_PROFILE`` picks one, otherwise ``default`` where it exists.

        Raises:
            ConfigurationError: no base_url or credentials anywhere, an unknown or wrong option.
        """
        try:
            return cls._loaded(profile, options)
        except ConfigurationError as refused:
            complaint = refused
        # What was read on the way holds credentials as they were given, and a traceback shows locals.
        options.clear()
        complaint.__context__ = None
        raise complaint.with_traceback(None)

    @classmethod
    def _loaded(cls, profile: str | None, options: dict[str, Any]) -> Config:
        given = {name: value for name, value in options.items() if value is not None}
        found = _layered(given, _from_environment(), _from_profile(profile))
        if "base_url" not in found:
            raise ConfigurationError(
                "no base_url: pass base_url= or set AIWYN_BASE_URL "
                f"(the API's documentation names {DEMO_URL} and {STAGING_URL}); "
                "to try without an account, use aiwyn_async.sandbox.Sandbox"
            )
        plain = {name: value for name, value in found.items() if name not in _OBJECTS | _SECRETS}
        others = {name: value for name, value in found.items() if name in _OBJECTS}
        others |= {name: _secret(name, found[name]) for name in _SECRETS & found.keys()}
        try:
            checked = msgspec.convert(plain, _PlainOptions, strict=False)
        except msgspec.ValidationError as misfit:
            # msgspec tells the place and the type, never the value.
            raise ConfigurationError(f"wrong option: {misfit}") from None
        return cls(**{name: getattr(checked, name) for name in plain}, **others)


_NUMBER: Final = (int, float)
_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "base_url": (str,),
    "api_key": (Secret, type(None)),
    "token": (Secret, Callable, type(None)),  # type: ignore[dict-item]
    "headers": (Mapping,),
    "max_concurrency": (int,),
    "retries": (int,),
    "retry_writes": (bool,),
    "connect_timeout": _NUMBER,
    "read_timeout": _NUMBER,
    "attempt_timeout": _NUMBER,
    "deadline": _NUMBER,
    "backoff_base": _NUMBER,
    "throttled_backoff_base": _NUMBER,
    "backoff_cap": _NUMBER,
    "max_retry_after": _NUMBER,
    "retry_budget": (int,),
    "max_response_bytes": (int,),
    "gql_prefix": (str,),
    "api_prefix": (str,),
    "token_path": (str,),
    "token_request_key": (str,),
    "token_response_key": (str, type(None)),
    "endpoints": (dict,),
    "warn_undocumented": (bool,),
    "allow_insecure_http": (bool,),
    "proxy": (str, type(None)),
    "ssl_context": (ssl.SSLContext, type(None)),
    "clock": (Clock,),
}

_SECRETS: Final = {"api_key", "token"}
_OBJECTS: Final = {"headers", "ssl_context", "clock"}
_NAMES: Final = frozenset(Config.__struct_fields__)

_PlainOptions = msgspec.defstruct(
    "_PlainOptions",
    [
        (field.name, field.type, msgspec.field(default=None))
        for field in msgspec.structs.fields(Config)
        if field.name not in _OBJECTS | _SECRETS
    ],
)


def _secret(name: str, text: object) -> Secret | TokenProvider:
    if isinstance(text, str):
        return bearer_secret(text) if name == "token" else Secret(text)
    if isinstance(text, Secret):
        return text
    if name == "token" and callable(text):
        return cast("TokenProvider", text)
    wanted = "a str, a Secret or a function that returns one" if name == "token" else "a str or a Secret"
    raise ConfigurationError(f"{name} must be {wanted}, not {type(text).__name__}")


def _layered(*layers: dict[str, Any]) -> dict[str, Any]:
    """The first layer that names an option wins; a layer with a credential hides those below it."""
    merged: dict[str, Any] = {}
    for layer in layers:
        unknown = sorted(layer.keys() - _NAMES)
        if unknown:
            raise ConfigurationError(f"unknown option {unknown[0]!r}; known are {', '.join(sorted(_NAMES))}")
        settled = set(merged) | (_SECRETS if _SECRETS & merged.keys() else set[str]())
        merged |= {name: value for name, value in layer.items() if name not in settled}
    return merged


def _from_environment() -> dict[str, Any]:
    names = {f"{ENVIRONMENT_PREFIX}{name.upper()}": name for name in _NAMES - _OBJECTS}
    return {name: os.environ[variable] for variable, name in names.items() if os.environ.get(variable)}


def _from_profile(profile: str | None) -> dict[str, Any]:
    wanted = profile or os.environ.get("AIWYN_PROFILE")
    named = os.environ.get("AIWYN_CONFIG")
    # Unlike Path.home(), expanduser() does not fail for a user without a home, as containers have.
    config_home = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")  # noqa: PTH111
    path = Path(named or Path(config_home) / "aiwyn" / "config.toml")
    try:
        with path.open("rb") as file:
            readable_by_others = os.fstat(file.fileno()).st_mode & (stat.S_IRGRP | stat.S_IROTH)
            content = tomllib.load(file)
    except OSError as fault:
        if wanted or (named and not isinstance(fault, FileNotFoundError)):
            raise ConfigurationError(
                f"profile {wanted or 'default'!r} cannot be read from {path}: {fault.strerror}"
            ) from None
        return {}
    except ValueError as fault:  # no TOML, or no UTF-8
        raise ConfigurationError(f"cannot read {path}: {fault}") from None
    try:
        profiles = msgspec.convert(content.get("profiles", {}), dict[str, dict[str, Any]])
    except msgspec.ValidationError:
        raise ConfigurationError(f"in {path} each profile must be a table: [profiles.NAME]") from None
    if wanted and wanted not in profiles:
        raise ConfigurationError(f"no profile {wanted!r} in {path}; it has {', '.join(profiles) or 'none'}")
    found = profiles.get(wanted or "default", {})
    headers = found.get("headers")
    has_secret = bool(_SECRETS & found.keys()) or (
        isinstance(headers, dict)
        and any(_SECRET_NAME.search(name) for name in cast("dict[str, Any]", headers))
    )
    if has_secret and readable_by_others:
        raise ConfigurationError(f"{path} holds a credential and others can read it; run: chmod 600 {path}")
    return found


def _checked_url(url: str, allow_insecure_http: bool) -> str:
    try:
        parts = urlsplit(url.strip())
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ConfigurationError("base_url is not a URL; write it as https://host") from None
    if parts.scheme not in {"http", "https"} or not host:
        raise ConfigurationError("base_url must start with https:// and name a host")
    if parts.username is not None or parts.password is not None:
        raise ConfigurationError("base_url holds credentials; remove them and pass api_key= or token=")
    if "?" in url or "#" in url:
        raise ConfigurationError("base_url must have no query and no fragment")
    if not url.isascii() or not url.strip().isprintable() or " " in url.strip():
        raise ConfigurationError("base_url must be printable ASCII; write an international host in punycode")
    if not _HOST.fullmatch(host):
        raise ConfigurationError("base_url names no host that can be looked up; write it as https://host")
    if parts.scheme == "http" and not (_is_loopback(host) or allow_insecure_http):
        raise ConfigurationError(
            "base_url is http:// to another machine, which would send the token in the clear; "
            "use https://, or pass allow_insecure_http=True"
        )
    return url.strip().rstrip("/")


def _check_proxy(url: str) -> None:
    """Refuse what is no proxy's address. It may hold credentials, so it is not quoted."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ConfigurationError("proxy must be a URL such as http://host:port")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback and "%" not in host
    except ValueError:
        return False
