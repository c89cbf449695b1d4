# ruff: noqa: S608 - tables and columns are taken from the declarations, values are parameters
"""A firm in SQLite: the JSON of every row beside indexed columns."""

import bisect
import contextlib
import itertools
import sqlite3
import tempfile
import threading
from array import array
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import msgspec

from aiwyn_async.sandbox._data import firm_cache
from aiwyn_async.sandbox._data import seed as firm
from aiwyn_async.sandbox._data.adaptations import adapt
from aiwyn_async.sandbox._data.changes import Change
from aiwyn_async.sandbox._data.collation import Collation
from aiwyn_async.sandbox._data.connection import check_file, connect, create_write_tables
from aiwyn_async.sandbox._data.errors import BadRequestError
from aiwyn_async.sandbox._data.firm_options import FirmOptions
from aiwyn_async.sandbox._data.order_by import tie_breaker
from aiwyn_async.sandbox._data.selection import OrderCache, RowIds, Selection
from aiwyn_async.sandbox._data.sql_functions import SqlFunctions
from aiwyn_async.sandbox._data.where import Query, compile_where, split_key_range
from aiwyn_async.sandbox._declarations.declarations import Resource, SqlValue
from aiwyn_async.sandbox._declarations.schema import RESOURCES
from aiwyn_async.sandbox._declarations.sql import row_json_sql

_MAX_INVOICES_IN_MEMORY = 20_000
"""A larger firm is stored in a temporary file."""


