"""Rows change between requests, and JSON, columns and order stay in step."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from aiwyn_async.sandbox import Drift, Sandbox
from aiwyn_async.sandbox._data.database import Database
from aiwyn_async.sandbox._data.values import row_value
from aiwyn_async.sandbox._declarations.schema import INVOICES, RESOURCES

LIST, SEARCH = "/gql/v1/invoices", "/gql/v1/invoices/search"


def assert_columns_equal_json(box: Sandbox) -> None:
    """Check that every column equals the JSON beside it, and that each row is in both tables."""
    for resource in RESOURCES.values():
        shown = [column for column in resource.columns if column.shown]
        names = ", ".join(f"t.{column.sql}" for column in shown)
        rows = box.query(
            f"SELECT b.body, {names} FROM {resource.name} t FULL JOIN {resource.bodies} b ON b.id = t.id"
        )
        for body, *values in rows:
            row = json.loads(str(body), parse_float=Decimal)
            assert values == [row_value(column, row[column.key]) for column in shown]


async def test_drift_changes_rows_after_each_page(box: Sandbox, post: Any) -> None:
    drift = box.drift = Drift(insert=2, update=20, delete=3, seed=1)
    _, first = await post(LIST, {"pageSize": 50})
    assert first["deid_invoice_aggregate"]["aggregate"]["count"] == 300
    _, second = await post(LIST, {"pageSize": 50})
    assert second["deid_invoice_aggregate"]["aggregate"]["count"] == 299
    assert (len(drift.inserted), len(drift.updated), len(drift.deleted), drift.rounds) == (4, 40, 6, 2)
    box.drift = None
    _, third = await post(LIST, {"pageSize": 1000})
    ids = [row["id"] for row in third["deid_invoice"]]
    assert len(ids) == 298
    assert not set(ids) & set(drift.deleted)
    assert set(ids) >= set(drift.inserted) - set(drift.deleted)
    assert ids[0] in drift.inserted, "inserted rows are the newest"
    assert_columns_equal_json(box)


def test_drift_is_the_same_for_the_same_seed() -> None:
    def changed() -> tuple[list[int], ...]:
        store = Database(invoices=40, seed=7)
        store.open()
        drift = Drift(insert=1, update=3, delete=2, seed=9)
        for _ in range(3):
            drift.apply(store, INVOICES)
        store.close()
        return drift.inserted, drift.updated, drift.deleted

    assert changed() == changed()


async def test_drift_preserves_amounts_and_the_last_row(post: Any, box: Sandbox) -> None:
    box.drift = Drift(update=50, delete=60, seed=2)
    for _ in range(6):
        await post(LIST, {})
    assert box.scalar("SELECT count(*) FROM invoices") == 1
    inconsistent = "SELECT count(*) FROM invoices WHERE total_cents - paid_cents <> outstanding_cents"
    assert box.scalar(inconsistent) == 0
    assert_columns_equal_json(box)


async def test_changes_are_visible_to_the_next_request(box: Sandbox, post: Any) -> None:
    (fresh,) = box.insert("invoices", {"status": "POSTED", "totalAmount": "123456.70", "reference": None})
    _, newest = await post(LIST, {"pageSize": 1})
    assert newest["deid_invoice"][0]["id"] == fresh
    where = {"totalAmount": {"_eq": 123456.7}, "reference": {"_is_null": True}}
    _, result = await post(SEARCH, {"where": where})
    assert [row["id"] for row in result["deid_invoice"]] == [fresh]
    box.update("invoices", fresh, {"status": "CLOSED"})
    _, latest = await post(SEARCH, {"orderBy": [{"updatedAt": "desc"}]})
    assert (latest["deid_invoice"][0]["id"], latest["deid_invoice"][0]["status"]) == (fresh, "CLOSED")
    box.delete("invoices", fresh)
    _, remaining = await post(SEARCH, {"where": {"id": {"_gte": fresh}}, "orderBy": [{"id": "asc"}]})
    assert remaining["deid_invoice_aggregate"]["aggregate"]["count"] == 0
    assert_columns_equal_json(box)


async def test_insert_preserves_two_decimals(box: Sandbox) -> None:
    (fresh,) = box.insert("invoices", {"totalAmount": 5})
    (body,) = box.query("SELECT body FROM invoices_body WHERE id = ?", (fresh,))[0]
    assert '"totalAmount":5.00,' in str(body)


def test_rows_are_inserted_after_one_at_the_end_of_the_calendar(box: Sandbox) -> None:
    for values in ({"updatedAt": "9999-12-31T23:59:59.999999Z"}, {"updatedAt": "20000-01-01T00:00:00Z"}, {}):
        assert len(box.insert("invoices", values)) == 1


async def test_insert_accepts_an_explicit_id(box: Sandbox, post: Any) -> None:
    """Generated rows skip it."""
    (planned,) = box.insert("invoices")
    box.delete("invoices", planned)
    assert box.insert("invoices", {"id": 5}) == [5]
    assert box.insert("invoices", {"id": 40_430}) == [40_430]
    more = box.insert("invoices", count=20)
    assert len(set(more) | {5, 40_430}) == 22
    _, first = await post(SEARCH, {"orderBy": [{"id": "asc"}]})
    assert first["deid_invoice"][0]["id"] == 5
    assert_columns_equal_json(box)


async def test_bad_changes_write_nothing(box: Sandbox, post: Any) -> None:
    some = int(str(box.scalar("SELECT min(id) FROM invoices")))
    before = box.query("SELECT * FROM invoices JOIN invoices_body USING (id) ORDER BY id")
    rejected: list[dict[str, object]] = [
        {"nope": 1},
        {"totalAmount": "1.005"},
        {"status": None},
        {"id": some},
    ]
    for values in rejected:
        with pytest.raises(ValueError, match=r"no field|decimals|null|already"):
            box.insert("invoices", values, count=2)
    rejected = [{"nope": 1}, {"createdAt": "soon"}, {"clientId": "x"}, {"clientId": True}]
    for values in rejected:
        with pytest.raises(ValueError, match=r"no field|date-time|expected"):
            box.update("invoices", some, values)
    with pytest.raises(KeyError):
        box.update("invoices", 1, {"status": "PAID"})
    with pytest.raises(KeyError):
        box.delete("invoices", 1)
    assert box.query("SELECT * FROM invoices JOIN invoices_body USING (id) ORDER BY id") == before
    _, response = await post(SEARCH, {"pageSize": 1000, "orderBy": [{"id": "asc"}]})
    assert len(response["deid_invoice"]) == 300


async def test_query_is_read_only(box: Sandbox) -> None:
    with pytest.raises(Exception, match="readonly"):
        box.query("DELETE FROM invoices")
    assert box.scalar("SELECT count(*) FROM invoices") == 300
    assert box.scalar("SELECT id FROM invoices WHERE id < 0") is None
    box.insert("clients", {"name": 'Ünïcode & "Quotes"', "active": False})
    assert box.scalar("SELECT count(*) FROM clients WHERE active = 0 AND name LIKE 'Ünï%'") == 1


@pytest.mark.parametrize("invoices", [0, 1, 5, 20])
async def test_inserted_rows_of_a_small_firm_are_not_dated_in_the_future(invoices: int) -> None:
    async with Sandbox(invoices=invoices, seed=7) as small:
        small.insert("invoices", count=50)
        small.insert("invoices", count=50)
        latest = small.scalar("SELECT max(max(created_at_us), max(updated_at_us)) FROM invoices")
        assert int(str(latest)) < datetime(2025, 6, 1, tzinfo=UTC).timestamp() * 1_000_000
        ordered = "SELECT id FROM invoices ORDER BY created_at_us, id"
        assert small.query(ordered) == small.query("SELECT id FROM invoices ORDER BY id")


async def test_update_corrects_a_timestamp_that_no_other_can_follow(box: Sandbox, post: Any) -> None:
    (key,) = box.insert("invoices")
    for change in ("9999-12-31T23:59:59.5+00:00", "2025-01-01T00:00:00+00:00"):
        box.update("invoices", key, {"updatedAt": change})
        _, response = await post(SEARCH, {"where": {"id": {"_eq": key}}})
        assert response["deid_invoice"][0]["updatedAt"][:4] == change[:4]
