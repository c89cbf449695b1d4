"""Any endpoint that lists, searches or gets: dict rows, detected envelope.

Also the resources without documented operations. Their paths follow the convention of the others (plural to
list, singular by id) and are not verified; override them in ``endpoints``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Unpack

from aiwyn_async._http.session import Session
from aiwyn_async._pagination.pager import Pager
from aiwyn_async._resources.endpoint import Endpoint
from aiwyn_async._resources.options import ListOptions
from aiwyn_async._resources.searchable import SearchableCollection

Row = dict[str, Any]

# Plural path and singular path, by attribute of the client.
UNDOCUMENTED_RESOURCES: Final[Mapping[str, tuple[str, str]]] = {
    "client_business_entities": ("/client_business_entities", "/client_business_entity"),
    "contact_clients": ("/contact_clients", "/contact_client"),
    "contact_infos": ("/contact_infos", "/contact_info"),
    "departments": ("/departments", "/department"),
    "industries": ("/industries", "/industry"),
    "jobs": ("/jobs", "/job"),
    "job_templates": ("/job_templates", "/job_template"),
    "last_mile": ("/last_miles", "/last_mile"),
    "offices": ("/offices", "/office"),
    "service_lines": ("/service_lines", "/service_line"),
}


class UntypedCollection(SearchableCollection[Row, Row, Row]):
    """``aiwyn.collection(path)`` and the undocumented resources.

    Numbers with a fraction are Decimals.
    """

    def __init__(self, session: Session, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        super().__init__(session)

    def list(self, filters: Mapping[str, object] | None = None, **options: Unpack[ListOptions]) -> Pager[Row]:
        """Return rows, as a ``Pager`` of dicts.

        Args:
            filters: the fields of the body besides paging, as on the wire.
            **options: see ``ListOptions``.

        Raises:
            ConfigurationError: an argument is invalid; nothing was sent.
        """
        return self._list({} if filters is None else filters, options)


def undocumented_endpoint(resource: str) -> Endpoint:
    """Return the conventional endpoint of a resource without documented operations."""
    plural, singular = UNDOCUMENTED_RESOURCES[resource]
    return Endpoint(
        resource=resource,
        list_path=plural,
        search_path=f"{plural}/search",
        get_path=singular,
        undocumented=frozenset({"list", "search", "get"}),
    )
