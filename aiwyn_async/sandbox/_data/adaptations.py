# ruff: noqa: S608 - tables and columns are taken from the declarations, values are parameters
"""``FirmOptions`` applied to the rows of a firm."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from aiwyn_async.sandbox._data.rewriting import rewrite_row
from aiwyn_async.sandbox._declarations.declarations import DateForm, Resource, Row
from aiwyn_async.sandbox._declarations.fields import format_cents, instant_text, money_json, zulu_text
from aiwyn_async.sandbox._declarations.schema import CLIENTS, INVOICES, PAYMENTS, RESOURCES
from aiwyn_async.sandbox._declarations.sql import DAY, MICRO

if TYPE_CHECKING:  # it imports this module
    from aiwyn_async.sandbox._data.database import Database


def adapt(database: "Database") -> None:
    """Apply the options of a newly generated firm."""
    options = database.options
    for resource in RESOURCES.values():
        set_currencies(database, resource)
    for row_id in _sample_ids(database, INVOICES, "status = 'PAID' AND subtotal_cents > 1", options.refunds):
        _add_refund(database, row_id)
    for row_id in _sample_ids(database, CLIENTS, "1", options.missing_clients):
        for table in (CLIENTS.name, CLIENTS.bodies):
            database.connection.execute(f"DELETE FROM {table} WHERE id = ?", (row_id,))
    for resource in RESOURCES.values():
        if options.sync_minutes is not None:
            move_changes(database, resource, _rounded_up("{stamp}", options.step_us))
        if options.full_refresh:
            latest = _rounded_up("max({stamp})", MICRO)
            move_changes(database, resource, f"(SELECT {latest} FROM {resource.name})")


def _rounded_up(instant: str, step: int) -> str:
    """Return the SQL of the next sync after an instant."""
    return f"({instant} + {step - 1}) / {step} * {step}"


def set_currencies(database: "Database", resource: Resource, ids: Sequence[int] | None = None) -> None:
    """Set the currency of rows, or of those in ``ids``, to their client's; they are generated in USD."""
    codes = database.options.currencies
    if codes == ("USD",) or not {"currency", "client_id"} <= {column.sql for column in resource.columns}:
        return
    database.fill_bodies(resource, ids)
    condition = "" if ids is None else " WHERE id IN (SELECT value FROM json_each(?))"
    parameters = () if ids is None else (msgspec.json.encode(ids).decode(),)
    database.connection.execute(
        f"UPDATE {resource.name} SET currency = json_extract(?, '$[' || (client_id % ?) || ']'){condition}",
        (msgspec.json.encode(codes).decode(), len(codes), *parameters),
    )
    database.connection.execute(
        f"UPDATE {resource.bodies} SET body = json_set(body, '$.currency', (SELECT t.currency"
        f" FROM {resource.name} AS t WHERE t.id = {resource.bodies}.id)){condition}",
        parameters,
    )


def move_changes(database: "Database", resource: Resource, instant: str) -> None:
    """Set the ``updatedAt`` of every row to whole seconds, in its column and its JSON.

    ``instant`` is SQL of the new one in microseconds, in which ``{stamp}`` is replaced by the old one.
    """
    stamp = resource.by_wire.get("updatedAt")
    if stamp is None:
        return
    database.fill_bodies(resource)
    seconds = f"t.{stamp.sql} / {MICRO}, 'unixepoch'"
    zone = "" if stamp.form is DateForm.DATE else stamp.form
    database.connection.execute(f"UPDATE {resource.name} SET {stamp.sql} = {instant.format(stamp=stamp.sql)}")
    database.connection.execute(
        f"UPDATE {resource.bodies} SET body = json_set(body, '$.{stamp.key}',"
        f" (SELECT date({seconds}) || 'T' || time({seconds}) || '{zone}'"
        f" FROM {resource.name} AS t WHERE t.id = {resource.bodies}.id))"
    )


def _sample_ids(database: "Database", resource: Resource, condition: str, share: float) -> list[int]:
    """Return the ids of a share of the rows, spread over all; at least one above 0."""
    if share == 0:
        return []
    counted = database.connection.execute(f"SELECT count(*) FROM {resource.name} WHERE {condition}")
    size = math.ceil(int(counted.fetchone()[0]) * share)
    rows = database.connection.execute(
        f"SELECT id FROM {resource.name} WHERE {condition} ORDER BY (id * 2654435761) & 4294967295 LIMIT ?",
        (size,),
    )
    return [int(row[0]) for row in rows]


class _Nested(msgspec.Struct, rename="camel"):
    """The arrays of an invoice's JSON."""

    line_items: list[Row]
    payments: list[Row]


def _add_refund(database: "Database", row_id: int) -> None:
    """Refund a part of an invoice, whose lines and payments still tie out.

    Lines sum to the subtotal, and payments to the paid amount.
    """
    sql = "SELECT subtotal_cents, total_cents, updated_at_us FROM invoices WHERE id = ?"
    subtotal, total, updated = database.connection.execute(sql, (row_id,)).fetchone()
    nested = msgspec.json.decode(database.row_json(INVOICES, row_id) or b"{}", type=_Nested)
    back = max(1, subtotal * (10 + row_id % 40) // 100)
    rate = nested.line_items[0]["taxRate"]
    tax = ((subtotal - back) * round(msgspec.json.decode(rate, type=float) * 10_000) + 5000) // 10_000
    left = subtotal - back + tax
    moment = (updated // MICRO + DAY) * MICRO
    line: Mapping[str, object] = {
        "id": len(nested.line_items) + 1,
        "description": "Refund",
        "quantity": msgspec.Raw(b"-1.00"),
        "unitPrice": money_json(back),
        "amount": money_json(-back),
        "taxRate": rate,
    }
    paid = nested.payments[-1]
    # The ids of payments are never three times that of their invoice: see `payments`.
    refund = {**paid, "id": row_id * 3, "amount": money_json(left - total), "paymentDate": zulu_text(moment)}
    changes: Mapping[str, object] = {
        "subtotal": format_cents(subtotal - back),
        "taxAmount": format_cents(tax),
        "totalAmount": format_cents(left),
        "paidAmount": format_cents(left),
        "lineItems": [*nested.line_items, line],
        "payments": [*nested.payments, refund],
        "updatedAt": instant_text(moment),
    }
    rewrite_row(database, INVOICES, row_id, changes)
    _add_payment(database, msgspec.json.decode(paid["id"], type=int), row_id * 3, left - total, moment)


def _add_payment(database: "Database", source_id: int, payment_id: int, cents: int, moment: int) -> None:
    """Copy a payment with another amount and time."""
    columns = ", ".join(column.sql for column in PAYMENTS.columns if column.sql != "id")
    database.connection.execute(
        f"INSERT INTO payments (id, {columns}) SELECT ?, {columns} FROM payments WHERE id = ?",
        (payment_id, source_id),
    )
    at = zulu_text(moment)
    changes: Mapping[str, object] = {
        **dict.fromkeys(("confirmationDate", "createdAt", "updatedAt"), at),
        "id": payment_id,
        "amount": format_cents(cents),
        "processorReference": f"stripe_re_{payment_id}",
    }
    rewrite_row(database, PAYMENTS, payment_id, changes)
