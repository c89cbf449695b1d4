"""What is known of the endpoints of a resource."""

from __future__ import annotations

from typing import Literal

import msgspec

from aiwyn_async._decoding.envelope import Envelope
from aiwyn_async._pagination.strategy import PageStyle
from aiwyn_async.config import EndpointOverride

Verb = Literal["list", "search", "get"]


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """The endpoints of one resource.

    Paths are below ``Config.gql_prefix``; None if there is none.

    Attributes:
        resource: its name as an attribute of the client, which configuration overrides it by.
        list_path, search_path, get_path: the key is appended to ``get_path`` after a slash.
        key: wire name of the unique key of a row; None if rows have none.
        envelope: the paths of rows and count in a list or search; None to detect them.
        page_style: what ``page`` means; "auto" detects it, since the documentation contradicts itself.
        search_page_size_key: the search body's name for the page size.
        modified_at_field: wire name of the field with the time of the last change, by which a search can
            be filtered and ordered; None if none is documented.
        undocumented: verbs whose path or method is not in the documentation.
    """

    resource: str
    list_path: str | None = None
    search_path: str | None = None
    get_path: str | None = None
    below_prefix: bool = True
    key: str | None = "id"
    envelope: Envelope | None = None
    page_style: PageStyle = "auto"
    search_page_size_key: str = "pageSize"
    modified_at_field: str | None = None
    undocumented: frozenset[Verb] = frozenset()

    def overridden(self, override: EndpointOverride | None) -> Endpoint:
        """Return the endpoint with the overrides of the configuration."""
        if override is None:
            return self
        changes = {
            name: value for name, value in msgspec.structs.asdict(override).items() if value is not None
        }
        items, count = changes.pop("items_key", None), changes.pop("count_key", None)
        if items is not None or count is not None:
            known = self.envelope or Envelope(("items",))
            changes["envelope"] = Envelope(
                known.items if items is None else tuple(items.split(".")),
                known.count if count is None else tuple(count.split(".")),
            )
        return msgspec.structs.replace(self, **changes)
