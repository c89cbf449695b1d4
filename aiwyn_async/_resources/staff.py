"""Staff.

https://api.doc.aiwyn.ai/bundle/staff/filterstaffdynamic.md, getstaffbyid (Staff).

Only the search is documented. The paths of the list and of the by-id object are inferred.
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
from aiwyn_async.models.staff import StaffMember, StaffMemberDetail, StaffMemberSearchRow


class Staff(SearchableCollection[StaffMember, StaffMemberSearchRow, StaffMemberDetail]):
    """``aiwyn.staff``."""

    endpoint: Endpoint = Endpoint(
        resource="staff",
        list_path="/staff",
        search_path="/staff/search",
        get_path="/staff",
        envelope=Envelope(("staff",)),
        undocumented=frozenset({"list", "get"}),
    )

    def list(
        self, *, extra: Mapping[str, object] | None = None, **options: Unpack[ListOptions]
    ) -> Pager[StaffMember]:
        """Return staff by name, as a ``Pager``.

        Args:
            extra: more fields of the body. The documentation mentions filters by name, department, activity
                and type without naming their keys; the filters of ``search()`` are documented.
            **options: see ``ListOptions``.

        Raises:
            ConfigurationError: an argument is invalid; nothing was sent.
        """
        return self._list(extra_fields(extra), options)
