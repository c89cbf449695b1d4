"""Contacts.

Source: https://api.doc.aiwyn.ai/bundle/contact/getcontactbyid.md (a complete example).

The list is not documented; the fields of its rows are inferred from the detail object.
"""

from __future__ import annotations

from datetime import datetime

from aiwyn_async.models.base import Id, Model
from aiwyn_async.models.common import Address

__all__ = ["CommunicationPreferences", "Contact", "ContactDetail"]


class CommunicationPreferences(Model, frozen=True, kw_only=True, gc=False):
    """How a contact prefers to be contacted."""

    preferred_method: str | None = None
    email_frequency: str | None = None
    newsletter_subscription: bool | None = None
    marketing_emails: bool | None = None


class _ContactFields(Model, frozen=True, kw_only=True, gc=False):
    id: Id
    first_name: str | None = None
    last_name: str | None = None
    email: str | None = None
    phone: str | None = None
    mobile: str | None = None
    title: str | None = None
    department: str | None = None
    status: str | None = None
    type: str | None = None
    client_id: Id | None = None
    client_name: str | None = None
    is_primary_contact: bool | None = None
    address: Address | None = None
    communication_preferences: CommunicationPreferences | None = None
    notes: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None


class Contact(_ContactFields, frozen=True, kw_only=True, gc=False):
    """A row of ``contacts.list()``."""


class ContactDetail(_ContactFields, frozen=True, kw_only=True, gc=False):
    """The result of ``contacts.get()``."""
