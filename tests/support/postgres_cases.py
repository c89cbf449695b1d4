"""Random conditions and orders, on equal rows in a sandbox and in PostgreSQL."""

import random
from decimal import Decimal
from typing import Any, cast

from aiwyn_async.sandbox._data.collation import Collation
from aiwyn_async.sandbox._data.database import Database
from aiwyn_async.sandbox._data.mutations import update_row
from aiwyn_async.sandbox._declarations.declarations import Column, Kind, Resource
from aiwyn_async.sandbox._declarations.schema import RESOURCES
from postgres_server import Postgres, literal
from postgres_sql import sql_type

NAMES = ("invoices", "clients", "draft_invoices", "staff", "wip")

LOCALES: dict[Collation, str] = {"C": "C.UTF-8", "en_US": "en_US.UTF-8"}

TEXTS = {
    "C": "abcABCxyz ._-%'\\\n\t\u00e9\u00c9\u00e8\u00df\u1e9e\u017f\u0130\u0131\u03c3\u03c2\u03a3\u212a"
    "\u00c5\u0301\u4e2d09$|()[]",
    "en_US": "abcABCeE ._-'&,\u00e9\u00c9\u00e8\u00c8\u00ea\u00f1\u00d1\u00fc\u00f8\u00df",
}

PATTERNS = (
    *(
        "a",
        "b",
        "A",
        ".",
        "^",
        "$",
        "e",
        "\\.",
        "[ab]",
        "[^ab]",
        "[a-c]",
        "[[:digit:]]",
        "[[:alpha:]]",
        "[[:upper:]]",
    ),
    *(
        "\\d",
        "\\w",
        "\\s",
        "\\W",
        "\\m",
        "\\M",
        "\\y",
        "\\Y",
        "\\A",
        "\\Z",
        "(a|b)",
        "(?:ab)",
        "(?=a)",
        "(?!b)",
        "(?<=a)",
    ),
    *(
        "a*",
        "b+",
        ".?",
        "x{2}",
        "[0-9]{3,4}",
        ".*",
        "(a)\\1",
        "\u00e9",
        "[[:space:]]",
        "INV",
        "|",
        "\\x41",
        "[[.a.]]",
        " ",
    ),
    *(
        "(?:(a)|b)",
        "(b){0}",
        "\\1*",
        "\\2",
        "(?:\\1)?",
        "(a+?)b??",
        "a{1,2}?",
        "(?<!a)",
        "(?:^|b)",
        "[^\\w]",
        "[\\D_]",
    ),
)

BROKEN = ("(", "a{2,1}", "*a", "a**", "[b-a]", "\\", "[[:no:]]", "\\q", "a)", "(?z)a")


class Firm:
    """The same rows in the sandbox's store and in a database."""

    def __init__(self, postgres: Postgres, collation: Collation) -> None:
        self.postgres = postgres
        self.database = f"firm_{collation.lower()}"
        self.collation: Collation = collation
        self.random = random.Random(f"20 {collation}")
        self.store = Database(invoices=120, seed=5, collation=collation)
        self.store.open()
        self._disturb()
        self._copy()
        self.values = {
            (name, column.wire): sorted(
                {
                    value
                    for (value,) in self.store.query(f"SELECT {column.sql} FROM {name}")
                    if value is not None
                }
            )
            for name in NAMES
            for column in RESOURCES[name].columns
        }

    def text(self, max_length: int = 6) -> str:
        return "".join(self.random.choices(TEXTS[self.collation], k=self.random.randint(0, max_length)))

    def _disturb(self) -> None:
        """Insert unusual texts, and instants with microseconds."""
        for resource in (RESOURCES["invoices"], RESOURCES["clients"], RESOURCES["staff"]):
            texts = [
                column for column in resource.columns if column.kind is Kind.TEXT and column.wire != "status"
            ]
            for row_id in list(self.store.ids(resource)):
                if self.random.random() < 0.6:
                    chosen = self.random.sample(texts, 3)
                    update_row(self.store, resource, row_id, {column.key: self.text() for column in chosen})

    def _copy(self) -> None:
        locale = LOCALES[self.collation]
        options = f"TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE '{locale}' LC_CTYPE '{locale}'"
        self.postgres.run("postgres", f"CREATE DATABASE {self.database} {options};")
        script: list[str] = []
        for name in NAMES:
            resource = RESOURCES[name]
            columns = ", ".join(f"{column.sql} {sql_type(column)}" for column in resource.columns)
            script.append(f"CREATE TABLE {name} ({columns}, body jsonb);")
            selected = ", ".join(column.sql for column in resource.columns)
            bodies = {row_id: self.store.row_json(resource, row_id) for row_id in self.store.ids(resource)}
            for values in self.store.query(f"SELECT {selected} FROM {name}"):
                cells = [
                    stored(column, value) for column, value in zip(resource.columns, values, strict=True)
                ]
                body = literal((bodies[cast("int", values[0])] or b"").decode())
                script.append(f"INSERT INTO {name} VALUES ({', '.join(cells)}, {body}::jsonb);")
        self.postgres.run(self.database, "\n".join(script))


