"""Rows and objects of the API as msgspec Structs, one module per resource."""

from aiwyn_async.models.base import (
    Id,
    Model,
)
from aiwyn_async.models.clients import (
    Client,
    ClientDetail,
    ClientEngagement,
    ClientFinancialSummary,
    ClientPrimaryContact,
    ClientSearchRow,
)
from aiwyn_async.models.common import (
    Address,
    LineItem,
    TeamMember,
)
from aiwyn_async.models.contacts import (
    CommunicationPreferences,
    Contact,
    ContactDetail,
)
from aiwyn_async.models.draft_invoices import (
    DraftInvoiceClient,
    DraftInvoiceDetail,
    DraftInvoiceHistory,
    DraftInvoiceHistorySearchRow,
    DraftInvoiceLineItem,
    DraftInvoiceReview,
    DraftInvoiceSummary,
)
from aiwyn_async.models.engagements import (
    Engagement,
    EngagementDetail,
    EngagementProject,
    EngagementSearchRow,
)
from aiwyn_async.models.event_subscriptions import (
    EventOperation,
    EventSubscription,
)
from aiwyn_async.models.invoices import (
    Invoice,
    InvoiceDetail,
    InvoiceDetailStatus,
    InvoiceLineItem,
    InvoicePayment,
    InvoiceSearchRow,
    InvoiceStatus,
    PaymentStatus,
)
from aiwyn_async.models.payments import (
    Payment,
    PaymentDetail,
    PaymentMethod,
)
from aiwyn_async.models.projects import (
    Project,
    ProjectDetail,
    ProjectMilestone,
)
from aiwyn_async.models.records import (
    Record,
    RecordOutcome,
    RecordType,
    RecordTypeField,
    WriteReport,
)
from aiwyn_async.models.staff import (
    StaffMember,
    StaffMemberDetail,
    StaffMemberSearchRow,
)
from aiwyn_async.models.wip import (
    WipApproval,
    WipEntry,
    WipEntryDetail,
    WipEntrySearchRow,
)

__all__ = [
    "Address",
    "Client",
    "ClientDetail",
    "ClientEngagement",
    "ClientFinancialSummary",
    "ClientPrimaryContact",
    "ClientSearchRow",
    "CommunicationPreferences",
    "Contact",
    "ContactDetail",
    "DraftInvoiceClient",
    "DraftInvoiceDetail",
    "DraftInvoiceHistory",
    "DraftInvoiceHistorySearchRow",
    "DraftInvoiceLineItem",
    "DraftInvoiceReview",
    "DraftInvoiceSummary",
    "Engagement",
    "EngagementDetail",
    "EngagementProject",
    "EngagementSearchRow",
    "EventOperation",
    "EventSubscription",
    "Id",
    "Invoice",
    "InvoiceDetail",
    "InvoiceDetailStatus",
    "InvoiceLineItem",
    "InvoicePayment",
    "InvoiceSearchRow",
    "InvoiceStatus",
    "LineItem",
    "Model",
    "Payment",
    "PaymentDetail",
    "PaymentMethod",
    "PaymentStatus",
    "Project",
    "ProjectDetail",
    "ProjectMilestone",
    "Record",
    "RecordOutcome",
    "RecordType",
    "RecordTypeField",
    "StaffMember",
    "StaffMemberDetail",
    "StaffMemberSearchRow",
    "TeamMember",
    "WipApproval",
    "WipEntry",
    "WipEntryDetail",
    "WipEntrySearchRow",
    "WriteReport",
]
