"""The JSON of rows is generated when it is first read, and is the same whenever that is."""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from aiwyn_async.sandbox import FirmOptions
from aiwyn_async.sandbox._data.database import Database
from aiwyn_async.sandbox._data.mutations import delete_row, insert_rows, refresh_rows, update_row
from aiwyn_async.sandbox._declarations.schema import CLIENTS, INVOICES, PAYMENTS, RESOURCES

RECORDED = {"invoices": "2c2a4271730f87ef", "payments": "f908f7d9b84c8ccc"}
FEW_DRAFTS = {"draft_invoices": 10}
"""Drafts and their entries read the JSON of their invoices."""
LINES = {"lineItems": {"amount": {"_gt": 9000}}}


def contents(store: Database) -> dict[str, bytes]:
    return {
        name: store.rows_json(resource, list(store.ids(resource))) for name, resource in RESOURCES.items()
    }


def stored(store: Database, name: str) -> int:
    # Not through query(), which generates what its SQL names.
    return int(store.connection.execute(f"SELECT count(*) FROM {name}_body").fetchone()[0])


@pytest.fixture
def opened() -> Iterator[Callable[..., Database]]:
    stores: list[Database] = []

    def open_store(**options: Any) -> Database:
        chosen: dict[str, Any] = {"invoices": 700, "seed": 3, "sizes": FEW_DRAFTS, **options}
        stores.append(Database(**chosen))
        stores[-1].open()
        return stores[-1]

    yield open_store
    for store in stores:
        store.close()


def change(store: Database) -> None:
    ids = list(store.ids(INVOICES))
    update_row(store, INVOICES, ids[5], {"totalAmount": "12.50"})
    update_row(store, CLIENTS, store.ids(CLIENTS)[0], {"name": "Renamed"})
    update_row(store, INVOICES, ids[6], {"id": ids[0] - 1})
    delete_row(store, INVOICES, ids[8])
    update_row(store, PAYMENTS, store.ids(PAYMENTS)[3], {"amount": "1.00"})
    insert_rows(store, INVOICES, 4, {"status": "PAID"})
    insert_rows(store, RESOURCES["wip"], 2)


def test_a_start_generates_no_json_that_nothing_reads(opened: Callable[..., Database]) -> None:
    store = opened()
    # A history shows its client as it was: its JSON cannot wait.
    names = ("invoices", "payments", "clients", "draft_invoice_histories")
    assert [stored(store, name) for name in names] == [10, 0, 0, 10]
    page = list(store.ids(PAYMENTS))[10:20]
    store.rows_json(PAYMENTS, page)
    store.rows_json(PAYMENTS, page)
    assert stored(store, "payments") == 10


@pytest.mark.parametrize(
    "options",
    [
        None,
        FirmOptions(currencies=("USD", "CAD"), refunds=0.2, sync_minutes=5),
        FirmOptions(full_refresh=True),
    ],
    ids=["plain", "currencies, refunds and syncs", "full refresh"],
)
def test_json_read_after_changes_equals_json_read_before(
    opened: Callable[..., Database], options: FirmOptions | None
) -> None:
    early, late = (opened(options=options) for _ in range(2))
    before = contents(early)
    for store in (early, late):
        change(store)
        refresh_rows(store, INVOICES)
        change(store)
    assert contents(late) == contents(early) != before
    for store in (early, late):
        store.reset()
    assert contents(late) == contents(early) == before


def test_json_in_a_condition_or_a_query_covers_every_row(opened: Callable[..., Database]) -> None:
    selected, queried = opened(), opened()
    contents(queried)
    assert selected.select(INVOICES, LINES, ()).count == queried.select(INVOICES, LINES, ()).count > 5
    delete_row(selected, INVOICES, selected.ids(INVOICES)[0])
    insert_rows(selected, INVOICES, 50)
    assert selected.query("SELECT count(*) FROM invoices_body") == [(749,)]
    by_payment = {"invoice": LINES}
    fresh = opened().select(PAYMENTS, by_payment, ())
    assert fresh.count == queried.select(PAYMENTS, by_payment, ()).count > 5


def test_json_of_a_reopened_file_is_that_of_its_firm(opened: Callable[..., Database], tmp_path: Path) -> None:
    path = tmp_path / "firm.sqlite3"
    opened(path=path).close()
    assert contents(opened(path=path)) == contents(opened())


def test_json_of_a_seed_is_what_it_was(opened: Callable[..., Database]) -> None:
    # Programs may hold recorded rows of a seed; another sum needs an entry in the changelog.
    store = opened(invoices=1000, seed=7, sizes=None)
    sums = {name: hashlib.sha256(contents(store)[name]).hexdigest()[:16] for name in ("invoices", "payments")}
    assert sums == RECORDED
