"""Event subscriptions.

Source: https://api.doc.aiwyn.ai/bundle/event-subscriptions/getsubscriptionsecret.

The documentation has the path of the catalog, and that a subscription selects entity types and operations
(CREATE, UPDATE, DELETE). All names here are inferred, and every field is optional.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from aiwyn_async.models.base import Id, Model

__all__ = ["EventOperation", "EventSubscription"]

EventOperation = Literal["CREATE", "UPDATE", "DELETE"]


class EventSubscription(Model, frozen=True, kw_only=True, gc=False):
    """A subscription to events, delivered to ``target_url``."""

    id: Id | None = None
    target_url: str | None = None
    entity_types: tuple[str, ...] | None = None
    operations: tuple[str, ...] | None = None
    description: str | None = None
    active: bool | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
