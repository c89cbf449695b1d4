"""Check and complete requests that a user makes, for ``AiwynClient.request()``."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from aiwyn_async._core.checks import check_kind, shown
from aiwyn_async._http.messages import Request, RetryClass
from aiwyn_async.errors import ConfigurationError

FIELDS: Final[tuple[tuple[str, type[Any], str], ...]] = (
    ("method", str, "a str such as GET"),
    ("path", str, "a str such as /v1/whatever"),
    ("body", bytes, "bytes, such as those of JSON"),
    ("retry_class", RetryClass, "RetryClass.READ or RetryClass.WRITE"),
    ("authorised", bool, "True or False"),
    ("template", str, "a str such as /v1/whatever/{id}"),
)


def prepare_own(request: Request, reads: str) -> Request:
    """Return a request with its retry class and template; ``reads`` is the prefix below which POST reads.

    Raises:
        ConfigurationError: it is not a ``Request``, or one of its fields has another type. An error of
            aiohttp would have frames that hold the token.
    """
    check_kind("request", request, Request, "a Request")
    for name, kind, hint in FIELDS:
        value = getattr(request, name)
        if value is not None or name not in {"body", "retry_class", "template"}:
            check_kind(f"{name} of a Request", value, kind, hint)
    if not (request.method.isascii() and request.method.isalpha()):
        raise ConfigurationError(
            f"method of a Request must be a word such as GET, got {shown(request.method)}"
        )
    method = request.method.upper()
    is_read = method == "GET" or (method == "POST" and request.path.startswith(f"{reads}/"))
    return msgspec.structs.replace(
        request,
        retry_class=request.retry_class or (RetryClass.READ if is_read else RetryClass.WRITE),
        # Unlike in other requests, any part of the path may be variable.
        template="" if request.template is None else request.template,
    )
