"""JSON Schemas of declared requests and of the rows and by-id objects that a seeded firm serves."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from aiwyn_async.sandbox._declarations.declarations import Column, Kind, PageStyle, Resource

__all__ = [
    "DIRECTIONS",
    "Components",
    "Json",
    "comparison_schemas",
    "list_request",
    "order_schemas",
    "pascal_case",
    "reference",
    "search_request",
    "singular_name",
    "where_schemas",
]

Json = dict[str, Any]

_MAX_PAGE_SIZE = 1000
_COMPARISONS = ("_eq", "_neq", "_gt", "_gte", "_lt", "_lte")
_PATTERNS = ("_like", "_nlike", "_ilike", "_nilike", "_regex", "_iregex")
_OPERANDS: Mapping[Kind, Json] = {
    Kind.INTEGER: {"type": "integer"},
    Kind.TEXT: {"type": "string"},
    Kind.BOOLEAN: {"type": "boolean"},
    Kind.DECIMAL: {"anyOf": [{"type": "number"}, {"type": "string"}]},
    Kind.INSTANT: {"type": "string", "description": "An ISO date or date-time; UTC unless it has an offset."},
}
_FORMATS = {
    # RFC 3339 requires an offset.
    "date-time": re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)"),
    "date": re.compile(r"\d{4}-\d\d-\d\d"),
}
DIRECTIONS = ("asc", "asc_nulls_first", "asc_nulls_last", "desc", "desc_nulls_first", "desc_nulls_last")


def singular_name(name: str) -> str:
    """Return ``DraftInvoiceHistory`` for ``draft_invoice_histories``, ``LineItem`` for ``lineItems``."""
    if name.endswith("ies"):
        name = f"{name[:-3]}y"
    elif name.endswith("s") and not name.endswith(("ss", "us")):
        name = name[:-1]
    return pascal_case(name)


def pascal_case(name: str) -> str:
    """Return ``DraftInvoiceHistories`` for ``draft_invoice_histories``."""
    return "".join(part[:1].upper() + part[1:] for part in name.split("_"))


def reference(name: str) -> Json:
    """Return the reference to a schema."""
    return {"$ref": f"#/components/schemas/{name}"}


def _object_schema(properties: Mapping[str, Any], **more: Any) -> Json:
    return {"type": "object", "properties": dict(properties), "additionalProperties": False, **more}


def _comparison_name(kind: Kind) -> str:
    return f"{kind.value.capitalize()}Comparison"


def comparison_schemas() -> Json:
    """Return the operators of a condition, one schema per kind of column."""
    schemas: Json = {}
    for kind, operand in _OPERANDS.items():
        operators: Json = dict.fromkeys(_COMPARISONS, operand)
        operators |= {key: {"type": "array", "items": operand} for key in ("_in", "_nin")}
        if kind is Kind.TEXT:
            operators |= {key: {"type": "string", "maxLength": 256} for key in _PATTERNS}
        schemas[_comparison_name(kind)] = _object_schema({**operators, "_is_null": {"type": "boolean"}})
    return schemas


def where_schemas(resource: Resource) -> Json:
    """Return the schemas of ``where`` for a resource and its nested arrays."""
    name = f"{singular_name(resource.name)}Where"
    branches = {relation.wire: f"{singular_name(relation.resource)}Where" for relation in resource.relations}
    schemas: Json = {}
    for nested in resource.nested:
        inner = f"{singular_name(resource.name)}{singular_name(nested.wire)}Where"
        branches[nested.wire] = inner
        schemas[inner] = _where_schema(inner, nested.columns, {})
    return {name: _where_schema(name, resource.columns, branches), **schemas}


def _where_schema(name: str, columns: Iterable[Column], branches: Mapping[str, str]) -> Json:
    own = reference(name)
    # As in GraphQL, one object is accepted in place of a list.
    trees = {"anyOf": [{"type": "array", "items": own}, own]}
    fields = {column.wire: reference(_comparison_name(column.kind)) for column in columns}
    others = {wire: reference(target) for wire, target in branches.items()}
    return _object_schema({"_and": trees, "_or": trees, "_not": own, **others, **fields})


def order_schemas(resource: Resource) -> Json:
    """Return the schema of one term of ``orderBy``."""
    fields = {column.wire: reference("OrderDirection") for column in resource.columns}
    others = {item.wire: reference(f"{singular_name(item.resource)}OrderBy") for item in resource.relations}
    name = f"{singular_name(resource.name)}OrderBy"
    return {name: _object_schema({**fields, **others}, minProperties=1, maxProperties=1)}


def _paging_fields(resource: Resource, default: int) -> Json:
    size = {"type": "integer", "minimum": 1, "maximum": _MAX_PAGE_SIZE, "default": default}
    is_offset = resource.page_style is PageStyle.OFFSET
    description = "Number of rows to skip." if is_offset else "Number of the page, from 0."
    page = {"type": "integer", "minimum": 0, "default": 0, "description": description}
    return {**dict.fromkeys(resource.page_size_keys, size), "page": page}


def list_request(resource: Resource) -> Json:
    """Return the schema of a list request."""
    fields = _paging_fields(resource, resource.list_page_size)
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
    return _object_schema(fields)


def search_request(resource: Resource) -> Json:
    """Return the schema of a search request."""
    name = singular_name(resource.name)
    term = reference(f"{name}OrderBy")
    order = {"anyOf": [{"type": "array", "items": term}, term]}
    return _object_schema(
        {
            **_paging_fields(resource, resource.search_page_size),
            "where": reference(f"{name}Where"),
            "orderBy": order,
        }
    )


class Components:
    """Schemas read off values; each object becomes a component named by its path."""

    def __init__(self) -> None:
        self.schemas: Json = {}

    def add(self, name: str, values: Sequence[object], declared: Iterable[Column] = ()) -> Json:
        """Add the schema of some objects, and return the reference to it.

        Args:
            name: The name of the schema.
            values: Decoded JSON objects.
            declared: Columns whose nullability is declared, even if no value is null.
        """
        rows = [cast("Json", value) for value in values]
        nullable = {column.key for column in declared if column.nullable}
        keys = list(dict.fromkeys(key for row in rows for key in row))
        properties: Json = {}
        for key in keys:
            seen = [row[key] for row in rows if key in row]
            properties[key] = self._schema(f"{name}{singular_name(key)}", seen, may_be_null=key in nullable)
        required = [key for key in keys if all(key in row for row in rows)]
        self.schemas[name] = {"type": "object", "properties": properties, "required": required}
        return reference(name)

    def _schema(self, name: str, values: Sequence[object], *, may_be_null: bool = False) -> Json:
        present = [value for value in values if value is not None]
        null = may_be_null or len(present) < len(values)
        if present and all(isinstance(value, dict) for value in present):
            schema = self.add(name, present)
            return {"anyOf": [schema, {"type": "null"}]} if null else schema
        if present and all(isinstance(value, list) for value in present):
            items = [item for value in present for item in cast("list[object]", value)]
            schema = {"type": "array", "items": self._schema(name, items) if items else {}}
            return {**schema, "type": ["array", "null"]} if null else schema
        kinds = sorted({_type_name(value) for value in present})
        if kinds == ["integer", "number"]:
            kinds = ["number"]
        if null:
            kinds.append("null")
        if not present:
            return {}
        return {"type": kinds[0] if len(kinds) == 1 else kinds, **_format(present)}


def _format(values: Sequence[object]) -> Json:
    """Return the format that all values share, if any."""
    if all(isinstance(value, int) and not isinstance(value, bool) for value in values):
        return {"format": "int64"}
    texts = [value for value in values if isinstance(value, str)]
    for name, pattern in _FORMATS.items():
        if len(texts) == len(values) and all(map(pattern.fullmatch, texts)):
            return {"format": name}
    return {}


def _type_name(value: object) -> str:
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
