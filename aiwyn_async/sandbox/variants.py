"""Other ways a tenant might answer, for tests.

Each option is one thing that the documents leave open or contradict. What a request means is changed in the
declaration (`Variant.applied`), what an answer looks like in the decoded answer (`Variant.answered`). By-id
objects change their path alone.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Literal, cast

import msgspec

from .declare import Kind, PageMeans, Resource

__all__ = ["Variant"]

Count = Literal["documented", "absent", "null", "string", "total", "aggregate"]

_GQL = "/gql/v1"
_ZONE = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?)(?:Z|[+-]\d\d:\d\d)$")
_ENUMS = ("status", "type", "method")
_DECODER = msgspec.json.Decoder(float_hook=Decimal)
_ENCODER = msgspec.json.Encoder(decimal_format="number")


@dataclass(frozen=True, slots=True)
class Variant:
    """How lists and searches are asked and answered, where it is not as documented.

    Args:
        prefix: What read paths begin with.
        envelope_prefix: Stands for `deid_` in envelope keys, such as `acme_`.
        count: `absent`; `null` or a `string` in its place; `total` for `total.aggregate.count`; `aggregate`
            for `<rows' key>_aggregate.aggregate.count`.
        page: What `page` counts for all tags.
        largest_page: A larger page size is cut to it without a word.
        size_key: With `limit`, that is honoured and `pageSize` ignored.
        numbers: Every number, the `money` (whatever has decimals), or the `ids` become strings.
        extra_fields: Rows have fields nobody knows.
        unknown_enums: Statuses, types and methods have values nobody knows.
        nulls: Every field but the id is null.
        snake_case: Rows' fields are in snake_case.
        naive_dates: Instants have no zone.
        wrap: Whether the answer is within `{data, error, meta}`, or `{"errors": [...]}` with a status of 200.
        empty: The list has no rows, and the count is 0.
    """

    prefix: str = _GQL
    envelope_prefix: str | None = None
    count: Count = "documented"
    page: PageMeans | None = None
    largest_page: int | None = None
    size_key: Literal["pageSize", "limit"] | None = None
    numbers: Literal["money", "ids", "all"] | None = None
    extra_fields: bool = False
    unknown_enums: bool = False
    nulls: bool = False
    snake_case: bool = False
    naive_dates: bool = False
    wrap: Literal["data", "errors"] | None = None
    empty: bool = False

    def applied(self, resource: Resource) -> Resource:
        """The tag as this variant declares it."""
        paths = {
            f"{verb}_path": self.prefix + path.removeprefix(_GQL) for verb, path in resource.paths.items()
        }
        items = self._key(resource.items_key)
        counts: dict[str, tuple[str, ...]] = {
            "absent": (),
            "total": ("total", "aggregate", "count"),
            "aggregate": (f"{items}_aggregate", "aggregate", "count"),
        }
        return replace(
            resource,
            **cast("dict[str, Any]", paths),
            items_key=items,
            count_path=counts.get(self.count, tuple(map(self._key, resource.count_path))),
            page_means=self.page or resource.page_means,
            page_size_keys=(self.size_key,) if self.size_key else resource.page_size_keys,
        )

    def asked(self, body: dict[str, object]) -> dict[str, object]:
        """The request without what this variant ignores."""
        ignored = {"limit": "pageSize", "pageSize": "limit"}.get(self.size_key or "")
        return {key: value for key, value in body.items() if key != ignored}

    def answered(self, resource: Resource, answer: bytes) -> bytes:
        """The answer as this variant gives it.

        Args:
            resource: The tag as `applied` declares it.
            answer: The answer in that declaration's envelope.
        """
        if self == replace(Variant(), **{name: getattr(self, name) for name in _OF_DECLARATION}):
            return answer
        page = cast("dict[str, Any]", _DECODER.decode(answer))
        rows: list[Any] = [] if self.empty else page[resource.items_key]
        for change in self._changes(resource):
            rows = [change(row) for row in rows]
        page[resource.items_key] = rows
        self._recount(resource, page)
        return _ENCODER.encode(self._wrapped(page))

    def _key(self, key: str) -> str:
        if self.envelope_prefix is None or not key.startswith("deid_"):
            return key
        return self.envelope_prefix + key.removeprefix("deid_")

    def _changes(self, resource: Resource) -> list[Callable[[Any], Any]]:
        """What is done to each row, names last."""
        changes: list[Callable[[Any], Any]] = []
        if self.unknown_enums:
            changes.append(lambda row: _each(row, _unknown))
        if self.nulls:
            changes.append(lambda row: {key: row[key] if key == "id" else None for key in row})
        if self.naive_dates:
            changes.append(lambda row: _each(row, _naive))
        if self.numbers is not None:
            money = _money_keys(resource)
            changes.append(lambda row: _each(row, lambda key, value: self._number(key, value, money)))
        if self.extra_fields:
            changes.append(lambda row: {**row, "x_extra": 1, "extraObject": {"deep": [None, "x"]}})
        if self.snake_case:
            changes.append(_snake)
        return changes

    def _number(self, key: str, value: object, money: frozenset[str]) -> object:
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            return value
        wanted = {"all": True, "money": key in money, "ids": key == "id" or key.endswith(("Id", "_id"))}
        return str(value) if wanted[self.numbers or "all"] else value

    def _recount(self, resource: Resource, page: dict[str, Any]) -> None:
        *way, last = resource.count_path or (None,)
        if last is None:
            return
        holder = page
        for key in way:
            holder = holder[str(key)]
        if self.empty:
            holder[last] = 0
        if self.count in {"null", "string"}:
            holder[last] = None if self.count == "null" else str(holder[last])

    def _wrapped(self, page: dict[str, Any]) -> dict[str, Any]:
        if self.wrap == "errors":
            extensions = {"code": "unexpected"}
            return {"errors": [{"message": "a resolver failed", "extensions": extensions}]}
        if self.wrap == "data":
            meta = {
                "success": True,
                "message": "ok",
                "timestamp": "2025-01-01T00:00:00.000Z",
                "version": "1.0.0",
            }
            return {"data": page, "error": None, "meta": meta}
        return page


_OF_DECLARATION = ("prefix", "envelope_prefix", "page", "largest_page", "size_key")
"""What changes no decoded answer."""


def _each(node: Any, change: Callable[[str, object], object], key: str = "") -> Any:
    """A copy with every scalar changed, by the key it stands under."""
    if isinstance(node, dict):
        fields = cast("dict[str, Any]", node)
        return {name: _each(value, change, name) for name, value in fields.items()}
    if isinstance(node, list):
        return [_each(value, change, key) for value in cast("list[object]", node)]
    return change(key, node)


def _unknown(key: str, value: object) -> object:
    return "NEVER_SEEN_BEFORE" if isinstance(value, str) and key.lower().endswith(_ENUMS) else value


def _naive(_key: str, value: object) -> object:
    return _ZONE.sub(r"\1", value) if isinstance(value, str) else value


def _snake(node: Any) -> Any:
    if isinstance(node, dict):
        return {_snake_name(key): _snake(value) for key, value in cast("dict[str, Any]", node).items()}
    if isinstance(node, list):
        return [_snake(value) for value in cast("list[object]", node)]
    return node


def _snake_name(key: str) -> str:
    return "".join(f"_{sign.lower()}" if sign.isupper() else sign for sign in key)


def _money_keys(resource: Resource) -> frozenset[str]:
    columns = (*resource.columns, *(column for item in resource.nested for column in item.columns))
    return frozenset(column.key for column in columns if column.kind is Kind.DECIMAL)
