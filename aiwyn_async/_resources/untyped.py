"""Any endpoint that lists, searches or gets: rows as dicts, the envelope found in the answer.

Also the tags of which the documentation names no operation. Their paths follow the convention of the others
(a plural to list, a singular by id) and are not verified; set them in the option ``endpoints``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Unpack

from aiwyn_async._http.session import Session
from aiwyn_async._pagination.pager import Pager
from aiwyn_async._resources.collection import SearchableCollection
from aiwyn_async._resources.endpoint import Endpoint
from aiwyn_async._resources.options import ListOptions

__all__ = ["UNDOCUMENTED_RESOURCES", "UntypedCollection", "unverified"]

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
    """``aiwyn.collection(path)`` and the unverified tags. Numbers with a fraction are Decimals."""

    row_type: type[Row] = dict
    hit_type: type[Row] = dict
    detail_type: type[Row] = dict

    def __init__(self, session: Session, endpoints: Endpoint) -> None:
        self.endpoint = endpoints
        super().__init__(session)

    def list(self, filters: Mapping[str, object] | None = None, **options: Unpack[ListOptions]) -> Pager[Row]:
        """Rows page by page, as a ``Pager`` of dicts.

        Args:
            filters: the body's fields beside the paging, as the wire has them.
            **options: see ``ListOptions``.

        Raises:
            ConfigurationError: an argument is wrong; nothing was sent.
        """
        return self._list(filters or {}, options)


def unverified(tag: str) -> Endpoint:
    """The conventional declaration of a tag of which no operation is documented."""
    plural, singular = UNDOCUMENTED_RESOURCES[tag]
    return Endpoint(
        resource=tag,
        list_path=plural,
        search_path=f"{plural}/search",
        get_path=singular,
        undocumented=frozenset({"list", "search", "get"}),
    )