def stored(column: Column, value: Any) -> str:
    """A value of the store as SQL of Postgres."""
    if value is None:
        return "NULL"
    match column.kind:
        case Kind.TEXT:
            return literal(str(value))
        case Kind.BOOLEAN:
            return "true" if value else "false"
        case Kind.DECIMAL:
            return str(Decimal(value).scaleb(-column.scale))
        case Kind.INSTANT:
            return f"'epoch'::timestamp + interval '{value} microseconds'"
        case _:
            return str(value)


def operand(firm: Firm, column: Column, values: list[Any]) -> Any:
    chosen, chance = firm.random.choice(values), firm.random.random()
    match column.kind:
        case Kind.DECIMAL:
            number = Decimal(chosen).scaleb(-column.scale) + Decimal(
                firm.random.choice(["0", "0", "0.01", "-0.005"])
            )
            return str(number) if chance < 0.3 else number
        case Kind.INTEGER:
            return Decimal(f"{chosen}.0") if chance < 0.2 else chosen + firm.random.choice([0, 0, 1, -1])
        case Kind.BOOLEAN:
            return chance < 0.5
        case Kind.INSTANT:
            return instant(firm, chosen)
        case Kind.TEXT:
            return chosen if chance < 0.6 else firm.text(3)


def instant(firm: Firm, microseconds: int) -> str:
    """An instant of a row, or one near it, in a form that Postgres parses."""
    seconds, fraction = divmod(microseconds, 1_000_000)
    (text,) = firm.store.query(f"SELECT strftime('%Y-%m-%dT%H:%M:%S', {seconds}, 'unixepoch')")[0]
    clock, day = str(text), str(text)[:10]
    forms = (
        f".{fraction:06d}Z",
        f".{fraction:06d}4999Z",
        f".{fraction:06d}",
        "",
        "Z",
        "+00:00",
        "+02:00",
        "-0530",
        "+05:30",
    )
    others = (
        day,
        f"{day}Z",
        clock.replace("T", " "),
        day.replace("-", ""),
        f"{day}T24:00:00Z",
        f"{day} BC",
        f"{clock} utc",
        f"{clock}Z ad",
        "infinity",
        "12024-01-01",
        f"{day}-05:30",
        f"{day}+05:30",
        clock.replace(":", "") + firm.random.choice(["", "Z", "-05:30", "-0530", ".5-05:30", "."]),
    )
    return clock + firm.random.choice(forms) if firm.random.random() < 0.75 else firm.random.choice(others)


