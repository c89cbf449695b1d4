"""Options of the firm and its drift: currencies, refunds, missing clients, bursts, full refreshes."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from aiwyn_async.sandbox import Drift, FirmOptions, Sandbox
from aiwyn_async.sandbox._data.database import Database
from aiwyn_async.sandbox._data.mutations import insert_rows, refresh_rows
from aiwyn_async.sandbox._data.values import row_value
from aiwyn_async.sandbox._declarations.schema import INVOICES, RESOURCES

HOUR = 3_600_000_000
EVERY = FirmOptions(currencies=("USD", "CAD", "GBP"), refunds=0.2, missing_clients=0.3, sync_minutes=240)


def opened(options: FirmOptions | None = None, invoices: int = 300) -> Database:
    store = Database(invoices=invoices, seed=7, options=options)
    store.open()
    return store


def assert_columns_equal_json(store: Database) -> None:
    """Check that every column equals the JSON beside it."""
    for resource in RESOURCES.values():
        shown = [column for column in resource.columns if column.shown]
        names = ", ".join(f"t.{column.sql}" for column in shown)
        sql = f"SELECT b.body, {names} FROM {resource.name} t FULL JOIN {resource.bodies} b ON b.id = t.id"
        for body, *values in store.query(sql):
            row = json.loads(str(body), parse_float=Decimal)
            assert values == [row_value(column, row[column.key]) for column in shown], resource.name


@pytest.mark.parametrize(
    "options", [EVERY, FirmOptions(full_refresh=True), FirmOptions(refunds=1), FirmOptions(missing_clients=1)]
)
def test_firm_options_preserve_rows_and_columns(options: FirmOptions) -> None:
    store = opened(options)
    assert_columns_equal_json(store)
    assert len(store.ids(INVOICES)) == 300
    if options.missing_clients < 1:
        insert_rows(store, INVOICES, 5)
        assert_columns_equal_json(store)
    store.close()


def test_default_firm_options_change_nothing() -> None:
    plain, none = opened(FirmOptions()), opened()
    for resource in RESOURCES.values():
        ids = list(none.ids(resource))
        assert plain.rows_json(resource, ids) == none.rows_json(resource, ids)
    plain.close()
    none.close()


def test_currencies_are_one_per_client() -> None:
    store = opened(EVERY)
    for table in ("invoices", "payments", "draft_invoices", "wip", "projects", "engagements"):
        rows = store.query(f"SELECT client_id, count(DISTINCT currency) FROM {table} GROUP BY 1")
        assert {count for _, count in rows} == {1}
    assert {row[0] for row in store.query("SELECT DISTINCT currency FROM invoices")} == {"USD", "CAD", "GBP"}
    fresh = insert_rows(store, INVOICES, 30)
    sql = "SELECT count(DISTINCT currency) FROM invoices GROUP BY client_id"
    assert {row[0] for row in store.query(sql)} == {1}
    assert len(fresh) == 30
    mixed = "SELECT 1 FROM payments p JOIN invoices i ON i.id = p.invoice_id WHERE p.currency <> i.currency"
    assert not store.query(mixed)
    store.close()


def test_refund_is_a_negative_line_and_a_negative_payment() -> None:
    store = opened(FirmOptions(refunds=0.1))
    refunded = [json.loads(str(body)) for (body,) in store.query("SELECT body FROM invoices_body")]
    refunded = [row for row in refunded if any(line["amount"] < 0 for line in row["lineItems"])]
    paid = opened()
    (count,) = paid.query("SELECT count(*) FROM invoices WHERE status = 'PAID'")[0]
    assert len(refunded) == -(-int(str(count)) // 10)
    paid.close()
    for row in refunded:
        assert round(sum(line["amount"] for line in row["lineItems"]), 2) == row["subtotal"] > 0
        assert round(row["subtotal"] + row["taxAmount"], 2) == row["totalAmount"] == row["paidAmount"]
        assert round(sum(payment["amount"] for payment in row["payments"]), 2) == row["paidAmount"]
        assert row["payments"][-1]["amount"] < 0
        assert row["updatedAt"][:19] == row["payments"][-1]["paymentDate"][:19]
    unpaid = (
        "SELECT 1 FROM invoices i WHERE paid_cents <> coalesce((SELECT sum(amount_cents) FROM payments p"
        " WHERE p.invoice_id = i.id), 0) OR total_cents - paid_cents <> outstanding_cents"
    )
    assert not store.query(unpaid)
    store.close()


async def test_missing_client_is_named_by_invoices_only(http: Any) -> None:
    async with Sandbox(invoices=300, seed=7, firm=FirmOptions(missing_clients=0.25)) as box:
        headers = {"Authorization": f"Bearer {box.token}"}
        missing = "SELECT DISTINCT client_id FROM invoices WHERE client_id NOT IN (SELECT id FROM clients)"
        client_id = int(str(box.scalar(missing)))
        async with http.get(f"{box.url}/gql/v1/client/{client_id}", headers=headers) as response:
            assert response.status == 404
        where = {"clientId": {"_eq": client_id}, "clientName": {"_is_null": False}}
        body = {"where": where, "pageSize": 5}
        async with http.post(f"{box.url}/gql/v1/invoices/search", json=body, headers=headers) as response:
            assert (await response.json())["deid_invoice"]
        for resource in RESOURCES.values():
            if get_path := resource.paths.get("get"):
                for (row_id,) in box.query(f"SELECT id FROM {resource.name} LIMIT 5"):
                    path = get_path.replace("{id}", str(row_id))
                    async with http.get(f"{box.url}{path}", headers=headers) as response:
                        assert response.status == 200


def test_sync_minutes_round_changes_to_syncs() -> None:
    store = opened(FirmOptions(sync_minutes=240))
    stamps = [int(str(stamp)) for (stamp,) in store.query("SELECT updated_at_us FROM invoices")]
    assert {stamp % (4 * HOUR) for stamp in stamps} == {0}
    created = "SELECT 1 FROM invoices WHERE updated_at_us < created_at_us"
    assert not store.query(created)
    fresh = insert_rows(store, INVOICES, 7)
    new = store.query("SELECT DISTINCT updated_at_us FROM invoices WHERE id >= ?", (fresh[0],))
    assert len(new) == 1
    assert int(str(new[0][0])) > max(stamps)
    assert int(str(new[0][0])) % (4 * HOUR) == 0
    store.close()


def test_full_refresh_moves_all_rows_to_one_instant() -> None:
    store = opened(FirmOptions(full_refresh=True))
    (before,) = store.query("SELECT DISTINCT updated_at_us FROM invoices")
    refresh_rows(store, INVOICES)
    (after,) = store.query("SELECT DISTINCT updated_at_us FROM invoices")
    assert int(str(after[0])) > int(str(before[0]))
    assert_columns_equal_json(store)
    store.close()


async def test_refresh_moves_all_rows_of_a_resource(box: Sandbox) -> None:
    box.refresh("invoices")
    assert len(box.query("SELECT DISTINCT updated_at_us FROM invoices")) == 1
    assert len(box.query("SELECT DISTINCT updated_at_us FROM engagements")) > 1
    box.refresh()
    assert len(box.query("SELECT DISTINCT updated_at_us FROM payments")) == 1


def test_drift_every_applies_changes_together() -> None:
    store = opened()
    drift = Drift(insert=2, update=3, delete=1, every=4, seed=3)
    for _ in range(3):
        drift.apply(store, INVOICES)
    assert (drift.rounds, drift.inserted, drift.updated, drift.deleted) == (0, [], [], [])
    drift.apply(store, INVOICES)
    assert (drift.rounds, len(drift.inserted), len(drift.updated), len(drift.deleted)) == (1, 8, 12, 4)
    changed = ", ".join(map(str, {*drift.inserted, *drift.updated} - set(drift.deleted)))
    stamps = store.query(f"SELECT DISTINCT updated_at_us FROM invoices WHERE id IN ({changed})")
    (latest,) = store.query("SELECT max(updated_at_us) FROM invoices")[0]
    assert stamps == [(latest,)]
    store.close()


def test_drift_refresh_every_moves_all_rows() -> None:
    store = opened()
    drift = Drift(update=1, refresh_every=2, seed=3)
    drift.apply(store, INVOICES)
    assert len(store.query("SELECT DISTINCT updated_at_us FROM invoices")) > 1
    drift.apply(store, INVOICES)
    assert len(store.query("SELECT DISTINCT updated_at_us FROM invoices")) == 1
    store.close()


def test_file_is_opened_with_its_own_options_only(tmp_path: Path) -> None:
    path = tmp_path / "firm.sqlite3"
    for options in (EVERY, EVERY):
        store = Database(invoices=20, seed=7, path=path, options=options)
        store.open()
        store.close()
    with pytest.raises(ValueError, match="options"):
        Database(invoices=20, seed=7, path=path).open()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"currencies": ()}, "currencies"),
        ({"currencies": ("dollar",)}, "currencies"),
        ({"refunds": 1.5}, "refunds"),
        ({"missing_clients": -1}, "missing_clients"),
        ({"sync_minutes": 0}, "sync_minutes"),
        ({"sync_minutes": 1441}, "sync_minutes"),
    ],
)
def test_firm_options_reject_values_out_of_range(options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FirmOptions(**options)
    with pytest.raises(ValueError, match="at least 1"):
        Drift(every=0)
