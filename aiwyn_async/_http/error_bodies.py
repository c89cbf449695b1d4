"""Why a server refuses a request, from the body of its response.

The API documents ``meta.message`` and no further error body. The other shapes are those of GraphQL, OAuth,
problem+json, FastAPI, ASP.NET, Rails and API gateways.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, cast

# Most specific first. Compared in lower case and without separators, so that Message and errorMessage fit.
_KEYS: Final = (
    "errors",
    "message",
    "errormessage",
    "msg",
    "title",
    "detail",
    "details",
    "errordescription",
    "reason",
    "description",
    "error",
    "fault",
    "faultstring",
    "meta",
)
MAX_DEPTH: Final = 4
MAX_ENTRIES: Final = 5
"""Maximum entries of one list or object, and maximum texts that are joined."""
MAX_TEXT: Final = 1000
MAX_KEYS: Final = 200


def find_reason(body: object) -> str:
    """Return the reason in a decoded error body, or ''; not yet printable.

    The search is bounded in depth and breadth.
    """
    texts = itertools.islice(_texts(body, MAX_DEPTH), MAX_ENTRIES * 2)
    reasons: list[str] = []
    for text in texts:
        stripped = text[:MAX_TEXT].strip()
        if stripped and not any(stripped in other for other in reasons):
            reasons.append(stripped)
    return "; ".join(reasons[:MAX_ENTRIES])


def says_failure(body: Mapping[str, Any]) -> bool:
    """Return whether an envelope or its ``meta`` has ``success: false``.

    A body with an ``id`` is an object of the API, which may have a field of that name.
    """
    meta = body.get("meta")
    layers = [body, cast("dict[str, Any]", meta)] if isinstance(meta, dict) else [body]
    return "id" not in body and any(layer.get("success") is False for layer in layers)


def failure_reason(body: Mapping[str, Any]) -> str:
    """Return the reason of an envelope that says ``success: false``."""
    return find_reason(body) or find_reason(body.get("data"))


def _texts(value: object, depth: int) -> Iterator[str]:
    """Yield the texts of a reason, those of the most specific keys first."""
    if isinstance(value, str):
        yield value
    elif depth and isinstance(value, list):
        for entry in cast("Sequence[object]", value)[:MAX_ENTRIES]:
            if not isinstance(entry, list):
                yield from _texts(entry, depth - 1)
    elif depth and isinstance(value, dict):
        yield from _texts_of_object(cast("Mapping[str, object]", value), depth - 1)


def _texts_of_object(fields: Mapping[str, object], depth: int) -> Iterator[str]:
    subject = _subject(fields)
    if subject:
        text = next(_named_texts(fields, depth), "")
        if text:
            yield f"{subject}: {text}"
        return
    yield from _named_texts(fields, depth)


def _named_texts(fields: Mapping[str, object], depth: int) -> Iterator[str]:
    by_name: dict[str, object] = {}
    for key, value in itertools.islice(fields.items(), MAX_KEYS):
        by_name.setdefault(key.lower().replace("_", "").replace("-", ""), value)
    for name in _KEYS:
        value = by_name.get(name)
        if name == "errors" and isinstance(value, dict):
            yield from _texts_by_field(cast("Mapping[str, object]", value), depth)
        elif value is not None:
            yield from _texts(value, depth)


def _texts_by_field(errors: Mapping[str, object], depth: int) -> Iterator[str]:
    """Yield ``field: text`` for each error by field, or the texts of one error."""
    is_one_error = False
    for text in _named_texts(errors, depth):
        is_one_error = True
        yield text
    if is_one_error or not depth:
        return
    for field, value in itertools.islice(errors.items(), MAX_ENTRIES):
        text = next(_texts(value, depth), "")
        if text:
            yield f"{field}: {text}"


def _subject(fields: Mapping[str, object]) -> str:
    """Return the subject of an error: FastAPI's ``loc``, ``field`` or ``path``."""
    for key in ("loc", "field", "path"):
        value = fields.get(key)
        if isinstance(value, list):
            parts = cast("Sequence[object]", value)[: MAX_ENTRIES * 2]
            return ".".join(str(part)[:80] for part in parts if isinstance(part, (str, int)))
        if isinstance(value, str) and key == "field":
            return value
    return ""
