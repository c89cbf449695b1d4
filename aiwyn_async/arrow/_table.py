# pyarrow has no type stubs, so its values are unknown to pyright, and Any to callers.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
"""Convert rows to Arrow tables, exactly. Needs pyarrow (the extra ``arrow``).

pyarrow reads the JSON of a page in one call, outside Python's lock. Pages that it refuses, or would read
differently from ``_decoding.values``, are decoded row by row.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from typing import Any, cast

import pyarrow as pa
import pyarrow.json as pa_json
from msgspec import inspect

from aiwyn_async._decoding.blocks import split_rows
from aiwyn_async._decoding.checked_types import needs_exact_decoding
from aiwyn_async._decoding.chosen_fields import has_choice, raw_fields_decoder
from aiwyn_async._decoding.exact import ExactRow, exact_decoder, has_nested_defaults
from aiwyn_async._decoding.plain_types import type_info
from aiwyn_async._decoding.row_decoder import RowDecoder
from aiwyn_async._decoding.values import DECODING_ERRORS, InvalidValueError
from aiwyn_async._http.messages import encode_json
from aiwyn_async.arrow._cells import Cells
from aiwyn_async.arrow._limits import BOUNDED, is_within_bounds, may_have_many_places, to_days
from aiwyn_async.arrow._options import EXTRA_COLUMN, UNCHANGED, ColumnOptions
from aiwyn_async.arrow._rows import PageRows, RowsOfPage, columns_of, extra_json
from aiwyn_async.arrow._schema import (
    DAY,
    arrow_type,
    compute,
    contains,
    has_own_checks,
    has_required,
    is_nullable,
    members_of,
    merge_id_types,
    reading_type,
    refuses_null,
)


class RowSchema:
    """The Arrow schema of a row type: fields in order, named as in the API.

    Raises:
        ConfigurationError: a field has no column, or the type has no fields.
    """

    def __init__(self, row_type: type[Any], options: ColumnOptions = UNCHANGED) -> None:
        self._row_type: Any = row_type
        self._options = options
        self._fields = columns_of(row_type)
        self._has_choice = has_choice(row_type)
        kind = cast("Any", row_type)
        self._has_defaults = needs_exact_decoding(kind) or has_nested_defaults(kind)
        self._decoder: RowDecoder[Any] = RowDecoder(row_type)
        self._kinds = {field.encode_name: type_info(field.type) for field in self._fields}
        extra = [pa.field(EXTRA_COLUMN, pa.string())] if options.extra else []
        self.arrow: Any = pa.schema(self._columns(integer_ids=options.ids == "auto") + extra)
        self._required = {
            field.encode_name: refuses_null(field, kind)
            for field, kind in zip(self._fields, self._kinds.values(), strict=True)
            if refuses_null(field, kind) or has_required(kind)
        }
        # A page that is read in one call has no text ids and no amount of more than nine places.
        fast = self._columns(integer_ids=True)
        self._row: Any = pa.struct(fast)
        self._bounded_columns = [each.name for each in fast if contains(each.type, BOUNDED)]
        self._has_days = any(each.type == DAY for each in fast)
        has_nested_days = any(each.type != DAY and contains(each.type, (DAY,)) for each in fast)
        has_checks = has_own_checks(type_info(kind))
        self._reads_fast = options.round_money in {None, 9} and not (has_nested_days or has_checks)
        self._reading_type = reading_type(self._row)

    def __str__(self) -> str:
        return f"{self.arrow} {self._options}"

    def table(self, rows: PageRows) -> Any:
        """Convert rows to a table, without bad rows.

        Its columns are those of ``arrow``, but ids are text in a column or nested field with a text id.

        Raises:
            DecodeError: a row is bad, and ``on_bad_row`` is "raise".
        """
        tables: list[Any] = []
        first = 0
        for page in rows.pages:
            table = self._read_page(rows, page, first)
            tables.append(self._decode_rows(rows, page, first) if table is None else table)
            first += len(page)
        if not tables:
            return pa.Table.from_batches([], self.arrow)
        schema = merge_schemas([table.schema for table in tables])
        return pa.concat_tables([cast_to(table, schema) for table in tables])

    def _columns(self, *, integer_ids: bool) -> list[Any]:
        """Return the columns; only those of required fields that refuse null are not nullable."""
        return [
            pa.field(
                name,
                DAY
                if name in self._options.date_columns
                else arrow_type(kind, name, integer_ids=integer_ids),
                nullable=not field.required or is_nullable(kind),
            )
            for field, (name, kind) in zip(self._fields, self._kinds.items(), strict=True)
        ]

    def _read_page(self, rows: PageRows, page: RowsOfPage, first: int) -> Any:
        """Read a page in one call; None if its rows must be decoded one by one."""
        if not self._reads_fast:
            return None
        json = page.to_json() if page.chosen is None else page.chosen
        table = self._read(page, json)
        if table is None and self._decoder.adapt((bytes(row) for row in page.rows), page.number):
            rows.note_unknown_of(page, first, exact_decoder(self._row_type))
            table = self._read(page, json)
        if table is None or (self._decoder.extra_keys and self._options.extra):
            return None
        if page.number < self._decoder.adapted_at:
            rows.note_unknown_of(page, first, exact_decoder(self._row_type))
        if self._options.extra:
            table = table.append_column(EXTRA_COLUMN, pa.nulls(len(page), pa.string()))
        return cast_to(table, self.arrow)

    def _read(self, page: RowsOfPage, json: bytes | memoryview) -> Any:
        try:
            if page.chosen is None:
                json = self._drop_other_fields(json)
            if may_have_many_places(json):
                return None
            table = self._parse(json)
            # The JSON reader does not check UTF-8.
            table.validate(full=True)
        except (pa.ArrowInvalid, *DECODING_ERRORS):
            return None
        bounded = (chunk for name in self._bounded_columns for chunk in table[name].chunks)
        if table.num_rows != len(page) or not all(map(is_within_bounds, bounded)):
            return None
        lacks = any(
            _lacks(table[name], self._kinds[name], refuses) for name, refuses in self._required.items()
        )
        if lacks and not self._has_all_keys(json):
            return None
        if self._decoder.extra_keys and not self._decoder.has_only_known_keys(
            lambda fast: fast.decoder(fast.rows).decode(b"[%s]" % json)
        ):
            return None
        return table

    def _has_all_keys(self, json: bytes | memoryview) -> bool:
        """Return whether each null is a value of a row, and no missing key with another default."""
        if self._has_defaults:
            return False
        fast = self._decoder.fast
        try:
            fast.decoder(fast.rows).decode(b"[%s]" % json)
        except DECODING_ERRORS:
            return False
        return True

    def _drop_other_fields(self, json: bytes | memoryview) -> bytes | memoryview:
        """Return the chosen fields of rows alone, which also checks the keys of the others.

        msgspec skips a field in less than half the time of pyarrow.
        """
        if not self._has_choice:
            return json
        decode = raw_fields_decoder(self._row_type, self._decoder.extra_keys)
        with contextlib.suppress(*DECODING_ERRORS):
            # In blocks that fit the processor's cache it takes two thirds of the time.
            return b",".join([encode_json(decode(block))[1:-1] for block in split_rows(json)])
        return encode_json(decode(b"[%s]" % json))[1:-1]

    def _parse(self, json: bytes | memoryview) -> Any:
        """Read JSON; raise ``ArrowInvalid`` if it does not have these columns."""
        # Formatting would reserve half as much again, more than glibc returns without a system call.
        document = b"".join((b'{"rows":[', json, b"]}"))
        document_table: Any = pa_json.read_json(
            pa.BufferReader(document),
            read_options=pa_json.ReadOptions(use_threads=False, block_size=len(document) + 1),
            parse_options=pa_json.ParseOptions(
                explicit_schema=pa.schema([("rows", pa.list_(self._reading_type))]),
                newlines_in_values=True,
                unexpected_field_behavior="ignore" if self._decoder.extra_keys else "error",
            ),
        )
        (rows,) = document_table.column("rows").chunks  # one, since the block size exceeds the document
        return self._to_columns(rows.flatten())

    def _to_columns(self, rows: Any) -> Any:
        if not self._has_days:
            batch: Any = pa.RecordBatch.from_struct_array(rows.view(self._row))
            return pa.Table.from_batches([batch])
        columns = [
            to_days(column, of_dates=isinstance(members_of(self._kinds[field.name])[0], inspect.DateType))
            if field.type == DAY
            else column.view(field.type)
            for column, field in zip(rows.flatten(), self._row, strict=True)
        ]
        return pa.table(columns, schema=pa.schema(list(self._row)))

    def _decode_rows(self, rows: PageRows, page: RowsOfPage, first: int) -> Any:
        decoded: list[tuple[int, ExactRow]] = []
        for index, row in enumerate(page.rows):
            try:
                decoded.append((first + index, exact_decoder(self._row_type)(bytes(row))))
            except DECODING_ERRORS as error:
                rows.record_error(first + index, error)
        cells = Cells(self._kinds, self._options)
        objects = self._convert(cells, decoded)
        if cells.text_ids:  # ids before the first text id become text too
            cells.rounded = 0
            objects = self._convert(cells, decoded)
        good: list[dict[str, Any]] = []
        for (index, exact), values in zip(decoded, objects, strict=True):
            if isinstance(values, Exception):
                rows.record_error(index, values)
                continue
            rows.counts.repaired_rows += exact.is_repaired
            rows.note_unknown(index, exact.unknown)
            good.append(values)
        rows.counts.rounded_amounts += cells.rounded
        schema = pa.schema([self._with_text_ids(field, cells) for field in self.arrow])
        return pa.table(
            [pa.array([row[field.name] for row in good], field.type) for field in schema], schema=schema
        )

    def _convert(
        self, cells: Cells, decoded: Iterable[tuple[int, ExactRow]]
    ) -> list[dict[str, Any] | InvalidValueError | UnicodeDecodeError]:
        """Return the columns of each row, or why it has none."""
        converted: list[dict[str, Any] | InvalidValueError | UnicodeDecodeError] = []
        for _, exact in decoded:
            values = {field.encode_name: getattr(exact.row, field.name) for field in self._fields}
            rounded_before = cells.rounded
            try:
                columns = cells.convert(values)
                if self._options.extra:
                    columns[EXTRA_COLUMN] = extra_json(exact)
            except (InvalidValueError, UnicodeDecodeError) as error:
                cells.rounded = rounded_before
                converted.append(error)
            else:
                converted.append(columns)
        return converted

    def _with_text_ids(self, field: Any, cells: Cells) -> Any:
        kind = field.type
        for path in cells.text_ids:
            name, *steps = path.split(".")
            if name == field.name:
                kind = _text_at(kind, steps)
        return field.with_type(kind)


def merge_schemas(schemas: Sequence[Any]) -> Any:
    """Merge schemas: an id is text if it is text in one of them."""
    first = schemas[0]
    for other in schemas[1:]:
        if other != first:
            first = pa.schema(
                [field.with_type(merge_id_types(field.type, other.field(field.name).type)) for field in first]
            )
    return first


def cast_to(table: Any, schema: Any) -> Any:
    """Cast a table to a schema in which more ids are text."""
    return table if table.schema == schema else table.cast(schema)


def _text_at(kind: Any, steps: list[str]) -> Any:
    if pa.types.is_list(kind):
        return pa.list_(_text_at(kind.value_type, steps))
    if not steps:
        return pa.string()
    return pa.struct(
        [(each.name, _text_at(each.type, steps[1:]) if each.name == steps[0] else each.type) for each in kind]
    )


def _lacks(column: Any, kind: inspect.Type, refuses: bool) -> bool:
    """True if a column, or a value nested in it, has a null that must be decoded."""
    if refuses and column.null_count:
        return True
    if not has_required(kind):
        return False
    inner = members_of(kind)[0]
    match inner:
        case inspect.VarTupleType(item_type=item) | inspect.ListType(item_type=item):
            return _lacks(compute.list_flatten(column), item, not is_nullable(item))
        case inspect.StructType(fields=fields):
            present = column.drop_null()
            return any(
                _lacks(
                    compute.struct_field(present, field.encode_name),
                    field.type,
                    refuses_null(field, field.type),
                )
                for field in fields
            )
        case _:
            return False
