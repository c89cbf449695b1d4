"""Rows and objects of the API as msgspec Structs, one module per resource."""

# ruff: noqa: F403 (the ``__all__`` of each module is the one list of its names)

from aiwyn_async.models import (
    base,
    clients,
    common,
    contacts,
    draft_invoices,
    engagements,
    event_subscriptions,
    invoices,
    payments,
    projects,
    records,
    staff,
    wip,
)
from aiwyn_async.models.base import *
from aiwyn_async.models.clients import *
from aiwyn_async.models.common import *
from aiwyn_async.models.contacts import *
from aiwyn_async.models.draft_invoices import *
from aiwyn_async.models.engagements import *
from aiwyn_async.models.event_subscriptions import *
from aiwyn_async.models.invoices import *
from aiwyn_async.models.payments import *
from aiwyn_async.models.projects import *
from aiwyn_async.models.records import *
from aiwyn_async.models.staff import *
from aiwyn_async.models.wip import *

__all__: list[str] = []
__all__ += base.__all__
__all__ += clients.__all__
__all__ += common.__all__
__all__ += contacts.__all__
__all__ += draft_invoices.__all__
__all__ += engagements.__all__
__all__ += event_subscriptions.__all__
__all__ += invoices.__all__
__all__ += payments.__all__
__all__ += projects.__all__
__all__ += records.__all__
__all__ += staff.__all__
__all__ += wip.__all__
