"""The responses of token exchange, writes and errors, as types."""

from typing import Any, Literal

import msgspec

from aiwyn_async.sandbox._data.record_types import RecordTypeField

__all__ = [
    "ErrorsResponse",
    "EventCatalogResponse",
    "FailureResponse",
    "RecordTypeResponse",
    "RecordsResponse",
    "SecretResponse",
    "SubscriptionResponse",
    "TokenRequest",
    "TokenResponse",
]


class ErrorInfo(msgspec.Struct):
    """Why a request or a record was rejected."""

    code: str
    message: str


class EnvelopeMeta(msgspec.Struct):
    """The metadata of every response of `/api/v1`."""

    success: bool
    message: str
    timestamp: str
    version: str


class RecordSummary(msgspec.Struct):
    """Number of records by result. The documentation names `failed` only."""

    total: int
    created: int
    updated: int
    failed: int


class RecordResult(msgspec.Struct, rename="camel"):
    """The result of one record; results are in the order of the request."""

    type: str
    system_ref: Any
    status: Literal["CREATED", "UPDATED", "FAILED"]
    id: int | msgspec.UnsetType = msgspec.UNSET
    error: ErrorInfo | msgspec.UnsetType = msgspec.UNSET


class RecordsData(msgspec.Struct):
    """The results of a bulk write. Check `summary.failed`: the status is 200 even if records failed."""

    summary: RecordSummary
    records: list[RecordResult]


class RecordsResponse(msgspec.Struct):
    """The response to a bulk write."""

    data: RecordsData
    error: ErrorInfo | None
    meta: EnvelopeMeta


class RecordType(msgspec.Struct, rename="camel"):
    """A custom record type."""

    id: int
    name: str
    display_name: str
    description: str | None
    is_custom: bool
    active: bool
    fields: list[RecordTypeField]
    records_url: str | None
    schema_url: str


class RecordTypeResponse(msgspec.Struct):
    """A custom record type in its envelope."""

    data: RecordType
    error: ErrorInfo | None
    meta: EnvelopeMeta


class CatalogEntry(msgspec.Struct):
    """An entity type that can be subscribed to."""

    name: str
    operations: list[Literal["CREATE", "UPDATE", "DELETE"]]


class EventCatalog(msgspec.Struct, rename="camel"):
    """The entity types that can be subscribed to."""

    entity_types: list[CatalogEntry]


class EventCatalogResponse(msgspec.Struct):
    """The event catalog in its envelope."""

    data: EventCatalog
    error: ErrorInfo | None
    meta: EnvelopeMeta


class Subscription(msgspec.Struct, rename="camel"):
    """An event subscription."""

    id: int
    target_url: str
    entity_types: list[str]
    operations: list[Literal["CREATE", "UPDATE", "DELETE"]]
    description: str | None
    active: bool


class SubscriptionResponse(msgspec.Struct):
    """An event subscription in its envelope."""

    data: Subscription
    error: ErrorInfo | None
    meta: EnvelopeMeta


class SigningSecret(msgspec.Struct):
    """The secret that signs the deliveries of a subscription."""

    secret: str


class SecretResponse(msgspec.Struct):
    """A signing secret in its envelope."""

    data: SigningSecret
    error: ErrorInfo | None
    meta: EnvelopeMeta


class FailureResponse(msgspec.Struct):
    """An error of `/api/v1`; `data` is null. The documentation lists statuses but no body."""

    data: dict[str, Any] | None
    error: ErrorInfo
    meta: EnvelopeMeta


class ErrorExtensions(msgspec.Struct):
    """The code of an error, in Hasura's form."""

    code: str


class GraphQLError(msgspec.Struct):
    """One error."""

    message: str
    extensions: ErrorExtensions


class ErrorsResponse(msgspec.Struct):
    """An error of `/gql/v1` or `/v1`, in Hasura's form. The documentation shows no error body."""

    errors: list[GraphQLError]


class TokenRequest(msgspec.Struct, rename="camel"):
    """An API key to exchange for a token."""

    jwt_api_key: str


class TokenResponse(msgspec.Struct, rename="camel"):
    """A bearer token."""

    token: str
    expires_in: float
