"""Types that declare a resource: columns, paths, envelope, pages and objects."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any, Protocol

import msgspec

SqlValue = int | float | str | bytes | None
Row = dict[str, msgspec.Raw]
"""A row whose fields preserve their text, such as 20000.00."""


class Kind(StrEnum):
    """The form of a value on the wire and in SQL."""

    INTEGER = "integer"
    TEXT = "text"
    BOOLEAN = "boolean"
    DECIMAL = "decimal"
    """A JSON number with ``scale`` decimals, stored as an integer of that scale (money: cents)."""
    INSTANT = "instant"
    """An ISO string, stored as UTC epoch microseconds; UTC unless it has an offset."""


class DateForm(StrEnum):
    """The four forms of dates of the API: the text after the seconds."""

    ZULU = "Z"
    OFFSET = "+00:00"
    NAIVE = ""
    DATE = "date"
    """Without a time."""


class PageStyle(StrEnum):
    """The meaning of ``page`` in a request: a page number, or an offset in rows."""

    PAGE = "page"
    OFFSET = "offset"


@dataclass(frozen=True, slots=True)
class Column:
    """A field of a row that ``where`` and ``orderBy`` can name.

    Args:
        wire: The name in ``where`` and ``orderBy``.
        sql: The SQL column.
        kind: The type, see ``Kind``.
        nullable: Whether rows may hold null.
        scale: Decimals of a ``Kind.DECIMAL``.
        row_key: The name in the row if it differs from ``wire``.
        form: The form of a ``Kind.INSTANT`` in rows.
        shown: Whether rows have the field; ``where`` and ``orderBy`` can name it in any case.
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
        """The name of the field in a row."""
        return self.row_key or self.wire


@dataclass(frozen=True, slots=True)
class Relation:
    """A row of another resource by its id: ``{"client": {"name": {"_eq": ...}}}``."""

    wire: str
    resource: str
    local: Column


@dataclass(frozen=True, slots=True)
class Nested:
    """An array in a row. As in Hasura, a condition is true if some element meets it."""

    wire: str
    columns: tuple[Column, ...]


@dataclass(frozen=True, slots=True)
class Filter:
    """A field of a list: ``{wire: value}`` means ``{column: {operator: value}}``.

    With ``_ilike``, the column may contain the value anywhere. ``allowed`` is None for any value.
    """

    wire: str
    column: str
    operator: str = "_eq"
    allowed: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class IdSequence:
    """The ids of a resource's rows by their number: ascending, with gaps.

    Row n has the id ``first + n * step[0] // step[1] + n // gap[0] * gap[1]``.
    """

    first: int
    step: tuple[int, int] = (1, 1)
    gap: tuple[int, int] = (3, 4)

    def at(self, number: int) -> int:
        (up, down), (every, more) = self.step, self.gap
        return self.first + number * up // down + number // every * more

    def sql(self, number: str) -> str:
        """Return the SQL of the id of a row whose number is a SQL expression."""
        (up, down), (every, more) = self.step, self.gap
        return f"({self.first} + ({number}) * {up} / {down} + ({number}) / {every} * {more})"


@dataclass(frozen=True, slots=True)
class ChildRows:
    """Rows created and deleted with those of another resource, such as payments.

    Args:
        parent: The other resource.
        sql: A SELECT of every column from ``parents``, new rows of the other resource.
        link: The SQL column with the id of the parent.
        order: The SQL that rows inserted at once are ordered by, each with a later ``updatedAt``.
    """

    parent: str
    sql: str
    link: str
    order: str


