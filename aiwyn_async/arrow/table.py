# pyarrow comes without types, so all that it gives is unknown here, and Any to the callers.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingTypeStubs=false
"""Rows to Arrow tables, exactly. Needs pyarrow (the extra ``arrow``).

pyarrow reads the rows' JSON at a stretch, outside Python's lock. What it cannot take, or would take for
something else than the row's type does, goes the slow way: decoded row by row.
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any, cast

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pa_json
from msgspec import inspect, to_builtins

from aiwyn_async.arrow.places import may_have_many_places, with_few_places
from aiwyn_async.arrow.rows import PageRows, RowsOfPage, columns_of
from aiwyn_async.arrow.schema import arrow_type, is_nullable, to_read
from aiwyn_async.errors import ExportError
from aiwyn_async.models.envelopes import row_decoder
from aiwyn_async.models.unreadable import UNREADABLE
from aiwyn_async.pagination.page import Document

__all__ = ["RowSchema"]

compute: Any = pc  # its functions are made at run time, which no type checker sees


class RowSchema:
    """The Arrow schema of a row type: its fields under their names on the wire, in their order.

    Raises:
        ConfigurationError: a field has no column, or the type has no fields.
    """

    def __init__(self, row_type: type[Any]) -> None:
        self._fields = columns_of(row_type)
        self._decode = row_decoder(cast("Any", row_type))
        self._kinds = {field.encode_name: inspect.type_info(field.type) for field in self._fields}
        self._required = [
            name for name, kind in self._kinds.items() if not is_nullable(kind) or _has_required(kind)
        ]
        # Those whose key may come in another spelling, see models.spelling.
        self._of_words = [field.encode_name for field in self._fields if "_" in field.name]
        self.arrow: Any = pa.schema([(name, arrow_type(kind)) for name, kind in self._kinds.items()])
        self._row: Any = pa.struct(list(self.arrow))
        self._to_read = to_read(self._row)

    def __str__(self) -> str:
        return str(self.arrow)

    def table(self, rows: PageRows) -> Any:
        """The rows as a table, without those that do not fit.

        Its columns are those of ``arrow``, but for a key that is no integer, whose column is text.

        Raises:
            ExportError: a value that its column cannot hold exactly.
            DecodeFailed: a row does not fit, and bad rows are refused.
        """
        pages: list[Any] = []
        for page in rows.pages:
            found = self._of_page(page)
            if found is None:
                return self._by_rows(rows)
            pages.append(found)
        table = pa.concat_tables(pages) if pages else self.arrow.empty_table()
        return self._by_rows(rows) if self._is_doubtful(table, rows) else table

    def _of_page(self, page: RowsOfPage) -> Any:
        """A page's rows, all read at a stretch; None where they must be read one by one."""
        document = page.document or Document(b'{"rows":[%s]}' % b",".join(page.rows), ("rows",))
        if may_have_many_places(document.body):
            return None
        try:
            found = self._of_document(document)
            # The reader does not check UTF-8 by itself.
            found.validate(full=True)
        except pa.ArrowInvalid:
            # A number in quotes, a key that is no integer: the row's own type takes it, value by value.
            return None
        return found if found.num_rows == len(page) else None

    def _of_document(self, document: Document) -> Any:
        body, rows_at = document
        kind: Any = pa.list_(self._to_read)
        for key in reversed(rows_at):
            kind = pa.struct([(key, kind)])
        answer: Any = pa_json.read_json(
            pa.BufferReader(body),
            read_options=pa_json.ReadOptions(use_threads=False, block_size=len(body) + 1),
            parse_options=pa_json.ParseOptions(
                explicit_schema=pa.schema(list(kind)),
                newlines_in_values=True,
                unexpected_field_behavior="ignore",
            ),
        )
        (found,) = answer.column(rows_at[0]).chunks  # one, since the reader's block holds all
        for key in rows_at[1:]:
            found = found.field(key)
        batch: Any = pa.RecordBatch.from_struct_array(found.flatten().view(self._row))
        return pa.Table.from_batches([batch], self.arrow)

    def _is_doubtful(self, table: Any, rows: PageRows) -> bool:
        """True when nulls may stand for what the row's type refuses, or finds under another spelling."""
        if any(_lacks(table[name], self._kinds[name]) for name in self._required):
            return True
        empty: Any = None
        for name in self._of_words:
            column = table[name]
            if not column.null_count:
                return False
            is_null = column.is_null()
            empty = is_null if empty is None else compute.and_(empty, is_null)
        if empty is None:
            return False
        odd = compute.indices_nonzero(empty).to_pylist()
        return any(self._is_repaired(rows.row(index)) for index in odd)

    def _is_repaired(self, row: bytes) -> bool:
        try:
            return self._decode(row)[1]
        except UNREADABLE:
            return True

    def _by_rows(self, rows: PageRows) -> Any:
        objects: list[Any] = []
        for index, row in enumerate(row for page in rows.pages for row in page.rows):
            try:
                objects.append(self._decode(bytes(row))[0])
            except UNREADABLE as fault:
                rows.misfit(index, fault)
        return pa.table({field.encode_name: self._column(field, objects) for field in self._fields})

    def _column(self, field: Any, objects: list[Any]) -> Any:
        found = [getattr(row, field.name) for row in objects]
        values: list[Any] = to_builtins(found, builtin_types=(Decimal, datetime, date))
        kind = self.arrow.field(field.encode_name).type
        if kind == pa.int64():
            values = [_as_integer(value) for value in values]
            if any(isinstance(value, str) for value in values):
                kind, values = pa.string(), [None if value is None else str(value) for value in values]
        try:
            # A naive time is taken as UTC here, as by the reader of JSON.
            return pa.array(with_few_places(values), type=kind)
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as fault:
            raise ExportError(
                f"column {field.encode_name} cannot hold a value exactly: {str(fault)[:200]}; "
                "nothing is rounded, write .jsonl to keep it as it is"
            ) from None


def _as_integer(key: Any) -> Any:
    """A key in quotes as its integer, when it is one and loses nothing by it."""
    return int(key) if isinstance(key, str) and key.isdecimal() and str(int(key)) == key else key


def _has_required(kind: inspect.Type) -> bool:
    """True when a value of this type holds, at any depth, what must not be null."""
    match kind:
        case inspect.UnionType(types=types):
            return any(_has_required(member) for member in types)
        case inspect.VarTupleType(item_type=item) | inspect.ListType(item_type=item):
            return not is_nullable(item) or _has_required(item)
        case inspect.StructType(fields=fields):
            return any(not is_nullable(field.type) or _has_required(field.type) for field in fields)
        case _:
            return False


def _lacks(column: Any, kind: inspect.Type) -> bool:
    """True when a column, or what is nested in it, has a null that its type does not take."""
    if not is_nullable(kind) and column.null_count:
        return True
    if not _has_required(kind):
        return False
    if isinstance(kind, inspect.UnionType):
        kind = next(member for member in kind.types if not isinstance(member, inspect.NoneType))
    match kind:
        case inspect.VarTupleType(item_type=item) | inspect.ListType(item_type=item):
            return _lacks(compute.list_flatten(column), item)
        case inspect.StructType(fields=fields):
            there = column.drop_null()
            return any(_lacks(compute.struct_field(there, field.encode_name), field.type) for field in fields)
        case _:
            return False
