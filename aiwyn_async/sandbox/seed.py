# ruff: noqa: S608 - SQL from the declarations
"""The seeded firm: rows made inside SQLite, from a seed, in integer cents, as the declarations say.

Each row's randomness is a set of Lehmer streams carried along a recursive CTE. The state of a stream at row n
is `start * multiplier**n mod 2**31-1`, so a row depends on (seed, n) alone and not on how the work is cut in
chunks. No float takes part.
"""

import hashlib
import sqlite3
from collections.abc import Callable, Mapping

from .declare import Along, Kind, Resource
from .schema import RESOURCES
from .sql import ONCE, SPAN_SECONDS, row_json

__all__ = [
    "CHUNK_ROWS",
    "SCHEMA_VERSION",
    "children",
    "create_indexes",
    "create_tables",
    "firm_sizes",
    "generate",
]

SCHEMA_VERSION = 2
CHUNK_ROWS = 20_000

_PRIME = 2**31 - 1
_MULTIPLIERS = (48271, 69621, 16807, 39373, 62089911, 742938285)
_SQL_TYPES = {
    Kind.INTEGER: "INTEGER",
    Kind.TEXT: "TEXT",
    Kind.BOOLEAN: "INTEGER",
    Kind.DECIMAL: "INTEGER",
    Kind.INSTANT: "INTEGER",
}


def firm_sizes(invoices: int, wanted: Mapping[str, int] | None = None) -> dict[str, int]:
    """How many rows each tag has at the start.

    Args:
        invoices: The firm's size; the other tags' sizes follow from it.
        wanted: Sizes of one's own choice, by tag.

    Raises:
        ValueError: A tag is unknown, or has fewer rows than a firm can do with.
    """
    chosen = {"invoices": invoices, **(wanted or {})}
    if unknown := sorted(set(chosen) - set(RESOURCES)):
        raise ValueError(f"no tag is called {unknown[0]!r}; tags are {', '.join(RESOURCES)}")
    sizes = {"invoices": chosen["invoices"]}
    for name, resource in RESOURCES.items():
        sizes[name] = chosen[name] if name in chosen else resource.seed.size(sizes)
        if sizes[name] < resource.seed.least:
            raise ValueError(f"a firm has no fewer than {resource.seed.least} {name}, not {sizes[name]}")
    return {name: sizes[name] for name in RESOURCES}


def children(resource: Resource) -> list[tuple[Resource, Along]]:
    """The tags whose rows come and go with this one's, and how."""
    return [
        (child, along)
        for child in RESOURCES.values()
        if (along := child.seed.along) is not None and along.parent == resource.name
    ]


def create_tables(connection: sqlite3.Connection) -> None:
    """Create the tables of every declared resource and the table of facts about the firm."""
    connection.execute(
        "CREATE TABLE sandbox_meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID"
    )
    for resource in RESOURCES.values():
        columns = ["id INTEGER PRIMARY KEY"]
        columns += [f"{item.sql} {_SQL_TYPES[item.kind]}" for item in resource.columns if item.sql != "id"]
        connection.execute(f"CREATE TABLE {resource.name} ({', '.join(columns)})")
        connection.execute(f"CREATE TABLE {resource.bodies} (id INTEGER PRIMARY KEY, body TEXT NOT NULL)")


def create_indexes(connection: sqlite3.Connection) -> None:
    """Create the indexes, which is cheaper once the rows are there."""
    for resource in RESOURCES.values():
        for column in resource.indexes:
            connection.execute(f"CREATE INDEX {resource.name}_{column} ON {resource.name} ({column})")


def _streams(seed: int, salt: str, first: int) -> dict[str, int]:
    """The state of each Lehmer stream at row `first`."""
    states: dict[str, int] = {}
    for number, multiplier in enumerate(_MULTIPLIERS):
        digest = hashlib.sha256(f"{salt}:{seed}:{number}".encode()).digest()
        start = int.from_bytes(digest[:8], "big") % (_PRIME - 1) + 1
        states[f"s{number}"] = start * pow(multiplier, first, _PRIME) % _PRIME
    return states


_STEPS = ", ".join(f"s{number} * {multiplier} % {_PRIME}" for number, multiplier in enumerate(_MULTIPLIERS))
_NAMES = ", ".join(f"s{number}" for number in range(len(_MULTIPLIERS)))
_ROWS = f"""
  rows(n, {_NAMES}) AS (
    SELECT :first, {", ".join(f":s{number}" for number in range(len(_MULTIPLIERS)))}
    UNION ALL SELECT n + 1, {_STEPS} FROM rows WHERE n + 1 < :stop)"""