@dataclass(frozen=True, slots=True)
class Seed:
    """The generation of a resource's rows.

    Args:
        ids: The ids by row number.
        size: Returns the number of rows, from the sizes of the resources declared before.
        steps: SELECTs by name, each from those before it and ``rows(n, s0 .. s5)``: the number of the row and
            six random integers. The last one selects every column by its SQL name. Parameters are the size of
            each resource, ``:<resource>``, and the time between two invoices, ``:step_us``.
        min_rows: Minimum number of rows.
        child_rows: Rows created with those of another resource.
        bodies: A SELECT of ``id`` and ``body``, the JSON, from ``wanted``, some rows of the table; by
            default, the JSON is derived from the columns. It is generated when it is first read.
        objects: Fields of the row that are not columns: SQL expressions over the columns that return JSON.
            They may read other tables, so the JSON is generated with the rows.
        stored: Further names that the last step selects, stored for ``bodies``.
        reads: SELECTs of the ids of other resources' rows whose JSON the steps read.
        lookups: SELECTs of a number and a text, stored once in temporary tables of their names with the
            columns ``k`` and ``text``.
        joins: SELECTs stored in temporary tables of their names at each generation, for the steps to join by
            ``rowid``, which counts from 1.
    """

    ids: IdSequence
    size: Callable[[Mapping[str, int]], int]
    steps: Mapping[str, str]
    min_rows: int = 0
    child_rows: ChildRows | None = None
    bodies: str | None = None
    objects: Mapping[str, str] = field(default_factory=dict[str, str])
    stored: tuple[str, ...] = ()
    reads: Mapping[str, str] = field(default_factory=dict[str, str])
    lookups: Mapping[str, str] = field(default_factory=dict[str, str])
    joins: Mapping[str, str] = field(default_factory=dict[str, str])


class Reader(Protocol):
    """The source of what a by-id object holds besides its row."""

    def query(self, sql: str, parameters: Sequence[SqlValue] = ()) -> list[tuple[Any, ...]]: ...

    def row_json(self, resource: "Resource", row_id: int) -> bytes | None: ...


Detail = Callable[[Reader, int, Row], Mapping[str, object]]
"""Returns the by-id object of an id and its row."""


@dataclass(frozen=True)
class Resource:
    """A resource of the API.

    Args:
        name: The name, also that of the SQL table.
        items_key: The key of the rows in the envelope.
        columns: The fields, ``id`` first.
        seed: The generation of the rows.
        paths: The path of each of its verbs, which are ``list``, ``search`` and ``get``, in this order.
        confirmed: The verbs whose method and path the documentation shows; the others are inferred.
        count_path: The keys of the count in the envelope; empty for no count.
        relations: The relations that ``where`` and ``orderBy`` can follow.
        nested: The arrays that ``where`` can name.
        filters: The filters of the list request.
        page_style: The meaning of ``page``.
        list_page_size: The default page size of the list.
        search_page_size: The default page size of the search.
        page_size_keys: The names of the page size, the documented one first.
        default_order: SQL columns and directions of the list, not necessarily of declared columns.
        sort_order_key: The field of the list request that sets the direction of ``default_order``.
        search_row: The columns of a search row, if it differs from that of the list.
        detail: Returns the by-id object; the row by default.
        indexes: SQL columns that get an index when a condition first names them.
    """

    name: str
    items_key: str
    columns: tuple[Column, ...]
    seed: Seed
    paths: Mapping[str, str]
    confirmed: frozenset[str] = frozenset()
    count_path: tuple[str, ...] = ("total", "aggregate", "count")
    relations: tuple[Relation, ...] = ()
    nested: tuple[Nested, ...] = ()
    filters: tuple[Filter, ...] = ()
    page_style: PageStyle = PageStyle.PAGE
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
        """The columns by their name in ``where``."""
        return {column.wire: column for column in self.columns}

    @cached_property
    def by_key(self) -> dict[str, Column]:
        """The columns by their name in rows."""
        return {column.key: column for column in self.columns}

    @property
    def bodies(self) -> str:
        """The SQL table of JSON rows, separate so that scans of the columns are small."""
        return f"{self.name}_body"

    def nearest_id(self, number: str) -> str:
        """Return the SQL of a generated row's id by number; its neighbour's if deleted."""
        planned = self.seed.ids.sql(f"({number}) % max(:{self.name}, 1)")
        below = f"(SELECT max(id) FROM {self.name} WHERE id <= {planned})"  # noqa: S608 - a table of ours
        return f"coalesce({below}, (SELECT min(id) FROM {self.name}))"  # noqa: S608
