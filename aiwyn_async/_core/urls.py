"""Checks of the URLs and paths of the configuration."""

from __future__ import annotations

import functools
import ipaddress
import re
from typing import Final
from urllib.parse import unquote, urlsplit

from aiwyn_async._core.checks import shown
from aiwyn_async.errors import ConfigurationError

# A host that all parsers agree on: labels of 1 to 63 characters, or an IP address.
_HOST: Final = re.compile(r"(?:[a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}\.?|[0-9a-f:.]*:[0-9a-f:.]*")
# Segments of printable ASCII except space, slash, ? and #.
PATH: Final = re.compile(r"(?:/[!\"$-.0->@-~]+)+")

# An empty, "." or ".." segment: some servers and proxies resolve it, and reach another path or host.
_CLIMBING: Final = re.compile(r"^[^/]|^$|[/\\]{2}|[/\\](?:\.|%2e){1,2}(?:[/\\;]|$)", re.IGNORECASE)

# Segments of letters, digits, _ and - need no other check, which takes four times as long.
is_simple_path: Final = re.compile(r"(?:/[\w-]+)+", re.ASCII).fullmatch


def is_plain_path(path: str) -> bool:
    """Return whether a path, which may have a query, starts with a slash and stays where it points."""
    return _CLIMBING.search(path.partition("?")[0]) is None


def is_plain_setting(path: str) -> bool:
    """Return whether a configured path is plain, also with its escapes decoded."""
    return is_plain_path(path) and is_plain_path(unquote(path))


def check_path(name: str, path: object) -> None:
    """Refuse a path of a resource that no request could be sent to.

    Raises:
        ConfigurationError: names the argument.
    """
    # To the path of objects, a key is appended after a slash.
    end, ending = ("", " and not end with /") if name == "get_path" else ("/", "")
    is_path = isinstance(path, str) and PATH.fullmatch(path.removesuffix(end)) and is_plain_setting(path)
    if not is_path:
        raise ConfigurationError(
            f"{name} must start with /{ending}, be printable ASCII without a query, fragment or space, and "
            f"have no empty, . or .. segment (escape the rest with %), got {shown(path)}"
        )


def checked_url(url: str, *, allow_insecure_http: bool) -> str:
    """Return a base_url without a trailing slash.

    Raises:
        ConfigurationError: the URL is not valid, or would send the token in the clear.
    """
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ConfigurationError("base_url is not a URL; write it as https://host") from None
    if parts.scheme not in {"http", "https"} or not host:
        raise ConfigurationError("base_url must start with https:// and name a host")
    if parts.username is not None or parts.password is not None:
        raise ConfigurationError("base_url contains credentials; remove them and pass api_key= or token=")
    if "?" in url or "#" in url:
        raise ConfigurationError("base_url must have no query and no fragment")
    if not url.isascii() or not url.strip().isprintable() or " " in url.strip():
        raise ConfigurationError("base_url must be printable ASCII; write an international host in punycode")
    if not _HOST.fullmatch(host) or port == 0:
        raise ConfigurationError("base_url does not name a valid host; write it as https://host")
    if (path := parts.path.rstrip("/")) and not is_plain_setting(path):
        raise ConfigurationError("base_url must have no empty, . or .. segment")
    if parts.scheme == "http" and not (_is_loopback(host) or allow_insecure_http):
        raise ConfigurationError(
            "base_url is http:// to another machine, which would send the token in the clear; "
            "use https://, or pass allow_insecure_http=True"
        )
    return url.strip().rstrip("/")


def check_proxy(url: str) -> None:
    """Refuse a value that is not the URL of a proxy.

    It may contain credentials, so it is not quoted.

    Raises:
        ConfigurationError: names the option.
    """
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


@functools.lru_cache(maxsize=64)
def server_name(url: str) -> str:
    """Return a server's URL without its port: a sandbox has another one after each start.

    So servers on different ports of one host have the same name.
    """
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}{parts.path}"