def _columns(resource: Resource) -> str:
    return ", ".join(column.sql for column in resource.columns)


def _body(resource: Resource) -> str:
    """The SQL of a row's JSON over the last step."""
    seed = resource.seed
    objects = {key: f"coalesce({expression}, 'null')" for key, expression in seed.objects.items()}
    return "body" if seed.words_rows else row_json(resource.columns, objects)


def _stage(connection: sqlite3.Connection, resource: Resource) -> str:
    columns = ", ".join((_columns(resource), *resource.seed.carried, "body"))
    connection.execute(f"CREATE TEMP TABLE IF NOT EXISTS {resource.name}_stage ({columns})")
    return columns


def _create_lookups(connection: sqlite3.Connection, resource: Resource) -> None:
    for name, select in resource.seed.lookups.items():
        found = connection.execute("SELECT 1 FROM sqlite_temp_master WHERE name = ?", (name,))
        if found.fetchone() is None:
            connection.execute(f"CREATE TEMP TABLE {name} (k INTEGER PRIMARY KEY, text TEXT NOT NULL)")
            connection.execute(f"INSERT INTO temp.{name} {select}")


def _insert(connection: sqlite3.Connection, resource: Resource) -> None:
    """Copy the stage to the tables: two plain copies take half the time of a trigger that fills both."""
    columns, stage = _columns(resource), f"temp.{resource.name}_stage"
    connection.execute(f"INSERT INTO {resource.name} ({columns}) SELECT {columns} FROM {stage}")
    connection.execute(f"INSERT INTO {resource.bodies} SELECT id, body FROM {stage}")


def _add_children(
    connection: sqlite3.Connection, resource: Resource, made: Callable[[Resource, list[int]], None] | None
) -> None:
    for child, along in children(resource):
        columns, stage = _stage(connection, child), f"temp.{child.name}_stage"
        connection.execute(
            f"INSERT INTO {stage} ({columns}) WITH made AS ({along.sql})"
            f" SELECT {_columns(child)}, {_body(child)} FROM made"
        )
        _insert(connection, child)
        if made is not None:
            made(child, [int(row[0]) for row in connection.execute(f"SELECT id FROM {stage}")])
        connection.execute(f"DELETE FROM {stage}")


def generate(
    connection: sqlite3.Connection,
    resource: Resource,
    *,
    seed: int,
    first: int,
    stop: int,
    sizes: Mapping[str, int],
    cancelled: Callable[[], bool] = lambda: False,
    made: Callable[[Resource, list[int]], None] | None = None,
) -> None:
    """Make rows `first` to `stop` (0-based, exclusive) of a resource, and those that come along with them.

    Args:
        connection: The store.
        resource: Which rows.
        seed: Two firms of one seed and size are equal byte for byte.
        first: The first row's number.
        stop: One past the last row's number.
        sizes: How many rows each tag had at the start; the invoices fill six years.
        cancelled: Asked before each chunk; true ends the work early.
        made: Told the ids of rows of other tags that came along.
    """
    columns, stage = _stage(connection, resource), f"temp.{resource.name}_stage"
    _create_lookups(connection, resource)
    names = ", ".join((_columns(resource), *resource.seed.carried))
    *steps, (last, select) = resource.seed.steps.items()
    before = "".join(f"{name} AS ({step} {ONCE}), " for name, step in steps)
    # What the seed words itself is used once, and copying a row's JSON takes its time.
    once = "" if resource.seed.words_rows else ONCE
    fill = (
        f"INSERT INTO {stage} ({columns}) WITH RECURSIVE {_ROWS}, {before}{last} AS ({select} {once}) "
        f"SELECT {names}, {_body(resource)} FROM {last}"
    )
    for start in range(first, stop, CHUNK_ROWS):
        if cancelled():
            return
        arguments = {
            **sizes,
            "first": start,
            "stop": min(start + CHUNK_ROWS, stop),
            "step_us": SPAN_SECONDS * 1_000_000 // max(sizes["invoices"], 1),
            **_streams(seed, resource.name, start),
        }
        connection.execute(fill, arguments)
        _insert(connection, resource)
        _add_children(connection, resource, made)
        connection.execute(f"DELETE FROM {stage}")
