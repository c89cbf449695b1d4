# pyarrow has no type stubs, so its values are unknown to pyright, and Any to callers.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
"""A dlt source: each resource of a client is read in an event loop of its own thread."""

from __future__ import annotations

import contextvars
import logging
from collections.abc import Awaitable, Callable, Generator, Iterable, Iterator
from datetime import timedelta
from itertools import islice
from typing import Any, Final, Literal, TypeVar, cast

import dlt
import msgspec
import pyarrow as pa
from anyio.from_thread import BlockingPortal, start_blocking_portal
from dlt.extract import DltResource, DltSource

from aiwyn_async._changes.changes import Changes
from aiwyn_async._core.checks import check_callback, check_word, shown
from aiwyn_async._decoding.plain_types import is_struct, plain_type
from aiwyn_async._http.messages import encode_json
from aiwyn_async._pagination.page import Page
from aiwyn_async._pull.pull import Pull
from aiwyn_async._resources.collection import Collection
from aiwyn_async._resources.searchable import SearchableCollection
from aiwyn_async.arrow._options import column_options
from aiwyn_async.arrow._rows import PageRows, raw_pages
from aiwyn_async.arrow._schema import compute
from aiwyn_async.arrow._stream import Pages, check_ids, to_table
from aiwyn_async.arrow._table import RowSchema
from aiwyn_async.client import AiwynClient
from aiwyn_async.errors import ConfigurationError, IncompleteError
from aiwyn_async.filters import Where

ResultT = TypeVar("ResultT")

logger: Final = logging.getLogger("aiwyn_async.dlt")


def aiwyn_source(
    resources: Iterable[str],
    *,
    connect: Callable[[], AiwynClient] = AiwynClient,
    where: Where = None,
    overlap: float | timedelta | None = None,
    ids: Literal["auto", "text"] = "auto",
    on_bad_row: Literal["raise", "skip"] = "raise",
) -> DltSource:
    """Return resources of the API as a dlt source.

    A resource with a last-modified field has the write disposition "merge": the first run reads all rows,
    later runs what changed since the bookmark, which is part of dlt's state. Rows deleted on the server
    remain. Any other resource is read completely and has the write disposition "replace".

    Typed rows are Arrow tables: money is decimal128(38, 9), times are UTC, lists and objects are JSON text,
    and so is the column ``extra``, which has the fields that the row type does not declare. Rows of
    undocumented resources are dicts.

    A read that is not proven complete raises in the extract step, so that dlt loads no row of this run and
    keeps its state.

    Args:
        resources: attributes of the client, such as ``["invoices", "clients"]``.
        connect: returns a new client, one per resource and run; by default of the environment or the profile.
            It is called once more to validate the arguments.
        where: a condition for these resources, which need a search.
        overlap: seconds or a timedelta to read again before the bookmark; as in ``changes()``.
        ids: "text" makes every id column text; "auto" makes it integers and refuses text.
        on_bad_row: "skip" leaves out rows that do not decode, and logs a warning with their number. They are
            read again when they change, or with all rows.

    Raises:
        ConfigurationError: an argument is invalid, or the client has no credentials; nothing was sent.
    """
    names = _checked_names(resources)
    check_word("on_bad_row", on_bad_row, ("raise", "skip"))
    check_callback("connect", connect)
    client = connect()  # opens nothing
    reads = [_ResourceRead(name, connect, where, overlap, ids, on_bad_row) for name in names]
    declared = [read.declare(client) for read in reads]
    source: DltSource = dlt.source(lambda: declared, name="aiwyn", section="aiwyn", max_table_nesting=0)()
    return source


def _checked_names(resources: object) -> list[str]:
    if isinstance(resources, str) or not isinstance(resources, Iterable):
        raise ConfigurationError(
            f"resources must be a list of names, such as ['invoices'], not {shown(resources)}"
        )
    names: list[str] = []
    for name in cast("Iterable[object]", resources):
        if not isinstance(name, str) or name in names:
            raise ConfigurationError(f"resources must be different names, got {shown(name)}")
        names.append(name)
    return names


