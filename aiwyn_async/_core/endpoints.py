"""Overrides of endpoints, by which a server differs from the documentation."""

from __future__ import annotations

from typing import Literal

import msgspec

from aiwyn_async._core.checks import check_word, shown
from aiwyn_async._core.urls import check_path
from aiwyn_async.errors import ConfigurationError


class EndpointOverride(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a server differs from the documentation; None keeps the default.

    Attributes:
        list_path, search_path, get_path: below ``gql_prefix``; a key is appended to ``get_path``.
        key: wire name of the unique key of a row.
        items_key, count_key: the path of rows and count in a response, nested keys joined with dots.
        page_style: "page", "offset" or "auto".
        search_page_size_key: name of the page size in the body of a search.
        modified_at_field: wire name of the field with the time of a row's last change, by which ``changes()``
            and ``sync`` filter and order the search.
    """

    list_path: str | None = None
    search_path: str | None = None
    get_path: str | None = None
    key: str | None = None
    items_key: str | None = None
    count_key: str | None = None
    page_style: Literal["page", "offset", "auto"] | None = None
    search_page_size_key: str | None = None
    modified_at_field: str | None = None

    def __post_init__(self) -> None:
        """Check every value, also of an override that is not converted from a dict."""
        for name, value in msgspec.structs.asdict(self).items():
            if value is None:
                continue
            if name.endswith("_path"):
                check_path(name, value)
            elif name == "page_style":
                check_word(name, value, ("page", "offset", "auto"))
            elif not isinstance(value, str) or not value.isprintable():
                raise ConfigurationError(
                    f"{name} must be text without control characters, got {shown(value)}"
                )
