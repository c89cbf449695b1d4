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
    *("errors", "modelstate", "validationerrors", "fielderrors", "violations", "invalidparams", "issues"),
    *("message", "messages", "errormessage", "errormessages", "errormsg", "msg"),
    *("title", "detail", "details", "errordescription", "reason", "description"),
    *("error", "fault", "faultstring", "meta"),
)
_BY_FIELD: Final = {"errors", "modelstate", "validationerrors", "fielderrors"}
"""Of these, an object has the errors of each field."""
MAX_DEPTH: Final = 4
MAX_ENTRIES: Final = 5
"""Maximum entries of one list or object, and maximum texts that are joined."""
MAX_TEXT: Final = 1000
MAX_KEYS: Final = 200


def find_reason(body: object) -> str:
    """Return the reason in a decoded error body, or ''; not yet printable. Bounded in depth and breadth."""
    return _joined(_texts(body, MAX_DEPTH))


def find_text(body: object) -> str:
    """Return the reason in a decoded error body, or its first texts with their keys if no key is known."""
    return find_reason(body) or _joined(_texts_with_keys(body, "", MAX_DEPTH))


def _joined(found_texts: Iterator[str]) -> str:
    reasons: list[str] = []
    for text in itertools.islice(found_texts, MAX_ENTRIES * 2):
        stripped = text[:MAX_TEXT].strip()
        if stripped and not any(stripped in other for other in reasons):
            reasons.append(stripped)
    return "; ".join(reasons[:MAX_ENTRIES])


def says_failure(body: Mapping[str, Any]) -> bool:
    """Return whether an envelope or its ``meta`` has ``success: false`` or ``Success: false``.

    A body with an ``id`` is an object of the API, which may have a field of that name.
    """
    layers = [body]
    for key, value in body.items():
        if key.lower() == "meta" and isinstance(value, dict):
            layers.append(cast("Mapping[str, Any]", value))
    return not any(key.lower() == "id" for key in body) and any(
        key.lower() == "success" and value is False for layer in layers for key, value in layer.items()
    )


def failure_reason(body: Mapping[str, Any]) -> str:
    """Return the reason of an envelope that says ``success: false``."""
    return find_reason(body) or find_reason(body.get("data")) or find_text(body)


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


def _texts_with_keys(value: object, at: str, depth: int) -> Iterator[str]:
    """Yield ``key.key: text`` for each text in a value."""
    if isinstance(value, str):
        yield f"{at}: {value}" if at and value.strip() else value
    elif depth and isinstance(value, list):
        for entry in cast("Sequence[object]", value)[:MAX_ENTRIES]:
            if not isinstance(entry, list):
                yield from _texts_with_keys(entry, at, depth - 1)
    elif depth and isinstance(value, dict):
        fields = cast("Mapping[str, object]", value)
        for key, entry in itertools.islice(fields.items(), MAX_KEYS):
            yield from _texts_with_keys(entry, f"{at}.{key[:80]}".lstrip("."), depth - 1)


def _texts_of_object(fields: Mapping[str, object], depth: int) -> Iterator[str]:
    texts = _named_texts(fields, depth)
    subject = _subject(fields)
    if not subject:
        yield from texts
    elif text := next(texts, ""):
        yield f"{subject}: {text}"


def _named_texts(fields: Mapping[str, object], depth: int) -> Iterator[str]:
    by_name: dict[str, object] = {}
    for key, value in itertools.islice(fields.items(), MAX_KEYS):
        by_name.setdefault(key.lower().replace("_", "").replace("-", ""), value)
    for name in _KEYS:
        value = by_name.get(name)
        if name in _BY_FIELD and isinstance(value, dict):
            yield from _texts_by_field(cast("Mapping[str, object]", value), depth)
        elif value is not None:
            yield from _texts(value, depth)


def _texts_by_field(errors: Mapping[str, object], depth: int) -> Iterator[str]:
    """Yield ``field: text`` for each error by field, or the texts of one error."""
    texts = _named_texts(errors, depth)
    first = next(texts, None)
    if first is not None:
        yield first
        yield from texts
    elif depth:
        for field, value in itertools.islice(errors.items(), MAX_ENTRIES):
            if text := next(_texts(value, depth), ""):
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
