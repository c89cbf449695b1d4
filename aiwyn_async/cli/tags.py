"""The tags that the command line knows, one line each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from aiwyn_async.client import AiwynClient
from aiwyn_async.errors import ConfigurationError
from aiwyn_async.pagination.pager import Pager

__all__ = ["TAGS", "Filters", "Tag", "tag_named", "walk_of"]


class Tag(msgspec.Struct, frozen=True):
    """A tag: its singular, and the filters that its ``list()`` takes."""

    singular: str
    filters: frozenset[str] = frozenset()


TAGS: Final[Mapping[str, Tag]] = {
    "clients": Tag("client"),
    "contacts": Tag("contact"),
    "draft_invoices": Tag("draft_invoice"),
    "engagements": Tag("engagement"),
    "invoices": Tag("invoice", frozenset({"client_id", "status", "start_date", "end_date"})),
    "payments": Tag("payment", frozenset({"client_id", "start_date", "end_date"})),
    "projects": Tag("project"),
    "staff": Tag("staff_member"),
    "wip": Tag("wip_entry", frozenset({"client_id"})),
}


class Filters(msgspec.Struct, frozen=True, kw_only=True):
    """What a command was given to choose rows by; None where it was not."""

    status: str | None = None
    client_id: str | None = None
    start_date: str | None = None
    end_date: str | None = None
    where: str | None = None


def tag_named(name: str) -> str:
    """The tag that a word means, plural or singular.

    Raises:
        ConfigurationError: there is none.
    """
    word = name.replace("-", "_")
    for plural, tag in TAGS.items():
        if word in {plural, tag.singular}:
            return plural
    raise ConfigurationError(f"no tag {name!r}; there are {', '.join(TAGS)}")


def walk_of(client: AiwynClient, name: str, filters: Filters, **walk: Any) -> Pager[Any]:
    """The walk that a command asks for: a search when it has ``--where``, a list otherwise.

    Raises:
        ConfigurationError: the tag has no such filter, or filters and ``--where`` are mixed.
    """
    plural = tag_named(name)
    collection: Any = getattr(client, plural)
    given = {key: value for key, value in msgspec.structs.asdict(filters).items() if value is not None}
    where = given.pop("where", None)
    if where is not None:
        if given:
            raise ConfigurationError(
                f"--where is a search of its own; put {_flag(next(iter(given)))} into it"
            )
        if not hasattr(collection, "search"):
            raise ConfigurationError(f"no search of {plural} is documented, so it has no --where")
        searched: Pager[Any] = collection.search(_tree(where), **walk)
        return searched
    unknown = sorted(given.keys() - TAGS[plural].filters)
    if unknown:
        raise ConfigurationError(f"the list of {plural} has no filter {_flag(unknown[0])}")
    if "client_id" in given and given["client_id"].isdecimal():
        given["client_id"] = int(given["client_id"])
    listed: Pager[Any] = collection.list(**given, **walk)
    return listed


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _tree(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.MsgspecError as fault:
        raise ConfigurationError(f"--where is not valid JSON: {fault}") from None
