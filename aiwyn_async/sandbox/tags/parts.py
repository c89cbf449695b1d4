"""Parts of by-id objects that several tags share."""

from collections.abc import Mapping, Sequence

import msgspec

from aiwyn_async.sandbox.declare import Reader, Row, SqlValue
from aiwyn_async.sandbox.tags.words import CITIES, STREETS
from aiwyn_async.sandbox.values import instant_text

__all__ = ["address", "amount", "instant", "number", "only", "team", "telephone"]


def amount(cents: SqlValue) -> msgspec.Raw:
    """Money with its two decimals."""
    whole = int(str(cents))
    sign = "-" if whole < 0 else ""
    return msgspec.Raw(f"{sign}{abs(whole) // 100}.{abs(whole) % 100:02d}".encode())


def instant(microseconds: SqlValue) -> str:
    """An instant in the `Z` form, to the second."""
    return f"{instant_text(int(str(microseconds)))[:19]}Z"


def number(row: Row, key: str) -> int | None:
    """An id the row has, or None."""
    return msgspec.json.decode(row[key], type=int | None)


def only(row: Row, keys: Sequence[str]) -> dict[str, object]:
    """Some fields of a row."""
    return {key: row[key] for key in keys}


def telephone(seed: int) -> str:
    """A number nobody has."""
    return f"+1-555-{seed % 10_000:04d}"


def address(seed: int, *, street: int = 0) -> Mapping[str, str]:
    """A postal address; `street` 1 gives another one in the same city."""
    city, state, area = CITIES[seed % len(CITIES)]
    return {
        "street": f"{seed} {STREETS[street % len(STREETS)]}",
        "city": city,
        "state": state,
        "zipCode": f"{area}{(seed // 7 + street) % 100:02d}",
        "country": "USA",
    }


def team(reader: Reader, roles: Sequence[tuple[int | None, str, str]]) -> list[Mapping[str, object]]:
    """Team members by staff id, role and share of their time."""
    found: list[Mapping[str, object]] = []
    for staff_id, role, share in roles:
        sql = "SELECT first_name || ' ' || last_name FROM staff WHERE id = ?"
        for (name,) in reader.query(sql, (staff_id,)):
            found.append(
                {"staffId": staff_id, "name": name, "role": role, "allocation": msgspec.Raw(share.encode())}
            )
    return found
