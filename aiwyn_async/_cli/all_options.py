"""Options of a command over all resources: those of one resource are refused, the others apply to all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiwyn_async._cli.options import RowOptions
from aiwyn_async._cli.translations import flag_name
from aiwyn_async.arrow._options import time_columns
from aiwyn_async.errors import ConfigurationError


def refuse_for_all(**values: object) -> None:
    """Refuse options that are for one resource, if one has a value."""
    for name, value in values.items():
        if value is not None:
            raise ConfigurationError(f"{flag_name(name)} is for one resource; remove it, or name a resource")


def columns_by_resource(row_types: Mapping[str, Any], rows: RowOptions) -> dict[str, dict[str, Any]]:
    """Return the column options of each resource; of ``--date-columns``, those that it has.

    Raises:
        ConfigurationError: no resource has one of the columns.
    """
    options = rows.column_arguments()
    days: tuple[str, ...] = options.get("date_columns", ())
    times = {name: set(time_columns(row_type)) for name, row_type in row_types.items()}
    for day in days:
        if not any(day in own for own in times.values()):
            raise ConfigurationError(f"date_columns: no resource has a date or time column {day!r}")
    return {
        name: options | {"date_columns": tuple(day for day in days if day in own)}
        for name, own in times.items()
    }
