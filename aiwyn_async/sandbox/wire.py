"""What the writing routes answer, as types: the description of the API is made from them."""

from typing import Any, Literal

import msgspec

from .records import RecordTypeField

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
    """Why a request or a record was refused."""

    code: str
    message: str


class EnvelopeMeta(msgspec.Struct):
    """What every answer of /api/v1 tells of itself."""

    success: bool
    message: str
    timestamp: str
    version: str


class RecordSummary(msgspec.Struct):
    """How many records came to what. Only `failed` is named in the documents."""

    total: int
    created: int
    updated: int
    failed: int


class RecordResult(msgspec.Struct, rename="camel"):
    """What came of one record, in the order they were sent."""

    type: str
    system_ref: Any
    status: Literal["CREATED", "UPDATED", "FAILED"]
    id: int | msgspec.UnsetType = msgspec.UNSET
    error: ErrorInfo | msgspec.UnsetType = msgspec.UNSET


class RecordsData(msgspec.Struct):
    """What came of a bulk write: look at `summary.failed`, the status is 200 either way."""

    summary: RecordSummary
    records: list[RecordResult]


class RecordsResponse(msgspec.Struct):
    """The answer to a bulk write."""

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
    """What can be subscribed to."""

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
    """What deliveries of a subscription are signed with."""

    secret: str


class SecretResponse(msgspec.Struct):
    """A signing secret in its envelope."""

    data: SigningSecret
    error: ErrorInfo | None
    meta: EnvelopeMeta


class FailureResponse(msgspec.Struct):
    """A refusal by /api/v1. The documents list statuses and no body; `data` is null here."""

    data: dict[str, Any] | None
    error: ErrorInfo
    meta: EnvelopeMeta


class ErrorExtensions(msgspec.Struct):
    """The code of an error, as Hasura words it."""

    code: str


class GraphQLError(msgspec.Struct):
    """One error."""

    message: str
    extensions: ErrorExtensions


class ErrorsResponse(msgspec.Struct):
    """A refusal by /gql/v1 or /v1, as Hasura words it. The documents show no error body."""

    errors: list[GraphQLError]


class TokenRequest(msgspec.Struct, rename="camel"):
    """A key to exchange."""

    jwt_api_key: str


class TokenResponse(msgspec.Struct, rename="camel"):
    """A bearer token."""

    token: str
    expires_in: float
