"""JSON Schemas of what is declared (`where`, `orderBy`, requests) and of what is served (rows, details).

By-id objects are made by code and not declared, so their schemas are read off those of a seeded firm.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from .schema import Column, Kind, Resource

__all__ = [
    "DIRECTIONS",
    "Components",
    "Json",
    "comparison_schemas",
    "list_request",
    "order_schemas",
    "pascal",
    "reference",
    "search_request",
    "singular",
    "where_schemas",
]

Json = dict[str, Any]

_LARGEST_PAGE = 1000
_COMPARISONS = ("_eq", "_neq", "_gt", "_gte", "_lt", "_lte")
_PATTERNS = ("_like", "_nlike", "_ilike", "_nilike", "_regex", "_iregex")
_OPERANDS: Mapping[Kind, Json] = {
    Kind.INTEGER: {"type": "integer"},
    Kind.TEXT: {"type": "string"},
    Kind.BOOLEAN: {"type": "boolean"},
    Kind.DECIMAL: {"anyOf": [{"type": "number"}, {"type": "string"}]},
    Kind.INSTANT: {"type": "string", "description": "An ISO date or date-time; without a zone it is UTC."},
}
_FORMATS = {
    # RFC 3339 wants an offset.
    "date-time": re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)"),
    "date": re.compile(r"\d{4}-\d\d-\d\d"),
}
DIRECTIONS = ("asc", "asc_nulls_first", "asc_nulls_last", "desc", "desc_nulls_first", "desc_nulls_last")


def singular(name: str) -> str:
    """`draft_invoice_histories` -> `DraftInvoiceHistory`, `lineItems` -> `LineItem`."""
    if name.endswith("ies"):
        name = f"{name[:-3]}y"
    elif name.endswith("s") and not name.endswith(("ss", "us")):
        name = name[:-1]
    return pascal(name)


def pascal(name: str) -> str:
    """`draft_invoice_histories` -> `DraftInvoiceHistories`."""
    return "".join(part[:1].upper() + part[1:] for part in name.split("_"))


def reference(name: str) -> Json:
    """A component by its name."""
    return {"$ref": f"#/components/schemas/{name}"}


def _object(properties: Mapping[str, Any], **more: Any) -> Json:
    return {"type": "object", "properties": dict(properties), "additionalProperties": False, **more}


def _comparison(kind: Kind) -> str:
    return f"{kind.value.capitalize()}Comparison"


def comparison_schemas() -> Json:
    """What can be asked of a field, a schema per type of field."""
    found: Json = {}
    for kind, operand in _OPERANDS.items():
        operators: Json = dict.fromkeys(_COMPARISONS, operand)
        operators |= {key: {"type": "array", "items": operand} for key in ("_in", "_nin")}
        if kind is Kind.TEXT:
            operators |= {key: {"type": "string", "maxLength": 256} for key in _PATTERNS}
        found[_comparison(kind)] = _object({**operators, "_is_null": {"type": "boolean"}})
    return found


def where_schemas(resource: Resource) -> Json:
    """The tree of conditions on a resource, and those on its nested arrays."""
    name = f"{singular(resource.name)}Where"
    branches = {relation.wire: f"{singular(relation.resource)}Where" for relation in resource.relations}
    found: Json = {}
    for nested in resource.nested:
        inner = f"{singular(resource.name)}{singular(nested.wire)}Where"
        branches[nested.wire] = inner
        found[inner] = _tree(inner, nested.columns, {})
    return {name: _tree(name, resource.columns, branches), **found}


def _tree(name: str, columns: Iterable[Column], branches: Mapping[str, str]) -> Json:
    own = reference(name)
    # One object stands for a list of it, as GraphQL has it.
    trees = {"anyOf": [{"type": "array", "items": own}, own]}
    fields = {column.wire: reference(_comparison(column.kind)) for column in columns}
    others = {wire: reference(target) for wire, target in branches.items()}
    return _object({"_and": trees, "_or": trees, "_not": own, **others, **fields})


def order_schemas(resource: Resource) -> Json:
    """One term of an order."""
    fields = {column.wire: reference("OrderDirection") for column in resource.columns}
    others = {item.wire: reference(f"{singular(item.resource)}OrderBy") for item in resource.relations}
    name = f"{singular(resource.name)}OrderBy"
    return {name: _object({**fields, **others}, minProperties=1, maxProperties=1)}


def _sizes(resource: Resource, default: int) -> Json:
    size = {"type": "integer", "minimum": 1, "maximum": _LARGEST_PAGE, "default": default}
    means = "rows to skip" if resource.page_means == "skip" else "the page's number, from 0"
    page = {"type": "integer", "minimum": 0, "default": 0, "description": f"Counts {means}."}
    return {**dict.fromkeys(resource.page_size_keys, size), "page": page}


def list_request(resource: Resource) -> Json:
    """The body of a list request."""
    fields = _sizes(resource, resource.list_page_size)
    for item in resource.filters:
        column = resource.by_wire.get(item.column)
        operand = _OPERANDS[column.kind] if column else {}
        if item.operator in {"_in", "_nin"}:
            operand = {"type": "array", "items": operand}
        fields[item.wire] = (
            operand if item.allowed is None else {"type": "string", "enum": sorted(item.allowed)}
        )
    if resource.sort_order_key:
        fields[resource.sort_order_key] = {"type": "string", "enum": ["asc", "desc"], "default": "desc"}
    return _object(fields)


def search_request(resource: Resource) -> Json:
    """The body of a search request."""
    name = singular(resource.name)
    term = reference(f"{name}OrderBy")
    order = {"anyOf": [{"type": "array", "items": term}, term]}
    return _object(
        {**_sizes(resource, resource.search_page_size), "where": reference(f"{name}Where"), "orderBy": order}
    )


class Components:
    """Schemas read off values: objects become components, named after where they stand."""

    def __init__(self) -> None:
        self.schemas: Json = {}

    def add(self, name: str, values: Sequence[object], declared: Iterable[Column] = ()) -> Json:
        """Describe objects of one kind, and give the reference to the description.

        Args:
            name: The component's name.
            values: Decoded JSON objects.
            declared: Columns whose nullability is known and need not show in `values`.
        """
        rows = [cast("Json", value) for value in values]
        nullable = {column.key for column in declared if column.nullable}
        keys = list(dict.fromkeys(key for row in rows for key in row))
        properties: Json = {}
        for key in keys:
            seen = [row[key] for row in rows if key in row]
            properties[key] = self._value(f"{name}{singular(key)}", seen, may_be_null=key in nullable)
        required = [key for key in keys if all(key in row for row in rows)]
        self.schemas[name] = {"type": "object", "properties": properties, "required": required}
        return reference(name)

    def _value(self, name: str, values: Sequence[object], *, may_be_null: bool = False) -> Json:
        present = [value for value in values if value is not None]
        null = may_be_null or len(present) < len(values)
        if present and all(isinstance(value, dict) for value in present):
            found = self.add(name, present)
            return {"anyOf": [found, {"type": "null"}]} if null else found
        if present and all(isinstance(value, list) for value in present):
            items = [item for value in present for item in cast("list[object]", value)]
            found = {"type": "array", "items": self._value(name, items) if items else {}}
            return {**found, "type": ["array", "null"]} if null else found
        kinds = sorted({_kind(value) for value in present})
        if kinds == ["integer", "number"]:
            kinds = ["number"]
        if null:
            kinds.append("null")
        if not present:
            return {}
        return {"type": kinds[0] if len(kinds) == 1 else kinds, **_format(present)}


def _format(values: Sequence[object]) -> Json:
    """The format that all values have."""
    if all(isinstance(value, int) and not isinstance(value, bool) for value in values):
        return {"format": "int64"}
    texts = [value for value in values if isinstance(value, str)]
    for name, pattern in _FORMATS.items():
        if len(texts) == len(values) and all(map(pattern.fullmatch, texts)):
            return {"format": name}
    return {}


def _kind(value: object) -> str:
    match value:
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
        case _:
            return "object"
