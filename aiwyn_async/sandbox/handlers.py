"""List, search and by-id, once for every resource."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from .collation import Collation
from .details import detail
from .schema import Filter, PageMeans, Resource
from .store import Store
from .values import BadRequestError, whole_number
from .where import check_filter, compile_order, order_term

__all__ = ["NotFoundError", "PageLimits", "get_one", "list_page", "search_page"]

Body = Mapping[str, object]


class NotFoundError(Exception):
    """The request is answered with a 404."""


@dataclass(frozen=True, slots=True)
class PageLimits:
    """How many rows a page may have.

    Args:
        largest: A larger `pageSize` is refused.
        clamp: Or a larger one than this is silently cut to it.
        default: Replaces the resource's own default.
        count_cap: The largest count the envelope admits to, as a server that caps its counts would.
    """

    largest: int = 1000
    clamp: int | None = None
    default: int | None = None
    count_cap: int | None = None


def _integer(body: Body, key: str, default: int) -> int:
    value = whole_number(body.get(key, default))
    if value is None:
        raise BadRequestError(f"{key}: expected an integer")
    return value


def _page_size(resource: Resource, body: Body, limits: PageLimits, default: int) -> int:
    """The rows asked for; where two keys are taken for it, the first one sent counts and both are checked."""
    default = default if limits.default is None else limits.default
    most = limits.largest
    sizes: list[int] = []
    for key in resource.page_size_keys:
        size = _integer(body, key, default)
        if size < 1 or (size > most and limits.clamp is None):
            raise BadRequestError(f"{key}: must be from 1 to {most}, not {size}")
        if key in body:
            sizes.append(size)
    size = sizes[0] if sizes else default
    return size if limits.clamp is None else min(size, limits.clamp)


def _skip(resource: Resource, body: Body, size: int) -> int:
    page = _integer(body, "page", 0)
    if page < 0:
        raise BadRequestError(f"page: must not be negative, not {page}")
    return page if resource.page_means is PageMeans.SKIP else page * size


def _check_keys(body: Body, known: set[str]) -> None:
    if unknown := sorted(set(body) - known):
        raise BadRequestError(f"unknown field {unknown[0]!r}; fields are {', '.join(sorted(known))}")


def list_page(store: Store, resource: Resource, body: Body, limits: PageLimits, salt: int) -> bytes:
    """Serve a list request.

    Raises:
        BadRequestError: A field is unknown or out of bounds.
    """
    sort = {resource.sort_order_key} if resource.sort_order_key else set[str]()
    _check_keys(body, {*resource.page_size_keys, "page", *(item.wire for item in resource.filters), *sort})
    size = _page_size(resource, body, limits, resource.list_page_size)
    skip = _skip(resource, body, size)
    conditions: list[object] = []
    for item in resource.filters:
        if item.wire in body:
            value = body[item.wire]
            if item.allowed is not None and (not isinstance(value, str) or value not in item.allowed):
                raise BadRequestError(f"{item.wire}: must be one of {', '.join(sorted(item.allowed))}")
            check_filter(resource, item, value)
            conditions.append({item.column: {item.operator: _operand(item, value)}})
    order = _default_order(resource, body, store.collation)
    selection = store.select(resource, {"_and": conditions} if conditions else {}, order, salt)
    rows = store.page_text(resource, selection.page(skip, size))
    return _envelope(resource, rows, selection.count, limits)


def _operand(item: Filter, value: object) -> object:
    """What is compared; `_ilike` finds the value anywhere, whatever signs it has."""
    if item.operator != "_ilike" or not isinstance(value, str):
        return value
    literal = value.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{literal}%"


def _default_order(resource: Resource, body: Body, collation: Collation) -> tuple[str, ...]:
    order = resource.default_order
    if resource.sort_order_key and resource.sort_order_key in body:
        direction = body[resource.sort_order_key]
        if not isinstance(direction, str) or direction not in {"asc", "desc"}:
            raise BadRequestError(f"{resource.sort_order_key}: must be asc or desc")
        order = tuple((column, direction) for column, _ in order)
    columns = {column.sql: column for column in resource.columns}
    return tuple(
        f"{order_term(columns[name], 't', collation) if name in columns else f't.{name}'} {direction.upper()}"
        for name, direction in order
    )


def search_page(store: Store, resource: Resource, body: Body, limits: PageLimits, salt: int) -> bytes:
    """Serve a search request. The documents show no `page` here; this server takes one.

    Raises:
        BadRequestError: A field, column or operator is unknown, or a value does not fit.
    """
    _check_keys(body, {*resource.page_size_keys, "page", "where", "orderBy"})
    size = _page_size(resource, body, limits, resource.search_page_size)
    skip = _skip(resource, body, size)
    order = compile_order(resource, body.get("orderBy", cast("list[object]", [])), store.collation)
    selection = store.select(resource, body.get("where", cast("dict[str, object]", {})), order, salt)
    rows = store.page_text(resource, selection.page(skip, size), found=True)
    return _envelope(resource, rows, selection.count, limits)


def _envelope(resource: Resource, rows: bytes, count: int, limits: PageLimits) -> bytes:
    """The rows' own text within the envelope: no row is decoded or encoded."""
    head = b'{"%b":[' % resource.items_key.encode()
    if not resource.count_path:
        return head + rows + b"]}"
    shown = count if limits.count_cap is None else min(count, limits.count_cap)
    opening = "".join(f'"{key}":{{' for key in resource.count_path[:-1])
    tail = f'],{opening}"{resource.count_path[-1]}":{shown}{"}" * len(resource.count_path)}'
    return b"".join((head, rows, tail.encode()))


def get_one(store: Store, resource: Resource, text: str) -> bytes:
    """Serve a by-id request.

    Raises:
        BadRequestError: The id is no positive integer.
        NotFoundError: There is no such row.
    """
    if not (text.isascii() and text.isdigit() and len(text) < 20 and 0 < int(text) < 2**63):
        raise BadRequestError(f"id: {text[:40]!r} is not a positive integer")
    found = detail(store, resource, int(text))
    if found is None:
        raise NotFoundError(f"{resource.name} has no id {text}")
    return found
