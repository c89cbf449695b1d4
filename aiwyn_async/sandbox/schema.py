"""What the sandbox serves: every tag, in the order their rows are made.

A tag is added by one declaration in `tags` (columns, relations, paths, envelope, paging, filters, and beside
them the SQL of its rows) and its name here. The handlers, the `where` compiler, the oracle, the faults and
the drift read the declarations and know no tag by name.
"""

from .declare import (
    Column,
    DateForm,
    Filter,
    Ids,
    Kind,
    Nested,
    PageMeans,
    Relation,
    Resource,
    Seed,
)
from .tags.clients import CLIENTS
from .tags.contacts import CONTACTS
from .tags.drafts import DRAFT_HISTORIES, DRAFT_INVOICES
from .tags.engagements import ENGAGEMENTS
from .tags.invoices import INVOICES
from .tags.payments import PAYMENTS
from .tags.projects import PROJECTS
from .tags.reference import DEPARTMENTS, INDUSTRIES, JOB_TEMPLATES, OFFICES, SERVICE_LINES, reference
from .tags.staff import STAFF
from .tags.wip import WIP

__all__ = [
    "CLIENTS",
    "INVOICES",
    "PAYMENTS",
    "RESOURCES",
    "Column",
    "DateForm",
    "Filter",
    "Ids",
    "Kind",
    "Nested",
    "PageMeans",
    "Relation",
    "Resource",
    "Seed",
]

_TAGS = (
    DEPARTMENTS,
    OFFICES,
    INDUSTRIES,
    SERVICE_LINES,
    JOB_TEMPLATES,
    STAFF,
    CLIENTS,
    CONTACTS,
    ENGAGEMENTS,
    PROJECTS,
    INVOICES,
    PAYMENTS,
    DRAFT_INVOICES,
    DRAFT_HISTORIES,
    WIP,
    reference("jobs", of=PROJECTS, mirrors=True, foreign={"clientId": (CLIENTS, "client_id")}),
    reference("client_business_entities", of=CLIENTS, foreign={"clientId": (CLIENTS, "id")}),
    reference(
        "contact_clients",
        of=CONTACTS,
        foreign={"contactId": (CONTACTS, "id"), "clientId": (CLIENTS, "client_id")},
    ),
    reference("contact_infos", ("EMAIL", "PHONE"), of=CONTACTS, foreign={"contactId": (CONTACTS, "id")}),
    reference("last_miles", ("Delivered",), of=PROJECTS, foreign={"jobId": (PROJECTS, "id")}),
)

RESOURCES: dict[str, Resource] = {resource.name: resource for resource in _TAGS}
