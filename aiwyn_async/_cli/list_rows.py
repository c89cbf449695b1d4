"""``aiwyn list`` and ``aiwyn search``: rows as a table on a terminal, as JSON Lines in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import aclosing
from typing import Annotated, Any, Final

import msgspec
from cyclopts import Parameter

from aiwyn_async._cli.client import open_client
from aiwyn_async._cli.errors import ExitCode
from aiwyn_async._cli.options import FilterOptions, ListFilters, SandboxOptions, WholeNumber, split_names
from aiwyn_async._cli.output import write_message, write_rows
from aiwyn_async._cli.reports import write_problems
from aiwyn_async._cli.resources import create_list, find_resource, parse_where
from aiwyn_async._cli.rows import Order, RowFields
from aiwyn_async._http.messages import encode_json
from aiwyn_async._pagination.pager import Pager
from aiwyn_async._pagination.read import MAX_PAGE_SIZE, check_integer
from aiwyn_async.errors import ConfigurationError

__all__ = ["list_rows", "search_rows"]

_FILTERS: Final = ListFilters()
_SANDBOX: Final = SandboxOptions()

Columns = Annotated[
    str | None, Parameter(help="Fields to print, in this order, separated by commas: id,totalAmount.")
]
Sort = Annotated[str | None, Parameter(help="Field to sort by, as totalAmount or totalAmount:desc.")]
Limit = Annotated[WholeNumber | None, Parameter(help="Stop after this many rows.")]


async def list_rows(
    resource: str,
    /,
    *,
    filters: ListFilters = _FILTERS,
    columns: Columns = None,
    sort: Sort = None,
    limit: Limit = None,
    sandbox: SandboxOptions = _SANDBOX,
) -> int:
    """Print the rows of a resource.

    On a terminal, a table of the columns that fit its width. In a pipe, JSON Lines: each row exactly as the
    server sent it, or its fields in the order of --columns.

    With --sort, all rows are read before the first is printed; rows without a value are last.

    Args:
        resource: invoices, clients, payments, ...
        filters: Which rows are printed.
        columns: Fields to print.
        sort: Field to sort by.
        limit: Stop after this many rows.
        sandbox: A sandbox to use instead of the configured server.
    """
    plural = find_resource(resource)
    order = None if sort is None else Order.parse(sort)
    names = split_names("--columns", columns)
    async with open_client(sandbox) as aiwyn:
        read = create_list(aiwyn, plural, FilterOptions(**filters.list_filters()), **_paging(order, limit))
        printing = _Printing(read, getattr(aiwyn, plural).endpoint.key, names)
        return await (printing.print_as_read() if order is None else printing.print_sorted(order, limit))


async def search_rows(
    resource: str,
    /,
    *,
    where: str | None = None,
    columns: Columns = None,
    sort: Sort = None,
    limit: Limit = None,
    sandbox: SandboxOptions = _SANDBOX,
) -> int:
    """Print the rows that match a condition.

    As ``list`` prints them; the server sorts them.

    Args:
        resource: invoices, clients, staff, ...
        where: The condition as JSON, such as {"status": {"_eq": "PAID"}}; all rows without it.
        columns: Fields to print.
        sort: Field to sort by.
        limit: Stop after this many rows.
        sandbox: A sandbox to use instead of the configured server.
    """
    plural = find_resource(resource)
    order = None if sort is None else Order.parse(sort)
    names = split_names("--columns", columns)
    async with open_client(sandbox) as aiwyn:
        collection = getattr(aiwyn, plural)
        if not hasattr(collection, "search"):
            raise ConfigurationError(f"{plural} have no documented search endpoint; run: aiwyn list {plural}")
        options = _paging(None, limit)
        if order is not None:
            field = known_field(RowFields(collection.hit_type), order.field)
            options["order_by"] = [{field: "desc" if order.descending else "asc"}]
        condition = None if where is None else parse_where(where)
        read: Pager[Any] = collection.search(condition, **options)
        return await _Printing(read, collection.endpoint.key, names).print_as_read()


def _paging(order: Order | None, limit: int | None) -> dict[str, Any]:
    """Return the options of a read that requests no more rows than it needs."""
    if limit is None:
        return {}
    check_integer("limit", limit, 1, None)
    # Rows that are sorted here are all needed.
    return {} if order is not None else {"limit": limit, "page_size": min(limit, MAX_PAGE_SIZE)}


class _Lines:
    """Writes JSON Lines.

    Args:
        fields: splits the rows.
        columns: the fields to write, or None for rows exactly as sent.
    """

    def __init__(self, fields: RowFields, columns: Sequence[str] | None) -> None:
        self._fields = fields
        self._columns = columns
        self.bad_rows = 0

    def write(self, rows: Sequence[bytes]) -> None:
        lines = [_one_line(row) for row in rows] if self._columns is None else self._chosen(rows)
        write_rows(b"".join(b"%s\n" % line for line in lines))

    def _chosen(self, rows: Sequence[bytes]) -> list[bytes]:
        columns = self._columns or ()
        split = [row for row in map(self._fields.split, rows) if row is not None]
        self.bad_rows += len(rows) - len(split)
        self._fields.check("--columns", columns, split)
        return [
            encode_json({name: msgspec.Raw(row[name]) for name in columns if name in row}) for row in split
        ]


class _Table:
    """Writes a table to the terminal.

    Args:
        fields: splits the rows.
        columns: the columns to show, or None for those that fit.
        key: name of the key of the rows.
    """

    def __init__(self, fields: RowFields, columns: Sequence[str] | None, key: str | None) -> None:
        from aiwyn_async._cli.table import RowTable  # noqa: PLC0415 (not needed in a pipe)

        self._fields = fields
        self._columns = columns
        self._table = RowTable(fields.types, key, columns)
        self.bad_rows = 0

    @property
    def hidden(self) -> int:
        """The number of fields that are not shown."""
        return self._table.hidden

    def write(self, rows: Sequence[bytes]) -> None:
        split = [row for row in map(self._fields.split, rows) if row is not None]
        self.bad_rows += len(rows) - len(split)
        self._fields.check("--columns", self._columns or (), split)
        if split:
            self._table.write(split)


class _Printing:
    """Prints the rows of a read.

    Args:
        read: the list or search.
        key: name of the key of its rows.
        columns: the fields to print, or None.
    """

    def __init__(self, read: Pager[Any], key: str | None, columns: Sequence[str] | None) -> None:
        self._fields = RowFields(read.row_type)
        if columns is not None:
            columns = [self._fields.wire_name(name) for name in columns]
        self._read = read.decode_as(msgspec.Raw)
        self._printed = 0
        is_terminal = sys.stdout is not None and sys.stdout.isatty()
        self._printer = _Table(self._fields, columns, key) if is_terminal else _Lines(self._fields, columns)

    async def print_as_read(self) -> ExitCode:
        """Print each page as it is received."""
        async with aclosing(self._read.pages()) as pages:
            async for page in pages:
                self._print([bytes(row) for row in page.items])
        return self._finish()

    async def print_sorted(self, order: Order, limit: int | None) -> ExitCode:
        """Read all rows, sort them, and print the first ones."""
        order = Order(known_field(self._fields, order.field), order.descending)
        rows = self._fields.sort([bytes(row) for row in await self._read.collect()], order)[:limit]
        for first in range(0, len(rows), MAX_PAGE_SIZE):
            self._print(rows[first : first + MAX_PAGE_SIZE])
        return self._finish()

    def _print(self, rows: Sequence[bytes]) -> None:
        self._printed += len(rows)
        self._printer.write(rows)

    def _finish(self) -> ExitCode:
        if isinstance(self._printer, _Table):
            shown = "1 row" if self._printed == 1 else f"{self._printed} rows"
            if self._printer.hidden:
                shown += f"; {self._printer.hidden} fields are not shown, choose with --columns"
            write_message(shown)
        problems = self._read.report.problems()
        if self._printer.bad_rows:
            problems = [*problems, f"{self._printer.bad_rows} rows are not JSON objects and were left out"]
        return write_problems(problems)


def known_field(fields: RowFields, name: str) -> str:
    """Return the name of a field to sort by, as the API uses it.

    Raises:
        ConfigurationError: the row type does not declare it.
    """
    wire_name = fields.wire_name(name)
    fields.check("--sort", [wire_name], [])
    return wire_name


def _one_line(row: bytes) -> bytes:
    """Return a row without newlines, which are valid between tokens."""
    if b"\n" not in row:
        return row
    try:
        return msgspec.json.format(row, indent=-1)
    except msgspec.MsgspecError:
        return row.replace(b"\n", b" ")
