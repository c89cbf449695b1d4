"""Columns and parts of by-id objects that several resources share."""

import datetime as dt
from collections.abc import Mapping, Sequence

import msgspec

from aiwyn_async.sandbox._declarations.declarations import Column, Kind, Reader, Row
from aiwyn_async.sandbox._declarations.sample_text import CITIES, STREETS

ID = Column("id", "id", Kind.INTEGER)
CLIENT_ID = Column("clientId", "client_id", Kind.INTEGER)
CLIENT_NAME = Column("clientName", "client_name", Kind.TEXT)
CURRENCY = Column("currency", "currency", Kind.TEXT)
CREATED_AT = Column("createdAt", "created_at_us", Kind.INSTANT)
UPDATED_AT = Column("updatedAt", "updated_at_us", Kind.INSTANT)

_UNIX_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_LONGEST = dt.datetime.max.replace(tzinfo=dt.UTC) - _UNIX_EPOCH


def instant_text(microseconds: int) -> str:
    """Return the ``+00:00`` form of an instant, with microseconds; at most the last of the year 9999."""
    moment = _UNIX_EPOCH + min(dt.timedelta(microseconds=microseconds), _LONGEST)
    return moment.isoformat(timespec="microseconds")


def format_cents(cents: int) -> str:
    """Return money with two decimals."""
    return f"{'-' if cents < 0 else ''}{abs(cents) // 100}.{abs(cents) % 100:02d}"


def money_json(cents: int) -> msgspec.Raw:
    return msgspec.Raw(format_cents(cents).encode())


def zulu_text(microseconds: int) -> str:
    """Return the ``Z`` form of an instant, in seconds."""
    return f"{instant_text(microseconds)[:19]}Z"


def optional_id(row: Row, key: str) -> int | None:
    """Return an id in a row, or None."""
    return msgspec.json.decode(row[key], type=int | None)


def pick_fields(row: Row, keys: str) -> dict[str, object]:
    """Return some fields of a row, whose names are separated by spaces."""
    return {key: row[key] for key in keys.split()}


def snake_case(wire: str) -> str:
    """Return ``due_date`` for ``dueDate``."""
    return "".join(f"_{char.lower()}" if char.isupper() else char for char in wire)


def phone_number(seed: int) -> str:
    return f"+1-555-{seed % 10_000:04d}"


def address(seed: int, *, street: int = 0) -> Mapping[str, str]:
    """Return a postal address; ``street`` selects one in the same city."""
    city, state, area = CITIES[seed % len(CITIES)]
    return {
        "street": f"{seed} {STREETS[street % len(STREETS)]}",
        "city": city,
        "state": state,
        "zipCode": f"{area}{(seed // 7 + street) % 100:02d}",
        "country": "USA",
    }


def team_members(reader: Reader, roles: Sequence[tuple[int | None, str, str]]) -> list[Mapping[str, object]]:
    """Return team members from staff ids, roles and shares of their time."""
    members: list[Mapping[str, object]] = []
    for staff_id, role, share in roles:
        sql = "SELECT first_name || ' ' || last_name FROM staff WHERE id = ?"
        for (name,) in reader.query(sql, (staff_id,)):
            members.append(
                {"staffId": staff_id, "name": name, "role": role, "allocation": msgspec.Raw(share.encode())}
            )
    return members
