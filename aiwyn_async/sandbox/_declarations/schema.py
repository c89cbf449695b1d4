"""All resources, in the order of generation.

A resource is one declaration in ``resources`` and one name here. Handlers, conditions, faults and drift read
the declarations and, with few exceptions, name no resource.
"""

from aiwyn_async.sandbox._declarations.declarations import Resource
from aiwyn_async.sandbox._declarations.resources.clients import CLIENTS
from aiwyn_async.sandbox._declarations.resources.contacts import CONTACTS
from aiwyn_async.sandbox._declarations.resources.drafts import DRAFT_HISTORIES, DRAFT_INVOICES
from aiwyn_async.sandbox._declarations.resources.engagements import ENGAGEMENTS
from aiwyn_async.sandbox._declarations.resources.invoices import INVOICES
from aiwyn_async.sandbox._declarations.resources.payments import PAYMENTS
from aiwyn_async.sandbox._declarations.resources.projects import PROJECTS
from aiwyn_async.sandbox._declarations.resources.reference import (
    DEPARTMENTS,
    INDUSTRIES,
    JOB_TEMPLATES,
    OFFICES,
    SERVICE_LINES,
    reference_resource,
)
from aiwyn_async.sandbox._declarations.resources.staff import STAFF
from aiwyn_async.sandbox._declarations.resources.wip import WIP

__all__ = ["CLIENTS", "INVOICES", "PAYMENTS", "RESOURCES"]

_IN_ORDER = (
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
    reference_resource("jobs", of=PROJECTS, mirrors=True, foreign={"clientId": (CLIENTS, "client_id")}),
    reference_resource("client_business_entities", of=CLIENTS, foreign={"clientId": (CLIENTS, "id")}),
    reference_resource(
        "contact_clients",
        of=CONTACTS,
        foreign={"contactId": (CONTACTS, "id"), "clientId": (CLIENTS, "client_id")},
    ),
    reference_resource(
        "contact_infos", ("EMAIL", "PHONE"), of=CONTACTS, foreign={"contactId": (CONTACTS, "id")}
    ),
    reference_resource("last_miles", ("Delivered",), of=PROJECTS, foreign={"jobId": (PROJECTS, "id")}),
)

RESOURCES: dict[str, Resource] = {resource.name: resource for resource in _IN_ORDER}
