"""Options for the conversion of rows to columns. Does not need pyarrow."""

from __future__ import annotations

import typing
from collections.abc import Iterable
from decimal import Decimal
from typing import Any, Final, Literal

import msgspec
from msgspec import inspect

from aiwyn_async._core.checks import check_kind, check_several, check_word, shown
from aiwyn_async._decoding.checked_types import is_checkable, resolve
from aiwyn_async._decoding.chosen_fields import has_choice
from aiwyn_async._decoding.plain_types import type_info, union_members
from aiwyn_async.arrow._rows import columns_of
from aiwyn_async.errors import ConfigurationError

EXTRA_COLUMN: Final = "extra"
MAX_PLACES: Final = 9


class ColumnOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Column options of an export, a sync or an Arrow stream.

    Attributes:
        ids: "auto" makes an id column an integer column until a text id arrives, "text" always a text column.
        date_columns: columns that hold the calendar day of a timestamp as the server sent it.
        round_money: decimal places to which amounts are rounded, half to even; None does not round.
        extra: "json" adds a column ``extra`` with the fields that the row type does not have, as JSON.
        csv_escape_formulas: CSV only: put an apostrophe before text that a spreadsheet takes for a formula.
    """

    ids: Literal["auto", "text"] = "auto"
    date_columns: tuple[str, ...] = ()
    round_money: int | None = None
    extra: Literal["json"] | None = None
    csv_escape_formulas: bool = False


UNCHANGED: Final = ColumnOptions()


def column_options(
    row_type: Any,
    *,
    ids: str = "auto",
    date_columns: Iterable[str] = (),
    round_money: int | None = None,
    extra: str | None = None,
) -> ColumnOptions:
    """Validate options for the columns of a row type.

    Raises:
        ConfigurationError: an option has an invalid value, or names an unsuitable column.
    """
    check_word("ids", ids, ("auto", "text"))
    if extra is not None:
        check_word("extra", extra, ("json",))
    _check_round_money(row_type, round_money)
    check_several(
        "date_columns",
        date_columns,
        "a list of names",
        "pass one such as ['issueDate', 'dueDate']",
        (Iterable,),
    )
    days = tuple(date_columns)
    if not (days or extra):
        return ColumnOptions(ids=ids, round_money=round_money)  # type: ignore[arg-type]
    columns = {field.encode_name: field.type for field in columns_of(row_type)}
    times = time_columns(row_type)
    declared = {field.encode_name for field in msgspec.structs.fields(row_type)}
    for name in days:
        check_kind("each name in date_columns", name, str, "a str")
        if name in declared - columns.keys():
            raise ConfigurationError(
                f"date_columns: {name!r} is not a chosen column; add it, or remove it from date_columns"
            )
        if name not in times:
            known = ", ".join(times) or "none"
            raise ConfigurationError(
                f"date_columns: {name!r} is not a date or time column; choose from {known}"
            )
    if extra and EXTRA_COLUMN in columns:
        raise ConfigurationError(f"the rows already have a column {EXTRA_COLUMN!r}; remove extra")
    return ColumnOptions(ids=ids, date_columns=days, round_money=round_money, extra=extra)  # type: ignore[arg-type]


def time_columns(row_type: Any) -> list[str]:
    """Return the columns of a row type that ``date_columns`` can name."""
    return [field.encode_name for field in columns_of(row_type) if _is_time(field.type)]


def _check_round_money(row_type: Any, places: int | None) -> None:
    if places is None:
        return
    if type(places) is not int or not 0 <= places <= MAX_PLACES:
        raise ConfigurationError(
            f"round_money must be an integer from 0 to {MAX_PLACES}, got {shown(places)}"
        )
    if has_choice(row_type) and not _has_amounts(row_type):
        raise ConfigurationError("round_money: the chosen columns have no amounts; remove round_money")


def _has_amounts(kind: Any) -> bool:
    kind = resolve(kind)
    if is_checkable(kind):
        return any(_has_amounts(field.type) for field in msgspec.structs.fields(kind))
    return kind is Decimal or any(map(_has_amounts, typing.get_args(kind)))


def _is_time(kind: Any) -> bool:
    members = union_members(type_info(kind))
    return any(isinstance(member, (inspect.DateTimeType, inspect.DateType)) for member in members)
