"""``aiwyn list`` and ``aiwyn search``: rows as a table on a terminal, as JSON Lines in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from cyclopts import Parameter

from aiwyn_async._cli.client import open_client
from aiwyn_async._cli.errors import ExitCode
from aiwyn_async._cli.options import ListFilters, SandboxOptions, WholeNumber, split_names
from aiwyn_async._cli.output import write_message, write_rows
from aiwyn_async._cli.reports import write_problems
from aiwyn_async._cli.resources import create_list, find_resource, parse_where
from aiwyn_async._cli.rows import Fields, Order, RowFields
from aiwyn_async._core.checks import check_positive
from aiwyn_async._decoding.malformed import has_line_break
from aiwyn_async._http.messages import encode_json
from aiwyn_async._pagination.pager import Pager
from aiwyn_async._pagination.strategy import MAX_PAGE_SIZE
from aiwyn_async.errors import ConfigurationError


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class PrintOptions:
    """Which fields of which rows are printed, and in which order."""

    columns: Annotated[
        str | None,
        Parameter(help="Fields to print, in this order, separated by commas: id,totalAmount."),
    ] = None
    sort: Annotated[
        str | None,
        Parameter(help="Field to sort by, as totalAmount or totalAmount:desc."),
    ] = None
    limit: Annotated[WholeNumber | None, Parameter(help="Stop after this many rows.")] = None

    @property
    def order(self) -> Order | None:
        """The order of ``--sort``."""
        return None if self.sort is None else Order.parse(self.sort)

    @property
    def names(self) -> tuple[str, ...] | None:
        """The fields of ``--columns``."""
        return split_names("--columns", self.columns)


async def list_rows(
    resource: str,
    /,
    *,
    filters: ListFilters = ListFilters(),
    printed: PrintOptions = PrintOptions(),
    sandbox: SandboxOptions = SandboxOptions(),
) -> int:
    """Print the rows of a resource.

    On a terminal, a table of the columns that fit its width. In a pipe, JSON Lines: each row exactly as the
    server sent it, or its fields in the order of --columns.

    With --sort, all rows are read before the first is printed; rows without a value are last.

    Args:
        resource: invoices, clients, payments, ...
        filters: Which rows are read.
        printed: How they are printed.
        sandbox: A sandbox to use instead of the configured server.
    """
    plural, order, names = find_resource(resource), printed.order, printed.names
    async with open_client(sandbox) as aiwyn:
        options = _reading(order, printed.limit)
        read = create_list(aiwyn, plural, filters.given(), **options)
        printing = _Printing(read, getattr(aiwyn, plural).endpoint.key, names)
        if order is not None:
            return await printing.print_sorted(order, printed.limit)
        return await printing.print_as_read()


async def search_rows(
    resource: str,
    /,
    *,
    where: str | None = None,
    printed: PrintOptions = PrintOptions(),
    sandbox: SandboxOptions = SandboxOptions(),
) -> int:
    """Print the rows that match a condition.

    As ``list`` prints them; the server sorts them.

    Args:
        resource: invoices, clients, staff, ...
        where: The condition as JSON, such as {"status": {"_eq": "PAID"}}; all rows without it.
        printed: How rows are printed.
        sandbox: A sandbox to use instead of the configured server.
    """
    plural, order, names = find_resource(resource), printed.order, printed.names
    async with open_client(sandbox) as aiwyn:
        collection = getattr(aiwyn, plural)
        if not hasattr(collection, "search"):
            raise ConfigurationError(f"{plural} have no documented search endpoint; run: aiwyn list {plural}")
        options = _reading(None, printed.limit)
        if order is not None:
            field = known_field(RowFields(collection.hit_type), order.field)
            options["order_by"] = [{field: "desc" if order.descending else "asc"}]
        condition = None if where is None else parse_where(where)
        read: Pager[Any] = collection.search(condition, **options)
        return await _Printing(read, collection.endpoint.key, names).print_as_read()


def _reading(order: Order | None, limit: int | None) -> dict[str, Any]:
    """Return the options of a read that leaves out rows that are not JSON, and requests what it needs."""
    options: dict[str, Any] = {"on_bad_row": "skip"}
    if limit is not None:
        check_positive("limit", limit)
        if order is None:  # rows that are sorted here are all needed
            options |= {"limit": limit, "page_size": min(limit, MAX_PAGE_SIZE)}
    return options


class _Printing:
    """Prints the rows of a read: as a table on a terminal, otherwise as JSON Lines.

    Args:
        read: the list or search.
        key: name of the key of its rows.
        columns: the fields to print; None for rows exactly as sent, or for those that fit the terminal.
    """

    def __init__(self, read: Pager[Any], key: str | None, columns: Sequence[str] | None) -> None:
        self._fields = RowFields(read.row_type)
        self._columns = None if columns is None else [self._fields.wire_name(name) for name in columns]
        self._read = read.decode_as(msgspec.Raw)
        self._printed = self._bad_rows = 0
        self._table = None
        if sys.stdout is not None and sys.stdout.isatty():
            from aiwyn_async._cli.table import RowTable  # noqa: PLC0415 (not needed in a pipe)

            self._table = RowTable(self._fields.types, key, self._columns)

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
        if self._table is not None:
            self._table.write(self._split(rows))
        elif self._columns is None:
            _write_lines(rows)
        else:
            names = self._columns
            chosen = (
                {name: msgspec.Raw(row[name]) for name in names if name in row} for row in self._split(rows)
            )
            _write_lines(map(encode_json, chosen))

    def _split(self, rows: Sequence[bytes]) -> list[Fields]:
        """Return the fields of each row that is a JSON object; count the others."""
        split = [row for row in map(self._fields.split, rows) if row is not None]
        self._bad_rows += len(rows) - len(split)
        self._fields.check("--columns", self._columns or (), split)
        return split

    def _finish(self) -> ExitCode:
        if self._table is not None:
            shown = "1 row" if self._printed == 1 else f"{self._printed} rows"
            if self._table.hidden:
                shown += f"; {self._table.hidden} fields are not shown, choose with --columns"
            write_message(shown)
        problems = self._read.report.problems()
        if self._bad_rows:
            problems = [*problems, f"{self._bad_rows} rows are not JSON objects and were left out"]
        return write_problems(problems)


def _write_lines(lines: Iterable[bytes]) -> None:
    write_rows(b"".join(b"%s\n" % _one_line(line) for line in lines))


def known_field(fields: RowFields, name: str) -> str:
    """Return the name that the API uses for a declared field to sort by."""
    wire_name = fields.wire_name(name)
    fields.check("--sort", [wire_name], [])
    return wire_name


def _one_line(row: bytes) -> bytes:
    """Return a row without line breaks, which are valid between tokens."""
    if not has_line_break(row):
        return row
    try:
        return msgspec.json.format(row, indent=-1)
    except msgspec.MsgspecError:
        return row.replace(b"\n", b" ").replace(b"\r", b" ")
