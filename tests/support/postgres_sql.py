"""A ``where`` tree and an order as SQL of PostgreSQL, independent of the compiler of the sandbox."""

from typing import Any

from aiwyn_async.sandbox._declarations.declarations import Column, DateForm, Kind, Resource
from aiwyn_async.sandbox._declarations.schema import RESOURCES
from postgres_server import literal


def sql_type(column: Column) -> str:
    if column.kind is Kind.INSTANT:
        return {DateForm.NAIVE: "timestamp", DateForm.DATE: "date"}.get(column.form, "timestamptz")
    types = {Kind.INTEGER: "bigint", Kind.TEXT: "text", Kind.BOOLEAN: "boolean", Kind.DECIMAL: "numeric"}
    return types[column.kind]


OPERATORS = {
    "_eq": "=",
    "_neq": "<>",
    "_gt": ">",
    "_gte": ">=",
    "_lt": "<",
    "_lte": "<=",
    "_like": "LIKE",
    "_nlike": "NOT LIKE",
    "_ilike": "ILIKE",
    "_nilike": "NOT ILIKE",
    "_regex": "~",
    "_iregex": "~*",
}


def sql_operand(column: Column, value: Any) -> str:
    if column.kind is Kind.TEXT:
        return literal(value)
    if column.kind is Kind.BOOLEAN:
        return str(value).lower()
    if column.kind is Kind.INTEGER:
        return f"{int(value)}::bigint"
    return f"'{value}'::{sql_type(column)}"


def sql_condition(expression: str, column: Column, where: dict[str, Any]) -> str:
    ((name, value),) = where.items()
    if name == "_is_null":
        return f"({expression} IS {'' if value else 'NOT '}NULL)"
    if name in {"_in", "_nin"}:
        values = ", ".join(sql_operand(column, item) for item in value)
        some = f"({expression} = ANY (ARRAY[{values}]::{sql_type(column)}[]))"
        return some if name == "_in" else f"({expression} <> ALL (ARRAY[{values}]::{sql_type(column)}[]))"
    return f"({expression} {OPERATORS[name]} {sql_operand(column, value)})"


def sql_where(resource: Resource, where: dict[str, Any], alias: str = "t") -> str:
    return " AND ".join(sql_branch(resource, name, value, alias) for name, value in where.items()) or "true"


def sql_branch(resource: Resource, name: str, value: Any, alias: str) -> str:
    if name in {"_and", "_or"}:
        parts = [f"({sql_where(resource, item, alias)})" for item in value]
        return f"({f' {name[1:].upper()} '.join(parts)})" if parts else str(name == "_and").lower()
    if name == "_not":
        return f"(NOT ({sql_where(resource, value, alias)}))"
    if name in resource.by_wire:
        column = resource.by_wire[name]
        return sql_condition(f"{alias}.{column.sql}", column, value)
    inner = f"{alias}x"
    for relation in resource.relations:
        if relation.wire == name:
            target = RESOURCES[relation.resource]
            inside = sql_where(target, value, inner)
            link = f"{inner}.id = {alias}.{relation.local.sql}"
            return f"EXISTS (SELECT 1 FROM {target.name} {inner} WHERE {link} AND ({inside}))"
    nested = next(item for item in resource.nested if item.wire == name)
    ((wire, where),) = value.items()
    column = next(item for item in nested.columns if item.wire == wire)
    cell = sql_condition(f"({inner}->>'{wire}')::{sql_type(column)}", column, where)
    return f"EXISTS (SELECT 1 FROM jsonb_array_elements({alias}.body->'{name}') {inner} WHERE {cell})"


def sql_order(resource: Resource, term: dict[str, Any], alias: str = "t") -> tuple[str, str]:
    ((name, value),) = term.items()
    if name in resource.by_wire:
        return f"{alias}.{resource.by_wire[name].sql}", value.replace("_", " ")
    relation = next(item for item in resource.relations if item.wire == name)
    inner, target = f"{alias}x", RESOURCES[relation.resource]
    expression, direction = sql_order(target, value, inner)
    return (
        f"(SELECT {expression} FROM {target.name} {inner} WHERE {inner}.id = {alias}.{relation.local.sql})",
        direction,
    )
