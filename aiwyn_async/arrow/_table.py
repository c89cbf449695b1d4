# pyarrow comes without types, so all that it gives is unknown here, and Any to the callers.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingTypeStubs=false
"""Rows to Arrow tables, exactly. Needs pyarrow (the extra ``arrow``).

pyarrow reads the JSON of a page in one call, outside Python's lock, and refuses nearly all that the contract
of values reads otherwise. What it refuses, or would read otherwise, is decoded row by row.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pa_json
from msgspec import inspect

from aiwyn_async._decoding.exact import ExactRow, exact_decoder
from aiwyn_async._decoding.row_decoder import DecoderSpec, RowDecoder
from aiwyn_async._decoding.values import DECODING_ERRORS, InvalidValueError
from aiwyn_async._http.messages import encode_json
from aiwyn_async.arrow._cells import Cells
from aiwyn_async.arrow._options import EXTRA_COLUMN, UNCHANGED, ColumnOptions
from aiwyn_async.arrow._places import may_have_many_places
from aiwyn_async.arrow._rows import PageRows, RowsOfPage, columns_of
from aiwyn_async.arrow._schema import DAY, INSTANT, arrow_type, is_nullable, to_read, with_text_ids

__all__ = ["RowSchema", "cast_to", "joined_schema"]

compute: Any = pc  # its functions are made at run time, which no type checker sees

_TIME: Final = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[Tt ](?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]+)?"
    r"(?:[Zz]|[+-](?:[01][0-9]|2[0-3]):?[0-5][0-9])?)?$"
)
# Microseconds and days since 1970 of the first and the last instant that Python, and so the contract, knows.
_INSTANTS: Final = (-62_135_596_800_000_000, 253_402_300_799_999_999)
_DAYS: Final = (-719_162, 2_932_896)


class RowSchema:
    """The Arrow schema of a row type: its fields under their names on the wire, in their order.

    Args:
        row_type: a Struct.
        options: how values become columns.

    Raises:
        ConfigurationError: a field has no column, or the type has no fields.
    """

    def __init__(self, row_type: type[Any], options: ColumnOptions = UNCHANGED) -> None:
        self._row_type: Any = row_type
        self._options = options
        self._fields = columns_of(row_type)
        self._decoder: RowDecoder[Any] = RowDecoder(row_type)
        self._kinds = {field.encode_name: inspect.type_info(field.type) for field in self._fields}
        self._required = [
            name for name, kind in self._kinds.items() if not is_nullable(kind) or _has_required(kind)
        ]
        columns = [(name, self._type_of(name, integer_ids=options.ids == "auto")) for name in self._kinds]
        extra = [(EXTRA_COLUMN, pa.string())] if options.extra else []
        self.arrow: Any = pa.schema(columns + extra)
        # Read in one call, no id is text, and no amount has more than nine places.
        read = [(name, self._type_of(name, integer_ids=True)) for name in self._kinds]
        self._row: Any = pa.struct(read)
        self._reads_fast = options.round_money in {None, 9}
        self._to_read = to_read(
            pa.struct([(name, pa.string() if name in options.date_columns else kind) for name, kind in read])
        )

    def __str__(self) -> str:
        return f"{self.arrow} {self._options}"

    def table(self, rows: PageRows) -> Any:
        """Decode rows into a table, without those that are refused.

        Its columns are those of ``arrow``, but ids are text in a column, or a nested field, that has text.

        Raises:
            DecodeError: a row is refused, and refused rows are an error.
        """
        tables: list[Any] = []
        first = 0
        for page in rows.pages:
            found = self._of_page(rows, page, first)
            tables.append(self._by_rows(rows, page, first) if found is None else found)
            first += len(page)
        if not tables:
            return self.arrow.empty_table()
        schema = joined_schema([table.schema for table in tables])
        return pa.concat_tables([cast_to(table, schema) for table in tables])

    def _type_of(self, name: str, *, integer_ids: bool) -> Any:
        return DAY if name in self._options.date_columns else arrow_type(self._kinds[name], integer_ids)

    def _of_page(self, rows: PageRows, page: RowsOfPage, first: int) -> Any:
        """A page's rows, read in one call; None if they must be decoded one by one."""
        json = page.as_one()
        if not self._reads_fast or may_have_many_places(json):
            return None
        found = self._read(page, json)
        if found is None and self._decoder.adapt(bytes(row) for row in page.rows):
            rows.note_unknown_of(page, first, exact_decoder(self._row_type))
            found = self._read(page, json)
        if found is None or (self._decoder.extra_keys and self._options.extra):
            return None
        if self._options.extra:
            found = found.append_column(EXTRA_COLUMN, pa.nulls(len(page), pa.string()))
        return cast_to(found, self.arrow)

    def _read(self, page: RowsOfPage, json: bytes) -> Any:
        try:
            found = self._of_json(json)
            # The reader does not check UTF-8 by itself.
            found.validate(full=True)
        except pa.ArrowInvalid:
            return None
        if found.num_rows != len(page) or not all(map(_is_within_bounds, found.columns)):
            return None
        if any(_lacks(found[name], self._kinds[name]) for name in self._required):
            return None
        if self._decoder.extra_keys and not self._decoder.has_only_known_keys(
            lambda fast: _decode_list(fast, json)
        ):
            return None
        return found

    def _of_json(self, json: bytes) -> Any:
        """Raises ``ArrowInvalid`` for JSON that cannot be read as these columns."""
        document = b'{"rows":[%s]}' % json
        answer: Any = pa_json.read_json(
            pa.BufferReader(document),
            read_options=pa_json.ReadOptions(use_threads=False, block_size=len(document) + 1),
            parse_options=pa_json.ParseOptions(
                explicit_schema=pa.schema([("rows", pa.list_(self._to_read))]),
                newlines_in_values=True,
                unexpected_field_behavior="ignore" if self._decoder.extra_keys else "error",
            ),
        )
        (found,) = answer.column("rows").chunks  # one, since the reader's block holds all
        return self._as_columns(found.flatten())

    def _as_columns(self, found: Any) -> Any:
        if not self._options.date_columns:
            batch: Any = pa.RecordBatch.from_struct_array(found.view(self._row))
            return pa.Table.from_batches([batch])
        days = self._options.date_columns
        columns = [
            _days(column) if field.name in days else column.view(field.type)
            for column, field in zip(found.flatten(), self._row, strict=True)
        ]
        return pa.table(columns, schema=pa.schema(list(self._row)))

    def _by_rows(self, rows: PageRows, page: RowsOfPage, first: int) -> Any:
        """Decode a page row by row."""
        decoded: list[tuple[int, ExactRow]] = []
        for index, row in enumerate(page.rows):
            try:
                decoded.append((first + index, exact_decoder(self._row_type)(bytes(row))))
            except DECODING_ERRORS as fault:
                rows.record_error(first + index, fault)
        cells = Cells(self._kinds, self._options)
        objects = self._cells_of(cells, decoded)
        if cells.text_ids:  # those before the first text are text too
            cells.rounded = 0
            objects = self._cells_of(cells, decoded)
        kept: list[dict[str, Any]] = []
        for (index, exact), found in zip(decoded, objects, strict=True):
            if isinstance(found, InvalidValueError):
                rows.record_error(index, found)
                continue
            rows.counts.repaired_rows += exact.is_repaired
            rows.note_unknown(index, exact.unknown)
            if self._options.extra:
                found[EXTRA_COLUMN] = _as_json(exact)
            kept.append(found)
        rows.counts.rounded_amounts += cells.rounded
        return pa.table(
            [
                pa.array([row[field.name] for row in kept], self._with_text(field, cells))
                for field in self.arrow
            ],
            schema=pa.schema([(field.name, self._with_text(field, cells)) for field in self.arrow]),
        )

    def _cells_of(
        self, cells: Cells, decoded: Iterable[tuple[int, ExactRow]]
    ) -> list[dict[str, Any] | InvalidValueError]:
        found: list[dict[str, Any] | InvalidValueError] = []
        for _, exact in decoded:
            values = {field.encode_name: getattr(exact.row, field.name) for field in self._fields}
            try:
                found.append(cells.of(values))
            except InvalidValueError as fault:
                found.append(fault)
        return found

    def _with_text(self, field: Any, cells: Cells) -> Any:
        kind = field.type
        for path in cells.text_ids:
            name, *steps = path.split(".")
            if name == field.name:
                kind = _text_at(kind, steps)
        return kind


