"""The tags that the command line knows, one line each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from aiwyn_async._pagination.pager import Pager
from aiwyn_async._pull.pull import Pull
from aiwyn_async.client import AiwynClient
from aiwyn_async.errors import ConfigurationError

__all__ = ["TAGS", "Filters", "Tag", "pull_of", "tag_named", "walk_of", "where_tree"]


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

    def of_the_list(self) -> dict[str, Any]:
        """Those that only ``list()`` takes, by name."""
        given = msgspec.structs.asdict(self)
        return {name: value for name, value in given.items() if value is not None and name != "where"}


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
    given = filters.of_the_list()
    if filters.where is not None:
        if given:
            raise ConfigurationError(
                f"--where is a search of its own; put {_flag(next(iter(given)))} into it"
            )
        condition = _condition(client, plural, filters.where)
        searched: Pager[Any] = collection.search(condition, **walk)
        return searched
    unknown = sorted(given.keys() - TAGS[plural].filters)
    if unknown:
        raise ConfigurationError(f"the list of {plural} has no filter {_flag(unknown[0])}")
    if "client_id" in given and given["client_id"].isdecimal():
        given["client_id"] = int(given["client_id"])
    listed: Pager[Any] = collection.list(**given, **walk)
    return listed


def pull_of(client: AiwynClient, name: str, filters: Filters, **options: Any) -> Pull[Any]:
    """The bulk read that a command asks for, of all rows or of those that fit ``--where``.

    Raises:
        ConfigurationError: the tag has no search for ``--where``.
    """
    plural = tag_named(name)
    found = [] if filters.where is None else [_condition(client, plural, filters.where)]
    pull: Pull[Any] = getattr(client, plural).pull(*found, **options)
    return pull


def where_tree(text: str) -> Any:
    """The condition that ``--where`` gives.

    Raises:
        ConfigurationError: it is no JSON.
    """
    try:
        return msgspec.json.decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as fault:
        raise ConfigurationError(f"--where is not valid JSON: {fault}") from None


def _condition(client: AiwynClient, plural: str, where: str) -> Any:
    if not hasattr(getattr(client, plural), "search"):
        raise ConfigurationError(f"no search of {plural} is documented, so it has no --where")
    return where_tree(where)


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
