"""Contacts: https://api.doc.aiwyn.ai/bundle/contact/getcontactbyid (Contact).

The list's response is not documented, so its envelope is detected. No search is documented.
"""

from __future__ import annotations

from typing import Unpack

from aiwyn_async._pagination.pager import Pager
from aiwyn_async._resources.collection import Collection
from aiwyn_async._resources.endpoint import Endpoint
from aiwyn_async._resources.options import ListOptions
from aiwyn_async.models.contacts import Contact, ContactDetail


class Contacts(Collection[Contact, Contact, ContactDetail]):
    """``aiwyn.contacts``."""

    endpoint: Endpoint = Endpoint(resource="contacts", list_path="/contacts", get_path="/contact")

    def list(self, **options: Unpack[ListOptions]) -> Pager[Contact]:
        """Return all contacts by last and first name, as a ``Pager``.

        No filters are documented.

        Raises:
            ConfigurationError: an argument is invalid; nothing was sent.
        """
        return self._list({}, options)