def like_pattern(firm: Firm, values: list[Any]) -> str:
    text = str(firm.random.choice(values))
    start = firm.random.randint(0, len(text))
    piece = text[start : start + firm.random.randint(0, 5)].replace("\\", "\\\\")
    swapped = (
        piece.swapcase() if firm.random.random() < 0.3 and len(piece.swapcase()) == len(piece) else piece
    )
    made = "".join("_" if firm.random.random() < 0.15 and char != "\\" else char for char in swapped)
    return firm.random.choice(["%{}%", "{}%", "%{}", "{}", "%{}%{}%", "\\%{}", "%\\_{}"]).replace("{}", made)


def regex(firm: Firm) -> str:
    if firm.random.random() < 0.1:
        return firm.random.choice(BROKEN)
    pieces = firm.random.choices(PATTERNS, k=firm.random.randint(1, 4))
    return firm.random.choice(
        ["", "", "", "(?i)", "(?n)", "(?x)", "(?q)", "(?w)", "(?p)", "(?in)", "***="]
    ) + "".join(pieces)


def condition(firm: Firm, column: Column, values: list[Any]) -> dict[str, Any]:
    names = ["_eq", "_neq", "_gt", "_gte", "_lt", "_lte", "_in", "_nin", "_is_null"]
    if column.kind is Kind.TEXT:
        names += ["_like", "_nlike", "_ilike", "_nilike", "_regex", "_iregex"] * 2
    name = firm.random.choice(names)
    if name == "_is_null" or not values:
        return {"_is_null": firm.random.random() < 0.5}
    if name in {"_in", "_nin"}:
        return {name: [operand(firm, column, values) for _ in range(firm.random.randint(0, 3))]}
    if name.endswith("like"):
        return {name: like_pattern(firm, values)}
    return {name: regex(firm) if name.endswith("regex") else operand(firm, column, values)}


def leaf(firm: Firm, resource: Resource) -> dict[str, Any]:
    relations = [item for item in resource.relations if item.resource in NAMES]
    chance = firm.random.random()
    if relations and chance < 0.15:
        relation = firm.random.choice(relations)
        return {relation.wire: tree(firm, RESOURCES[relation.resource], 2)}
    if resource.nested and chance < 0.3:
        nested = firm.random.choice(resource.nested)
        column = firm.random.choice(nested.columns)
        result = firm.store.query(
            f"SELECT DISTINCT json_extract(e.value, '$.{column.sql}') FROM {resource.bodies} AS b,"
            f" json_each(b.body, '$.{nested.wire}') AS e"
        )
        values = [within(column, value) for (value,) in result]
        return {nested.wire: {column.wire: condition(firm, column, values)}}
    column = firm.random.choice(resource.columns)
    return {column.wire: condition(firm, column, firm.values[resource.name, column.wire])}


def within(column: Column, value: Any) -> Any:
    """Return a value of a nested element in the form of a column."""
    if column.kind is Kind.DECIMAL:
        return int(Decimal(str(value)).scaleb(column.scale))
    return 1_700_000_000_000_000 if column.kind is Kind.INSTANT else value


def tree(firm: Firm, resource: Resource, depth: int = 0) -> dict[str, Any]:
    chance = firm.random.random()
    if depth > 3 or chance < 0.45:
        return leaf(firm, resource)
    if chance < 0.6:
        return {"_not": tree(firm, resource, depth + 1)}
    parts = [tree(firm, resource, depth + 1) for _ in range(firm.random.randint(0, 3))]
    return {"_and" if chance < 0.8 else "_or": parts}


def order(firm: Firm, resource: Resource) -> list[dict[str, Any]]:
    directions = ["asc", "desc", "asc_nulls_first", "asc_nulls_last", "desc_nulls_first", "desc_nulls_last"]

    def term(of: Resource, depth: int) -> dict[str, Any]:
        relations = [item for item in of.relations if item.resource in NAMES]
        if relations and depth < 2 and firm.random.random() < 0.15:
            relation = firm.random.choice(relations)
            return {relation.wire: term(RESOURCES[relation.resource], depth + 1)}
        return {firm.random.choice(of.columns).wire: firm.random.choice(directions)}

    return [*(term(resource, 0) for _ in range(firm.random.randint(1, 3))), {"id": "asc"}]
