"""Variations of the API, for tests.

Each option is a point that the documentation leaves open or contradicts. ``Variant.applied`` changes the
declaration of a resource, ``Variant.transform_page`` its pages. Of by-id objects, only the path changes.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Literal, cast

import msgspec

from aiwyn_async.sandbox._checks import check_fields
from aiwyn_async.sandbox._declarations.declarations import Kind, PageStyle, Resource
from aiwyn_async.sandbox._declarations.fields import snake_case
from aiwyn_async.sandbox._http.responses import envelope

Count = Literal["documented", "absent", "null", "string", "total", "aggregate"]

_GQL = "/gql/v1"
_ZONE = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?)(?:Z|[+-]\d\d:\d\d)$")
_ENUMS = ("status", "type", "method")
_NEW_YEAR_2025 = 1_735_689_600
_DECODER = msgspec.json.Decoder(float_hook=Decimal)
_ENCODER = msgspec.json.Encoder(decimal_format="number")


@dataclass(frozen=True, slots=True)
class Variant:
    """A variation of lists and searches.

    Args:
        prefix: The prefix of read paths.
        envelope_prefix: Replaces ``deid_`` in envelope keys, such as ``acme_``.
        count: The count is ``absent``, ``null`` or a ``string``; or it is at ``total.aggregate.count``
            (``total``) or at ``<rows' key>_aggregate.aggregate.count`` (``aggregate``).
        page: The meaning of ``page`` for all resources.
        size_key: ``limit`` replaces ``pageSize``, which is then ignored, or the reverse.
        numbers: ``all`` numbers, the ``money`` (all decimals), or the ``ids`` become strings.
        extra_fields: Rows have undocumented fields.
        unknown_enums: Statuses, types and methods have undocumented values.
        nulls: Every field except the id is null.
        snake_case: Fields of rows are in snake_case.
        naive_dates: Instants have no zone.
        wrap: The response is in ``{data, error, meta}``, or is ``{"errors": [...]}`` with status 200.
        empty: Pages have no rows, and the count is 0.
    """

    prefix: str = _GQL
    envelope_prefix: str | None = None
    count: Count = "documented"
    page: PageStyle | None = None
    size_key: Literal["pageSize", "limit"] | None = None
    numbers: Literal["money", "ids", "all"] | None = None
    extra_fields: bool = False
    unknown_enums: bool = False
    nulls: bool = False
    snake_case: bool = False
    naive_dates: bool = False
    wrap: Literal["data", "errors"] | None = None
    empty: bool = False

    def __post_init__(self) -> None:
        check_fields(self)

    def applied(self, resource: Resource) -> Resource:
        """Return the resource as this variant declares it."""
        items = self._key(resource.items_key)
        counts: dict[str, tuple[str, ...]] = {
            "absent": (),
            "total": ("total", "aggregate", "count"),
            "aggregate": (f"{items}_aggregate", "aggregate", "count"),
        }
        return replace(
            resource,
            paths={verb: self.prefix + path.removeprefix(_GQL) for verb, path in resource.paths.items()},
            items_key=items,
            count_path=counts.get(self.count, tuple(map(self._key, resource.count_path))),
            page_style=self.page or resource.page_style,
            page_size_keys=(self.size_key,) if self.size_key else resource.page_size_keys,
        )

    def filter_request(self, body: dict[str, object]) -> dict[str, object]:
        """Return the request without the fields that this variant ignores."""
        ignored = {"limit": "pageSize", "pageSize": "limit"}.get(self.size_key or "")
        return {key: value for key, value in body.items() if key != ignored}

    def transform_page(self, resource: Resource, body: bytes) -> bytes:
        """Return a page as this variant sends it.

        Args:
            resource: The resource as ``applied`` declares it.
            body: The page in the envelope of that declaration.
        """
        changes = self._changes(resource)
        if not (changes or self.empty or self.wrap or self.count in {"null", "string"}):
            return body
        page = cast("dict[str, Any]", _DECODER.decode(body))
        rows: list[Any] = [] if self.empty else page[resource.items_key]
        for change in changes:
            rows = [change(row) for row in rows]
        page[resource.items_key] = rows
        self._recount(resource, page)
        return self._wrap(page)

    def _key(self, key: str) -> str:
        if self.envelope_prefix is None or not key.startswith("deid_"):
            return key
        return self.envelope_prefix + key.removeprefix("deid_")

    def _changes(self, resource: Resource) -> list[Callable[[Any], Any]]:
        """Return the changes of each row, those of names last."""
        changes: list[Callable[[Any], Any]] = []
        if self.unknown_enums:
            changes.append(lambda row: _map_scalars(row, _replace_enum))
        if self.nulls:
            changes.append(lambda row: {key: row[key] if key == "id" else None for key in row})
        if self.naive_dates:
            changes.append(lambda row: _map_scalars(row, _remove_zone))
        if self.numbers is not None:
            money = _money_keys(resource)
            changes.append(lambda row: _map_scalars(row, lambda key, value: self._number(key, value, money)))
        if self.extra_fields:
            changes.append(lambda row: {**row, "x_extra": 1, "extraObject": {"deep": [None, "x"]}})
        if self.snake_case:
            changes.append(_snake_case_keys)
        return changes

    def _number(self, key: str, value: object, money: frozenset[str]) -> object:
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            return value
        is_affected = {"all": True, "money": key in money, "ids": key == "id" or key.endswith(("Id", "_id"))}
        return str(value) if is_affected[self.numbers or "all"] else value

    def _recount(self, resource: Resource, page: dict[str, Any]) -> None:
        *parents, last = resource.count_path or (None,)
        if last is None:
            return
        holder = page
        for key in parents:
            holder = holder[str(key)]
        if self.empty:
            holder[last] = 0
        if self.count in {"null", "string"}:
            holder[last] = None if self.count == "null" else str(holder[last])

    def _wrap(self, page: dict[str, Any]) -> bytes:
        if self.wrap == "errors":
            extensions = {"code": "unexpected"}
            page = {"errors": [{"message": "a resolver failed", "extensions": extensions}]}
        encoded = _ENCODER.encode(page)
        if self.wrap == "data":
            return envelope("ok", lambda: _NEW_YEAR_2025, data=msgspec.Raw(encoded))
        return encoded


def _map_scalars(node: Any, change: Callable[[str, object], object], key: str = "") -> Any:
    """Return a copy with every scalar changed, according to its key."""
    if isinstance(node, dict):
        fields = cast("dict[str, Any]", node)
        return {name: _map_scalars(value, change, name) for name, value in fields.items()}
    if isinstance(node, list):
        return [_map_scalars(value, change, key) for value in cast("list[object]", node)]
    return change(key, node)


def _replace_enum(key: str, value: object) -> object:
    return "NEVER_SEEN_BEFORE" if isinstance(value, str) and key.lower().endswith(_ENUMS) else value


def _remove_zone(_key: str, value: object) -> object:
    return _ZONE.sub(r"\1", value) if isinstance(value, str) else value


def _snake_case_keys(node: Any) -> Any:
    if isinstance(node, dict):
        return {
            snake_case(key): _snake_case_keys(value) for key, value in cast("dict[str, Any]", node).items()
        }
    if isinstance(node, list):
        return [_snake_case_keys(value) for value in cast("list[object]", node)]
    return node


def _money_keys(resource: Resource) -> frozenset[str]:
    columns = (*resource.columns, *(column for item in resource.nested for column in item.columns))
    return frozenset(column.key for column in columns if column.kind is Kind.DECIMAL)