class _ResourceRead(msgspec.Struct, frozen=True):
    """How a resource is read: the arguments of the source."""

    name: str
    connect: Callable[[], AiwynClient]
    where: Where
    overlap: float | timedelta | None
    ids: Literal["auto", "text"]
    on_bad_row: Literal["raise", "skip"]

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"  # that of a partial would show its arguments

    def declare(self, client: AiwynClient) -> DltResource:
        """Return the dlt resource.

        Raises:
            ConfigurationError: an argument is invalid; nothing was sent.
        """
        collection = self._collection_of(client)
        _PageConverter(self._read(collection, None), self.ids)
        endpoint = collection.endpoint
        is_incremental = _is_incremental(collection)

        def rows() -> Iterator[Any]:  # dlt sets an attribute of it, which a method does not take
            yield from self.rows()

        resource: DltResource = dlt.resource(
            rows,
            name=self.name,
            primary_key=endpoint.key or (),
            write_disposition="merge" if is_incremental else "replace",
            # A row occurs twice in a load if all rows had to be read again.
            columns={str(endpoint.modified_at_field): {"dedup_sort": "desc"}} if is_incremental else {},
        )
        return resource

    def rows(self) -> Generator[Any, None, None]:
        """Yield the rows of each page, then move the bookmark."""
        state = _ResourceState(dlt.current.resource_state())
        with start_blocking_portal("asyncio") as portal:
            reading = _call(portal, self._begin, state)
            has_rows = False
            try:
                while (page := _call(portal, reading.pages.next)) is not None:
                    has_rows = has_rows or bool(page.items)
                    yield reading.convert(page)
                if not has_rows:
                    yield reading.convert.no_rows()
                _call(portal, reading.finish)
            finally:
                _call(portal, reading.aclose)

    async def _begin(self, state: _ResourceState) -> _Reading:
        client = self.connect()
        return _Reading(client, self._read(self._collection_of(client), state), self)

    def _collection_of(self, client: AiwynClient) -> Collection[Any, Any, Any]:
        collection = getattr(client, self.name, None)
        if not isinstance(collection, Collection):
            raise ConfigurationError(f"resources: the client has no resource {self.name!r}")
        return collection

    def _read(self, collection: Any, state: _ResourceState | None) -> Changes[Any] | Pull[Any]:
        read: Changes[Any] | Pull[Any]
        if _is_incremental(collection):
            read = collection.changes(
                where=self.where, overlap=self.overlap, state=state, on_bad_row=self.on_bad_row
            )
        else:
            # A strict pull refuses rows that are skipped; finish() refuses all other problems.
            is_strict = self.on_bad_row == "raise"
            read = collection.pull(self.where, strict=is_strict, on_bad_row=self.on_bad_row)
        return read


def _is_incremental(collection: Collection[Any, Any, Any]) -> bool:
    endpoint = collection.endpoint
    return isinstance(collection, SearchableCollection) and None not in {
        endpoint.key,
        endpoint.modified_at_field,
    }


class _ResourceState:
    """The state of a dlt resource as a state backend; dlt stores it with the rows of the load."""

    def __init__(self, state: dict[str, Any]) -> None:
        self._state = state

    def get(self, key: str, /) -> str | None:
        text: str | None = self._state.get(key)
        return text

    def put(self, key: str, value: str, /) -> None:
        self._state[key] = value


