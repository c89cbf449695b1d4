"""The resources that the command line knows, and their reads."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from aiwyn_async._changes.reconcile import plain_key
from aiwyn_async._cli.translations import flag_name
from aiwyn_async._decoding.values import unbounded_decimal
from aiwyn_async._pagination.pager import Pager
from aiwyn_async._pull.pull import Pull
from aiwyn_async._resources.untyped import UNDOCUMENTED_RESOURCES
from aiwyn_async.client import AiwynClient
from aiwyn_async.errors import ConfigurationError

# A row refers only to rows of resources before its own (a draft invoice to the invoice that it became). So
# a run over all resources that ends early has written every row that its rows refer to.
RESOURCES: Final[Mapping[str, str]] = {
    "staff": "staff_member",
    "clients": "client",
    "contacts": "contact",
    "engagements": "engagement",
    "projects": "project",
    "wip": "wip_entry",
    "invoices": "invoice",
    "draft_invoices": "draft_invoice",
    "payments": "payment",
}
"""The singular of each resource by its plural, which is the attribute of the client."""
UNDOCUMENTED: Final[Mapping[str, str]] = {
    name: singular.strip("/") for name, (_, singular) in sorted(UNDOCUMENTED_RESOURCES.items())
}
"""Named by the documentation without an operation."""
_PLURALS: Final[Mapping[str, str]] = {
    **{word: plural for plural, one in {**RESOURCES, **UNDOCUMENTED}.items() for word in (plural, one)},
    "time": "wip",  # as the documentation calls it
}
ALL: Final = "all"
"""Names every resource in ``export`` and ``sync``."""

_decode_where: Final = msgspec.json.Decoder(float_hook=unbounded_decimal).decode


def find_resource(name: str) -> str:
    """Return the client's attribute for a resource, in the plural or singular."""
    plural = _PLURALS.get(name.replace("-", "_").lower())
    if plural is not None:
        return plural
    names = [*sorted(RESOURCES), *UNDOCUMENTED]
    raise ConfigurationError(f"unknown resource {name!r}; use one of {', '.join(names)}")


def create_list(
    client: AiwynClient, plural: str, values: dict[str, Any], where: str | None = None, **options: Any
) -> Pager[Any]:
    """Create the search of a command with ``--where``, or the list of one without."""
    collection: Any = getattr(client, plural)
    if where is not None:
        if values:
            raise ConfigurationError(
                f"--where cannot be combined with {flag_name(next(iter(values)))}; "
                "add the filter to the condition"
            )
        condition = _condition(client, plural, where)
        searched: Pager[Any] = collection.search(condition, **options)
        return searched
    if unsupported := sorted(values.keys() - inspect.signature(collection.list).parameters.keys()):
        raise ConfigurationError(f"{plural} cannot be filtered by {flag_name(unsupported[0])}")
    if "client_id" in values:
        values["client_id"] = plain_key(values["client_id"])
    listed: Pager[Any] = collection.list(**values, **options)
    return listed


def create_pull(client: AiwynClient, plural: str, where: str | None = None, **options: Any) -> Pull[Any]:
    """Create a pull of all rows, or of those that match ``--where``."""
    conditions = [] if where is None else [_condition(client, plural, where)]
    pull: Pull[Any] = getattr(client, plural).pull(*conditions, **options)
    return pull


def parse_where(text: str) -> Any:
    """Return the condition of ``--where``, or raise ConfigurationError."""
    try:
        return _decode_where(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise ConfigurationError(f"--where is not valid JSON: {error}") from None


def _condition(client: AiwynClient, plural: str, where: str) -> Any:
    if not hasattr(getattr(client, plural), "search"):
        raise ConfigurationError(f"{plural} have no documented search endpoint, which --where requires")
    return parse_where(where)
