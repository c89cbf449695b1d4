# ruff: noqa: S608 - tables and columns come from the declarations in schema.py, values travel as parameters
"""Rows in SQLite, to be read: ready JSON text beside indexed columns, and orders kept from page to page."""

import bisect
import contextlib
import itertools
import sqlite3
import tempfile
import threading
from array import array
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import cast

import msgspec

from . import seed as firm
from .collation import Collation
from .files import check_file
from .firm_options import FirmOptions
from .orders import OrderCache, Selection
from .schema import RESOURCES, Resource
from .sql import row_json
from .values import BadRequestError, SqlValue
from .where import Functions, Query, compile_where, split_key_range

__all__ = ["Shelf"]

_MEMORY_ROWS = 20_000
"""A firm of at most so many invoices is kept in memory; a larger one in a temporary file."""


def _scatter(salt: int) -> str:
    """An order of ties that is the same each time and is not the order of ids."""
    return f"((t.id + {salt}) * 2654435761) & 4294967295"


class Shelf:
    """The firm's books, made or opened, and read.

    Args:
        invoices: How many invoices to make.
        seed: Which firm.
        clients: How many clients; scales with the invoices by default.
        path: A file to keep, or None for memory or a temporary file.
        sizes: How many rows of other tags, by tag; each scales with the tags it belongs to by default.
        collation: How texts compare and sort, see `collation`.
        options: What is special about the firm.

    Raises:
        ValueError: A size is below what a firm can do with.

    All methods may be called from any thread; one works at a time.
    """

    def __init__(
        self,
        *,
        invoices: int,
        seed: int,
        clients: int | None = None,
        path: Path | None = None,
        sizes: Mapping[str, int] | None = None,
        collation: Collation = "C",
        options: FirmOptions | None = None,
    ) -> None:
        self.options = options or FirmOptions()
        self.collation: Collation = collation
        self._functions = Functions()
        wanted = dict(sizes or {})
        if clients is not None:
            wanted["clients"] = clients
        self.sizes = firm.firm_sizes(invoices, wanted)
        self.seed = seed
        self._path = path
        self._lock = threading.RLock()
        self._directory: tempfile.TemporaryDirectory[str] | None = None
        self._connection: sqlite3.Connection | None = None
        self._ids: dict[str, array[int]] = {}
        self._orders = OrderCache()
        self._next: dict[str, int] = {}
        self._cancelled = False
        self._unfinished = False

    def __repr__(self) -> str:
        rows = ", ".join(f"{name}={len(ids)}" for name, ids in self._ids.items())
        return f"<Store {rows or 'closed'}, {len(self._orders)} orders kept>"

    # Lifecycle

    def open(self) -> None:
        """Open the file or make the firm. Blocks; the work is SQLite's and holds no interpreter lock.

        Raises:
            ValueError: `path` holds something else than this firm.
        """
        with self._lock:
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
        found = self._path is not None and self._path.exists()
        if found and self._path is not None:
            check_file(self._path, facts)
        self._connection = connection = sqlite3.connect(
            self._location(),
            isolation_level=None,
            check_same_thread=False,
            cached_statements=256,
        )
        for pragma in (
            "page_size=16384",
            "temp_store=MEMORY",
            "cache_size=-65536",
            "mmap_size=2147418112",
            "secure_delete=OFF",
        ):
            connection.execute(f"PRAGMA {pragma}")
        self._functions.register(connection)
        if not found:
            self._fill(facts)
        connection.execute("PRAGMA journal_mode=MEMORY")
        connection.execute(f"PRAGMA synchronous={'OFF' if self._path is None else 'NORMAL'}")
        self._load_ids()
        self._next = {name: self._meta(f"next_{name}") for name in RESOURCES}

    def _load_ids(self) -> None:
        for name in RESOURCES:
            self._ids[name] = self._read_ids(f"SELECT id FROM {name} ORDER BY id")

    def _location(self) -> str:
        if self._path is not None:
            return str(self._path)
        if self.sizes["invoices"] <= _MEMORY_ROWS:
            return ":memory:"
        self._directory = tempfile.TemporaryDirectory(prefix="aiwyn-sandbox-")
        return str(Path(self._directory.name) / "firm.sqlite3")

    def _fill(self, facts: Mapping[str, int]) -> None:
        connection = self.connection
        self._unfinished = True
        # A half-made firm is thrown away, so the filling needs no journal.
        for pragma in ("journal_mode=OFF", "synchronous=OFF"):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute("BEGIN")
        firm.create_tables(connection)
        for name, rows in self.sizes.items():
            self._generate(RESOURCES[name], 0, rows)
        if self._cancelled:
            raise RuntimeError("the sandbox was stopped while its firm was being made")
        self._adapt()
        firm.create_indexes(connection)
        sizes = {f"next_{name}": self._next[name] for name in RESOURCES}
        connection.executemany("INSERT INTO sandbox_meta VALUES (?, ?)", list({**facts, **sizes}.items()))
        connection.execute("COMMIT")
        self._unfinished = False

    def _adapt(self) -> None:
        """Change the rows that were just made as `options` say; a store that can write does."""

    def _generate(
        self,
        resource: Resource,
        first: int,
        stop: int,
        made: Callable[[Resource, list[int]], None] | None = None,
    ) -> None:
        firm.generate(
            self.connection,
            resource,
            seed=self.seed,
            first=first,
            stop=stop,
            sizes=self.sizes,
            cancelled=lambda: self._cancelled,
            made=made,
        )
        self._next[resource.name] = stop

    def _meta(self, key: str) -> int:
        row = self.connection.execute("SELECT value FROM sandbox_meta WHERE key = ?", (key,)).fetchone()
        if row is None:
            raise LookupError(key)
        return int(row[0])

    def cancel(self) -> None:
        """Make a running `open` give up soon."""
        self._cancelled = True

    def close(self) -> None:
        """Close the database and remove a temporary one. May be called twice."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None
            if self._directory is not None:
                self._directory.cleanup()
                self._directory = None
            self._ids.clear()
            self._orders.clear()

    @property
    def connection(self) -> sqlite3.Connection:
        """The open connection."""
        if self._connection is None:
            raise RuntimeError("the sandbox is not running: enter `async with Sandbox() as box` first")
        return self._connection

    # Reading

    def select(self, resource: Resource, where: object, order: tuple[str, ...], salt: int = 0) -> Selection:
        """The ids that match, in order.

        Args:
            resource: Whose rows.
            where: A `where` tree.
            order: Terms of ORDER BY, as `compile_order` gives them; none means by id, as a heap gives rows.
            salt: Ties come in another order for another salt.

        Raises:
            BadRequestError: The tree is refused.
        """
        with self._lock:
            if order and order[0] not in {"t.id ASC", "t.id DESC"}:
                ids = self._ordered(
                    resource, compile_where(resource, where, self.collation), (*order, _scatter(salt))
                )
                return Selection(ids, 0, len(ids))
            compile_where(resource, where, self.collation)
            low, high, rest = split_key_range(where)
            ids = (
                self._ids[resource.name]
                if rest == {}
                else self._ordered(resource, compile_where(resource, rest, self.collation), ())
            )
            start = 0 if low is None else bisect.bisect_left(ids, low)
            stop = len(ids) if high is None else bisect.bisect_right(ids, high)
            return Selection(ids, start, max(start, stop), backwards=order[:1] == ("t.id DESC",))

    def _ordered(self, resource: Resource, where: Query, order: tuple[str, ...]) -> "array[int]":
        terms = ", ".join(order) or "t.id"
        sql = f"SELECT t.id FROM {resource.name} AS t WHERE {where.sql} ORDER BY {terms}"
        return self._orders.get(
            (resource.name, where, order),
            lambda: self._read_ids(sql, where.parameters),
        )

    def _read_ids(self, sql: str, parameters: Sequence[SqlValue] = ()) -> "array[int]":
        try:
            rows = self.connection.execute(sql, parameters).fetchall()
        except sqlite3.OperationalError as fault:
            failure, self._functions.failure = self._functions.failure, None
            if failure is not None:
                raise BadRequestError(failure, code="data-exception") from fault
            # SQLite bounds how large an expression may be: "parser stack overflow" and its kin.
            raise BadRequestError("where: too many conditions inside one another") from fault
        return array("q", itertools.chain.from_iterable(cast("list[tuple[int]]", rows)))

    def page_text(self, resource: Resource, ids: Sequence[int], *, found: bool = False) -> bytes:
        """The JSON of rows in the order of `ids`, joined by commas; an id that is gone is left out.

        SQLite joins the texts: a thousand rows make one value that crosses into Python, not a thousand.

        Args:
            resource: Whose rows.
            ids: Which rows.
            found: The rows of a search, where those are not the list's.
        """
        text, table = ("t.body", resource.bodies)
        if found and resource.search_row:
            text, table = row_json(resource.search_row, alias="t."), resource.name
        sql = (
            f"SELECT CAST(group_concat({text}, ',') AS BLOB) FROM json_each(?) AS wanted"
            # CROSS keeps the list of ids as the outer loop, and so its order.
            f" CROSS JOIN {table} AS t WHERE t.id = wanted.value"
        )
        packed = msgspec.json.encode(list(ids)).decode()
        with self._lock:
            joined = cast("bytes | None", self.connection.execute(sql, (packed,)).fetchone()[0])
        return joined or b""

    def body(self, resource: Resource, row_id: int) -> bytes | None:
        """The JSON of one row, or None."""
        return self.page_text(resource, (row_id,)) or None

    def ids(self, resource: Resource) -> Sequence[int]:
        """Every id, ascending."""
        return self._ids[resource.name]

    def query(self, sql: str, parameters: Sequence[SqlValue] = ()) -> list[tuple[SqlValue, ...]]:
        """Run a SELECT of the caller's own. Tables are read-only to it."""
        with self._lock, self._read_only() as connection:
            return connection.execute(sql, parameters).fetchall()

    @contextlib.contextmanager
    def _read_only(self) -> Generator[sqlite3.Connection]:
        self.connection.execute("PRAGMA query_only=ON")
        try:
            yield self.connection
        finally:
            self.connection.execute("PRAGMA query_only=OFF")
