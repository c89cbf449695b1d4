# ruff: noqa: S608 - tables and columns come from the declarations, values travel as parameters
"""A firm changed as its `FirmOptions` say, once its rows were made."""

import math
import sqlite3
from collections.abc import Iterable, Mapping
from typing import Protocol

import msgspec

from .declare import DateForm, Resource, Row
from .firm_options import FirmOptions
from .schema import CLIENTS, INVOICES, PAYMENTS, RESOURCES
from .sql import DAY, MICRO
from .values import instant_text

__all__ = ["Writer", "adapt", "move_changes", "set_currencies"]


class Writer(Protocol):
    """What is changed."""

    @property
    def connection(self) -> sqlite3.Connection:
        """The open connection."""
        ...

    def rewrite(self, resource: Resource, row_id: int, changes: Mapping[str, object]) -> int:
        """Set fields of a row, in its JSON and in its columns."""
        ...


def adapt(store: Writer, options: FirmOptions) -> None:
    """Change a firm that was just made."""
    if options.currencies != ("USD",):
        for resource in RESOURCES.values():
            set_currencies(store, resource, options.currencies)
    for row_id in _some(store, INVOICES, "status = 'PAID' AND subtotal_cents > 1", options.refunds):
        _refund(store, row_id)
    for row_id in _some(store, CLIENTS, "1", options.missing_clients):
        for table in (CLIENTS.name, CLIENTS.bodies):
            store.connection.execute(f"DELETE FROM {table} WHERE id = ?", (row_id,))
    for resource in RESOURCES.values():
        if options.sync_minutes is not None:
            move_changes(store, resource, _rounded_up("{stamp}", options.step_us))
        if options.full_refresh:
            latest = _rounded_up("max({stamp})", MICRO)
            move_changes(store, resource, f"(SELECT {latest} FROM {resource.name})")


def _rounded_up(instant: str, step: int) -> str:
    """The SQL of the next sync after an instant."""
    return f"({instant} + {step - 1}) / {step} * {step}"


def set_currencies(
    store: Writer, resource: Resource, currencies: Iterable[str], ids: Iterable[int] | None = None
) -> None:
    """Give rows the currency of their client, all rows unless `ids` are given."""
    if not {"currency", "client_id"} <= {column.sql for column in resource.columns}:
        return
    codes = list(currencies)
    only = "" if ids is None else " WHERE id IN (SELECT value FROM json_each(?))"
    chosen = () if ids is None else (msgspec.json.encode(list(ids)).decode(),)
    store.connection.execute(
        f"UPDATE {resource.name} SET currency = json_extract(?, '$[' || (client_id % ?) || ']'){only}",
        (msgspec.json.encode(codes).decode(), len(codes), *chosen),
    )
    store.connection.execute(
        f"UPDATE {resource.bodies} SET body = json_set(body, '$.currency', (SELECT t.currency"
        f" FROM {resource.name} AS t WHERE t.id = {resource.bodies}.id)){only}",
        chosen,
    )


def move_changes(store: Writer, resource: Resource, instant: str) -> None:
    """Set the `updatedAt` of every row to whole seconds, in its column and in its JSON.

    Args:
        store: The store.
        resource: Whose rows.
        instant: The SQL of the new instant in microseconds, with `{stamp}` for the old one.
    """
    stamp = resource.by_wire.get("updatedAt")
    if stamp is None:
        return
    seconds = f"t.{stamp.sql} / {MICRO}, 'unixepoch'"
    zone = "" if stamp.form is DateForm.DATE else stamp.form
    store.connection.execute(f"UPDATE {resource.name} SET {stamp.sql} = {instant.format(stamp=stamp.sql)}")
    store.connection.execute(
        f"UPDATE {resource.bodies} SET body = json_set(body, '$.{stamp.key}',"
        f" (SELECT date({seconds}) || 'T' || time({seconds}) || '{zone}'"
        f" FROM {resource.name} AS t WHERE t.id = {resource.bodies}.id))"
    )