def joined_schema(schemas: Sequence[Any]) -> Any:
    """A schema that holds the rows of all: an id is text if it is text in one of them."""
    first = schemas[0]
    for other in schemas[1:]:
        if other != first:
            first = pa.schema(
                [(field.name, with_text_ids(field.type, other.field(field.name).type)) for field in first]
            )
    return first


def cast_to(table: Any, schema: Any) -> Any:
    """A table in a schema in which more ids are text."""
    return table if table.schema == schema else table.cast(schema)


def _text_at(kind: Any, steps: list[str]) -> Any:
    if pa.types.is_list(kind):
        return pa.list_(_text_at(kind.value_type, steps))
    if not steps:
        return pa.string()
    return pa.struct(
        [(each.name, _text_at(each.type, steps[1:]) if each.name == steps[0] else each.type) for each in kind]
    )


def _decode_list(fast: DecoderSpec, json: bytes) -> object:
    return fast.decoder(fast.rows).decode(b"[%s]" % json)


def _days(texts: Any) -> Any:
    """The calendar days of timestamps as they are on the wire; ``ArrowInvalid`` for one in another form."""
    usual = compute.match_substring_regex(texts, _TIME)
    if not compute.all(usual, min_count=0).as_py():
        raise pa.ArrowInvalid("a timestamp in another form")
    days = compute.utf8_slice_codeunits(texts, 0, 10).cast(DAY)
    bounds = compute.min_max(days.cast(pa.int32())).as_py()
    if bounds["min"] is not None and not _DAYS[0] < bounds["min"] <= bounds["max"] < _DAYS[1]:
        raise pa.ArrowInvalid("a day that may be beyond the bounds in UTC")
    return days


def _is_within_bounds(column: Any) -> bool:
    """Whether all instants and days of a column, nested ones too, are within the years 1 to 9999."""
    kind = column.type
    if pa.types.is_list(kind):
        return _is_within_bounds(compute.list_flatten(column))
    if pa.types.is_struct(kind):
        return all(_is_within_bounds(compute.struct_field(column, place)) for place in range(kind.num_fields))
    if kind not in {INSTANT, DAY} or len(column) == column.null_count:
        return True
    numbers, (low, high) = (
        (column.cast(pa.int64()), _INSTANTS) if kind == INSTANT else (column.cast(pa.int32()), _DAYS)
    )
    bounds = compute.min_max(numbers).as_py()
    return bool(low <= bounds["min"] and bounds["max"] <= high)


def _as_json(exact: ExactRow) -> str | None:
    """The fields that the row type does not have, as one JSON object."""
    if not exact.unknown:
        return None
    return encode_json({path: msgspec.Raw(raw) for path, raw in exact.unknown.items()}).decode()


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
