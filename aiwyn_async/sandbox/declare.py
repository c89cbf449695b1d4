"""The words a tag is declared in: its columns, paths, envelope, page rules, rows and by-id object."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Protocol

import msgspec

__all__ = [
    "Along",
    "Column",
    "DateForm",
    "Detail",
    "Filter",
    "Ids",
    "Kind",
    "Nested",
    "PageMeans",
    "Reader",
    "Relation",
    "Resource",
    "Row",
    "Seed",
    "SqlValue",
]

SqlValue = int | float | str | bytes | None
Row = dict[str, msgspec.Raw]
"""A row with each field's own text, so that 20000.00 stays 20000.00."""


class Kind(StrEnum):
    """How a value looks on the wire and how it is kept in SQL."""

    INTEGER = "integer"
    TEXT = "text"
    BOOLEAN = "boolean"
    DECIMAL = "decimal"
    """A JSON number with `scale` decimals, kept as an integer of that scale (money: cents)."""
    INSTANT = "instant"
    """An ISO string, kept as UTC epoch microseconds. A value without a zone is taken as UTC."""


class DateForm(StrEnum):
    """What stands behind an instant's seconds; the API writes dates in four forms."""

    ZULU = "Z"
    OFFSET = "+00:00"
    NAIVE = ""
    DATE = "date"
    """No time at all."""


class PageMeans(StrEnum):
    """What the documents say the request's `page` counts."""

    NUMBER = "number"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Column:
    """One field of a row that `where` and `orderBy` can name.

    Args:
        wire: The name in `where` and `orderBy`.
        sql: The SQL column.
        kind: The type, see `Kind`.
        nullable: Whether rows may hold null.
        scale: Decimals of a `Kind.DECIMAL`.
        row_key: The name in the row, where it differs from `wire`.
        form: How rows write a `Kind.INSTANT`.
        shown: Whether rows have the field at all; `where` and `orderBy` may name it in any case.
    """

    wire: str
    sql: str
    kind: Kind
    nullable: bool = False
    scale: int = 2
    row_key: str | None = None
    form: DateForm = DateForm.ZULU
    shown: bool = True

    @property
    def key(self) -> str:
        """The field's name in a row."""
        return self.row_key or self.wire


@dataclass(frozen=True, slots=True)
class Relation:
    """A row of another resource, found by its id: `{"client": {"name": {"_eq": ...}}}`."""

    wire: str
    resource: str
    local: Column


@dataclass(frozen=True, slots=True)
class Nested:
    """An array inside the row. A condition on it holds when some element meets it, as in Hasura."""

    wire: str
    columns: tuple[Column, ...]


@dataclass(frozen=True, slots=True)
class Filter:
    """A field of the list request: `{wire: value}` stands for `{column: {operator: value}}`.

    Args:
        wire: The request's field.
        column: The wire name of the column.
        operator: How it is compared; with `_ilike` the value may stand anywhere in the column's.
        allowed: The values taken, or None for any.
    """

    wire: str
    column: str
    operator: str = "_eq"
    allowed: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Ids:
    """The ids of a tag's rows by their number: ascending, with gaps.

    Row n has the id `first + n * step[0] // step[1] + n // gap[0] * gap[1]`.
    """

    first: int
    step: tuple[int, int] = (1, 1)
    gap: tuple[int, int] = (3, 4)

    def at(self, number: int) -> int:
        """The id of a row."""
        (up, down), (every, more) = self.step, self.gap
        return self.first + number * up // down + number // every * more

    def sql(self, number: str) -> str:
        """The id of a row whose number is a SQL expression."""
        (up, down), (every, more) = self.step, self.gap
        return f"({self.first} + ({number}) * {up} / {down} + ({number}) / {every} * {more})"


@dataclass(frozen=True, slots=True)
class Along:
    """Rows that come and go with those of another tag, as payments do with their invoice.

    Args:
        parent: The tag they come with. Its rows of one chunk stand in `temp.<parent>_stage`.
        sql: A SELECT of every column, and of `body` where the seed words its rows itself.
        link: The SQL column with the parent's id.
    """

    parent: str
    sql: str
    link: str


