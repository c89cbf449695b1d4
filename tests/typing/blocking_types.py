"""The types of the blocking client. Only type-checked, never run."""

from typing import Any, assert_type

from aiwyn_async import (
    Aiwyn,
    EventSubscription,
    Invoice,
    InvoiceDetail,
    InvoiceSearchRow,
    ListReport,
    LookupResult,
    Page,
    Payment,
    Plan,
    PullReport,
    Secret,
)
from aiwyn_async.blocking import BlockingChanges, BlockingRead, WriteResult
from aiwyn_async.export import ExportResult
from aiwyn_async.sync import SyncResult


def check(aiwyn: Aiwyn) -> None:
    """Check rows, reports and arguments."""
    assert_type(aiwyn.invoices.list(status="PAID", limit=3), BlockingRead[Invoice, ListReport])
    assert_type(aiwyn.invoices.get(1), InvoiceDetail)
    assert_type(aiwyn.invoices.pull(), BlockingRead[InvoiceSearchRow, PullReport])
    assert_type(aiwyn.payments.pull(client_id=1), BlockingRead[Payment, PullReport])
    assert_type(aiwyn.invoices.changes(), BlockingChanges[InvoiceSearchRow])
    assert_type(aiwyn.invoices.changes().decode_as(dict), BlockingChanges[dict[str, Any]])
    assert_type(aiwyn.invoices.list().decode_as(dict), BlockingRead[dict[str, Any], ListReport])
    assert_type(aiwyn.invoices.plan(parts=2), Plan)
    assert_type(aiwyn.departments.list({"a": 1}, limit=1).collect(), list[dict[str, Any]])
    assert_type(aiwyn.records.upsert([]), WriteResult)
    assert_type(aiwyn.event_subscriptions.create(target_url="", entity_types=[]), EventSubscription)
    assert_type(aiwyn.event_subscriptions.secret(1), Secret)
    assert_type(aiwyn.export(aiwyn.invoices.pull(), "a.csv", force=True), ExportResult)
    assert_type(aiwyn.sync(aiwyn.invoices, "a.duckdb", full=True), SyncResult)
    for row in aiwyn.invoices.search(order_by=[]):
        assert_type(row, InvoiceSearchRow)
    for page in aiwyn.invoices.list().pages():
        assert_type(page, Page[Invoice])
    for result in aiwyn.invoices.get_many([1]):
        assert_type(result, LookupResult[InvoiceDetail])
    aiwyn.invoices.list(state="PAID")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    aiwyn.invoices.list(limit="3")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    aiwyn.contacts.search()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    aiwyn.export(aiwyn.invoices.pull())  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
