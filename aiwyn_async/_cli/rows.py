"""The fields of a row, as JSON tokens, and how rows are sorted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple

import msgspec

from aiwyn_async._decoding.converters import split_object
from aiwyn_async._decoding.exact import split_fields, value_decoder
from aiwyn_async._decoding.plain_types import is_struct, plain_type
from aiwyn_async._decoding.values import DECODING_ERRORS
from aiwyn_async.errors import ConfigurationError

Fields = Mapping[str, bytes]
"""The JSON of each field of a row, by the name that the API uses."""

_NULL: Final = b"null"


class Order(NamedTuple):
    """A field to sort by, and whether the largest value is first."""

    field: str
    descending: bool

    @classmethod
    def parse(cls, text: str) -> Order:
        """Return the order of ``--sort``: ``FIELD``, ``FIELD:asc`` or ``FIELD:desc``."""
        field, _, direction = text.partition(":")
        if not field or direction not in {"", "asc", "desc"} or text.endswith(":"):
            raise ConfigurationError(f"--sort must be FIELD, FIELD:asc or FIELD:desc, got {text!r}")
        return cls(field, direction == "desc")


class RowFields:
    """Splits rows of a type, a Struct or ``dict``, into fields."""

    def __init__(self, row_type: Any) -> None:
        self._type: Any = plain_type(row_type)
        fields = msgspec.structs.fields(self._type) if is_struct(self._type) else ()
        self.types: dict[str, Any] = {field.encode_name: field.type for field in fields}
        """The type of each declared field; empty for rows without a type."""
        self._wire_names = {field.name: field.encode_name for field in fields}

    def wire_name(self, name: str) -> str:
        """Return the name that the API uses for a field, also for that of its Python attribute."""
        return name if name in self.types else self._wire_names.get(name, name)

    def check(self, flag: str, names: Sequence[str], rows: Sequence[Fields]) -> None:
        """Refuse names that neither the type declares nor rows have, and repeated ones."""
        known = dict.fromkeys([*self.types, *(name for row in rows for name in row)])
        for index, name in enumerate(names):
            if name in names[:index]:
                raise ConfigurationError(f"{flag}: {name!r} is repeated; name each field once")
            if known and name not in known:
                raise ConfigurationError(
                    f"{flag}: {name!r} is not a field of the rows; choose from {', '.join(known)}"
                )

    def split(self, row: bytes) -> Fields | None:
        """Return the fields of a row; None if it is not a JSON object."""
        try:
            if not self.types:
                untyped = msgspec.json.decode(row, type=dict[str, msgspec.Raw])
                return {name: bytes(raw) for name, raw in untyped.items()}
            wire = split_object(row)
            fields, unknown = split_fields(self._type, row)
        except DECODING_ERRORS:
            return None
        return fields | {name: bytes(wire[name]) for name in unknown}

    def sort(self, rows: Sequence[bytes], order: Order) -> list[bytes]:
        """Return the rows in an order by value; those without a value are last."""
        keyed = [(self._value(row, order.field), row) for row in rows]
        with_value = [(key, row) for key, row in keyed if key is not None]
        with_value.sort(key=lambda each: each[0], reverse=order.descending)
        return [row for _, row in with_value] + [row for key, row in keyed if key is None]

    def _value(self, row: bytes, name: str) -> tuple[int, Any] | None:
        token = (self.split(row) or {}).get(name, _NULL)
        if token == _NULL:
            return None
        try:
            return _comparable(value_decoder(self.types.get(name, Any))(token))
        except DECODING_ERRORS:
            return 4, token.decode("utf-8", "replace")


def _comparable(value: object) -> tuple[int, Any] | None:
    """Return a value that compares with those of all other types."""
    match value:
        case None:
            return None
        case int() | float() | Decimal():
            return 0, value
        case datetime():
            return 1, value if value.tzinfo else value.replace(tzinfo=UTC)
        case date():
            return 2, value
        case str():
            return 3, value
        case _:
            return 4, msgspec.json.encode(value).decode()
