"""Engagements (Engagement).

Sources: https://api.doc.aiwyn.ai/bundle/engagement/getengagements, searchengagementsdynamic.md,
getengagementbyid.md. The paths of the list and of the by-id object are inferred.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Unpack

from aiwyn_async._decoding.envelope import Envelope
from aiwyn_async._pagination.pager import Pager
from aiwyn_async._resources.arguments import extra_fields
from aiwyn_async._resources.endpoint import Endpoint
from aiwyn_async._resources.options import ListOptions
from aiwyn_async._resources.searchable import SearchableCollection
from aiwyn_async.models.engagements import Engagement, EngagementDetail, EngagementSearchRow


class Engagements(SearchableCollection[Engagement, EngagementSearchRow, EngagementDetail]):
    """``aiwyn.engagements``.

    Search rows are snake_case on the wire, the keys of ``where`` camelCase.
    """

    endpoint: Endpoint = Endpoint(
        resource="engagements",
        list_path="/engagements",
        search_path="/engagements/search",
        get_path="/engagement",
        envelope=Envelope(("engagements",)),
        undocumented=frozenset({"list", "get"}),
    )

    def list(
        self, *, extra: Mapping[str, object] | None = None, **options: Unpack[ListOptions]
    ) -> Pager[Engagement]:
        """Return engagements, as a ``Pager``.

        Args:
            extra: more fields of the body. The documentation mentions filters by client, status and date
                range without naming their keys; the filters of ``search()`` are documented.
            **options: see ``ListOptions``.

        Raises:
            ConfigurationError: an argument is invalid; nothing was sent.
        """
        return self._list(extra_fields(extra), options)