class Database:
    """The data of a firm, with the arguments of ``Sandbox``.

    All methods may be called from any thread; one of them runs at a time. Without a ``path``, the firm is in
    memory or, if it is large, in a temporary file.

    Raises:
        ValueError: A size is below the minimum of its resource.
    """

    def __init__(
        self,
        *,
        invoices: int,
        seed: int,
        path: Path | None = None,
        sizes: Mapping[str, int] | None = None,
        collation: Collation = "C",
        options: FirmOptions | None = None,
    ) -> None:
        self.options: FirmOptions = options or FirmOptions()
        self.collation: Collation = collation
        self.sizes: dict[str, int] = firm.firm_sizes({"invoices": invoices, **(sizes or {})})
        self.seed = seed
        self.row_ids: RowIds = RowIds()
        self.next_numbers: dict[str, int] = {}
        """The number of the next row to generate, by resource."""
        self.on_change: Callable[[Sequence[Change]], None] = lambda _: None
        """Called with changes, in the thread that makes them."""
        self._functions = SqlFunctions()
        self._path = path
        self.lock: threading.RLock = threading.RLock()
        """Held by every method; hold it if several calls must see one state."""
        self._directory: tempfile.TemporaryDirectory[str] | None = None
        self._connection: sqlite3.Connection | None = None
        self._orders = OrderCache()
        self._with_all_json: set[str] = set()
        """The resources of which every row has its JSON."""
        self._cancelled = False
        self._unfinished = False
        self._is_changed = False
        self._before_changes: sqlite3.Connection | None = None
        """A copy of a firm in memory, made before its first change; that of a file could be large."""

    def __repr__(self) -> str:
        return f"<Database {self.row_ids!r}, {len(self._orders)} orders cached>"

    # Opening and closing

    def open(self) -> None:
        """Open the file or generate the firm; blocks, while SQLite releases the GIL.

        Raises:
            ValueError: ``path`` holds another firm, cannot be written, or is used by another sandbox.
        """
        with self.lock:
            try:
                self._open()
            except BaseException:
                self.close()
                if self._unfinished and self._path is not None:
                    self._path.unlink(missing_ok=True)
                raise

    def _open(self) -> None:
        facts = {"version": firm.SCHEMA_VERSION, "seed": self.seed, **self.sizes}
        facts["options"] = self.options.fingerprint
        exists = self._path is not None and self._path.exists()
        if exists and self._path is not None:
            check_file(self._path, facts)
        self._connection = connection = connect(self._location(), exclusive=self._path is not None)
        self._functions.register(connection)
        if self._path is None:
            key = (self.seed, *self.sizes.values(), repr(self.options))
            if not firm_cache.load(key, connection):
                self._fill(facts)
                firm_cache.store(key, connection)
        elif not exists:
            self._fill(facts)
        connection.execute("PRAGMA journal_mode=MEMORY")
        connection.execute(f"PRAGMA synchronous={'OFF' if self._path is None else 'NORMAL'}")
        self._load_ids()
        create_write_tables(connection)

    def _location(self) -> str:
        if self._path is not None:
            return str(self._path)
        if self.sizes["invoices"] <= _MAX_INVOICES_IN_MEMORY:
            return ":memory:"
        self._directory = tempfile.TemporaryDirectory(prefix="aiwyn-sandbox-")
        return str(Path(self._directory.name) / "firm.sqlite3")

    def _fill(self, facts: Mapping[str, int]) -> None:
        connection = self.connection
        self._unfinished = True
        # An unfinished firm is deleted, so it needs no journal.
        for pragma in ("journal_mode=OFF", "synchronous=OFF"):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute("BEGIN")
        firm.create_tables(connection)
        for name, rows in self.sizes.items():
            self.generate(RESOURCES[name], 0, rows)
        if self._cancelled:
            raise RuntimeError("the sandbox was stopped before its firm was complete")
        adapt(self)
        next_numbers = {f"next_{name}": number for name, number in self.next_numbers.items()}
        connection.executemany("INSERT INTO sandbox_meta VALUES (?, ?)", [*{**facts, **next_numbers}.items()])
        connection.execute("COMMIT")
        self._unfinished = False

    def generate(
        self,
        resource: Resource,
        first: int,
        stop: int,
        on_children: Callable[[Resource, list[int]], None] | None = None,
    ) -> None:
        """Generate the rows of a range of numbers, see ``seed.generate``."""
        firm.generate(
            self.connection,
            resource,
            seed=self.seed,
            first=first,
            stop=stop,
            sizes=self.sizes,
            is_cancelled=lambda: self._cancelled,
            on_children=on_children,
        )
        self.next_numbers[resource.name] = stop

    def _load_ids(self) -> None:
        self._with_all_json.clear()
        for name in RESOURCES:
            self.row_ids[name] = self.read_ids(f"SELECT id FROM {name} ORDER BY id")
        facts: dict[str, int] = dict(self.connection.execute("SELECT key, value FROM sandbox_meta"))
        self.next_numbers = {name: facts[f"next_{name}"] for name in RESOURCES}

    def cancel(self) -> None:
        """Make a running ``open`` fail soon."""
        self._cancelled = True

    def reset(self) -> None:
        """Undo every change since the start; a firm in a file is generated again."""
        with self.lock:
            if not self._is_changed:
                return
            if self._before_changes is not None:
                self._before_changes.backup(self.connection)
                self._is_changed = False
                self._load_ids()
                self._orders.clear()
            else:
                self.close()
                if self._path is not None:
                    self._path.unlink()
                self.open()

    def close(self) -> None:
        """Close the database and delete a temporary one. May be called twice."""
        with self.lock:
            self._is_changed = False
            if self._before_changes is not None:
                self._before_changes.close()
                self._before_changes = None
            if self._connection is not None:
                self._connection.close()
                self._connection = None
            if self._directory is not None:
                self._directory.cleanup()
                self._directory = None
            self.row_ids.clear()
            self._orders.clear()

    @property
    def connection(self) -> sqlite3.Connection:
        if self._connection is None:
            raise RuntimeError("the sandbox is not running; enter `async with Sandbox() as box` first")
        return self._connection

    def select(self, resource: Resource, where: object, order: tuple[str, ...], salt: int = 0) -> Selection:
        """Return the ids that match a ``where`` tree, ordered as ``compile_order`` says.

        Without terms the order is by id; ``salt`` selects the order of ties.
        """
        with self.lock:
            query = compile_where(resource, where, self.collation)
            if order and order[0] not in {"t.id ASC", "t.id DESC"}:
                ids = self._ordered_ids(resource, query, (*order, tie_breaker(salt)))
                return Selection(ids, 0, len(ids))
            low, high, rest = split_key_range(where)
            ids = self.row_ids[resource.name]
            if rest != {}:
                ids = self._ordered_ids(resource, compile_where(resource, rest, self.collation), ())
            start = 0 if low is None else bisect.bisect_left(ids, low)
            stop = len(ids) if high is None else bisect.bisect_right(ids, high)
            return Selection(ids, start, max(start, stop), descending=order[:1] == ("t.id DESC",))

    def _ordered_ids(self, resource: Resource, where: Query, order: tuple[str, ...]) -> "array[int]":
        self._prepare(f"{resource.name} {where.sql}")
        terms = ", ".join(order) or "t.id"
        sql = f"SELECT t.id FROM {resource.name} AS t WHERE {where.sql} ORDER BY {terms}"
        return self._orders.get((resource.name, where, order), lambda: self.read_ids(sql, where.parameters))

    def fill_bodies(self, resource: Resource, ids: Sequence[int] | None = None) -> None:
        """Generate the JSON of rows, or of all of them, that was never read."""
        if ids is not None:
            firm.fill_bodies(self.connection, resource, "SELECT value FROM json_each(?)", (_to_json(ids),))
        elif resource.name not in self._with_all_json:
            firm.fill_bodies(self.connection, resource, f"SELECT id FROM {resource.name}")
            self._with_all_json.add(resource.name)

    def _prepare(self, sql: str) -> None:
        """Generate the JSON and create the indexes that a SELECT may use."""
        for resource in RESOURCES.values():
            if resource.bodies in sql:
                self.fill_bodies(resource)
        firm.create_indexes(self.connection, sql)

    def read_ids(self, sql: str, parameters: Sequence[SqlValue] = ()) -> "array[int]":
        """Run a SELECT of ids, or raise BadRequestError if a condition fails."""
        try:
            rows = self.connection.execute(sql, parameters)
            # Row by row: a list of a million tuples would take 90 MB.
            return array("q", itertools.chain.from_iterable(rows))
        except sqlite3.OperationalError as error:
            failure, self._functions.failure = self._functions.failure, None
            if failure is not None:
                raise BadRequestError(failure, code="data-exception") from error
            # SQLite bounds the size of an expression, with errors such as "parser stack overflow".
            raise BadRequestError("where: too many nested conditions") from error

    def rows_json(self, resource: Resource, ids: Sequence[int], *, search: bool = False) -> bytes:
        """Return the JSON of existing rows in the order of ``ids``, joined by commas.

        SQLite joins the texts, so that a page crosses into Python as one value. With ``search``, the rows are
        those of a search if the resource has a separate form for them.
        """
        text, table = "t.body", resource.bodies
        if search and resource.search_row:
            text, table = row_json_sql(resource.search_row, alias="t."), resource.name
        # CROSS makes the list of ids the outer loop, which preserves its order.
        sql = (
            f"SELECT CAST(group_concat({text}, ',') AS BLOB), count(*) FROM json_each(?) AS wanted"
            f" CROSS JOIN {table} AS t WHERE t.id = wanted.value"
        )
        parameters = (_to_json(ids),)
        with self.lock:
            joined, count = self.connection.execute(sql, parameters).fetchone()
            if count < len(ids):
                self.fill_bodies(resource, ids)
                joined = self.connection.execute(sql, parameters).fetchone()[0]
            return cast("bytes | None", joined) or b""

    def row_json(self, resource: Resource, row_id: int) -> bytes | None:
        """Return the JSON of a row, or None."""
        return self.rows_json(resource, (row_id,)) or None

    def ids(self, resource: Resource) -> Sequence[int]:
        """Return every id, ascending."""
        return self.row_ids[resource.name]

    def query(self, sql: str, parameters: Sequence[SqlValue] = ()) -> list[tuple[Any, ...]]:
        """Run a SELECT; the tables are read-only to it."""
        with self.lock:
            self._prepare(sql)
            self.connection.execute("PRAGMA query_only=ON")
            try:
                return self.connection.execute(sql, parameters).fetchall()
            finally:
                self.connection.execute("PRAGMA query_only=OFF")

    # Writing

    @contextlib.contextmanager
    def transaction(self) -> Generator[sqlite3.Connection]:
        """Commit everything within, or nothing if it raises."""
        with self.lock:
            connection = self.connection
            is_in_memory = self._path is None and self._directory is None
            if is_in_memory and self._before_changes is None:
                self._before_changes = sqlite3.connect(":memory:", check_same_thread=False)
                connection.backup(self._before_changes)
            self._is_changed = True
            connection.execute("BEGIN")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")

    @contextlib.contextmanager
    def row_changes(self) -> Generator[sqlite3.Connection]:
        """Run a transaction that changes rows: ids and cached orders follow."""
        with self.lock:
            try:
                with self.transaction() as connection:
                    yield connection
            except BaseException:
                self._load_ids()
                raise
            finally:
                self._orders.clear()
                self._with_all_json.clear()


def _to_json(ids: Sequence[int]) -> str:
    return msgspec.json.encode(list(ids)).decode()
