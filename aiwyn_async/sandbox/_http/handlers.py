"""The bodies of list, search and by-id responses, for every resource."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import msgspec

from aiwyn_async.sandbox._data.collation import Collation
from aiwyn_async.sandbox._data.database import Database
from aiwyn_async.sandbox._data.errors import BadRequestError, RejectedRequestError
from aiwyn_async.sandbox._data.order_by import column_order, compile_order
from aiwyn_async.sandbox._data.values import operand_value, whole_number
from aiwyn_async.sandbox._declarations.declarations import Filter, PageStyle, Resource, Row
from aiwyn_async.sandbox._http.requests import parse_id

Body = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class PageLimits:
    """The limits of a page, see ``Sandbox``; raises ValueError if one is out of range."""

    max_size: int = 1000
    clamp: int | None = None
    default: int | None = None
    count_cap: int | None = None

    def __post_init__(self) -> None:
        _check_limit("max_page_size", self.max_size, 1)
        _check_limit("clamp_page_size", 1 if self.clamp is None else self.clamp, 1)
        _check_limit("default_page_size", 1 if self.default is None else self.default, 1)
        _check_limit("count_cap", 0 if self.count_cap is None else self.count_cap, 0)
        if self.clamp is None and self.default is not None and self.default > self.max_size:
            raise ValueError("default_page_size must not exceed max_page_size")


def _check_limit(name: str, number: object, least: int) -> None:
    if isinstance(number, bool) or not (isinstance(number, int) and number >= least):
        raise ValueError(f"{name} must be a whole number of at least {least}, got {number!r}")


def _integer(body: Body, key: str, default: int) -> int:
    value = whole_number(body.get(key, default))
    if value is None:
        raise BadRequestError(f"{key}: expected an integer")
    return value


def _page_size(resource: Resource, body: Body, limits: PageLimits, default: int) -> int:
    """Return the page size; of two keys, both are checked and the first applies."""
    default = min(default, limits.max_size) if limits.default is None else limits.default
    sizes: list[int] = []
    for key in resource.page_size_keys:
        size = _integer(body, key, default)
        if size < 1 or (size > limits.max_size and limits.clamp is None):
            raise BadRequestError(f"{key}: must be between 1 and {limits.max_size}, got {size}")
        if key in body:
            sizes.append(size)
    size = sizes[0] if sizes else default
    return size if limits.clamp is None else min(size, limits.clamp)


def _skip(resource: Resource, body: Body, size: int) -> int:
    page = _integer(body, "page", 0)
    if page < 0:
        raise BadRequestError(f"page: must not be negative, got {page}")
    return page if resource.page_style is PageStyle.OFFSET else page * size


def _check_keys(body: Body, known: set[str]) -> None:
    if unknown := sorted(set(body) - known):
        raise BadRequestError(f"unknown field {unknown[0]!r}; fields are {', '.join(sorted(known))}")


def list_page(database: Database, resource: Resource, body: Body, limits: PageLimits, salt: int) -> bytes:
    """Return the body of a list response, or raise BadRequestError."""
    sort = {resource.sort_order_key} if resource.sort_order_key else set[str]()
    _check_keys(body, {*resource.page_size_keys, "page", *(item.wire for item in resource.filters), *sort})
    size = _page_size(resource, body, limits, resource.list_page_size)
    skip = _skip(resource, body, size)
    conditions = [
        _condition(resource, item, body[item.wire]) for item in resource.filters if item.wire in body
    ]
    order = _default_order(resource, body, database.collation)
    selection = database.select(resource, {"_and": conditions} if conditions else {}, order, salt)
    rows = database.rows_json(resource, selection.page(skip, size))
    return _envelope(resource, rows, selection.count, limits)


def _condition(resource: Resource, item: Filter, value: object) -> object:
    """Return the condition of a filter; ``_ilike`` matches the value anywhere."""
    if item.allowed is not None and (not isinstance(value, str) or value not in item.allowed):
        raise BadRequestError(f"{item.wire}: must be one of {', '.join(sorted(item.allowed))}")
    if value is None:
        raise BadRequestError(f"{item.wire}: must not be null")
    # Checked here too, so that an error names the field that was sent.
    operand_value(resource.by_wire[item.column], value, item.wire)
    if item.operator == "_ilike":
        literal = str(value).replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        value = f"%{literal}%"
    return {item.column: {item.operator: value}}


def _default_order(resource: Resource, body: Body, collation: Collation) -> tuple[str, ...]:
    order = resource.default_order
    if resource.sort_order_key and resource.sort_order_key in body:
        direction = body[resource.sort_order_key]
        if not isinstance(direction, str) or direction not in {"asc", "desc"}:
            raise BadRequestError(f"{resource.sort_order_key}: must be asc or desc")
        order = tuple((column, direction) for column, _ in order)
    columns = {column.sql: column for column in resource.columns}
    return tuple(
        f"{column_order(columns[name], 't', collation) if name in columns else f't.{name}'}"
        f" {direction.upper()}"
        for name, direction in order
    )


def search_page(database: Database, resource: Resource, body: Body, limits: PageLimits, salt: int) -> bytes:
    """Return the body of a search response; its ``page`` is not documented."""
    _check_keys(body, {*resource.page_size_keys, "page", "where", "orderBy"})
    size = _page_size(resource, body, limits, resource.search_page_size)
    skip = _skip(resource, body, size)
    order = compile_order(resource, body.get("orderBy", cast("list[object]", [])), database.collation)
    selection = database.select(resource, body.get("where", cast("dict[str, object]", {})), order, salt)
    rows = database.rows_json(resource, selection.page(skip, size), search=True)
    return _envelope(resource, rows, selection.count, limits)


def _envelope(resource: Resource, rows: bytes, count: int, limits: PageLimits) -> bytes:
    """Return rows in their envelope, without decoding them."""
    head = b'{"%b":[' % resource.items_key.encode()
    if not resource.count_path:
        return head + rows + b"]}"
    shown = count if limits.count_cap is None else min(count, limits.count_cap)
    opening = "".join(f'"{key}":{{' for key in resource.count_path[:-1])
    tail = f'],{opening}"{resource.count_path[-1]}":{shown}{"}" * len(resource.count_path)}'
    return b"".join((head, rows, tail.encode()))


def get_one(database: Database, resource: Resource, text: str) -> bytes:
    """Return the body of a by-id response, or raise RejectedRequestError."""
    row_id = parse_id(text)
    body = database.row_json(resource, row_id)
    if body is None:
        raise RejectedRequestError(404, f"{resource.name} has no id {text}")
    if resource.detail is None:
        return body
    # Raw values preserve the text of each number, such as 20000.00.
    return msgspec.json.encode(resource.detail(database, row_id, msgspec.json.decode(body, type=Row)))
