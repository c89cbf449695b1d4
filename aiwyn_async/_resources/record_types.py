"""Custom record types.

https://api.doc.aiwyn.ai/bundle/records/createcustomrecordtype.md, updatecustomrecordtype.md (Records).

The documentation names the deactivation of a type without showing it. That it is a DELETE of its path is
inferred.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import NoneType
from typing import Any

import msgspec

from aiwyn_async._core.checks import check_flag, check_kind
from aiwyn_async._http.messages import Request, RetryClass, encode_json, path_segment
from aiwyn_async._http.session import Session
from aiwyn_async._resources.arguments import as_body
from aiwyn_async._resources.objects import decode_response
from aiwyn_async.errors import ConfigurationError
from aiwyn_async.models.records import RecordType, RecordTypeField

FieldInput = RecordTypeField | Mapping[str, Any]


class RecordTypes:
    """``aiwyn.record_types``.

    Requests are repeated only if they cannot have been applied.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    async def create(
        self,
        name: str,
        fields: Sequence[FieldInput],
        *,
        display_name: str | None = None,
        description: str | None = None,
    ) -> RecordType:
        """Define a custom record type.

        Args:
            name: unique; the server's naming convention is not documented.
            fields: each with name, type, required, nullable, referencedEntityType, rank.
            display_name: for people.
            description: for people.

        Raises:
            ConfigurationError: an argument is invalid; nothing was sent.
            RequestError: see ``errors``.
        """
        path_segment(name, what="name")
        body = {"name": name, "fields": _fields(fields)}
        texts = _texts(display_name, description)
        return await self._write(
            "POST", "", body | {key: text for key, text in texts.items() if text is not None}
        )

    async def update(
        self,
        name: str,
        *,
        fields: Sequence[FieldInput] | msgspec.UnsetType = msgspec.UNSET,
        display_name: str | msgspec.UnsetType | None = msgspec.UNSET,
        description: str | msgspec.UnsetType | None = msgspec.UNSET,
        active: bool | msgspec.UnsetType = msgspec.UNSET,
    ) -> RecordType:
        """Change a custom record type; only the passed fields. None clears a text.

        Raises:
            ConfigurationError: nothing to change, or an argument is wrong; nothing was sent.
            NotFoundError: there is no such type.
            RequestError: see ``errors``.
        """
        body: dict[str, Any] = _texts(display_name, description) | {"active": active}
        if active is not msgspec.UNSET:
            body["active"] = check_flag("active", active)
        if fields is not msgspec.UNSET:
            body["fields"] = _fields(fields)
        body = {key: value for key, value in body.items() if value is not msgspec.UNSET}
        if not body:
            raise ConfigurationError(
                "update() has nothing to change; pass fields, display_name, description or active"
            )
        return await self._write("PUT", f"/{path_segment(name, what='name')}", body)

    async def deactivate(self, name: str) -> RecordType:
        """Deactivate a custom record type. Its path and method are inferred.

        Raises:
            NotFoundError: there is no such type.
            RequestError: see ``errors``.
        """
        self._session.warn_undocumented("record_types.deactivate", "DELETE /records/custom/{name}")
        return await self._write("DELETE", f"/{path_segment(name, what='name')}", None)

    async def _write(self, method: str, below: str, body: dict[str, Any] | None) -> RecordType:
        path = f"{self._session.config.api_prefix}/records/custom"
        request = Request(
            method=method,
            path=f"{path}{below}",
            template=f"{path}/{{name}}" if below else path,
            body=None if body is None else encode_json(as_body(body)),
            retry_class=RetryClass.WRITE,
        )
        return decode_response(self._session, request, await self._session.call(request), RecordType)


def _texts(display_name: object, description: object) -> dict[str, object]:
    for name, text in (("display_name", display_name), ("description", description)):
        check_kind(name, text, (str, NoneType, msgspec.UnsetType), "text")
    return {"displayName": display_name, "description": description}


def _fields(fields: Sequence[FieldInput]) -> list[dict[str, Any]]:
    try:
        record_fields = msgspec.convert(
            [msgspec.to_builtins(field) for field in fields], list[RecordTypeField]
        )
    except (msgspec.MsgspecError, TypeError, ValueError, RecursionError) as error:
        raise ConfigurationError(f"fields are malformed: {error}") from None
    nameless = [index for index, field in enumerate(record_fields) if not field.name or not field.type]
    if nameless or not record_fields:
        raise ConfigurationError("fields must have at least one field, each with a name and a type")
    built: list[dict[str, Any]] = msgspec.to_builtins(record_fields)
    return built
