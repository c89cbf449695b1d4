"""Work in progress.

https://api.doc.aiwyn.ai/bundle/time/getwip.md (Time), filterwipsdynamic.md.

The path of the by-id object is inferred. The responses of list and search are not documented, so
their envelope is detected.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Unpack

from aiwyn_async._pagination.pager import Pager
from aiwyn_async._resources.arguments import extra_fields, optional_id
from aiwyn_async._resources.endpoint import Endpoint
from aiwyn_async._resources.options import ListOptions
from aiwyn_async._resources.searchable import SearchableCollection
from aiwyn_async.models.base import Id
from aiwyn_async.models.wip import WipEntry, WipEntryDetail, WipEntrySearchRow


class Wip(SearchableCollection[WipEntry, WipEntrySearchRow, WipEntryDetail]):
    """``aiwyn.wip``, also ``aiwyn.time``."""

    endpoint: Endpoint = Endpoint(
        resource="wip",
        list_path="/wip",
        search_path="/wips/search",
        get_path="/wip",
        undocumented=frozenset({"get"}),
    )

    def list(
        self,
        *,
        client_id: Id | None = None,
        extra: Mapping[str, object] | None = None,
        **options: Unpack[ListOptions],
    ) -> Pager[WipEntry]:
        """Return work-in-progress entries, as a ``Pager``.

        Args:
            client_id: only entries of this client.
            extra: more fields of the body. The documentation mentions filters by job, type and date range
                and is cut before their keys; the filters of ``search()`` are documented.
            **options: see ``ListOptions``.

        Raises:
            ConfigurationError: an argument is invalid; nothing was sent.
        """
        return self._list({"clientId": optional_id("client_id", client_id)} | extra_fields(extra), options)