def _some(store: Writer, resource: Resource, condition: str, share: float) -> list[int]:
    """The ids of a share of the rows, scattered over all; at least one if the share is above 0."""
    counted = store.connection.execute(f"SELECT count(*) FROM {resource.name} WHERE {condition}")
    wanted = math.ceil(int(counted.fetchone()[0]) * share)
    rows = store.connection.execute(
        f"SELECT id FROM {resource.name} WHERE {condition} ORDER BY (id * 2654435761) & 4294967295 LIMIT ?",
        (wanted,),
    )
    return [int(row[0]) for row in rows]


class _Nested(msgspec.Struct, rename="camel"):
    """The arrays of an invoice's JSON."""

    line_items: list[Row]
    payments: list[Row]


def _refund(store: Writer, row_id: int) -> None:
    """Refund a part of an invoice. Its lines still make the subtotal, and its payments the paid amount."""
    sql = (
        "SELECT t.subtotal_cents, t.total_cents, t.updated_at_us, b.body FROM invoices AS t"
        " JOIN invoices_body AS b ON b.id = t.id WHERE t.id = ?"
    )
    subtotal, total, updated, body = store.connection.execute(sql, (row_id,)).fetchone()
    nested = msgspec.json.decode(body, type=_Nested)
    back = max(1, subtotal * (10 + row_id % 40) // 100)
    rate = nested.line_items[0]["taxRate"]
    tax = ((subtotal - back) * round(msgspec.json.decode(rate, type=float) * 10_000) + 5000) // 10_000
    left = subtotal - back + tax
    moment = (updated // MICRO + DAY) * MICRO
    line: Mapping[str, object] = {
        "id": len(nested.line_items) + 1,
        "description": "Refund",
        "quantity": msgspec.Raw(b"-1.00"),
        "unitPrice": _money(back),
        "amount": _money(-back),
        "taxRate": rate,
    }
    paid = nested.payments[-1]
    # No payment of an invoice has its number times three: see the ids of payments.
    refund = {**paid, "id": row_id * 3, "amount": _money(left - total), "paymentDate": _zulu(moment)}
    changes: Mapping[str, object] = {
        "subtotal": _text(subtotal - back),
        "taxAmount": _text(tax),
        "totalAmount": _text(left),
        "paidAmount": _text(left),
        "lineItems": [*nested.line_items, line],
        "payments": [*nested.payments, refund],
        "updatedAt": instant_text(moment),
    }
    store.rewrite(INVOICES, row_id, changes)
    _add_payment(store, msgspec.json.decode(paid["id"], type=int), row_id * 3, left - total, moment)


def _add_payment(store: Writer, like: int, payment_id: int, cents: int, moment: int) -> None:
    """Add a payment that is like another one but for its amount and its time."""
    columns = ", ".join(column.sql for column in PAYMENTS.columns if column.sql != "id")
    for table, names in ((PAYMENTS.name, columns), (PAYMENTS.bodies, "body")):
        store.connection.execute(
            f"INSERT INTO {table} (id, {names}) SELECT ?, {names} FROM {table} WHERE id = ?",
            (payment_id, like),
        )
    at = _zulu(moment)
    changes: Mapping[str, object] = {
        **dict.fromkeys(("confirmationDate", "createdAt", "updatedAt"), at),
        "id": payment_id,
        "amount": _text(cents),
        "processorReference": f"stripe_re_{payment_id}",
    }
    store.rewrite(PAYMENTS, payment_id, changes)


def _text(cents: int) -> str:
    return f"{'-' if cents < 0 else ''}{abs(cents) // 100}.{abs(cents) % 100:02d}"


def _money(cents: int) -> msgspec.Raw:
    return msgspec.Raw(_text(cents).encode())


def _zulu(microseconds: int) -> str:
    return f"{instant_text(microseconds)[:19]}Z"
