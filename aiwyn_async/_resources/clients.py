"""Clients.

https://api.doc.aiwyn.ai/bundle/client/getclients.md, filterclientsdynamic.md, getclientbyid.md.

The paths of the search and of the by-id object are inferred. So is the path of the count, which the
documentation only mentions.
"""

from __future__ import annotations

from typing import Unpack

from aiwyn_async._decoding.envelope import Envelope
from aiwyn_async._pagination.pager import Pager
from aiwyn_async._resources.endpoint import Endpoint
from aiwyn_async._resources.options import ListOptions
from aiwyn_async._resources.searchable import SearchableCollection
from aiwyn_async.models.clients import Client, ClientDetail, ClientSearchRow


class Clients(SearchableCollection[Client, ClientSearchRow, ClientDetail]):
    """``aiwyn.clients``."""

    endpoint: Endpoint = Endpoint(
        resource="clients",
        list_path="/clients",
        search_path="/clients/search",
        get_path="/client",
        envelope=Envelope(("clients",), ("total", "aggregate", "count")),
        undocumented=frozenset({"search", "get"}),
    )

    def list(self, **options: Unpack[ListOptions]) -> Pager[Client]:
        """Return all clients by name, as a ``Pager``; the endpoint takes no filters.

        Raises:
            ConfigurationError: an argument is invalid; nothing was sent.
        """
        return self._list({}, options)