class _Reading:
    """A read in progress. Its coroutines run in the event loop of its thread."""

    def __init__(
        self, client: AiwynClient, read: Changes[Any] | Pull[Any], declaration: _ResourceRead
    ) -> None:
        self.convert = _PageConverter(read, declaration.ids)
        self._name = declaration.name
        self._client = client
        self._read = self.convert.read
        self.pages = Pages(self._read.pages())

    async def finish(self) -> None:
        """Move the bookmark.

        Raises:
            IncompleteError: the read is not proven complete.
        """
        report = self._read.report
        if isinstance(self._read, Changes):
            await self._read.ack()
        elif problems := report.blocking_problems():
            raise IncompleteError(f"{self._name}: {'; '.join(problems)}", report=report)
        if report.bad_rows:
            logger.warning("%s: %d rows do not decode and were left out", self._name, report.bad_rows)
        if isinstance(self._read, Changes):
            for text in self._read.possible_gaps:
                logger.warning("%s: %s", self._name, text)
            for text in self._read.notes:
                logger.info("%s: %s", self._name, text)

    async def aclose(self) -> None:
        """Cancel the requests in flight and close the client."""
        await self.pages.aclose()
        await self._client.aclose()


class _PageConverter:
    """Converts pages to Arrow tables, or to lists if rows have no declared type.

    Attributes:
        read: yields the pages to convert.
    """

    def __init__(self, read: Any, ids: Literal["auto", "text"]) -> None:
        self.read: Changes[Any] | Pull[Any] = read
        self._schema: RowSchema | None = None
        self._nested: list[str] = []
        row_type = plain_type(read.row_type)
        if is_struct(row_type):
            options = column_options(row_type, ids=ids, extra="json")
            self._schema = RowSchema(row_type, options)
            self._nested = [each.name for each in self._schema.arrow if pa.types.is_nested(each.type)]
            self.read = raw_pages(read)

    def __call__(self, page: Page[Any]) -> Any:
        """Return the rows of a page.

        Raises:
            DecodeError: a row does not decode.
            ExportError: an id is text in an integer column.
        """
        if self._schema is None:
            return page.items
        rows = PageRows([page], self.read.on_bad_row, self.read.query.key)
        table = to_table(self.read, self._schema, rows)
        self.read.record(rows.counts, rows.bad_rows)
        check_ids(table.schema, self._schema.arrow, "aiwyn_source()")
        return self._with_json_text(table)

    def no_rows(self) -> Any:
        """Return an empty table, so that a table is created or emptied."""
        return [] if self._schema is None else self._with_json_text(self._schema.arrow.empty_table())

    def _with_json_text(self, table: Any) -> Any:
        # dlt cannot write nested columns of Arrow to most destinations, such as PostgreSQL and BigQuery.
        for name in self._nested:
            values = [value for chunk in table.column(name).chunks for value in _to_python(chunk)]
            texts = [None if value is None else encode_json(value).decode() for value in values]
            index = table.schema.get_field_index(name)
            table = table.set_column(index, pa.field(name, pa.string()), pa.array(texts, pa.string()))
        return table


def _to_python(array: Any) -> list[Any]:
    """Return an array as ``to_pylist()`` does, column by column, which takes a third of the time.

    Decimals are numbers in JSON.
    """
    if pa.types.is_list(array.type):
        items = iter(_to_python(array.flatten()))
        lengths = compute.list_value_length(array).to_pylist()
        return [None if length is None else list(islice(items, length)) for length in lengths]
    if pa.types.is_struct(array.type):
        names = [field.name for field in array.type]
        rows = zip(*map(_to_python, array.flatten()), strict=True)
        is_valid = array.is_valid().to_pylist()
        return [
            dict(zip(names, row, strict=True)) if ok else None for ok, row in zip(is_valid, rows, strict=True)
        ]
    if pa.types.is_decimal(array.type):
        texts = array.cast(pa.string()).to_pylist()
        return [None if text is None else msgspec.Raw(text.encode()) for text in texts]
    values: list[Any] = array.to_pylist()
    return values


def _call(portal: BlockingPortal, function: Callable[..., Awaitable[ResultT]], *arguments: object) -> ResultT:
    """Run a coroutine in the event loop of the portal; cancel it if Ctrl-C ends the wait."""
    # dlt's context refers to the generator that waits here. In that of a task, a generator that its consumer
    # dropped would not be closed.
    future = contextvars.Context().run(portal.start_task_soon, function, *arguments)
    try:
        return future.result()
    except BaseException:
        future.cancel()
        raise
