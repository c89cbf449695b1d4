"""Event subscriptions (webhooks).

https://api.doc.aiwyn.ai/bundle/event-subscriptions/getsubscriptionsecret.

Only the path of the catalog is documented. The other paths, the methods and all keys are inferred; the first
use of each emits a warning.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

import msgspec

from aiwyn_async._core.checks import check_flag, check_kind, shown
from aiwyn_async._http.messages import Request, Response, RetryClass, encode_json, path_segment
from aiwyn_async._http.session import Session
from aiwyn_async._resources.arguments import as_body, extra_fields
from aiwyn_async._resources.objects import decode_response
from aiwyn_async.config import Secret
from aiwyn_async.errors import ConfigurationError, DecodeError
from aiwyn_async.models.base import Id
from aiwyn_async.models.event_subscriptions import EventOperation, EventSubscription

OPERATIONS: Final = {"CREATE", "UPDATE", "DELETE"}


class EventSubscriptions:
    """``aiwyn.event_subscriptions``. A retry never creates a second subscription."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def catalog(self) -> dict[str, Any]:
        """Return the events to subscribe to, as JSON.

        The documented sample is an empty object.

        Raises:
            RequestError: see ``errors``.
        """
        kind: type[dict[str, Any]] = dict
        return decode_response(self._session, *await self._call("catalog", "GET", "/catalog"), kind)

    async def create(
        self,
        *,
        target_url: str,
        entity_types: Sequence[str],
        operations: Sequence[EventOperation] = ("CREATE", "UPDATE", "DELETE"),
        extra: Mapping[str, object] | None = None,
    ) -> EventSubscription:
        """Subscribe a URL to operations on entity types.

        Args:
            target_url: where deliveries are sent.
            entity_types: names from the catalog.
            operations: CREATE, UPDATE, DELETE.
            extra: more fields of the body, which is not documented.

        Raises:
            ConfigurationError: an argument is invalid; nothing was sent.
            RequestError: see ``errors``; if ``ambiguous`` is True, check before you create it again.
        """
        body = _picked(target_url=target_url, entity_types=entity_types, operations=operations)
        if not entity_types or not operations:
            raise ConfigurationError("a subscription needs at least one entity type and one operation")
        sent = await self._call("create", "POST", "", body | extra_fields(extra))
        return decode_response(self._session, *sent, EventSubscription)

    async def update(
        self,
        subscription_id: Id,
        *,
        target_url: str | None = None,
        entity_types: Sequence[str] | None = None,
        operations: Sequence[EventOperation] | None = None,
        active: bool | None = None,
        extra: Mapping[str, object] | None = None,
    ) -> EventSubscription:
        """Change the passed fields of a subscription.

        Raises:
            ConfigurationError: nothing to change, or an argument is wrong; nothing was sent.
            RequestError: see ``errors``.
        """
        body = _picked(target_url=target_url, entity_types=entity_types, operations=operations, active=active)
        body |= extra_fields(extra)
        if not body:
            raise ConfigurationError("update() has nothing to change; pass a field to change")
        sent = await self._call("update", "PUT", "/{id}", body, key=_segment(subscription_id))
        return decode_response(self._session, *sent, EventSubscription)

    async def deactivate(self, subscription_id: Id) -> None:
        """End a subscription.

        Raises:
            RequestError: see ``errors``.
        """
        await self._call("deactivate", "DELETE", "/{id}", key=_segment(subscription_id))

    async def secret(self, subscription_id: Id) -> Secret:
        """Return the secret that deliveries are signed with.

        ``reveal()`` returns its text.

        Raises:
            DecodeError: the response has no text under ``secret``.
            RequestError: see ``errors``.
        """
        request, response = await self._call("secret", "GET", "/{id}/secret", key=_segment(subscription_id))
        secret = _secret_in(response.body)
        if secret is None:
            raise DecodeError("the response contains no secret", method="GET", path=request.path)
        return secret

    async def _call(
        self, verb: str, method: str, below: str, body: dict[str, object] | None = None, *, key: str = ""
    ) -> tuple[Request, Response]:
        if verb != "catalog":
            self._session.warn_undocumented(
                f"event_subscriptions.{verb}", f"{method} /event-subscriptions{below}"
            )
        path = f"{self._session.config.api_prefix}/event-subscriptions"
        request = Request(
            method=method,
            path=path + below.replace("{id}", key),
            template=path + below,
            body=None if body is None else encode_json(as_body(body)),
            retry_class=RetryClass.READ if method == "GET" else RetryClass.WRITE,
        )
        return request, await self._session.call(request)


def _segment(subscription_id: Id) -> str:
    return path_segment(subscription_id, what="subscription_id")


def _secret_in(body: bytes) -> Secret | None:
    """Return the secret in a response; never raises, since this frame has its text."""
    try:
        response = _secret_response.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    text = response.secret or (response.data.secret if response.data is not None else None)
    return Secret(text) if text and text.isascii() and text.strip() else None


class _HasSecret(msgspec.Struct):
    secret: str | None = None


class _SecretResponse(msgspec.Struct):
    secret: str | None = None
    data: _HasSecret | None = None


_secret_response: Final = msgspec.json.Decoder(_SecretResponse)


def _picked(
    *,
    target_url: str | None,
    entity_types: Sequence[str] | None,
    operations: Sequence[str] | None,
    active: bool | None = None,
) -> dict[str, object]:
    is_url = isinstance(target_url, str) and target_url.startswith(("https://", "http://"))
    if target_url is not None and not is_url:
        raise ConfigurationError("target_url must start with https:// or http://")
    for name, texts in (("entity_types", entity_types), ("operations", operations)):
        if texts is not None and not isinstance(texts, (list, tuple, set, frozenset)):
            raise ConfigurationError(
                f"{name} must be a list of texts, such as ['invoice'], not {type(texts).__name__}"
            )
    for operation in cast("Sequence[object]", operations or ()):
        if not isinstance(operation, str) or operation not in OPERATIONS:
            raise ConfigurationError(f"operations must be CREATE, UPDATE or DELETE, got {shown(operation)}")
    for entity_type in entity_types or ():
        check_kind("entity_types", entity_type, str, "a list of texts")
    if active is not None:
        active = check_flag("active", active)
    named = {"targetUrl": target_url, "entityTypes": entity_types, "operations": operations, "active": active}
    return {key: value for key, value in named.items() if value is not None}
