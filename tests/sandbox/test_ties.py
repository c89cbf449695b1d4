# ruff: noqa: E501 - one rule to a line or two
"""Names, ids and amounts agree across the tables of a firm."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from aiwyn_async.sandbox._data.database import Database
from aiwyn_async.sandbox._data.mutations import delete_row, insert_rows, update_row
from aiwyn_async.sandbox._declarations.schema import RESOURCES
from aiwyn_async.sandbox._http.handlers import get_one

RULES = {
    "invoices have the name of their client": "SELECT 1 FROM invoices i LEFT JOIN clients c ON c.id = i.client_id"
    " WHERE c.name IS NOT i.client_name",
    "invoices have the name of their project": "SELECT 1 FROM invoices i LEFT JOIN projects p ON p.id = i.project_id"
    " WHERE i.project_id IS NOT NULL AND (p.name IS NOT i.project_name OR p.client_id IS NOT i.client_id)",
    "invoices with a project have its job": "SELECT 1 FROM invoices WHERE coalesce(project_id, job_id) <> job_id",
    "projects are of their engagement's client": "SELECT 1 FROM projects p LEFT JOIN engagements e"
    " ON e.id = p.engagement_id LEFT JOIN clients c ON c.id = p.client_id WHERE e.name IS NOT p.engagement_name"
    " OR e.client_id IS NOT p.client_id OR c.name IS NOT p.client_name",
    "projects have a manager and a senior": "SELECT 1 FROM projects p LEFT JOIN staff m ON m.id = p.manager_staff_id"
    " LEFT JOIN staff s ON s.id = p.senior_staff_id WHERE m.type IS NOT 'MANAGER' OR s.id IS NULL",
    "engagements have a client and a partner": "SELECT 1 FROM engagements e LEFT JOIN clients c ON c.id = e.client_id"
    " LEFT JOIN staff s ON s.id = e.partner_staff_id WHERE c.name IS NOT e.client_name OR s.type IS NOT 'PARTNER'",
    "a client's partner is the partner of its engagements": "SELECT 1 FROM engagements e JOIN clients c"
    " ON c.id = e.client_id WHERE c.partner_staff_id <> e.partner_staff_id",
    "clients' partners are partners": "SELECT 1 FROM clients c LEFT JOIN staff s ON s.id = c.partner_staff_id"
    " WHERE c.partner_staff_id IS NOT NULL AND s.type IS NOT 'PARTNER'",
    "contacts have the name of their client": "SELECT 1 FROM contacts k LEFT JOIN clients c ON c.id = k.client_id"
    " WHERE c.name IS NOT k.client_name",
    "a client has one primary contact": "SELECT 1 FROM clients c WHERE 1 <> (SELECT count(*) FROM contacts k"
    " WHERE k.client_id = c.id AND k.is_primary_contact)",
    "staff have a department and an office": "SELECT 1 FROM staff s LEFT JOIN departments d ON d.id = s.dept_id"
    " LEFT JOIN offices o ON o.id = s.office_id WHERE d.id IS NULL OR o.id IS NULL",
    "managers of staff are staff": "SELECT 1 FROM staff s LEFT JOIN staff m ON m.id = s.manager_staff_id"
    " WHERE s.manager_staff_id IS NOT NULL AND m.id IS NULL",
    "payments are those nested in invoices": "SELECT 1 FROM (SELECT i.id AS invoice, e.value AS v FROM invoices i"
    " JOIN invoices_body b ON b.id = i.id, json_each(b.body, '$.payments') e) n FULL JOIN payments p"
    " ON p.id = json_extract(v, '$.id') WHERE p.invoice_id IS NOT n.invoice"
    " OR p.amount_cents IS NOT CAST(round(json_extract(v, '$.amount') * 100) AS INTEGER)"
    " OR p.payment_method IS NOT json_extract(v, '$.paymentMethod') OR p.status IS NOT json_extract(v, '$.status')"
    " OR p.confirmation_date_us IS NOT instant_us(json_extract(v, '$.paymentDate'), 'Z')",
    "payments pay what was paid": "SELECT 1 WHERE (SELECT sum(amount_cents) FROM payments)"
    " IS NOT (SELECT sum(paid_cents) FROM invoices)",
    "each invoice's payments pay it": "SELECT 1 FROM invoices i WHERE paid_cents <> coalesce((SELECT"
    " sum(amount_cents) FROM payments p WHERE p.invoice_id = i.id), 0)",
    "payments have the number and client of their invoice": "SELECT 1 FROM payments p LEFT JOIN invoices i ON i.id = p.invoice_id"
    " WHERE i.invoice_number IS NOT p.invoice_number OR i.client_id IS NOT p.client_id"
    " OR i.client_name IS NOT p.client_name",
    "drafts are worth their invoice": "SELECT 1 FROM draft_invoices d LEFT JOIN invoices i ON i.id = d.invoice_id"
    " WHERE i.total_cents IS NOT d.total_cents OR i.subtotal_cents IS NOT d.subtotal_cents"
    " OR i.client_name IS NOT d.client_name OR i.job_id IS NOT d.project_id"
    " OR i.invoice_number IS NOT d.pms_invoice_number",
    "drafts are approved unless not posted": "SELECT 1 FROM draft_invoices d JOIN invoices i ON i.id = d.invoice_id"
    " WHERE (i.status IN ('DRAFT', 'PENDING')) <> (d.approved_at_us IS NULL)"
    " OR (d.status = 'APPROVED') <> (d.approved_by_staff_id IS NOT NULL)",
    "drafts await their engagement's partner": "SELECT 1 FROM draft_invoices d LEFT JOIN projects p"
    " ON p.id = d.project_id LEFT JOIN engagements e ON e.id = p.engagement_id"
    " WHERE e.partner_staff_id IS NOT d.approver_staff_id OR p.name IS NOT d.project_name",
    "histories are their draft's": "SELECT 1 FROM draft_invoice_histories h LEFT JOIN draft_invoices d"
    " ON d.id = h.draft_invoice_id WHERE d.invoice_id IS NOT h.invoice_id OR d.client_id IS NOT h.client_id"
    " OR d.project_id IS NOT h.job_id",
    "entries have the names of their staff, client and project": "SELECT 1 FROM wip w LEFT JOIN staff s ON s.id = w.staff_id"
    " LEFT JOIN projects p ON p.id = w.project_id WHERE w.staff_name IS NOT s.first_name || ' ' || s.last_name"
    " OR p.name IS NOT w.project_name OR p.client_id IS NOT w.client_id OR p.client_name IS NOT w.client_name"
    " OR w.job_id <> w.project_id",
    "entries make up the drafts": "SELECT 1 FROM draft_invoices d WHERE subtotal_cents IS NOT (SELECT"
    " sum(value_cents) FROM wip w WHERE w.draft_invoice_id = d.id)",
    "entries' values are billed, written off or outstanding": "SELECT 1 FROM wip"
    " WHERE value_cents <> billed_cents + write_off_cents + outstanding_cents",
    "time is hours times the rate": "SELECT 1 FROM wip WHERE type = 'TIME'"
    " AND (billable_cents * 100 <> billable_hours * rate_cents OR duration <> billable_hours + free_hours)",
    "jobs are projects": "SELECT 1 FROM jobs j FULL JOIN projects p ON p.id = j.id WHERE p.name IS NOT j.name",
    "contact links agree with contacts": "SELECT 1 FROM contact_clients l LEFT JOIN contacts k ON k.id = l.contact_id"
    " WHERE k.client_id IS NOT l.client_id",
    "job templates have a service line": "SELECT 1 FROM job_templates t LEFT JOIN service_lines s"
    " ON s.id = t.service_line_id WHERE s.id IS NULL",
}
"""A SELECT of violations by rule."""


@pytest.fixture(scope="module", params=[1, 7, 20_240_315])
def firm(request: pytest.FixtureRequest) -> Iterator[Database]:
    store = Database(invoices=700, seed=request.param)
    store.open()
    yield store
    store.close()


@pytest.fixture
def changed(firm: Database) -> Iterator[Database]:
    """The firm for a test that changes it: the others, in any order, read it as it was."""
    yield firm
    firm.reset()


@pytest.mark.parametrize("rule", RULES)
def test_firm_ties_out(firm: Database, rule: str) -> None:
    assert firm.query(f"SELECT count(*) FROM ({RULES[rule]})") == [(0,)]


def shown(store: Database, name: str, row_id: int) -> dict[str, Any]:
    result = get_one(store, RESOURCES[name], str(row_id))
    return msgspec.json.decode(result, type=dict[str, Any])


def test_details_agree_with_each_other(firm: Database) -> None:
    for client_id in list(firm.ids(RESOURCES["clients"])):
        client = shown(firm, "clients", client_id)
        contact = shown(firm, "contacts", client["primaryContact"]["id"])
        assert f"{contact['firstName']} {contact['lastName']}" == client["primaryContact"]["name"]
        assert contact["clientId"] == client_id
        for summary in client["engagements"]:
            engagement = shown(firm, "engagements", summary["id"])
            assert {key: engagement[key] for key in summary} == summary
            assert engagement["teamMembers"]
            for part in engagement["projects"]:
                project = shown(firm, "projects", part["id"])
                assert {key: project[key] for key in part} == part
                assert project["engagementId"] == engagement["id"]
                assert project["clientName"] == client["name"]


def test_draft_detail_has_the_lines_of_its_invoice_and_a_review(firm: Database) -> None:
    for draft_id in firm.ids(RESOURCES["draft_invoices"])[:60]:
        draft = shown(firm, "draft_invoices", draft_id)
        ((invoice_id,),) = firm.query("SELECT invoice_id FROM draft_invoices WHERE id = ?", (draft_id,))
        lines = shown(firm, "invoices", int(str(invoice_id)))["lineItems"]
        assert [{key: line[key] for key in lines[0]} for line in draft["lineItems"]] == lines
        assert draft["reviewHistory"][0]["reviewerName"]


def test_client_summary_ties_out_with_its_invoices(firm: Database) -> None:
    for client_id in firm.ids(RESOURCES["clients"]):
        summary = shown(firm, "clients", client_id)["financialSummary"]
        sums = (
            "SELECT total(paid_cents) / 100, total(outstanding_cents) / 100 FROM invoices WHERE client_id = ?"
        )
        assert firm.query(sums, (client_id,)) == [(summary["totalRevenue"], summary["outstandingBalance"])]


def test_firm_ties_out_after_inserts_and_deletes(changed: Database) -> None:
    fresh = insert_rows(changed, RESOURCES["invoices"], 40)
    for row_id in [*fresh[::3], *changed.ids(RESOURCES["invoices"])[600:620]]:
        delete_row(changed, RESOURCES["invoices"], row_id)
    for rule in (
        "payments are those nested in invoices",
        "payments pay what was paid",
        "payments have the number and client of their invoice",
    ):
        assert changed.query(f"SELECT count(*) FROM ({RULES[rule]})") == [(0,)], rule
    stored = [row[0] for row in changed.query("SELECT id FROM payments ORDER BY id")]
    assert stored == list(changed.ids(RESOURCES["payments"]))


def test_inserted_payment_is_unapplied(changed: Database) -> None:
    (fresh,) = insert_rows(changed, RESOURCES["payments"], 1)
    assert shown(changed, "payments", fresh)["invoiceId"] is None
    delete_row(changed, RESOURCES["payments"], fresh)


@pytest.mark.parametrize("resource", RESOURCES.values(), ids=lambda resource: resource.name)
def test_rows_of_every_resource_can_be_changed(resource: Any) -> None:
    store = Database(invoices=30, seed=2)
    store.open()
    try:
        before = len(store.ids(resource))
        fresh = insert_rows(store, resource, 3)
        assert len(store.ids(resource)) == before + 3
        assert all(store.row_json(resource, row_id) for row_id in fresh)
        update_row(store, resource, fresh[0], {})
        delete_row(store, resource, fresh[1])
        assert store.row_json(resource, fresh[1]) is None
    finally:
        store.close()


def test_sizes_are_applied_and_checked() -> None:
    store = Database(invoices=20, seed=1, sizes={"staff": 5, "contacts": 1, "wip": 0, "draft_invoices": 7})
    store.open()
    assert [len(store.ids(RESOURCES[name])) for name in ("staff", "contacts", "wip")] == [5, 1, 0]
    assert len(store.ids(RESOURCES["draft_invoice_histories"])) == 7
    store.close()
    with pytest.raises(ValueError, match="staff must have at least 5 rows"):
        Database(invoices=20, seed=1, sizes={"staff": 4})
    with pytest.raises(ValueError, match="unknown resource 'stuff'"):
        Database(invoices=20, seed=1, sizes={"stuff": 4})


def test_firm_without_invoices_has_other_rows() -> None:
    store = Database(invoices=0, seed=1)
    store.open()
    assert [len(store.ids(RESOURCES[name])) for name in ("invoices", "payments", "wip")] == [0, 0, 0]
    assert store.ids(RESOURCES["projects"])
    store.close()
