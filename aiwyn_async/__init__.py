"""An async-first Python SDK for the Aiwyn API: a read is complete, or it says exactly what is missing.

Names that need aiohttp are imported on first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from aiwyn_async._core.reports import (
    KeyRange,
    ListReport,
    MissingRange,
    PullReport,
    ReadReport,
    StopReason,
)
from aiwyn_async._version import __version__
from aiwyn_async.config import (
    DEMO_URL,
    STAGING_URL,
    Clock,
    Config,
    EndpointOverride,
    Secret,
    SystemClock,
    TokenProvider,
)
from aiwyn_async.errors import (
    AiwynError,
    ApiError,
    Attempt,
    AuthenticationError,
    CheckpointError,
    ClientClosedError,
    ConfigurationError,
    ConflictError,
    DeadlineExceededError,
    DecodeError,
    ExportError,
    IncompleteError,
    InvalidRequestError,
    LoopMismatchError,
    NotFoundError,
    PaginationError,
    PaginationLoopError,
    PartialWriteError,
    PermissionDeniedError,
    ProtocolError,
    RateLimitError,
    RedirectRefusedError,
    RequestError,
    ResponseMismatchError,
    ResponseTooLargeError,
    ServerError,
    StatusError,
    StorageError,
    StorageWarning,
    TokenExchangeError,
    TransportError,
    UndocumentedEndpointWarning,
    WebhookVerificationError,
)
from aiwyn_async.filters import (
    F,
)
from aiwyn_async.models import (
    Address,
    Client,
    ClientDetail,
    ClientEngagement,
    ClientFinancialSummary,
    ClientPrimaryContact,
    ClientSearchRow,
    CommunicationPreferences,
    Contact,
    ContactDetail,
    DraftInvoiceClient,
    DraftInvoiceDetail,
    DraftInvoiceHistory,
    DraftInvoiceHistorySearchRow,
    DraftInvoiceLineItem,
    DraftInvoiceReview,
    DraftInvoiceSummary,
    Engagement,
    EngagementDetail,
    EngagementProject,
    EngagementSearchRow,
    EventOperation,
    EventSubscription,
    Id,
    Invoice,
    InvoiceDetail,
    InvoiceDetailStatus,
    InvoiceLineItem,
    InvoicePayment,
    InvoiceSearchRow,
    InvoiceStatus,
    LineItem,
    Model,
    Payment,
    PaymentDetail,
    PaymentMethod,
    PaymentStatus,
    Project,
    ProjectDetail,
    ProjectMilestone,
    Record,
    RecordOutcome,
    RecordType,
    RecordTypeField,
    StaffMember,
    StaffMemberDetail,
    StaffMemberSearchRow,
    TeamMember,
    WipApproval,
    WipEntry,
    WipEntryDetail,
    WipEntrySearchRow,
    WriteReport,
)

if TYPE_CHECKING:
    from aiwyn_async._changes.bookmarks import (
        FileState,
        StateBackend,
    )
    from aiwyn_async._changes.changes import (
        Changes,
    )
    from aiwyn_async._changes.reconcile import (
        KeyDiff,
    )
    from aiwyn_async._decoding.envelope import (
        BadRow,
        OnBadRow,
    )
    from aiwyn_async._decoding.lazy import (
        deferred,
    )
    from aiwyn_async._decoding.plain_types import (
        materialize,
    )
    from aiwyn_async._pagination.iteration import (
        Iteration,
    )
    from aiwyn_async._pagination.page import (
        Checkpoint,
        Page,
        PageMeta,
    )
    from aiwyn_async._pagination.pager import (
        Pager,
    )
    from aiwyn_async._pull.progress import (
        Progress,
        RangeProgress,
    )
    from aiwyn_async._pull.pull import (
        Pull,
    )
    from aiwyn_async._resources.clients import (
        Clients,
    )
    from aiwyn_async._resources.collection import (
        Collection,
        ListOptions,
        LookupResult,
        PullOptions,
        SearchableCollection,
    )
    from aiwyn_async._resources.contacts import (
        Contacts,
    )
    from aiwyn_async._resources.draft_invoices import (
        DraftInvoices,
    )
    from aiwyn_async._resources.engagements import (
        Engagements,
    )
    from aiwyn_async._resources.event_subscriptions import (
        EventSubscriptions,
    )
    from aiwyn_async._resources.invoices import (
        Invoices,
    )
    from aiwyn_async._resources.payments import (
        Payments,
    )
    from aiwyn_async._resources.projects import (
        Projects,
    )
    from aiwyn_async._resources.record_types import (
        RecordTypes,
    )
    from aiwyn_async._resources.records import (
        Records,
        RecordWrite,
    )
    from aiwyn_async._resources.staff import (
        Staff,
    )
    from aiwyn_async._resources.untyped import (
        UntypedCollection,
    )
    from aiwyn_async._resources.wip import (
        Wip,
    )
    from aiwyn_async.arrow import (
        ArrowStream,
    )
    from aiwyn_async.client import (
        AiwynClient,
        CallOptions,
        ClientOptions,
    )

_LAZY = {
    "FileState": "_changes.bookmarks",
    "StateBackend": "_changes.bookmarks",
    "Changes": "_changes.changes",
    "KeyDiff": "_changes.reconcile",
    "BadRow": "_decoding.envelope",
    "OnBadRow": "_decoding.envelope",
    "deferred": "_decoding.lazy",
    "materialize": "_decoding.plain_types",
    "Iteration": "_pagination.iteration",
    "Checkpoint": "_pagination.page",
    "Page": "_pagination.page",
    "PageMeta": "_pagination.page",
    "Pager": "_pagination.pager",
    "Progress": "_pull.progress",
    "RangeProgress": "_pull.progress",
    "Pull": "_pull.pull",
    "Clients": "_resources.clients",
    "Collection": "_resources.collection",
    "ListOptions": "_resources.collection",
    "LookupResult": "_resources.collection",
    "PullOptions": "_resources.collection",
    "SearchableCollection": "_resources.collection",
    "Contacts": "_resources.contacts",
    "DraftInvoices": "_resources.draft_invoices",
    "Engagements": "_resources.engagements",
    "EventSubscriptions": "_resources.event_subscriptions",
    "Invoices": "_resources.invoices",
    "Payments": "_resources.payments",
    "Projects": "_resources.projects",
    "RecordTypes": "_resources.record_types",
    "RecordWrite": "_resources.records",
    "Records": "_resources.records",
    "Staff": "_resources.staff",
    "UntypedCollection": "_resources.untyped",
    "Wip": "_resources.wip",
    "ArrowStream": "arrow",
    "AiwynClient": "client",
    "CallOptions": "client",
    "ClientOptions": "client",
}

__all__ = [
    "DEMO_URL",
    "STAGING_URL",
    "Address",
    "AiwynClient",
    "AiwynError",
    "ApiError",
    "ArrowStream",
    "Attempt",
    "AuthenticationError",
    "BadRow",
    "CallOptions",
    "Changes",
    "Checkpoint",
    "CheckpointError",
    "Client",
    "ClientClosedError",
    "ClientDetail",
    "ClientEngagement",
    "ClientFinancialSummary",
    "ClientOptions",
    "ClientPrimaryContact",
    "ClientSearchRow",
    "Clients",
    "Clock",
    "Collection",
    "CommunicationPreferences",
    "Config",
    "ConfigurationError",
    "ConflictError",
    "Contact",
    "ContactDetail",
    "Contacts",
    "DeadlineExceededError",
    "DecodeError",
    "DraftInvoiceClient",
    "DraftInvoiceDetail",
    "DraftInvoiceHistory",
    "DraftInvoiceHistorySearchRow",
    "DraftInvoiceLineItem",
    "DraftInvoiceReview",
    "DraftInvoiceSummary",
    "DraftInvoices",
    "EndpointOverride",
    "Engagement",
    "EngagementDetail",
    "EngagementProject",
    "EngagementSearchRow",
    "Engagements",
    "EventOperation",
    "EventSubscription",
    "EventSubscriptions",
    "ExportError",
    "F",
    "FileState",
    "Id",
    "IncompleteError",
    "InvalidRequestError",
    "Invoice",
    "InvoiceDetail",
    "InvoiceDetailStatus",
    "InvoiceLineItem",
    "InvoicePayment",
    "InvoiceSearchRow",
    "InvoiceStatus",
    "Invoices",
    "Iteration",
    "KeyDiff",
    "KeyRange",
    "LineItem",
    "ListOptions",
    "ListReport",
    "LookupResult",
    "LoopMismatchError",
    "MissingRange",
    "Model",
    "NotFoundError",
    "OnBadRow",
    "Page",
    "PageMeta",
    "Pager",
    "PaginationError",
    "PaginationLoopError",
    "PartialWriteError",
    "Payment",
    "PaymentDetail",
    "PaymentMethod",
    "PaymentStatus",
    "Payments",
    "PermissionDeniedError",
    "Progress",
    "Project",
    "ProjectDetail",
    "ProjectMilestone",
    "Projects",
    "ProtocolError",
    "Pull",
    "PullOptions",
    "PullReport",
    "RangeProgress",
    "RateLimitError",
    "ReadReport",
    "Record",
    "RecordOutcome",
    "RecordType",
    "RecordTypeField",
    "RecordTypes",
    "RecordWrite",
    "Records",
    "RedirectRefusedError",
    "RequestError",
    "ResponseMismatchError",
    "ResponseTooLargeError",
    "SearchableCollection",
    "Secret",
    "ServerError",
    "Staff",
    "StaffMember",
    "StaffMemberDetail",
    "StaffMemberSearchRow",
    "StateBackend",
    "StatusError",
    "StopReason",
    "StorageError",
    "StorageWarning",
    "SystemClock",
    "TeamMember",
    "TokenExchangeError",
    "TokenProvider",
    "TransportError",
    "UndocumentedEndpointWarning",
    "UntypedCollection",
    "WebhookVerificationError",
    "Wip",
    "WipApproval",
    "WipEntry",
    "WipEntryDetail",
    "WipEntrySearchRow",
    "WriteReport",
    "__version__",
    "deferred",
    "materialize",
]


def __getattr__(name: str) -> object:
    module = _LAZY.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{module}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