@dataclass(frozen=True, slots=True)
class Seed:
    """How a tag's rows are made.

    Args:
        ids: The ids by row number.
        size: How many rows there are at the start, from the sizes of the tags declared before.
        steps: SELECTs by name, each reading those before it and `rows(n, s0 .. s5)`: the row's number and
            six random integers. The last one selects every column by its SQL name. The size of each tag is
            the parameter `:<tag>`, the pace of the firm's business `:step_us`.
        least: The fewest rows a firm can do with.
        along: How rows come with those of another tag.
        words_rows: The last step selects `body`, the row's JSON; otherwise it is written from the columns.
        objects: Fields of the row that are no columns: SQL expressions over the last step, giving JSON.
        carried: Names the last step selects besides, for the rows that come along with these.
        lookups: SELECTs of a number and a text, made once into the temporary tables of their names, whose
            columns are `k` and `text`.
    """

    ids: Ids
    size: Callable[[Mapping[str, int]], int]
    steps: Mapping[str, str]
    least: int = 0
    along: Along | None = None
    words_rows: bool = False
    objects: Mapping[str, str] = field(default_factory=dict[str, str])
    carried: tuple[str, ...] = ()
    lookups: Mapping[str, str] = field(default_factory=dict[str, str])


class Reader(Protocol):
    """What a by-id object is made from besides its row."""

    def query(self, sql: str, parameters: Sequence[SqlValue] = ()) -> list[tuple[SqlValue, ...]]:
        """Run a SELECT."""
        ...


Detail = Callable[[Reader, int, Row], Mapping[str, object]]
"""Makes the by-id object of an id and its row."""


@dataclass(frozen=True)
class Resource:
    """One tag: its paths, envelope, columns, page rules and rows.

    Args:
        name: The tag, which is also the SQL table.
        items_key: The key of the rows in the envelope.
        columns: The fields, `id` first.
        seed: How the rows are made.
        list_path: Where it is listed, or None.
        search_path: Where it is searched, or None.
        get_path: Where one is read, or None.
        confirmed: Which of `list`, `search`, `get` have method and path seen in the documents; the others
            are our inference.
        count_path: The keys that lead to the count, none for no count.
        relations: What `where` and `orderBy` can follow.
        nested: Arrays `where` can look into.
        filters: Fields of the list request.
        page_means: What `page` counts.
        list_page_size: The list's default.
        search_page_size: The search's default.
        page_size_keys: Names of the page size, the first being the documented one.
        default_order: SQL column and direction of the list, which need not be columns the wire can name.
        sort_order_key: The list request's field that turns `default_order` round.
        search_row: Where a search's rows are not the list's: each key with the column under it and how
            dates are written.
        detail: Makes the by-id object; the row itself unless given.
        indexes: SQL columns with an index of their own.
    """

    name: str
    items_key: str
    columns: tuple[Column, ...]
    seed: Seed
    list_path: str | None = None
    search_path: str | None = None
    get_path: str | None = None
    confirmed: frozenset[str] = frozenset()
    count_path: tuple[str, ...] = ("total", "aggregate", "count")
    relations: tuple[Relation, ...] = ()
    nested: tuple[Nested, ...] = ()
    filters: tuple[Filter, ...] = ()
    page_means: PageMeans = PageMeans.NUMBER
    list_page_size: int = 25
    search_page_size: int = 25
    page_size_keys: tuple[str, ...] = ("pageSize",)
    default_order: tuple[tuple[str, str], ...] = (("id", "asc"),)
    sort_order_key: str | None = None
    search_row: tuple[Column, ...] = ()
    detail: Detail | None = None
    indexes: tuple[str, ...] = ()

    @cached_property
    def by_wire(self) -> dict[str, Column]:
        """Columns by the name `where` uses."""
        return {column.wire: column for column in self.columns}

    @cached_property
    def by_key(self) -> dict[str, Column]:
        """Columns by the name rows use."""
        return {column.key: column for column in self.columns}

    @property
    def bodies(self) -> str:
        """The SQL table of ready JSON rows, apart from the columns so that a scan of these stays small."""
        return f"{self.name}_body"

    def nearest(self, number: str) -> str:
        """The SQL of the id of one of the first rows, any number leading to one.

        A neighbour stands in for a row that was deleted meanwhile.
        """
        wanted = self.seed.ids.sql(f"({number}) % max(:{self.name}, 1)")
        below = f"(SELECT max(id) FROM {self.name} WHERE id <= {wanted})"  # noqa: S608 - a table of ours
        return f"coalesce({below}, (SELECT min(id) FROM {self.name}))"  # noqa: S608

    @property
    def paths(self) -> dict[str, str]:
        """The paths served, by `list`, `search` and `get`."""
        found = {"list": self.list_path, "search": self.search_path, "get": self.get_path}
        return {verb: path for verb, path in found.items() if path is not None}
