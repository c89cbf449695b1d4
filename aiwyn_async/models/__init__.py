"""Rows and objects of the API as msgspec Structs, one module per resource."""

# ruff: noqa: F403 (the ``__all__`` of each module is the one list of its names)

import typing

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

if not typing.TYPE_CHECKING:  # without the modules, whose names a star import would bind too
    __all__ = [name for name in dir() if name[0].isupper()]
