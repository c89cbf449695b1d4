"""How the values of rows become columns, where there is a choice. Needs no pyarrow."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from typing import Any, Final, Literal

import msgspec
from msgspec import inspect

from aiwyn_async.arrow._rows import columns_of
from aiwyn_async.errors import ConfigurationError

__all__ = ["EXTRA_COLUMN", "UNCHANGED", "ColumnOptions", "column_options"]

EXTRA_COLUMN: Final = "extra"
MAX_PLACES: Final = 9


class ColumnOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The choices of an export, a sync or an Arrow stream.

    Attributes:
        ids: "auto" makes a column of ids an integer column until text arrives, "text" a text column always.
        date_columns: wire names of columns that hold the calendar day of a timestamp, as it is on the wire.
        round_money: decimal places that amounts are rounded to (half to even); None rounds nothing.
        extra: "json" keeps the fields that the row type does not have in one more column, ``extra``, as JSON.
    """

    ids: Literal["auto", "text"] = "auto"
    date_columns: tuple[str, ...] = ()
    round_money: int | None = None
    extra: Literal["json"] | None = None


UNCHANGED: Final = ColumnOptions()


def column_options(
    row_type: Any,
    *,
    ids: str = "auto",
    date_columns: Iterable[str] = (),
    round_money: int | None = None,
    extra: str | None = None,
) -> ColumnOptions:
    """Check the options for the columns of a row type.

    Raises:
        ConfigurationError: an option is not one of its values, or names a column that it cannot be used for.
    """
    if ids not in ("auto", "text"):
        raise ConfigurationError(f'ids must be "auto" or "text", got {ids!r}')
    if extra not in (None, "json"):
        raise ConfigurationError(f'extra must be "json" or None, got {extra!r}')
    if round_money is not None and (type(round_money) is not int or not 0 <= round_money <= MAX_PLACES):
        raise ConfigurationError(
            f"round_money must be an integer from 0 to {MAX_PLACES}, got {round_money!r}"
        )
    if isinstance(date_columns, str) or not hasattr(date_columns, "__iter__"):
        raise ConfigurationError("date_columns must be several names, such as ('issueDate', 'dueDate')")
    days = tuple(date_columns)
    if not (days or extra):
        return ColumnOptions(ids=ids, round_money=round_money)  # type: ignore[arg-type]
    columns = {field.encode_name: field.type for field in columns_of(row_type)}
    times = [name for name, kind in columns.items() if _is_time(kind)]
    for name in days:
        if name not in times:
            known = ", ".join(times) or "none"
            raise ConfigurationError(
                f"date_columns: {name!r} is not a column of dates or times; these are {known}"
            )
    if extra and EXTRA_COLUMN in columns:
        raise ConfigurationError(f"extra: the rows have a column {EXTRA_COLUMN!r} of their own")
    return ColumnOptions(ids=ids, date_columns=days, round_money=round_money, extra=extra)  # type: ignore[arg-type]


def _is_time(kind: Any) -> bool:
    found = inspect.type_info(kind)
    members = found.types if isinstance(found, inspect.UnionType) else (found,)
    wanted = (inspect.type_info(datetime), inspect.type_info(date))
    return any(type(member) in {type(each) for each in wanted} for member in members)
