"""The seeded firm: amounts tie out to the cent, and a seed determines all rows."""

import json
import os
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from aiwyn_async.sandbox._data.database import Database
from aiwyn_async.sandbox._data.mutations import delete_row, insert_rows, update_row
from aiwyn_async.sandbox._data.order_by import compile_order
from aiwyn_async.sandbox._data.values import row_value
from aiwyn_async.sandbox._declarations.declarations import Kind, Resource
from aiwyn_async.sandbox._declarations.schema import CLIENTS, INVOICES, RESOURCES

FIELDS = [
    "id",
    "invoiceNumber",
    "reference",
    "description",
    "status",
    "paymentStatus",
    "clientId",
    "clientName",
    "clientEmail",
    "projectId",
    "projectName",
    "issueDate",
    "dueDate",
    "subtotal",
    "taxAmount",
    "totalAmount",
    "currency",
    "paidAmount",
    "outstandingAmount",
    "lineItems",
    "payments",
    "notes",
    "createdAt",
    "updatedAt",
]


def rows(store: Database, resource: Resource = INVOICES) -> list[dict[str, Any]]:
    text = store.rows_json(resource, list(store.ids(resource)))
    return list(json.loads(b"[" + text + b"]", parse_float=Decimal))


@pytest.fixture(scope="module")
def firm() -> Any:
    store = Database(invoices=3000, seed=11)
    store.open()
    yield store
    store.close()


def test_invoices_tie_out(firm: Database) -> None:
    for row in rows(firm):
        lines, payments = row["lineItems"], row["payments"]
        assert 1 <= len(lines) <= 3
        assert len(payments) <= 2
        assert all(line["quantity"] * line["unitPrice"] == line["amount"] for line in lines)
        assert sum(line["amount"] for line in lines) == row["subtotal"]
        assert row["subtotal"] + row["taxAmount"] == row["totalAmount"]
        assert abs(row["subtotal"] * lines[0]["taxRate"] - row["taxAmount"]) <= Decimal("0.005")
        assert sum((item["amount"] for item in payments), Decimal(0)) == row["paidAmount"]
        assert all(item["amount"] > 0 for item in payments)
        assert 0 <= row["paidAmount"] <= row["totalAmount"]
        assert row["totalAmount"] - row["paidAmount"] == row["outstandingAmount"]


def test_statuses_agree_with_the_money(firm: Database) -> None:
    seen: set[str] = set()
    for row in rows(firm):
        seen.add(row["status"])
        assert (
            (row["status"] == "PAID") == (row["outstandingAmount"] == 0) == (row["paymentStatus"] == "PAID")
        )
        if row["status"] in {"DRAFT", "CANCELLED", "PENDING"}:
            assert row["paidAmount"] == 0
        if row["status"] == "OVERDUE":
            assert row["paymentStatus"] == "OVERDUE"
            assert row["dueDate"] < "2025"
        elif row["status"] != "PAID":
            assert row["paymentStatus"] == ("PARTIALLY_PAID" if row["paidAmount"] else "UNPAID")
    assert seen == {"PENDING", "POSTED", "PAID", "OVERDUE", "CANCELLED", "DRAFT", "CLOSED"}


def test_rows_have_wire_order_two_decimals_and_date_forms(firm: Database) -> None:
    text = firm.rows_json(INVOICES, list(firm.ids(INVOICES)))
    for row in rows(firm):
        assert list(row) == FIELDS
        assert str(row["totalAmount"])[-3] == "."
        assert row["issueDate"].endswith("T00:00:00")
        assert row["dueDate"].endswith("+00:00")
        assert row["createdAt"].endswith("Z")
        assert row["updatedAt"].endswith("+00:00")
        assert all(row["createdAt"][:19] < item["paymentDate"][:19] for item in row["payments"])
    assert 1000 < len(text) / 3000 < 1150


def test_ids_ascend_with_creation_and_have_gaps(firm: Database) -> None:
    made = rows(firm)
    ids: list[int] = [row["id"] for row in made]
    assert ids[0] == 40001
    assert ids == sorted(set(ids))
    assert {later - earlier for earlier, later in pairwise(ids)} >= {1, 2}
    created = [row["createdAt"] for row in made]
    assert created == sorted(created)
    assert len(set(created)) < len(created), "an order by createdAt has ties"
    assert len({row["invoiceNumber"] for row in made}) == len(made)


@pytest.mark.parametrize("resource", RESOURCES.values(), ids=lambda resource: resource.name)
def test_columns_equal_the_json(firm: Database, resource: Resource) -> None:
    shown = [column for column in resource.columns if column.shown]
    names = ", ".join(column.sql for column in shown)
    stored = firm.query(f"SELECT {names} FROM {resource.name} ORDER BY id")
    assert stored
    assert [tuple(row_value(c, row[c.key]) for c in shown) for row in rows(firm, resource)] == stored


def test_billed_clients_exist_under_their_name(firm: Database) -> None:
    clients = {row["id"]: row["name"] for row in rows(firm, CLIENTS)}
    assert all(clients[row["clientId"]] == row["clientName"] for row in rows(firm))


def test_seed_determines_the_firm() -> None:
    def text(seed: int) -> bytes:
        store = Database(invoices=40, seed=seed)
        store.open()
        try:
            return store.rows_json(INVOICES, list(store.ids(INVOICES)))
        finally:
            store.close()

    assert text(1) == text(1) != text(2)


def test_chunk_size_does_not_affect_the_firm(monkeypatch: pytest.MonkeyPatch) -> None:
    def text() -> list[bytes]:
        store = Database(invoices=50, seed=5)
        store.open()
        try:
            return [store.rows_json(resource, list(store.ids(resource))) for resource in RESOURCES.values()]
        finally:
            store.close()

    full = text()
    monkeypatch.setattr("aiwyn_async.sandbox._data.seed.CHUNK_ROWS", 7)
    assert text() == full


def test_payments_are_those_of_new_invoices_only() -> None:
    store = Database(invoices=40, seed=5)
    store.open()
    new = [INVOICES.seed.ids.at(number) for number in range(40, 60)]
    between = next(row_id for row_id in range(new[0], new[-1]) if row_id not in new)
    ((paid,),) = store.query("SELECT min(id) FROM invoices WHERE status = 'PAID'")
    update_row(store, INVOICES, int(str(paid)), {"id": between})
    assert insert_rows(store, INVOICES, 20) == new
    assert store.query("SELECT count(*) FROM payments WHERE invoice_id = ?", (between,)) == [(0,)]
    store.close()


def test_an_index_is_created_by_the_first_condition_on_its_column() -> None:
    store = Database(invoices=40, seed=5)
    store.open()

    def indexes() -> list[object]:
        sql = "SELECT name FROM sqlite_master WHERE type = 'index' AND sql > '' ORDER BY name"
        return [row[0] for row in store.query(sql)]

    by_change = compile_order(INVOICES, {"updatedAt": "asc"})
    ordered = store.select(INVOICES, {}, by_change).page(0, 40)
    assert indexes() == []
    later = store.select(INVOICES, {"updatedAt": {"_gte": "2020-01-01"}}, by_change).page(0, 40)
    assert indexes() == ["invoices_updated_at_us"]
    assert 0 < len(later) < len(ordered)
    assert ordered[-len(later) :] == later
    delete_row(store, INVOICES, ordered[0])
    assert indexes() == ["invoices_updated_at_us", "payments_invoice_id"]
    store.reset()
    assert store.select(INVOICES, {}, by_change).page(0, 40) == ordered
    store.close()


def test_file_is_reopened_only_for_the_same_firm(tmp_path: Path) -> None:
    path = tmp_path / "firm.sqlite3"
    first = Database(invoices=20, seed=1, path=path)
    first.open()
    (deleted, *_), fresh = first.ids(INVOICES), insert_rows(first, INVOICES, 2)
    delete_row(first, INVOICES, deleted)
    first.close()
    again = Database(invoices=20, seed=1, path=path)
    again.open()
    assert deleted not in again.ids(INVOICES)
    assert list(again.ids(INVOICES))[-2:] == fresh
    assert insert_rows(again, INVOICES, 1)[0] > fresh[-1]
    again.close()
    with pytest.raises(ValueError, match="seed=1, not 2"):
        Database(invoices=20, seed=2, path=path).open()
    other = tmp_path / "notes.txt"
    other.write_text("not a database " * 100)
    with pytest.raises(ValueError, match="not a sandbox file"):
        Database(invoices=20, seed=1, path=other).open()
    assert other.exists()


def test_file_is_used_by_one_sandbox_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "firm.sqlite3"
    first = Database(invoices=20, seed=1, path=path)
    first.open()
    second = Database(invoices=20, seed=1, path=path)
    with pytest.raises(ValueError, match=r"another sandbox uses the file .*firm\.sqlite3; use another path"):
        second.open()
    assert len(first.ids(RESOURCES["invoices"])) == 20
    first.close()
    second.open()
    second.close()


def test_file_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "firm.sqlite3"
    store = Database(invoices=20, seed=1, path=path)
    store.open()
    store.close()
    path.chmod(0o400)
    if os.access(path, os.W_OK):
        pytest.skip("this user can write any file")
    with pytest.raises(ValueError, match=r"firm\.sqlite3 cannot be written"):
        store.open()


def test_file_in_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"missing/firm\.sqlite3 cannot be written: unable to open"):
        Database(invoices=20, seed=1, path=tmp_path / "missing/firm.sqlite3").open()


def test_unfinished_firm_leaves_no_file(tmp_path: Path) -> None:
    path = tmp_path / "firm.sqlite3"
    store = Database(invoices=20, seed=1, path=path)
    store.cancel()
    with pytest.raises(RuntimeError, match="stopped"):
        store.open()
    assert not path.exists()


def test_declarations_are_complete() -> None:
    for resource in RESOURCES.values():
        assert resource.columns[0].wire == "id"
        assert resource.columns[0].kind is Kind.INTEGER
        assert all(item.column in resource.by_wire for item in resource.filters)
        assert all(relation.resource in RESOURCES for relation in resource.relations)
